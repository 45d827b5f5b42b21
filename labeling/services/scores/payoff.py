"""Does choosing what to rank pay? Accuracy per ranking, of chosen prompts beside the random control.

The answer comes from a run of the stage `curve`, which trains reward models on as many rankings of either stream and
measures all of them on the control's held-out prompts (training/curve.py). Here: what there is to learn from, the two
snapshots that the run reads, and the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Count, Q

from labeling.models import Model, Project, Ranking, Run, Snapshot, Split, Stage, Task, User
from labeling.services import runs, snapshots
from labeling.services.agreement import Figure
from training.contract import configs

CHOSEN: Final = Task.Stream.ACTIVE
CONTROL: Final = Task.Stream.RANDOM
#: The inputs of the stage, and the stream that each is of.
STREAMS: Final = {"chosen": CHOSEN, "control": CONTROL}
NAMES: Final = {"chosen": "Chosen rankings", "control": "Random control"}
ENOUGH: Final = 10  # rankings of each to learn from, and to measure on: fewer say nothing


class PayoffError(ValueError):
    """Why it cannot be measured now; the text is for the manager."""


@dataclass(frozen=True)
class Material:
    """Rankings with an order, by stream: those that train, and those of held-out prompts."""

    label: str
    num_train: int
    num_held_out: int


@dataclass(frozen=True)
class Point:
    """At one number of rankings: accuracy of either stream, and chosen less control."""

    num_rankings: int
    chosen: Figure
    control: Figure
    difference: Figure


@dataclass(frozen=True)
class Curve:
    """What a run found."""

    run: Run
    points: list[Point]
    num_seeds: int
    num_held_out_prompts: int

    @property
    def verdict(self) -> str:
        """In a sentence, by the interval of the difference at the most rankings."""
        last = self.points[-1]
        gain, low, high = last.difference.value or 0.0, last.difference.low or 0.0, last.difference.high or 0.0
        told = (
            f"with {last.num_rankings:,} rankings each, {abs(100 * gain):.1f} points {'more' if gain >= 0 else 'less'}"
        )
        if low > 0:
            return f"Choosing pays here: {told} accuracy than by lot."
        if high < 0:
            return f"Choosing costs here: {told} accuracy than by lot."
        return f"It cannot be told: {told} accuracy than by lot, and the interval includes none at all."


@dataclass(frozen=True)
class State:
    """What the page shows."""

    material: Mapping[str, Material]
    frozen: Mapping[str, Snapshot] = field(default_factory=dict)
    live: Run | None = None
    curves: list[Curve] = field(default_factory=list)

    @property
    def why_not(self) -> str:
        """What is missing before anything can be measured; "" when nothing is."""
        chosen, control = self.material["chosen"], self.material["control"]
        if min(chosen.num_train, control.num_train) < ENOUGH:
            return f"Each stream needs {ENOUGH} rankings of training prompts or more."
        if control.num_held_out < ENOUGH:
            return f"The random control needs {ENOUGH} rankings of validation or test prompts, to measure on."
        return ""

    @property
    def is_frozen(self) -> bool:
        return len(self.frozen) == len(STREAMS) and all(_is_ready(item) for item in self.frozen.values())

    @property
    def is_freezing(self) -> bool:
        waiting = (Snapshot.State.QUEUED, Snapshot.State.BUILDING)
        return any(item.state in waiting for item in self.frozen.values())


def state(project: Project) -> State:
    found = Run.objects.filter(project=project, stage=Stage.CURVE)
    done = found.filter(state=Run.State.SUCCEEDED)[:20]
    return State(
        material=_material(project),
        frozen=_frozen(project),
        live=found.live().first(),
        curves=[curve for run in done if (curve := curve_of(run))],
    )


def curve_of(run: Run) -> Curve | None:
    """What a run left; None while it has not, or where it is no report of ours."""
    report = (run.result.get("report") or {}).get("curve")
    if not isinstance(report, dict) or not report.get("points"):
        return None
    return Curve(
        run=run,
        points=[_point(row) for row in report["points"]],
        num_seeds=report["num_seeds"],
        num_held_out_prompts=report["num_held_out_prompts"],
    )


def freeze(*, project: Project, user: User) -> list[Snapshot]:
    """A snapshot of each stream, as the rankings stand now. Raises PayoffError where there is too little."""
    if why := state(project).why_not:
        raise PayoffError(why)
    return [
        snapshots.create(
            project=project,
            kind=Snapshot.Kind.REWARD,
            name=NAMES[name],
            filters={"streams": [stream]},
            user=user,
        )
        for name, stream in STREAMS.items()
    ]


def start(*, project: Project, model: Model, preset: str, num_seeds: int, key: str, user: User) -> Run:
    """Train the curve on the newest snapshots of both streams. Raises PayoffError, or ConfigError naming the field."""
    now = state(project)
    if not now.is_frozen:
        raise PayoffError("Freeze both streams first.")
    inputs: dict[str, runs.Input] = {name: snapshot.resolved for name, snapshot in now.frozen.items()}
    config = configs.preset(Stage.CURVE, preset) | {"num_seeds": num_seeds}
    return runs.create(
        project=project,
        stage=Stage.CURVE,
        config=config,
        inputs=inputs | {"init_model": model},
        preset=preset,
        user=user,
        idempotency_key=key,
    )


def _material(project: Project) -> dict[str, Material]:
    """Held-out labelers never train, and all tied is nothing to learn from; the snapshot sees to both."""
    ranked = Ranking.objects.trainable().filter(task__project=project, ranks__len__gte=2)
    trains = Q(task__prompt__split=Split.TRAIN, labeler__is_held_out=False)
    rows = ranked.values("task__stream").annotate(
        train=Count("pk", filter=trains), held_out=Count("pk", filter=~Q(task__prompt__split=Split.TRAIN))
    )
    by_stream = {row["task__stream"]: row for row in rows}
    nothing = {"train": 0, "held_out": 0}
    return {
        name: Material(stream.label, row["train"], row["held_out"])
        for name, stream in STREAMS.items()
        if (row := by_stream.get(stream, nothing))
    }


def _frozen(project: Project) -> dict[str, Snapshot]:
    """The newest snapshot of each stream alone."""
    found: dict[str, Snapshot] = {}
    kept = Snapshot.objects.filter(project=project, kind=Snapshot.Kind.REWARD).select_related("same_as")
    for name, stream in STREAMS.items():
        newest = kept.filter(filters={"streams": [stream]}).order_by("-created_at", "-pk").first()
        if newest:
            found[name] = newest
    return found


def _is_ready(snapshot: Snapshot) -> bool:
    return snapshot.resolved.state == Snapshot.State.READY


def _point(row: Mapping[str, Any]) -> Point:
    figures = {
        name: Figure(row[name]["value"], row[name]["low"], row[name]["high"])
        for name in ("chosen", "control", "difference")
    }
    return Point(num_rankings=row["num_rankings"], **figures)
