"""Immutable datasets."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from labeling.models.base import PublicModel
from labeling.models.projects import Project
from labeling.models.rankings import Demonstration, Ranking


class Snapshot(PublicModel):
    """A dataset frozen to a file. Once ready, it never changes (a trigger holds that)."""

    class Kind(models.TextChoices):
        REWARD = "reward", "Rankings for the reward model"
        SFT = "sft", "Demonstrations for SFT"
        PROMPTS = "prompts", "Prompts for PPO"
        TEXT = "text", "Pretraining text"
        RESPONSES = "responses", "Responses to score"

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        BUILDING = "building", "Building"
        READY = "ready", "Ready"
        SAME = "same", "Same as an earlier one"
        FAILED = "failed", "Failed"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="snapshots")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=9, choices=Kind)
    filters = models.JSONField(
        default=dict, blank=True, help_text="What was asked for: data sets, use cases, languages, …"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    sha256 = models.CharField(max_length=64, null=True, blank=True, help_text="Of the rows' content.")  # noqa: DJ001
    same_as = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="repeats")
    storage_key = models.CharField(max_length=255, blank=True)
    num_rows = models.PositiveIntegerField(default=0)
    num_done = models.PositiveIntegerField(default=0, help_text="Progress while building.")
    stats = models.JSONField(
        default=dict, blank=True, help_text="Tables of the snapshot page, and what was left out by reason."
    )
    error = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="snapshot_unique_name"),
            models.UniqueConstraint(fields=["project", "sha256"], name="snapshot_unique_content"),
            models.CheckConstraint(
                condition=Q(kind__in=["reward", "sft", "prompts", "text", "responses"]), name="snapshot_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "building", "failed", "same"], sha256__isnull=True)
                | Q(state="ready", sha256__isnull=False, finished_at__isnull=False),
                name="snapshot_ready_has_a_hash",
            ),
            models.CheckConstraint(
                condition=Q(state="same", same_as__isnull=False) | (~Q(state="same") & Q(same_as__isnull=True)),
                name="snapshot_same_names_the_earlier_one",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def resolved(self) -> "Snapshot":
        """Itself, or the earlier snapshot that turned out to hold the same rows."""
        return self.same_as or self


class SnapshotRanking(models.Model):
    """Which rankings a snapshot holds: from a labeler to every dataset and model that learned from them."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="snapshot_rankings")
    ranking = models.ForeignKey(Ranking, on_delete=models.PROTECT, related_name="snapshot_rankings")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["snapshot", "ranking"], name="snapshot_ranking_once")]

    def __str__(self) -> str:
        return f"{self.ranking_id} in {self.snapshot_id}"


class SnapshotDemonstration(models.Model):
    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="snapshot_demonstrations")
    demonstration = models.ForeignKey(Demonstration, on_delete=models.PROTECT, related_name="snapshot_demonstrations")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["snapshot", "demonstration"], name="snapshot_demonstration_once")
        ]

    def __str__(self) -> str:
        return f"{self.demonstration_id} in {self.snapshot_id}"
