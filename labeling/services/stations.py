"""What the round page shows: each step as a station with its state, its counts and its times."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from labeling.models import Model, Round, Run, Snapshot, Stage
from labeling.services import rounds
from training.contract import configs

DONE, RUNNING, WAITING, FAILED, SKIPPED, TODO = "done", "running", "waiting", "failed", "skipped", "todo"


@dataclass(frozen=True)
class StopRule:
    """Where PPO's KL ends the run, or only rings; what became of it once the run has ended."""

    budget: float
    ends_the_run: bool
    has_ended: bool = False
    was_stopped: bool = False
    num_iterations: int | None = None
    kl: float | None = None

    @property
    def is_past(self) -> bool:
        return self.kl is not None and self.kl > self.budget


@dataclass
class Station:
    step: str
    label: str
    state: str = TODO
    snapshots: list[Snapshot] = field(default_factory=list)
    run: Run | None = None
    model: Model | None = None
    num: int | None = None
    stop_rule: StopRule | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def seconds(self) -> float | None:
        return (self.ended_at - self.began_at).total_seconds() if self.began_at and self.ended_at else None


def of(round: Round) -> list[Station]:
    models = {model.run_id: model for model in Model.objects.filter(run__round=round)}
    here = rounds.ORDER.index(Round.Step(round.step))
    return [_station(round, Round.Step(step), number - here, models) for number, step in enumerate(rounds.ORDER)]


def _station(round: Round, step: Round.Step, distance: int, models: dict[Any, Model]) -> Station:
    station = Station(step=step.value, label=str(step.label), run=getattr(round, f"{step.value}_run", None))
    station.state = _state(round, distance)
    if station.run:
        station.model = models.get(station.run.pk)
        station.began_at, station.ended_at = station.run.started_at, station.run.finished_at
        if step == Round.Step.GENERATE and station.run.result:
            station.num = station.run.result["responses"]["taken"]
    if step == Round.Step.PPO:
        station.stop_rule = _stop_rule(round)
    if step == Round.Step.SNAPSHOTS:
        _add_snapshots(station, round)
    if step == Round.Step.TASKS and round.state == Round.State.DONE:
        station.num, station.ended_at = round.num_tasks, round.finished_at
    if step == Round.Step.SFT and station.state == DONE and station.run is None:
        station.state = SKIPPED
    return station


def _stop_rule(round: Round) -> StopRule:
    """Of the run, or, before there is one, of what it will have."""
    run = round.ppo_run
    config = configs.preset(Stage.PPO, round.preset) | (run.config if run else rounds.own_ppo_options(round))
    result = ((run.result if run else None) or {}).get("summary") or {}
    return StopRule(
        budget=config["kl_budget"],
        ends_the_run=config["stop_at_kl_budget"],
        has_ended=bool(result),
        was_stopped=bool(result.get("stopped_at_kl_budget")),
        num_iterations=result.get("num_iterations"),
        kl=result.get("valid_kl_after"),
    )


def _add_snapshots(station: Station, round: Round) -> None:
    station.snapshots = [snapshot for name in rounds.SNAPSHOTS if (snapshot := getattr(round, name))]
    station.began_at = round.created_at
    finished = [snapshot.finished_at for snapshot in station.snapshots if snapshot.finished_at]
    station.ended_at = max(finished) if finished and station.state == DONE else None


def _state(round: Round, distance: int) -> str:
    if distance < 0 or round.state == Round.State.DONE:
        return DONE
    if distance > 0 or round.state == Round.State.CANCELLED:
        return TODO
    return {Round.State.RUNNING: RUNNING, Round.State.WAITING: WAITING, Round.State.FAILED: FAILED}[
        Round.State(round.state)
    ]
