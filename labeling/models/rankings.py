"""Judgements: rankings and demonstrations. Append-only: an edit is a new revision (triggers hold that)."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from labeling.models.base import PublicModel
from labeling.models.projects import Guideline
from labeling.models.prompts import ImportBatch, Prompt
from labeling.models.tasks import Slot, Task


class JudgementQuerySet(models.QuerySet["Ranking"]):
    def current(self) -> "JudgementQuerySet":
        """The newest revision of each, without those that were voided."""
        later = self.model.objects.filter(replaces=OuterRef("pk"))
        return self.filter(~Exists(later), void__isnull=True)

    def counted(self) -> "JudgementQuerySet":
        """Current ones that fill a slot: surplus is kept but never counted, nor are tests of the labeler."""
        return self.current().filter(slot__isnull=False, task__purpose=Task.Purpose.WORK)

    def trainable(self) -> "JudgementQuerySet":
        """Counted ones from which models may learn: those of evaluations only measure."""
        return self.counted().filter(task__evaluation__isnull=True)

    def given_as_labeler(self) -> "JudgementQuerySet":
        """Without what a reviewer ranked to decide a review."""
        return self.exclude(slot__isnull=True, task__review__reviewer=F("labeler"))

    def of_work(self) -> "JudgementQuerySet":
        """What somebody was asked for, surplus included: without tests of the labeler and decisions of reviews."""
        return self.current().given_as_labeler().filter(task__purpose=Task.Purpose.WORK)


class Judgement(PublicModel):
    """What a ranking and a demonstration share."""

    labeler = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="%(class)ss")
    idempotency_key = models.CharField(max_length=64)  # unique by a constraint: `unique` adds an index for LIKE
    revision = models.PositiveIntegerField(default=1)
    guideline = models.ForeignKey(Guideline, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    note = models.TextField(blank=True)
    active_seconds = models.FloatField(null=True, blank=True, help_text="Time the page was in sight and in use.")
    client_time = models.DateTimeField(null=True, blank=True, help_text="The labeler's clock at submission.")
    batch = models.ForeignKey(ImportBatch, null=True, blank=True, on_delete=models.PROTECT, related_name="%(class)ss")

    class Meta:
        abstract = True


class Ranking(Judgement):
    """One labeler's judgement of a task's responses.

    `ranks[i]` is the rank of the response at the task's position i: 1 is best, ties share a number, no gaps.
    `displayed[j]` is the position that the labeler saw in place j.
    """

    class Outcome(models.TextChoices):
        RANKED = "ranked", "Ranked"
        NONE_ACCEPTABLE = "none_acceptable", "None is acceptable"

    # Found by the indexes of the unique constraints: each further one would be written with every ranking.
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="rankings", db_index=False)
    slot = models.ForeignKey(
        Slot,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="rankings",
        db_index=False,
        help_text="NULL: surplus",
    )
    replaces = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaced_by")
    outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.RANKED)
    displayed = ArrayField(models.PositiveSmallIntegerField())
    ranks = ArrayField(models.PositiveSmallIntegerField(), default=list, blank=True)
    ratings = ArrayField(models.PositiveSmallIntegerField(null=True), default=list, blank=True)
    flags = models.JSONField(default=dict, blank=True, help_text='{"0": ["Hallucination"]}: flags by position.')
    notes = models.JSONField(default=dict, blank=True, help_text='{"0": "…"}: notes by position.')

    objects = JudgementQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["idempotency_key"], name="ranking_one_per_key"),
            models.UniqueConstraint(fields=["slot", "revision"], name="ranking_one_per_slot"),
            models.UniqueConstraint(fields=["task", "labeler", "revision"], name="ranking_one_per_task_and_labeler"),
            models.CheckConstraint(
                condition=Q(revision=1, replaces__isnull=True) | Q(revision__gte=2, replaces__isnull=False),
                name="ranking_revision_and_replaces_agree",
            ),
            models.CheckConstraint(
                condition=Q(outcome="ranked", ranks__len__gte=2) | Q(outcome="none_acceptable"),
                name="ranking_outcome_and_ranks_agree",
            ),
            models.CheckConstraint(condition=Q(displayed__len__gte=2), name="ranking_keeps_displayed_order"),
            models.CheckConstraint(
                condition=Q(active_seconds__isnull=True) | Q(active_seconds__gte=0), name="ranking_time_not_negative"
            ),
        ]
        indexes = [models.Index(fields=["labeler", "-created_at"], name="ranking_by_labeler")]

    def __str__(self) -> str:
        return f"ranking {self.ranks} of task {self.task_id}"


class RankingVoid(models.Model):
    """Takes a ranking out of every count without touching it."""

    ranking = models.OneToOneField(Ranking, on_delete=models.CASCADE, related_name="void")
    reason = models.CharField(max_length=300)
    voided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.reason


class DemonstrationQuerySet(models.QuerySet["Demonstration"]):
    def current(self) -> "DemonstrationQuerySet":
        """The newest revision of each, without those that were voided."""
        return self.filter(replaced_by__isnull=True, void__isnull=True)

    def counted(self) -> "DemonstrationQuerySet":
        """Current ones that were written as work or imported: those written to qualify train nothing."""
        return self.current().exclude(task__purpose=Task.Purpose.QUALIFICATION)


class Demonstration(Judgement):
    """An answer that a person wrote."""

    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="demonstrations")
    task = models.ForeignKey(Task, null=True, blank=True, on_delete=models.PROTECT, related_name="demonstrations")
    slot = models.ForeignKey(Slot, null=True, blank=True, on_delete=models.PROTECT, related_name="demonstrations")
    replaces = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaced_by")
    text = models.TextField()

    objects = DemonstrationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["idempotency_key"], name="demonstration_one_per_key"),
            models.UniqueConstraint(fields=["slot", "revision"], name="demonstration_one_per_slot"),
            models.UniqueConstraint(
                fields=["prompt", "labeler", "revision"], name="demonstration_one_per_prompt_and_labeler"
            ),
            models.CheckConstraint(
                condition=Q(revision=1, replaces__isnull=True) | Q(revision__gte=2, replaces__isnull=False),
                name="demonstration_revision_and_replaces_agree",
            ),
            models.CheckConstraint(condition=~Q(text=""), name="demonstration_not_empty"),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class DemonstrationVoid(models.Model):
    """Takes a demonstration out of every count without touching it."""

    demonstration = models.OneToOneField(Demonstration, on_delete=models.CASCADE, related_name="void")
    reason = models.CharField(max_length=300)
    voided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.reason
