"""Runs: Postgres is the truth about them, Celery only rings."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from labeling.models.base import PublicModel
from labeling.models.projects import Project
from labeling.models.snapshots import Snapshot


class Stage(models.TextChoices):
    SFT = "sft", "SFT"
    REWARD = "reward", "Reward model"
    PPO = "ppo", "PPO"
    GENERATE = "generate", "Generate"
    EVALUATE = "evaluate", "Evaluate"
    SCORE = "score", "Score responses"
    CURVE = "curve", "Learning curve"
    FETCH = "fetch", "Import a model"
    TALK = "talk", "Talk"


class RunQuerySet(models.QuerySet["Run"]):
    def live(self) -> "RunQuerySet":
        return self.filter(state__in=Run.LIVE)


class Run(PublicModel):
    """One execution of a stage."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        CANCELLING = "cancelling", "Cancelling"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    LIVE = ("draft", "queued", "running", "cancelling")
    ENDED = ("succeeded", "failed", "cancelled")

    class FailureKind(models.TextChoices):
        FAILED = "failed", "The stage said so"
        CRASHED = "crashed", "It did not get to say so"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="runs")
    stage = models.CharField(max_length=8, choices=Stage)
    name = models.CharField(max_length=120)
    preset = models.CharField(max_length=40, blank=True)
    config = models.JSONField(default=dict, help_text="The stage's config without the paths of its inputs.")
    note = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    round = models.ForeignKey("labeling.Round", null=True, blank=True, on_delete=models.SET_NULL, related_name="runs")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    idempotency_key = models.CharField(max_length=64)
    max_attempts = models.PositiveSmallIntegerField(default=3)

    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    owner = models.CharField(max_length=120, blank=True, help_text="The worker that has it.")
    fence = models.PositiveBigIntegerField(
        default=0, help_text="Grows with each claim; a write with an older one is void."
    )
    attempt = models.PositiveSmallIntegerField(default=0)
    queued_at = models.DateTimeField(null=True, blank=True)
    rung_at = models.DateTimeField(null=True, blank=True, help_text="When the broker was last told.")
    started_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    phase = models.CharField(max_length=40, blank=True)
    step = models.PositiveIntegerField(default=0)
    num_steps = models.PositiveIntegerField(null=True, blank=True)
    eta_seconds = models.FloatField(null=True, blank=True)
    failure_kind = models.CharField(max_length=8, choices=FailureKind, blank=True)
    error = models.TextField(blank=True)
    result = models.JSONField(default=dict, blank=True, help_text="The stage's report, in short.")
    checkpoint = models.JSONField(
        default=dict, blank=True, help_text="Files of the run directory that another machine can go on from."
    )

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(stage__in=Stage.values), name="run_stage_known"),
            models.CheckConstraint(
                condition=Q(
                    state="draft", queued_at__isnull=True, lease_until__isnull=True, finished_at__isnull=True, owner=""
                )
                | Q(
                    state="queued",
                    queued_at__isnull=False,
                    lease_until__isnull=True,
                    finished_at__isnull=True,
                    owner="",
                )
                | (
                    Q(state__in=["running", "cancelling"], started_at__isnull=False, lease_until__isnull=False)
                    & Q(finished_at__isnull=True)
                    & ~Q(owner="")
                )
                | Q(
                    state__in=["succeeded", "failed", "cancelled"], lease_until__isnull=True, finished_at__isnull=False
                ),
                name="run_state_and_times_agree",
            ),
            models.CheckConstraint(
                condition=(Q(state="failed") & ~Q(failure_kind="")) | (~Q(state="failed") & Q(failure_kind="")),
                name="run_failed_says_how",
            ),
            models.CheckConstraint(condition=Q(attempt__lte=F("max_attempts")), name="run_attempts_bounded"),
            models.UniqueConstraint(
                fields=["project", "idempotency_key"],
                condition=Q(state__in=["draft", "queued", "running", "cancelling"]),
                name="run_one_live_per_key",
            ),
        ]
        indexes = [
            models.Index(fields=["queued_at"], condition=Q(state="queued"), name="run_waiting"),
            models.Index(fields=["lease_until"], condition=Q(state__in=["running", "cancelling"]), name="run_leased"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE


class RunInput(models.Model):
    """What a run reads: `name` is the config field that the launcher fills with a path.

    One of: a snapshot, a model, an archive that was uploaded, a folder below PODIUM_MODEL_IMPORT_DIR.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="inputs")
    name = models.CharField(max_length=40)
    snapshot = models.ForeignKey(Snapshot, null=True, blank=True, on_delete=models.PROTECT, related_name="run_inputs")
    model = models.ForeignKey(
        "labeling.Model", null=True, blank=True, on_delete=models.PROTECT, related_name="run_inputs"
    )
    upload = models.CharField(max_length=255, blank=True, help_text="Where the archive lies in storage.")
    folder = models.CharField(max_length=255, blank=True, help_text="Below the folder that models are imported from.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "name"], name="run_input_once"),
            models.CheckConstraint(
                condition=Q(snapshot__isnull=False, model__isnull=True, upload="", folder="")
                | Q(snapshot__isnull=True, model__isnull=False, upload="", folder="")
                | (Q(snapshot__isnull=True, model__isnull=True, folder="") & ~Q(upload=""))
                | (Q(snapshot__isnull=True, model__isnull=True, upload="") & ~Q(folder="")),
                name="run_input_is_one_thing",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of run {self.run_id}"


class RunEvent(models.Model):
    """Every change of a run's state, with who made it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    from_state = models.CharField(max_length=10, blank=True)
    to_state = models.CharField(max_length=10)
    fence = models.PositiveBigIntegerField(default=0)
    actor = models.CharField(max_length=120)
    message = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.from_state or 'new'} → {self.to_state}"


class RunMetric(models.Model):
    """One line of the stage's metrics file."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metrics")
    step = models.PositiveIntegerField()
    phase = models.CharField(max_length=40, blank=True)
    time = models.FloatField(help_text="Seconds since the epoch, by the worker's clock.")
    values = models.JSONField()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["run", "id"], name="run_metric_stream")]

    def __str__(self) -> str:
        return f"step {self.step} of run {self.run_id}"


class RunUsage(models.Model):
    """What a stage used of its machine at one moment."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="usage")
    time = models.FloatField(help_text="Seconds since the epoch, by the worker's clock.")
    values = models.JSONField()
    end = models.PositiveBigIntegerField(default=0, help_text="Where the line ends in the usage file, in bytes.")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["run", "id"], name="run_usage_stream")]

    def __str__(self) -> str:
        return f"usage of run {self.run_id}"


class RunLog(models.Model):
    """A piece of the stage's log, as the worker read it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="logs")
    text = models.TextField()
    first_line = models.PositiveIntegerField(default=1, help_text="Number of the line that the piece begins with.")
    end = models.PositiveBigIntegerField(default=0, help_text="Where the piece ends in the log file, in bytes.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["run", "id"], name="run_log_stream")]

    def __str__(self) -> str:
        return self.text[:80]
