"""What a reward model said of a response."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from labeling.models.registry import Model
from labeling.models.responses import Response
from labeling.models.runs import Run

LARGEST = 1e30  # beyond any reward; NaN and infinity compare as larger in Postgres


class ResponseScoreQuerySet(models.QuerySet["ResponseScore"]):
    def by(self, judge: Model) -> "ResponseScoreQuerySet":
        return self.filter(model=judge)


class ResponseScore(models.Model):
    """One score by one reward model. Scores of different models are not on one scale: only their order and, within a
    model, their differences mean something."""

    response = models.ForeignKey(Response, on_delete=models.CASCADE, related_name="scores", db_index=False)
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="response_scores")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="response_scores")
    score = models.FloatField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ResponseScoreQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["response", "model"], name="response_score_one_per_model"),
            models.CheckConstraint(
                condition=Q(score__gte=-LARGEST, score__lte=LARGEST), name="response_score_is_a_number"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.score:.3f} for response {self.response_id}"
