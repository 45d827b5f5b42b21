"""What a person says of themselves and of the work, and the way out with one's data."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from labeling.models.projects import Project


class SurveyAnswer(models.Model):
    """Optional (InstructGPT, appendix B, tables 12 and 13); read only as counts over several people."""

    class Kind(models.TextChoices):
        SATISFACTION = "satisfaction", "Satisfaction"
        DEMOGRAPHICS = "demographics", "Demographics"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="survey_answers")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="survey_answers")
    kind = models.CharField(max_length=12, choices=Kind)
    answers = models.JSONField(default=dict, help_text="{question: choice}; a question left out was not answered.")
    answered_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user", "kind"], name="survey_one_per_person"),
            models.CheckConstraint(condition=Q(kind__in=["satisfaction", "demographics"]), name="survey_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.user_id}"


class SurveyRelease(models.Model):
    """One question's counts as managers see them until enough new people have answered it.

    `counted` holds who was counted in any release, not what they said: nobody is new twice.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="survey_releases")
    kind = models.CharField(max_length=12, choices=SurveyAnswer.Kind)
    question = models.CharField(max_length=40)
    counts = models.JSONField(help_text="{choice: people}")
    num_people = models.PositiveIntegerField()
    counted = ArrayField(models.BigIntegerField())
    released_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "kind", "question"], name="survey_one_release_per_question"),
            models.CheckConstraint(condition=Q(num_people__gte=5), name="survey_release_of_five_or_more"),
        ]

    def __str__(self) -> str:
        return f"{self.question}: {self.num_people} people"


class Withdrawal(models.Model):
    """A person's data was taken out of the project: everything they judged is void."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="withdrawals")
    labeler = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="withdrawals")
    reason = models.CharField(max_length=300)
    withdrawn_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    num_rankings = models.PositiveIntegerField(default=0)
    num_demonstrations = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "labeler"], name="withdrawal_once_per_person")]

    def __str__(self) -> str:
        return f"withdrawal of {self.labeler_id}"
