"""What gives a ranking its worth: guidelines read, qualification, known answers, reviews."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from labeling.models.base import PublicModel
from labeling.models.projects import Guideline, Project
from labeling.models.rankings import Demonstration, Ranking
from labeling.models.tasks import Task


class GuidelineReading(models.Model):
    """This person has read this version, and said so."""

    guideline = models.ForeignKey(Guideline, on_delete=models.CASCADE, related_name="readings")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="guideline_readings")
    read_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["guideline", "user"], name="reading_once_per_version")]

    def __str__(self) -> str:
        return f"{self.user_id} read {self.guideline_id}"


class QualificationSet(PublicModel):
    """Tasks with known answers that a labeler does before any other of their kind. While active, nobody works unpassed.

    The cutoffs are InstructGPT's (appendix B): 75 % on rankings, 75 % on flags, 6 of 7 on demonstrations.
    """

    class Kind(models.TextChoices):
        RANK = "rank", "Ranking"
        DEMONSTRATE = "demonstrate", "Writing answers"

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        ACTIVE = "active", "Active"
        RETIRED = "retired", "Retired"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="qualification_sets")
    kind = models.CharField(max_length=11, choices=Kind)
    name = models.CharField(max_length=120)
    state = models.CharField(max_length=7, choices=State, default=State.DRAFT)
    cutoff_rankings = models.FloatField(default=0.75, help_text="Share of comparisons that agree with the reference.")
    cutoff_flags = models.FloatField(default=0.75, help_text="Share of flags that agree with the reference.")
    cutoff_grade = models.FloatField(default=6.0, help_text="Mean grade of demonstrations, 1 to 7.")

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "kind"], condition=Q(state="active"), name="qualification_set_one_active_per_kind"
            ),
            models.UniqueConstraint(fields=["project", "name"], name="qualification_set_unique_name"),
            models.CheckConstraint(condition=Q(kind__in=["rank", "demonstrate"]), name="qualification_set_kind_known"),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "active", "retired"]), name="qualification_set_state_known"
            ),
            models.CheckConstraint(
                condition=Q(
                    cutoff_rankings__gte=0,
                    cutoff_rankings__lte=1,
                    cutoff_flags__gte=0,
                    cutoff_flags__lte=1,
                    cutoff_grade__gte=1,
                    cutoff_grade__lte=7,
                ),
                name="qualification_set_cutoffs_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Reference(models.Model):
    """The known answer of a task: what labelers are graded by."""

    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="reference")
    ranks = ArrayField(models.PositiveSmallIntegerField(), help_text="By position, as in a ranking.")
    flags = models.JSONField(default=dict, blank=True, help_text='{"0": ["Hallucination"]}: flags by position.')
    note = models.TextField(blank=True, help_text="Why, for who made it and for who failed it.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(ranks__len__gte=2), name="reference_ranks_two_or_more")]

    def __str__(self) -> str:
        return f"reference of task {self.task_id}"


class Qualification(models.Model):
    """The outcome for one labeler; a manager may let somebody pass."""

    class State(models.TextChoices):
        PASSED = "passed", "Passed"
        FAILED = "failed", "Failed"
        WAIVED = "waived", "Let pass"

    qualification_set = models.ForeignKey(QualificationSet, on_delete=models.CASCADE, related_name="qualifications")
    labeler = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="qualifications")
    state = models.CharField(max_length=6, choices=State)
    score_rankings = models.FloatField(null=True, blank=True, help_text="NULL: nothing to grade by.")
    score_flags = models.FloatField(null=True, blank=True)
    score_grade = models.FloatField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["qualification_set", "labeler"], name="qualification_one_per_person"),
            models.CheckConstraint(
                condition=Q(state__in=["passed", "failed", "waived"]), name="qualification_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state="waived") | Q(decided_by__isnull=False), name="qualification_waived_by_somebody"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.labeler_id} {self.state} {self.qualification_set_id}"


class DemonstrationGrade(models.Model):
    """A reviewer's grade of a written answer, 1 to 7."""

    demonstration = models.OneToOneField(Demonstration, on_delete=models.CASCADE, related_name="grade")
    grade = models.PositiveSmallIntegerField()
    note = models.TextField(blank=True)
    graded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(grade__gte=1, grade__lte=7), name="grade_1_to_7")]

    def __str__(self) -> str:
        return f"{self.grade} of 7"


class Review(PublicModel):
    """A task that goes to a reviewer, whose ranking is the adjudicated one. The originals stay as they were."""

    class Reason(models.TextChoices):
        LOW_AGREEMENT = "low_agreement", "Labelers disagree"
        MODEL_DISAGREES = "model_disagrees", "The reward model disagrees"
        ASKED = "asked", "Asked for"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        HELD = "held", "Being reviewed"
        DONE = "done", "Decided"
        DISMISSED = "dismissed", "Not needed"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="reviews")
    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="review")
    reason = models.CharField(max_length=15, choices=Reason)
    score = models.FloatField(null=True, blank=True, help_text="Agreement (or margin) by which it came; low is worse.")
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="reviews"
    )
    held_until = models.DateTimeField(null=True, blank=True)
    ranking = models.OneToOneField(
        Ranking, null=True, blank=True, on_delete=models.PROTECT, related_name="adjudicates", help_text="The decision."
    )
    note = models.TextField(blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(reason__in=["low_agreement", "model_disagrees", "asked"]), name="review_reason_known"
            ),
            models.CheckConstraint(
                condition=Q(state="open", reviewer__isnull=True, held_until__isnull=True, ranking__isnull=True)
                | Q(state="held", reviewer__isnull=False, held_until__isnull=False, ranking__isnull=True)
                | Q(
                    state="done",
                    reviewer__isnull=False,
                    held_until__isnull=True,
                    ranking__isnull=False,
                    decided_at__isnull=False,
                )
                | Q(state="dismissed", reviewer__isnull=False, held_until__isnull=True, ranking__isnull=True),
                name="review_state_and_decision_agree",
            ),
        ]
        indexes = [models.Index(fields=["project", "state", "score"], name="review_worst_first")]

    def __str__(self) -> str:
        return f"review of task {self.task_id}"
