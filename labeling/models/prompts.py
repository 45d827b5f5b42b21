"""Prompts and demonstrations, and the imports they came with."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import MD5, Left

from labeling.models.base import PublicModel
from labeling.models.projects import Project

PREFIX_CHARS = 100  # prompts that share at least so much of their beginning may be near duplicates


class Split(models.TextChoices):
    TRAIN = "train", "Train"
    VALID = "valid", "Validation"
    TEST = "test", "Test"


class UseCase(models.TextChoices):
    """InstructGPT, table 1, plus what imports bring without one."""

    GENERATION = "generation", "Generation"
    OPEN_QA = "open_qa", "Open QA"
    BRAINSTORMING = "brainstorming", "Brainstorming"
    CHAT = "chat", "Chat"
    REWRITE = "rewrite", "Rewrite"
    SUMMARIZATION = "summarization", "Summarization"
    CLASSIFICATION = "classification", "Classification"
    CLOSED_QA = "closed_qa", "Closed QA"
    EXTRACT = "extract", "Extract"
    OTHER = "other", "Other"


class PromptSource(models.TextChoices):
    LABELER = "labeler", "Labeler"
    CUSTOMER = "customer", "Customer"
    IMPORT = "import", "Import"


class ImportBatch(PublicModel):
    """One file that was read: what was taken, and what was not, by reason."""

    class Kind(models.TextChoices):
        PROMPTS = "prompts", "Prompts"
        RANKINGS = "rankings", "Rankings"
        DEMONSTRATIONS = "demonstrations", "Demonstrations"

    class State(models.TextChoices):
        PREVIEW = "preview", "Preview"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="imports")
    kind = models.CharField(max_length=16, choices=Kind)
    filename = models.CharField(max_length=255)
    file_sha256 = models.CharField(max_length=64)
    file_key = models.CharField(max_length=255, blank=True, help_text="Where the uploaded file lies in storage.")
    options = models.JSONField(
        default=dict, blank=True, help_text="How to read it: columns, data set, personal data, …"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    state = models.CharField(max_length=10, choices=State, default=State.PREVIEW)
    num_rows = models.PositiveIntegerField(default=0)
    num_taken = models.PositiveIntegerField(default=0)
    num_refused = models.PositiveIntegerField(default=0)
    counts = models.JSONField(
        default=dict, help_text="Further counts: prompts, responses, rankings, refusals by reason."
    )
    error = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["prompts", "rankings", "demonstrations"]), name="import_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["preview", "running", "done", "failed"]), name="import_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(num_rows=models.F("num_taken") + models.F("num_refused")),
                name="import_taken_and_refused_add_up",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.filename} into {self.project}"


class ImportRefusal(models.Model):
    batch = models.ForeignKey(ImportBatch, on_delete=models.CASCADE, related_name="refusals")
    line = models.PositiveIntegerField()
    reason = models.CharField(max_length=60)
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["line", "id"]
        constraints = [models.UniqueConstraint(fields=["batch", "line"], name="refusal_one_per_line")]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class PromptLook(PublicModel):
    """Somebody had the prompts of a project looked through again, in the background."""

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompt_looks")
    parts = ArrayField(models.CharField(max_length=20))
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    state = models.CharField(max_length=7, choices=State, default=State.RUNNING)
    num_looked = models.PositiveIntegerField(default=0)
    last_prompt = models.PositiveBigIntegerField(default=0, help_text="The id of the last one that was looked at.")
    counts = models.JSONField(default=dict, help_text="What was found, by kind.")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="running", finished_at__isnull=True) | Q(state="done", finished_at__isnull=False),
                name="look_state_and_time_agree",
            ),
            models.UniqueConstraint(
                fields=["project"], condition=Q(state="running"), name="look_one_running_per_project"
            ),
        ]

    def __str__(self) -> str:
        return f"look through the prompts of {self.project}"


class PromptQuerySet(models.QuerySet["Prompt"]):
    def in_use(self) -> "PromptQuerySet":
        return self.filter(is_retired=False)


class Prompt(PublicModel):
    """What a person asks: one or more messages that end with the user's."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    messages = models.JSONField(help_text='[{"role": "user", "content": "…"}, …]')
    use_case = models.CharField(max_length=16, choices=UseCase, default=UseCase.OTHER)
    category = models.CharField(max_length=80, blank=True, help_text="The file's own category.")
    language = models.CharField(max_length=16, blank=True)
    source = models.CharField(max_length=10, choices=PromptSource, default=PromptSource.IMPORT)
    dataset = models.CharField(max_length=80, blank=True, help_text="The data set an imported prompt came from.")
    external_id = models.CharField(max_length=200, blank=True)
    customer = models.CharField(max_length=120, blank=True, help_text="Who asked; splits are made by customer.")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="prompts_written"
    )
    batch = models.ForeignKey(ImportBatch, null=True, blank=True, on_delete=models.SET_NULL, related_name="prompts")
    split = models.CharField(max_length=5, choices=Split)
    is_retired = models.BooleanField(default=False)
    personal_data = ArrayField(
        models.CharField(max_length=40), default=list, blank=True, help_text="Kinds of personal data found in it."
    )

    looked_for = ArrayField(
        models.CharField(max_length=40),
        default=list,
        db_default=[],
        editable=False,
        help_text="What the text was looked through for; from before there was anything to look for: nothing.",
    )
    content_hash = models.CharField(
        max_length=64, editable=False, help_text="SHA-256 of the messages as canonical JSON."
    )
    text = models.TextField(editable=False, help_text="All messages as one text, for search.")
    num_chars = models.PositiveIntegerField(editable=False)

    objects = PromptQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "content_hash"], name="prompt_unique_content"),
            models.CheckConstraint(condition=Q(split__in=Split.values), name="prompt_split_known"),
            models.CheckConstraint(condition=Q(use_case__in=UseCase.values), name="prompt_use_case_known"),
            models.CheckConstraint(condition=Q(source__in=PromptSource.values), name="prompt_source_known"),
            models.CheckConstraint(condition=Q(num_chars__gte=1), name="prompt_not_empty"),
            models.CheckConstraint(condition=Q(content_hash__regex=r"^[0-9a-f]{64}$"), name="prompt_hash_is_sha256"),
        ]
        indexes = [
            models.Index(fields=["project", "-created_at"], name="prompt_newest"),
            models.Index(F("project"), MD5(Left("text", PREFIX_CHARS)), name="prompt_prefix"),  # near duplicates
            models.Index(
                fields=["project", "customer"], condition=~Q(customer=""), name="prompt_by_customer"
            ),  # the cap
        ]

    def __str__(self) -> str:
        return self.text[:80]
