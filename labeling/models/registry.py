"""Models: results of runs, or imported ones."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from labeling.models.base import PublicModel
from labeling.models.projects import Project
from labeling.models.runs import Run


class Model(PublicModel):
    """`external` ones are names of models whose responses were imported: there are no weights here."""

    class Kind(models.TextChoices):
        POLICY = "policy", "Policy"
        REWARD = "reward", "Reward model"
        EXTERNAL = "external", "External"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="models")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=Kind)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    run = models.OneToOneField(Run, null=True, blank=True, on_delete=models.PROTECT, related_name="model")
    storage_key = models.CharField(max_length=255, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    num_parameters = models.PositiveBigIntegerField(null=True, blank=True)
    metrics = models.JSONField(default=dict, blank=True)
    note = models.TextField(blank=True)
    is_current = models.BooleanField(default=False, help_text="The project's policy that samples what is ranked next.")
    is_retired = models.BooleanField(default=False)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="model_unique_name"),
            models.UniqueConstraint(fields=["project"], condition=Q(is_current=True), name="model_one_current_policy"),
            models.CheckConstraint(condition=Q(kind__in=["policy", "reward", "external"]), name="model_kind_known"),
            models.CheckConstraint(
                condition=Q(is_current=False) | Q(kind="policy", is_retired=False), name="model_current_is_a_policy"
            ),
            models.CheckConstraint(
                condition=Q(kind="external", storage_key="") | (~Q(kind="external") & ~Q(storage_key="")),
                name="model_with_weights_has_files",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ModelEvent(models.Model):
    """What was done with a model, when and by whom."""

    class Action(models.TextChoices):
        REGISTERED = "registered", "Registered"
        PROMOTED = "promoted", "Made the current policy"
        RETIRED = "retired", "Retired"
        RESTORED = "restored", "Brought back"

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="events")
    action = models.CharField(max_length=10, choices=Action)
    actor = models.CharField(max_length=120)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(action__in=["registered", "promoted", "retired", "restored"]), name="model_event_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"
