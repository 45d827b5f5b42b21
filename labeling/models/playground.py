"""The playground: conversations of managers with models. None of it is data until somebody sends it on."""

from typing import Final

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from labeling.models.base import PublicModel
from labeling.models.projects import Project
from labeling.models.rankings import Demonstration
from labeling.models.registry import Model
from labeling.models.responses import Response
from labeling.models.runs import Run
from labeling.models.tasks import MAX_RESPONSES_FOR_PEOPLE, Task

MAX_NEW_TOKENS: Final = 32_768


class PlaygroundSession(PublicModel):
    """One conversation of one person with one model or two. `run` is the talk run that answers, or the last one."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="playground_sessions")
    first_model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="+")
    second_model = models.ForeignKey(Model, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    reward_model = models.ForeignKey(Model, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="playground_sessions"
    )

    run = models.OneToOneField(Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="playground_session")
    num_runs = models.PositiveIntegerField(default=0, help_text="How often its models were woken.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(second_model__isnull=True) | ~Q(second_model=F("first_model")),
                name="playground_models_differ",
            )
        ]
        indexes = [models.Index(fields=["project", "opened_by", "-created_at"], name="playground_newest")]

    def __str__(self) -> str:
        return f"conversation {self.uid}"

    @property
    def models(self) -> list[Model]:
        """Those that answer, in the order of their columns."""
        return [model for model in (self.first_model, self.second_model) if model]


class PlaygroundTurn(PublicModel):
    """What the person said, and how it is to be answered."""

    class GoesOnFrom(models.TextChoices):
        """Whose conversation so far is answered."""

        OWN = "own", "Each from its own answer"
        FIRST = "first", "Both from A"
        SECOND = "second", "Both from B"

    session = models.ForeignKey(PlaygroundSession, on_delete=models.CASCADE, related_name="turns", db_index=False)
    number = models.PositiveIntegerField()
    text = models.TextField()
    goes_on_from = models.CharField(max_length=6, choices=GoesOnFrom, default=GoesOnFrom.OWN)
    temperature = models.FloatField(default=1.0, validators=[MinValueValidator(0.0), MaxValueValidator(10.0)])
    top_p = models.FloatField(default=1.0, validators=[MinValueValidator(0.01), MaxValueValidator(1.0)])
    max_new_tokens = models.PositiveIntegerField(
        default=256, validators=[MinValueValidator(4), MaxValueValidator(MAX_NEW_TOKENS)]
    )
    seed = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(2**31 - 1)])
    idempotency_key = models.CharField(max_length=64)

    task = models.ForeignKey(
        Task, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text="Made of its answers."
    )

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["session", "number"], name="playground_turn_one_per_number"),
            models.UniqueConstraint(fields=["session", "idempotency_key"], name="playground_turn_one_per_key"),
            models.CheckConstraint(condition=Q(number__gte=1), name="playground_turn_from_1"),
            models.CheckConstraint(condition=~Q(text=""), name="playground_turn_says_something"),
            models.CheckConstraint(
                condition=Q(goes_on_from__in=["own", "first", "second"]), name="playground_turn_goes_on_known"
            ),
            models.CheckConstraint(
                condition=Q(temperature__gte=0, temperature__lte=10, top_p__gt=0, top_p__lte=1)
                & Q(max_new_tokens__gte=1, max_new_tokens__lte=MAX_NEW_TOKENS),
                name="playground_turn_sampling_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def sampling_in_words(self) -> str:
        rule = f"temperature {self.temperature:g}, top-p {self.top_p:g}"
        return f"{rule}, at most {self.max_new_tokens:,} tokens, seed {self.seed}"


class PlaygroundReplyQuerySet(models.QuerySet["PlaygroundReply"]):
    def open(self) -> "PlaygroundReplyQuerySet":
        """Wanted, and not there yet."""
        return self.filter(state__in=PlaygroundReply.OPEN)


class PlaygroundReply(PublicModel):
    """One answer of one model to a turn; sample 0 is the conversation's, the others are further ones."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        ANSWERING = "answering", "Answering"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"

    OPEN = ("waiting", "answering")

    turn = models.ForeignKey(PlaygroundTurn, on_delete=models.CASCADE, related_name="replies", db_index=False)
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="+")
    side = models.PositiveSmallIntegerField(help_text="0: the first model, 1: the second.")
    sample_index = models.PositiveSmallIntegerField(default=0)
    num_asked = models.PositiveIntegerField(default=1, help_text="Grows when it is tried again.")
    is_to_stop = models.BooleanField(default=False)

    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    text = models.TextField(blank=True)
    num_tokens = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    finish_reason = models.CharField(max_length=10, blank=True)
    reward = models.FloatField(null=True, blank=True)
    note = models.CharField(max_length=300, blank=True, help_text="Why there is no reward.")
    error = models.TextField(blank=True)
    run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    response = models.ForeignKey(
        Response,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="playground_replies",
        help_text="What it became when it was sent to be ranked.",
    )
    demonstration = models.ForeignKey(Demonstration, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    objects = PlaygroundReplyQuerySet.as_manager()

    class Meta:
        ordering = ["side", "sample_index"]
        constraints = [
            models.UniqueConstraint(fields=["turn", "side", "sample_index"], name="playground_reply_one_per_sample"),
            models.CheckConstraint(condition=Q(side__in=[0, 1]), name="playground_reply_side_known"),
            models.CheckConstraint(
                condition=Q(sample_index__lt=MAX_RESPONSES_FOR_PEOPLE), name="playground_reply_up_to_9"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "answering", "done", "stopped", "failed"]),
                name="playground_reply_state_known",
            ),
            models.CheckConstraint(
                condition=(Q(state="failed") & ~Q(error="")) | (~Q(state="failed") & Q(error="")),
                name="playground_reply_failed_says_why",
            ),
            models.CheckConstraint(
                condition=Q(state="done", finish_reason__in=["stop", "length"])
                | (~Q(state="done") & Q(finish_reason="", reward__isnull=True)),
                name="playground_reply_done_says_how",
            ),
            models.CheckConstraint(
                condition=~Q(state="waiting") | Q(text="", num_tokens=0), name="playground_reply_waiting_is_empty"
            ),
        ]
        indexes = [
            models.Index(fields=["turn"], condition=Q(state__in=["waiting", "answering"]), name="playground_reply_open")
        ]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def tokens_per_second(self) -> float | None:
        return self.num_tokens / self.seconds if self.seconds > 0 and self.num_tokens else None
