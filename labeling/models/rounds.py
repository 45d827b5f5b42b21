"""One turn of the whole loop."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from labeling.models.base import PublicModel
from labeling.models.projects import Project
from labeling.models.registry import Model
from labeling.models.runs import Run
from labeling.models.snapshots import Snapshot


class Round(PublicModel):
    class State(models.TextChoices):
        RUNNING = "running", "Running"
        WAITING = "waiting", "Waiting for you"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    class Step(models.TextChoices):
        SNAPSHOTS = "snapshots", "Freeze the data"
        SFT = "sft", "Train SFT"
        REWARD = "reward", "Train the reward model"
        PPO = "ppo", "Train PPO"
        GENERATE = "generate", "Sample responses"
        TASKS = "tasks", "Make ranking tasks"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    preset = models.CharField(max_length=40, default="tiny-cpu")
    responses_per_prompt = models.PositiveSmallIntegerField(default=4)
    is_automatic = models.BooleanField(default=True)
    num_evaluation_prompts = models.PositiveIntegerField(
        default=0, help_text="Held-out prompts on which people compare the new policy with the one before; 0: not."
    )
    kl_budget = models.FloatField(null=True, blank=True, help_text="Of its PPO, in nats; NULL: the preset's.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    state = models.CharField(max_length=9, choices=State, default=State.RUNNING)
    step = models.CharField(max_length=9, choices=Step, default=Step.SNAPSHOTS)
    policy_before = models.ForeignKey(Model, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    sft_snapshot = models.ForeignKey(Snapshot, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    reward_snapshot = models.ForeignKey(Snapshot, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    prompts_snapshot = models.ForeignKey(Snapshot, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    sft_run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    reward_run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    ppo_run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    generate_run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    num_tasks = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="round_unique_number"),
            models.UniqueConstraint(
                fields=["project"], condition=Q(state__in=["running", "waiting"]), name="round_one_live_per_project"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["running", "waiting", "done", "failed", "cancelled"]), name="round_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["running", "waiting"], finished_at__isnull=True)
                | Q(state__in=["done", "failed", "cancelled"], finished_at__isnull=False),
                name="round_state_and_time_agree",
            ),
            models.CheckConstraint(
                condition=Q(responses_per_prompt__gte=2, responses_per_prompt__lte=9), name="round_responses_2_to_9"
            ),
            models.CheckConstraint(
                condition=Q(kl_budget__isnull=True) | Q(kl_budget__gte=0, kl_budget__lte=10_000),
                name="round_kl_budget_0_to_10000",
            ),
        ]

    def __str__(self) -> str:
        return f"Round {self.number}"
