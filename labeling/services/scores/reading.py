"""Which reward models have scored what."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db.models import Exists, OuterRef, QuerySet

from labeling.models import Model, Project, ResponseScore


def judges(project: Project) -> QuerySet[Model]:
    """The reward models that are in use and have scored something, the newest first."""
    has = Exists(ResponseScore.objects.filter(model=OuterRef("pk")))
    found = Model.objects.filter(has, project=project, kind=Model.Kind.REWARD, is_retired=False)
    return found.order_by("-created_at", "-pk")


def of_responses(responses: Iterable[int], judges: Sequence[Model]) -> dict[int, list[float]]:
    """By response, its scores in the order of the judges. One that some judge has not scored is not there."""
    found: dict[int, dict[int, float]] = defaultdict(dict)
    rows = ResponseScore.objects.filter(response__in=list(responses), model__in=judges)
    for response, model, score in rows.values_list("response", "model", "score").iterator(chunk_size=5_000):
        found[response][model] = score
    return {
        response: [scores[judge.pk] for judge in judges]
        for response, scores in found.items()
        if len(scores) == len(judges)
    }
