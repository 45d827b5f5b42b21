"""What became of a run, held against the undisturbed one."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .floor import Floor, wait_for

if TYPE_CHECKING:
    from labeling.models import Run

LONGEST = 300.0
OF_THE_MACHINE = ("perf/", "system/")
Curve = list[tuple[int, dict[str, float]]]


@dataclass(frozen=True)
class Outcome:
    """`attempts` and `claims`: how often it was begun. `wrong`: what is not as it should be; empty when all is."""

    state: str
    attempts: int
    claims: int
    wrong: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Undisturbed:
    curve: Curve
    weights: str
    seconds: float


def curve(run: "Run") -> Curve:
    """Without what depends on the clock and on what else the machine does."""
    from labeling.models import RunMetric

    rows = RunMetric.objects.filter(run=run).order_by("id").values_list("step", "values")
    kept = [
        (step, {n: v for n, v in values.items() if not n.startswith(("perf/", "system/"))}) for step, values in rows
    ]
    return [(step, values) for step, values in kept if values]


def is_over(run: "Run") -> bool:
    run.refresh_from_db()
    return run.state in type(run).ENDED


def reached(run: "Run", step: int) -> bool:
    """Whether it is so far, or over before it was asked."""
    run.refresh_from_db()
    return run.step >= step or run.state in type(run).ENDED


def undisturbed(floor: Floor) -> Undisturbed:
    run = floor.begin()
    wait_for(lambda: is_over(run), seconds=LONGEST, what="the undisturbed run is over")
    if run.state != "succeeded":
        raise AssertionError(f"the undisturbed run: {run.state}: {run.error}")
    assert run.finished_at is not None
    assert run.started_at is not None
    return Undisturbed(curve(run), _weights(run), (run.finished_at - run.started_at).total_seconds())


def until_it_ends(run: "Run", base: Undisturbed) -> Outcome:
    wait_for(lambda: is_over(run), seconds=LONGEST, what=f"{run.name} is over")
    return look(run, base)


def look(run: "Run", base: Undisturbed) -> Outcome:
    from labeling.models import Model, RunEvent

    events = RunEvent.objects.filter(run=run)
    wrong = []
    if run.state != "succeeded":
        wrong.append(f"it is {run.state}: {run.error[:120]}")
    if (num := events.filter(to_state="succeeded").count()) != 1:
        wrong.append(f"it succeeded {num} times")
    if (num := Model.objects.filter(run=run).count()) != 1:
        wrong.append(f"it left {num} models")
    elif _weights(run) != base.weights:
        wrong.append("its weights differ")
    if curve(run) != base.curve:
        wrong.append("its curve differs")
    claims = events.filter(to_state="running").count()
    return Outcome(state=run.state, attempts=run.attempt, claims=claims, wrong=tuple(wrong))


def _weights(run: "Run") -> str:
    """One hash over all files of the model it left."""
    from labeling.models import Model

    return str(Model.objects.get(run=run).sha256)
