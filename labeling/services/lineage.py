"""From a model back to what made it: runs, snapshots, rankings, labelers and guideline versions."""

from collections import deque
from dataclasses import dataclass, field

from django.db.models import Count

from labeling.models import Model, Run, RunInput, Snapshot, SnapshotDemonstration, SnapshotRanking

MOST = 30


@dataclass(frozen=True)
class Frozen:
    """A snapshot, and whose judgements it holds."""

    snapshot: Snapshot
    num_judgements: int = 0
    num_labelers: int = 0
    guideline_versions: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Ancestor:
    """One model on the way back, with what its run read."""

    model: Model
    run: Run | None
    data: list[Frozen]
    models: list[Model]


def of(model: Model) -> list[Ancestor]:
    """The model itself first, then those it came from, nearest first. At most 30."""
    found: list[Ancestor] = []
    waiting, seen = deque([model.pk]), {model.pk}
    while waiting and len(found) < MOST:
        ancestor = _ancestor(Model.objects.select_related("run").get(pk=waiting.popleft()))
        found.append(ancestor)
        for parent in ancestor.models:
            if parent.pk not in seen:
                seen.add(parent.pk)
                waiting.append(parent.pk)
    return found


def _ancestor(model: Model) -> Ancestor:
    inputs = RunInput.objects.filter(run=model.run_id).select_related("snapshot__same_as", "model").order_by("name")
    rows = list(inputs) if model.run_id else []
    models = [row.model for row in rows if row.model]
    data = [_frozen(row.snapshot.resolved) for row in rows if row.snapshot]
    return Ancestor(model=model, run=model.run, data=data, models=models or ([model.parent] if model.parent else []))


def _frozen(snapshot: Snapshot) -> Frozen:
    if snapshot.kind == Snapshot.Kind.REWARD:
        rows, path = SnapshotRanking.objects.filter(snapshot=snapshot), "ranking"
    elif snapshot.kind == Snapshot.Kind.SFT:
        rows, path = SnapshotDemonstration.objects.filter(snapshot=snapshot), "demonstration"  # type: ignore[assignment]
    else:
        return Frozen(snapshot)
    counts = rows.aggregate(judgements=Count("pk"), labelers=Count(f"{path}__labeler", distinct=True))
    versions = rows.values_list(f"{path}__guideline__version", flat=True).distinct()
    return Frozen(
        snapshot=snapshot,
        num_judgements=counts["judgements"],
        num_labelers=counts["labelers"],
        guideline_versions=sorted(version for version in versions if version),
    )
