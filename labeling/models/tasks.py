"""Tasks, the slots that hand them out, and what a labeler has not finished yet."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from labeling.models.base import PublicModel
from labeling.models.projects import Project
from labeling.models.prompts import Prompt
from labeling.models.responses import Response

MIN_RESPONSES = 2
MAX_RESPONSES = 32  # imports
MAX_RESPONSES_FOR_PEOPLE = 9


class Task(PublicModel):
    """One thing asked of labelers."""

    class Kind(models.TextChoices):
        RANK = "rank", "Rank responses"
        COMPARE = "compare", "Compare two"
        DEMONSTRATE = "demonstrate", "Write a demonstration"
        WRITE_PROMPT = "write_prompt", "Write a prompt"
        ANNOTATE = "annotate", "Annotate a prompt"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        CLOSED = "closed", "Closed"

    class Purpose(models.TextChoices):
        """Only work is counted, trains and measures models; labelers never learn which is which."""

        WORK = "work", "Work"
        QUALIFICATION = "qualification", "Qualification"
        GOLD = "gold", "Known answer"
        REPEAT = "repeat", "Hidden repeat"

    class Stream(models.TextChoices):
        """How the task was chosen, so that chosen and random ones are reported apart."""

        ORDER = "order", "In order"
        ACTIVE = "active", "Chosen"
        RANDOM = "random", "Random control"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tasks")
    kind = models.CharField(max_length=12, choices=Kind)
    prompt = models.ForeignKey(Prompt, null=True, blank=True, on_delete=models.PROTECT, related_name="tasks")
    num_responses = models.PositiveSmallIntegerField(default=0)
    num_wanted = models.PositiveSmallIntegerField(default=1, help_text="Judgements wanted: one slot each.")
    priority = models.SmallIntegerField(default=0, help_text="Higher is handed out first.")
    rate_first = models.BooleanField(default=False)
    round = models.ForeignKey("labeling.Round", null=True, blank=True, on_delete=models.SET_NULL, related_name="tasks")
    state = models.CharField(max_length=6, choices=State, default=State.OPEN)
    is_imported = models.BooleanField(default=False, help_text="Judged before it came here.")
    # Slots of all but work are made for one labeler, held from the start, and never open to others.
    purpose = models.CharField(max_length=13, choices=Purpose, default=Purpose.WORK)
    repeats = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="repeated_by")
    qualification_set = models.ForeignKey(
        "labeling.QualificationSet", null=True, blank=True, on_delete=models.PROTECT, related_name="tasks"
    )
    stream = models.CharField(max_length=6, choices=Stream, default=Stream.ORDER)
    score = models.FloatField(null=True, blank=True, help_text="By which it was chosen; NULL: in order.")
    brief = models.ForeignKey(
        "labeling.PromptBrief", null=True, blank=True, on_delete=models.PROTECT, related_name="tasks"
    )
    # Judgements of an evaluation measure models and never train them.
    evaluation = models.ForeignKey(
        "labeling.Evaluation", null=True, blank=True, on_delete=models.PROTECT, related_name="tasks", db_index=False
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["rank", "compare", "demonstrate", "write_prompt", "annotate"]),
                name="task_kind_known",
            ),
            models.CheckConstraint(condition=Q(state__in=["open", "closed"]), name="task_state_known"),
            models.CheckConstraint(
                condition=Q(kind="rank", num_responses__gte=2, num_responses__lte=32)
                | Q(kind="compare", num_responses=2)
                | Q(kind__in=["demonstrate", "write_prompt", "annotate"], num_responses=0),
                name="task_num_responses_fits_kind",
            ),
            models.CheckConstraint(
                condition=Q(kind="write_prompt") | Q(prompt__isnull=False),
                name="task_has_a_prompt_unless_it_asks_for_one",
            ),
            models.CheckConstraint(condition=Q(num_wanted__gte=1), name="task_wants_at_least_one"),
            models.CheckConstraint(
                condition=Q(is_imported=True) | Q(num_responses__lte=MAX_RESPONSES_FOR_PEOPLE),
                name="task_for_people_up_to_9",
            ),
            models.CheckConstraint(
                condition=Q(purpose="work", repeats__isnull=True, qualification_set__isnull=True)
                | Q(purpose="gold", repeats__isnull=True, qualification_set__isnull=True, is_imported=False)
                | Q(
                    purpose="qualification",
                    repeats__isnull=True,
                    qualification_set__isnull=False,
                    is_imported=False,
                )
                | Q(purpose="repeat", repeats__isnull=False, qualification_set__isnull=True, is_imported=False),
                name="task_purpose_says_what_it_repeats_or_qualifies",
            ),
            models.CheckConstraint(
                condition=Q(stream="order", score__isnull=True) | Q(stream__in=["active", "random"]),
                name="task_stream_and_score_agree",
            ),
            models.CheckConstraint(
                condition=Q(kind="write_prompt", brief__isnull=False) | ~Q(kind="write_prompt") & Q(brief__isnull=True),
                name="task_brief_asks_for_a_prompt",
            ),
            models.CheckConstraint(
                condition=Q(evaluation__isnull=True)
                | Q(purpose="work", kind__in=["rank", "compare"], is_imported=False),
                name="task_of_an_evaluation_is_work_of_ranking",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "-created_at"], name="task_newest"),
            # The few that are not plain work, found without walking through those that are.
            models.Index(fields=["project", "purpose", "kind"], condition=~Q(purpose="work"), name="task_not_work"),
            models.Index(fields=["evaluation"], condition=Q(evaluation__isnull=False), name="task_of_evaluation"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.prompt}"


class TaskResponse(models.Model):
    """A response's place in a task. The place is the task's own; labelers see a shuffled order."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="task_responses", db_index=False)
    response = models.ForeignKey(Response, on_delete=models.PROTECT, related_name="task_responses")
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["task", "response"], name="task_response_once"),
            models.UniqueConstraint(fields=["task", "position"], name="task_position_once"),
            models.CheckConstraint(condition=Q(position__lt=MAX_RESPONSES), name="task_position_below_32"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id}[{self.position}]"


class Slot(PublicModel):
    """One judgement still wanted for a task, or the place of one that was given."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        HELD = "held", "Held"
        DONE = "done", "Done"

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="slots", db_index=False)
    number = models.PositiveSmallIntegerField()
    # Copies of the task's own, so that a claim is one index scan.
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="slots")
    kind = models.CharField(max_length=12, choices=Task.Kind)
    priority = models.SmallIntegerField(default=0)

    state = models.CharField(max_length=4, choices=State, default=State.OPEN)
    holder = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="slots"
    )
    lease_until = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="slot_one_per_number"),
            models.UniqueConstraint(
                fields=["task", "holder"], condition=Q(state__in=["held", "done"]), name="slot_one_per_task_and_holder"
            ),
            models.CheckConstraint(condition=Q(state__in=["open", "held", "done"]), name="slot_state_known"),
            models.CheckConstraint(
                condition=Q(state="open", holder__isnull=True, lease_until__isnull=True, done_at__isnull=True)
                | Q(state="held", holder__isnull=False, lease_until__isnull=False, done_at__isnull=True)
                | Q(state="done", holder__isnull=False, lease_until__isnull=True, done_at__isnull=False),
                name="slot_state_and_holder_agree",
            ),
        ]
        indexes = [
            # In the order of a claim: one kind's open slots, most urgent first.
            models.Index(
                F("project"),
                F("kind"),
                F("priority").desc(),
                F("task"),
                F("number"),
                condition=Q(state="open"),
                name="slot_open_by_kind",
            ),
            models.Index(fields=["lease_until"], condition=Q(state="held"), name="slot_held"),
            models.Index(fields=["holder", "project"], condition=Q(state="held"), name="slot_held_by"),
        ]

    def __str__(self) -> str:
        return f"slot {self.number} of task {self.task_id}"


class Skip(models.Model):
    """A labeler said why not this task; it is not offered to them again."""

    class Reason(models.TextChoices):
        NOT_UNDERSTOOD = "not_understood", "I don't understand the prompt"
        NOT_MY_LANGUAGE = "not_my_language", "Not in a language I know"
        NEEDS_EXPERT = "needs_expert", "Needs knowledge I don't have"
        DISTRESSING = "distressing", "Distressing content"
        BROKEN = "broken", "Something is broken"
        OTHER = "other", "Other"

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="skips")
    labeler = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="skips")
    reason = models.CharField(max_length=16, choices=Reason)
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "labeler"], name="skip_one_per_person"),
            models.CheckConstraint(
                condition=Q(
                    reason__in=["not_understood", "not_my_language", "needs_expert", "distressing", "broken", "other"]
                ),
                name="skip_reason_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.labeler_id} skipped {self.task_id}"


class Draft(models.Model):
    """Unsent work on a task, as the page last saved it."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="drafts")
    labeler = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts")
    payload = models.JSONField(default=dict)
    version = models.PositiveIntegerField(
        default=1, help_text="Grows with each save; an older one never overwrites a newer."
    )
    saved_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "labeler"], name="draft_one_per_person")]

    def __str__(self) -> str:
        return f"draft {self.version} of {self.task_id}"
