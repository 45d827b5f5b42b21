"""Human evaluation: models compared by people on prompts that trained none of them."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from labeling.models.base import PublicModel
from labeling.models.projects import Project
from labeling.models.prompts import Prompt, Split
from labeling.models.registry import Model
from labeling.models.rounds import Round
from labeling.models.runs import Run
from labeling.models.snapshots import Snapshot
from labeling.models.tasks import MAX_RESPONSES_FOR_PEOPLE, Task

HELD_OUT = (Split.VALID, Split.TEST)
MAX_JUDGEMENTS = 50  # of a task, as for any other


class Evaluation(PublicModel):
    """What a manager asked for, and how far it is."""

    class Kind(models.TextChoices):
        BASELINE = "baseline", "Each model against the baseline"
        PAIRS = "pairs", "Every two models"
        RANKING = "ranking", "All models ranked at once"

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    class Step(models.TextChoices):
        PROMPTS = "prompts", "Draw prompts"
        GENERATE = "generate", "Sample responses"
        TASKS = "tasks", "Make tasks"
        JUDGE = "judge", "People judge"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="evaluations")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.BASELINE)
    splits = ArrayField(models.CharField(max_length=5), help_text="Held-out ones, of which prompts are drawn.")
    num_prompts = models.PositiveIntegerField(help_text="How many prompts are wanted; grows when more are asked for.")
    num_wanted = models.PositiveSmallIntegerField(default=1, help_text="Judgements per task.")
    priority = models.SmallIntegerField(default=0)
    rate_first = models.BooleanField(default=False)
    seed = models.PositiveIntegerField(default=1, help_text="Of the lot that draws prompts, sides and samples.")
    preset = models.CharField(max_length=40, default="tiny-cpu")
    temperature = models.FloatField(default=1.0)
    top_p = models.FloatField(default=1.0)
    max_prompt_tokens = models.PositiveIntegerField()
    max_new_tokens = models.PositiveIntegerField()
    # The round that asked for it at its end.
    round = models.OneToOneField(
        Round, null=True, blank=True, on_delete=models.PROTECT, related_name="evaluation", editable=False
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    state = models.CharField(max_length=9, choices=State, default=State.RUNNING)
    step = models.CharField(max_length=8, choices=Step, default=Step.PROMPTS)
    wave = models.PositiveSmallIntegerField(default=1, help_text="Each “more” draws prompts once more.")
    snapshot = models.ForeignKey(
        Snapshot, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Of this wave's prompts."
    )
    error = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="evaluation_unique_name"),
            models.CheckConstraint(
                condition=Q(kind__in=["baseline", "pairs", "ranking"]), name="evaluation_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(step__in=["prompts", "generate", "tasks", "judge"]), name="evaluation_step_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["running", "failed", "cancelled"]) | Q(state="done", step="judge"),
                name="evaluation_done_after_judging",
            ),
            models.CheckConstraint(
                condition=Q(state="running", finished_at__isnull=True)
                | Q(state__in=["done", "failed", "cancelled"], finished_at__isnull=False),
                name="evaluation_state_and_time_agree",
            ),
            models.CheckConstraint(
                condition=Q(splits__contained_by=["valid", "test"], splits__len__gte=1),
                name="evaluation_prompts_are_held_out",
            ),
            models.CheckConstraint(
                condition=Q(num_prompts__gte=1, num_wanted__gte=1, num_wanted__lte=MAX_JUDGEMENTS, wave__gte=1),
                name="evaluation_wants_something",
            ),
            models.CheckConstraint(
                condition=Q(temperature__gte=0, top_p__gt=0, top_p__lte=1, max_prompt_tokens__gte=1)
                & Q(max_new_tokens__gte=1),
                name="evaluation_can_sample",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def asked(self) -> str:
        """What is asked of people by now. Forms send it back, so that a click too many asks for nothing more."""
        return f"{self.wave}-{self.num_wanted}"

    @property
    def baseline(self) -> "EvaluationModel":
        return next(entrant for entrant in self.entrants.all() if entrant.is_baseline)


class EvaluationModel(models.Model):
    """A model that takes part. Its order and its part in the comparison never change."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="entrants")
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="evaluations")
    position = models.PositiveSmallIntegerField()
    is_baseline = models.BooleanField(default=False)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["evaluation", "model"], name="evaluation_model_once"),
            models.UniqueConstraint(fields=["evaluation", "position"], name="evaluation_model_position_once"),
            models.UniqueConstraint(
                fields=["evaluation"], condition=Q(is_baseline=True), name="evaluation_one_baseline"
            ),
            models.CheckConstraint(
                condition=Q(position__lt=MAX_RESPONSES_FOR_PEOPLE), name="evaluation_at_most_9_models"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} in evaluation {self.evaluation_id}"


class EvaluationRun(models.Model):
    """The generate run that answered a wave's prompts for a model that lacked responses to them."""

    entrant = models.ForeignKey(EvaluationModel, on_delete=models.CASCADE, related_name="runs")
    wave = models.PositiveSmallIntegerField()
    run = models.OneToOneField(Run, on_delete=models.PROTECT, related_name="for_evaluation")

    class Meta:
        ordering = ["wave", "entrant__position"]
        constraints = [models.UniqueConstraint(fields=["entrant", "wave"], name="evaluation_run_once")]

    def __str__(self) -> str:
        return f"{self.run} of wave {self.wave}"


class EvaluationPrompt(models.Model):
    """A prompt that was drawn, with its place in the lot."""

    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="prompts")
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="evaluations")
    wave = models.PositiveSmallIntegerField()
    number = models.PositiveIntegerField(help_text="From 1, over all waves.")

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["evaluation", "prompt"], name="evaluation_prompt_once"),
            models.UniqueConstraint(fields=["evaluation", "number"], name="evaluation_prompt_number_once"),
        ]

    def __str__(self) -> str:
        return f"prompt {self.number} of evaluation {self.evaluation_id}"


class EvaluationItem(models.Model):
    """One comparison on one prompt: the task that asks for it, or why nobody need, or can, be asked.

    `number` counts the comparisons of a prompt, as the kind has them; 0 where all models are ranked at once.
    """

    class LeftOut(models.TextChoices):
        SAME = "same", "All say the same: a tie"
        MISSING = "missing", "A model has no response"
        NAMES_ITSELF = "names", "A response names its own model"
        RETIRED = "retired", "The prompt is retired"

    prompt = models.ForeignKey(EvaluationPrompt, on_delete=models.CASCADE, related_name="items")
    number = models.PositiveSmallIntegerField()
    task = models.OneToOneField(Task, null=True, blank=True, on_delete=models.PROTECT, related_name="evaluation_item")
    left_out = models.CharField(max_length=8, choices=LeftOut, blank=True)

    class Meta:
        ordering = ["prompt__number", "number"]
        constraints = [
            models.UniqueConstraint(fields=["prompt", "number"], name="evaluation_item_once"),
            models.CheckConstraint(
                condition=Q(task__isnull=False, left_out="")
                | Q(task__isnull=True, left_out__in=["same", "missing", "names", "retired"]),
                name="evaluation_item_is_asked_or_says_why_not",
            ),
        ]

    def __str__(self) -> str:
        return f"comparison {self.number} of {self.prompt}"
