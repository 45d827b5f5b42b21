"""Prompts that people write and annotate. Append-only like every judgement."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from labeling.models.base import PublicModel
from labeling.models.projects import Project
from labeling.models.prompts import Prompt, UseCase
from labeling.models.rankings import Judgement
from labeling.models.tasks import Slot, Task


class PromptBrief(PublicModel):
    """What kind of prompt is asked for (InstructGPT, appendix A.1)."""

    class Style(models.TextChoices):
        PLAIN = "plain", "Plain"
        FEW_SHOT = "few_shot", "Instruction with examples"
        USER_BASED = "user_based", "From a use case"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompt_briefs")
    style = models.CharField(max_length=10, choices=Style)
    use_case = models.CharField(max_length=16, choices=UseCase, blank=True, help_text="Empty: the writer chooses.")
    language = models.CharField(max_length=16, blank=True, help_text="Empty: the writer chooses.")
    text = models.TextField(blank=True, help_text="What to write about; a described use case for “from a use case”.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(style__in=["plain", "few_shot", "user_based"]), name="brief_style_known"
            ),
            models.CheckConstraint(
                condition=Q(use_case="") | Q(use_case__in=UseCase.values), name="brief_use_case_known"
            ),
            models.CheckConstraint(condition=~Q(style="user_based", text=""), name="brief_describes_its_use_case"),
        ]

    def __str__(self) -> str:
        return f"{self.get_style_display()}: {self.text[:60]}"


class WrittenPrompt(Judgement):
    """A labeler's prompt, as it answers a brief. A revision makes a prompt of its own and retires the one before."""

    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="written_prompts")
    slot = models.ForeignKey(Slot, null=True, blank=True, on_delete=models.PROTECT, related_name="written_prompts")
    replaces = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaced_by")
    prompt = models.OneToOneField(Prompt, on_delete=models.PROTECT, related_name="written")
    instruction = models.TextField(help_text="The prompt itself, or the instruction of a few-shot one.")
    pairs = models.JSONField(default=list, blank=True, help_text='Few-shot: [{"query": "…", "response": "…"}, …]')
    query = models.TextField(blank=True, help_text="Few-shot: the last query, left for the model to answer.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["idempotency_key"], name="writtenprompt_one_per_key"),
            models.UniqueConstraint(fields=["slot", "revision"], name="writtenprompt_one_per_slot"),
            models.UniqueConstraint(
                fields=["task", "labeler", "revision"], name="writtenprompt_one_per_task_and_labeler"
            ),
            models.CheckConstraint(
                condition=Q(revision=1, replaces__isnull=True) | Q(revision__gte=2, replaces__isnull=False),
                name="writtenprompt_revision_and_replaces_agree",
            ),
            models.CheckConstraint(condition=~Q(instruction=""), name="writtenprompt_not_empty"),
        ]

    def __str__(self) -> str:
        return self.instruction[:80]


class PromptAnnotation(Judgement):
    """What one person says of a prompt (InstructGPT, table 7): the labels that hold; the others do not."""

    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="annotations")
    slot = models.ForeignKey(Slot, null=True, blank=True, on_delete=models.PROTECT, related_name="annotations")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="annotations")
    replaces = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaced_by")
    asked = ArrayField(models.CharField(max_length=200), help_text="The labels as they were offered.")
    labels = ArrayField(models.CharField(max_length=200), default=list, blank=True, help_text="Those that hold.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["idempotency_key"], name="annotation_one_per_key"),
            models.UniqueConstraint(fields=["slot", "revision"], name="annotation_one_per_slot"),
            models.UniqueConstraint(fields=["task", "labeler", "revision"], name="annotation_one_per_task_and_labeler"),
            models.CheckConstraint(
                condition=Q(revision=1, replaces__isnull=True) | Q(revision__gte=2, replaces__isnull=False),
                name="annotation_revision_and_replaces_agree",
            ),
            models.CheckConstraint(
                condition=Q(labels__contained_by=models.F("asked")), name="annotation_labels_were_asked"
            ),
        ]

    def __str__(self) -> str:
        return ", ".join(self.labels) or "none of the labels"
