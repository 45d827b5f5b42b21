"""From a model back to what made it: runs, snapshots, rankings, labelers and guideline versions."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Count, QuerySet

from labeling.models import Model, Run, RunInput, Snapshot, SnapshotDemonstration, SnapshotRanking

MOST = 30
#: What a snapshot of each kind holds of people's judgements.
JUDGEMENTS: Final[Mapping[str, tuple[Any, str]]] = {
    Snapshot.Kind.REWARD: (SnapshotRanking, "ranking"),
    Snapshot.Kind.SFT: (SnapshotDemonstration, "demonstration"),
}


@dataclass(frozen=True)
class Frozen:
    """A snapshot, and whose judgements it holds: how many by each labeler (by id), and by which guidelines."""

    snapshot: Snapshot
    what: str = ""
    by_labeler: Counter[int] = field(default_factory=Counter)
    by_guideline: Counter[int] = field(default_factory=Counter)

    @property
    def num_judgements(self) -> int:
        return self.by_labeler.total()

    @property
    def num_labelers(self) -> int:
        return len(self.by_labeler)

    @property
    def guideline_versions(self) -> list[int]:
        return sorted(self.by_guideline)


@dataclass(frozen=True)
class Ancestor:
    """One model on the way back, with what its run read."""

    model: Model
    run: Run | None
    data: list[Frozen]
    models: list[Model]
    brought: str = ""
    """Where an imported model came from, in words."""


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


def frozen(snapshot: Snapshot) -> Frozen:
    """A snapshot with the judgements in it; one of prompts or text has none."""
    if snapshot.kind not in JUDGEMENTS:
        return Frozen(snapshot)
    through, what = JUDGEMENTS[snapshot.kind]
    rows: QuerySet[Any] = through.objects.filter(snapshot=snapshot).order_by()
    counts = rows.values_list(f"{what}__labeler", f"{what}__guideline__version").annotate(num=Count("pk"))
    found = Frozen(snapshot, what)
    for labeler, version, num in counts:
        found.by_labeler[labeler] += num
        if version:
            found.by_guideline[version] += num
    return found


def judgements_by_labeler(held: Iterable[Frozen]) -> Counter[int]:
    """How many by each labeler (by id) in all of these. One that several snapshots hold, as each round's snapshot holds
    what the rounds before it judged, counts once."""
    snapshots = [frozen.snapshot.pk for frozen in held]
    found: Counter[int] = Counter()
    for through, what in JUDGEMENTS.values():
        rows: QuerySet[Any] = through.objects.filter(snapshot__in=snapshots).order_by()
        found.update(dict(rows.values_list(f"{what}__labeler").annotate(num=Count(what, distinct=True))))
    return found


def _ancestor(model: Model) -> Ancestor:
    inputs = RunInput.objects.filter(run=model.run_id).select_related("snapshot__same_as", "model").order_by("name")
    rows = list(inputs) if model.run_id else []
    models = [row.model for row in rows if row.model]
    return Ancestor(
        model=model,
        run=model.run,
        data=[frozen(row.snapshot.resolved) for row in rows if row.snapshot],
        models=models or ([model.parent] if model.parent else []),
        brought=_brought(model.metrics) if model.run and model.run.stage == "fetch" else "",
    )


def _brought(summary: Mapping[str, Any]) -> str:
    if summary.get("source") == "hub":
        return f"{summary.get('repo')}, commit {str(summary.get('commit'))[:12]}"
    if summary.get("source") == "folder":
        return f"the folder {summary.get('folder')}"
    return f"an archive with SHA-256 {str(summary.get('archive_sha256'))[:12]}…"
