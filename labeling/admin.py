"""The rows as they are, for superusers. What people judged and what machinery keeps can be read here, not changed."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from labeling import models


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Rows that only services write: their rules span more than one row."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]
    ordering = ["email"]
    list_display = ["email", "name", "is_active", "is_held_out", "is_imported", "is_superuser"]
    list_filter = ["is_active", "is_held_out", "is_imported", "is_superuser"]
    search_fields = ["email", "name"]
    filter_horizontal = ()
    readonly_fields = ["uid", "is_imported", "last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["email", "password", "name", "languages", "uid"]}),
        ("What they may", {"fields": ["is_active", "is_held_out", "is_imported", "is_staff", "is_superuser"]}),
        ("Times", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"classes": ["wide"], "fields": ["email", "password1", "password2"]})]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # judgements keep their labeler: people are deactivated


@admin.register(models.Project)
class ProjectAdmin(admin.ModelAdmin[models.Project]):
    list_display = ["name", "slug", "overlap", "rate_first", "is_demo", "created_at"]
    search_fields = ["name", "slug"]
    readonly_fields = ["uid", "created_at"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.Membership)
class MembershipAdmin(admin.ModelAdmin[models.Membership]):
    list_display = ["project", "user", "role", "is_active"]
    list_filter = ["role", "is_active"]
    list_select_related = ["project", "user"]
    autocomplete_fields = ["project", "user"]


@admin.register(models.Prompt)
class PromptAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "project", "use_case", "language", "split", "dataset", "is_retired"]
    list_filter = ["use_case", "split", "source", "is_retired"]
    list_select_related = ["project"]
    search_fields = ["content_hash", "external_id"]


@admin.register(models.Response)
class ResponseAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "model", "sample_index", "num_chars", "names_itself"]
    list_filter = ["names_itself"]
    list_select_related = ["model"]
    raw_id_fields = ["prompt"]


@admin.register(models.Task)
class TaskAdmin(ReadOnlyAdmin):
    list_display = ["pk", "project", "kind", "state", "num_responses", "num_wanted", "priority", "is_imported"]
    list_filter = ["kind", "state", "is_imported"]
    list_select_related = ["project"]


@admin.register(models.Slot)
class SlotAdmin(ReadOnlyAdmin):
    list_display = ["pk", "task_id", "number", "kind", "state", "holder", "lease_until", "done_at"]
    list_filter = ["state", "kind"]
    list_select_related = ["holder"]


@admin.register(models.Ranking)
class RankingAdmin(ReadOnlyAdmin):
    list_display = ["pk", "task_id", "labeler", "outcome", "ranks", "revision", "slot_id", "created_at"]
    list_filter = ["outcome"]
    list_select_related = ["labeler"]


@admin.register(models.RankingVoid)
class RankingVoidAdmin(ReadOnlyAdmin):
    list_display = ["ranking_id", "reason", "voided_by", "created_at"]
    list_select_related = ["voided_by"]


@admin.register(models.Demonstration)
class DemonstrationAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "labeler", "revision", "created_at"]
    list_select_related = ["labeler"]


@admin.register(models.ImportBatch)
class ImportBatchAdmin(ReadOnlyAdmin):
    list_display = ["filename", "project", "kind", "state", "num_rows", "num_taken", "num_refused", "created_at"]
    list_filter = ["kind", "state"]
    list_select_related = ["project"]


@admin.register(models.Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ["project", "role", "email", "expires_at", "accepted_at", "revoked_at"]
    list_select_related = ["project"]
    exclude = ["token_hash"]


@admin.register(models.Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "stage", "state", "attempt", "fence", "created_at"]
    list_filter = ["stage", "state"]
    list_select_related = ["project"]


@admin.register(models.Model)
class ModelAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "kind", "is_current", "is_retired", "created_at"]
    list_filter = ["kind", "is_current", "is_retired"]
    list_select_related = ["project"]


@admin.register(models.Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "kind", "state", "num_rows", "sha256", "created_at"]
    list_filter = ["kind", "state"]
    list_select_related = ["project"]


@admin.register(models.EvaluationFile)
class EvaluationFileAdmin(ReadOnlyAdmin):
    list_display = ["filename", "project", "kind", "num_rows", "sha256", "created_at"]
    list_filter = ["kind"]
    list_select_related = ["project"]


@admin.register(models.ResponseScore)
class ResponseScoreAdmin(ReadOnlyAdmin):
    list_display = ["response", "model", "score", "run", "created_at"]
    list_select_related = ["response", "model", "run"]


@admin.register(models.Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "kind", "state", "step", "num_prompts", "num_wanted", "created_at"]
    list_filter = ["kind", "state"]
    list_select_related = ["project"]


for _row in (models.Guideline, models.Skip, models.Round, models.RunEvent, models.ModelEvent):
    admin.site.register(_row, ReadOnlyAdmin)
