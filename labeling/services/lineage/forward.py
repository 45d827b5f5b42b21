"""From data to what was made of it: runs that read it, models of those, and models of those models."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q

from labeling.models import (
    Guideline,
    Model,
    Project,
    Ranking,
    Run,
    Snapshot,
    SnapshotDemonstration,
    SnapshotRanking,
    User,
)


@dataclass(frozen=True)
class Made:
    """What holds some data, newest first."""

    snapshots: list[Snapshot]
    runs: list[Run]
    models: list[Model]


def from_snapshot(snapshot: Snapshot) -> Made:
    return _made_of([snapshot.resolved])


def from_ranking(ranking: Ranking) -> Made:
    return _made_of(list(Snapshot.objects.filter(snapshot_rankings__ranking=ranking).order_by("-pk")))


def from_guideline(guideline: Guideline) -> Made:
    """Of the judgements that followed this version."""
    return _made_of_judgements(guideline.project_id, guideline=guideline)


def from_labeler(labeler: User, project: Project) -> Made:
    """Of the judgements that a person gave."""
    return _made_of_judgements(project.pk, labeler=labeler)


def runs_on(found: list[Snapshot]) -> list[Run]:
    """Runs that read one of these snapshots, or one that turned out to be the same."""
    same = Q(inputs__snapshot__in=found) | Q(inputs__snapshot__same_as__in=found)
    return list(Run.objects.filter(same).distinct().order_by("-pk")) if found else []


def models_from(runs: list[Run]) -> list[Model]:
    """The models of these runs and all that came from them."""
    found: dict[int, Model] = {}
    newest = list(Model.objects.filter(run__in=runs))
    while newest:
        found |= {model.pk: model for model in newest}
        children = Q(parent__in=newest) | Q(run__inputs__model__in=newest)
        newest = list(Model.objects.filter(children).exclude(pk__in=found).distinct())
    return sorted(found.values(), key=lambda model: -model.pk)


def _made_of_judgements(project_id: int, **whose: Any) -> Made:
    """Of snapshots that hold a ranking or a demonstration with this guideline, or of this labeler."""
    ranked = {f"ranking__{name}": value for name, value in whose.items()}
    written = {f"demonstration__{name}": value for name, value in whose.items()}
    found = Snapshot.objects.filter(
        Exists(SnapshotRanking.objects.filter(snapshot=OuterRef("pk"), **ranked))
        | Exists(SnapshotDemonstration.objects.filter(snapshot=OuterRef("pk"), **written)),
        project=project_id,
    )
    return _made_of(list(found.order_by("-pk")))


def _made_of(snapshots: list[Snapshot]) -> Made:
    runs = runs_on(snapshots)
    return Made(snapshots=snapshots, runs=runs, models=models_from(runs))
