"""Files that evaluate runs ask from, kept by their content."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from labeling.models.base import PublicModel
from labeling.models.projects import Project
from labeling.models.runs import Run


class EvaluationFile(PublicModel):
    """A file of questions or prompts, as it was brought. `kind` is the config field of the evaluate stage it is for."""

    class Kind(models.TextChoices):
        TRUTHFULQA = "truthfulqa", "TruthfulQA"
        HARMFUL_PROMPTS = "harmful_prompts", "Harmful prompts"
        PARAPHRASES = "paraphrases", "Paraphrases"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="evaluation_files")
    kind = models.CharField(max_length=20, choices=Kind)
    filename = models.CharField(max_length=255, help_text="As it was called where it came from.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    sha256 = models.CharField(max_length=64)
    num_rows = models.PositiveIntegerField()
    storage_key = models.CharField(max_length=255)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["project", "kind", "sha256"], name="evaluation_file_once"),
            models.CheckConstraint(
                condition=Q(kind__in=["truthfulqa", "harmful_prompts", "paraphrases"]),
                name="evaluation_file_kind_known",
            ),
            models.CheckConstraint(condition=Q(num_rows__gt=0), name="evaluation_file_has_rows"),
            models.CheckConstraint(condition=Q(sha256__regex="^[0-9a-f]{64}$"), name="evaluation_file_has_a_hash"),
        ]

    def __str__(self) -> str:
        return self.filename


class RunFile(models.Model):
    """A file that a run reads: `name` is the config field that the launcher fills with its path."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=40)
    file = models.ForeignKey(EvaluationFile, on_delete=models.PROTECT, related_name="run_files")

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="run_file_once")]

    def __str__(self) -> str:
        return f"{self.name} of run {self.run_id}"
