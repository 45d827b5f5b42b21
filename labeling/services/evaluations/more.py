"""The power hint: what an evaluation still takes until its win rates are known to ± x."""

from dataclasses import dataclass
from typing import Final

from labeling.models import MAX_JUDGEMENTS, Evaluation
from labeling.services.evaluations import lifecycle, power
from labeling.services.evaluations.results import Entrant, Report

DEFAULT_PERCENT: Final = 5.0


@dataclass(frozen=True)
class Line:
    """For one model over the baseline. `num_more`: prompts beyond those that are asked about; None: nobody can tell."""

    entrant: Entrant
    half_width: float | None
    num_more: int | None
    num_comparisons: int | None  # judgements that those prompts take for these two models
    why_not: str


@dataclass(frozen=True)
class Hint:
    """`num_prompts`: more of them, for all models. Where they run out, `num_judgements` more per task, if that does."""

    percent: float
    lines: list[Line]
    num_left: int
    num_prompts: int | None
    num_judgements: int | None
    why_not: str

    @property
    def num_to_draw(self) -> int:
        return min(self.num_prompts or 0, self.num_left)


def hint(evaluation: Evaluation, report: Report, *, percent: float = DEFAULT_PERCENT) -> Hint:
    wanted = percent / 100
    lines = [_line(evaluation, report, entrant, wanted) for entrant, _ in report.over_baseline()]
    known = [line.num_more for line in lines if line.num_more is not None]
    num_prompts = max(known) if len(known) == len(lines) else None
    num_judgements, why_not = None, next((line.why_not for line in lines if line.why_not), "")
    num_left = lifecycle.num_left(evaluation)
    if num_prompts and not num_left:
        num_judgements, why_not = _judgements(evaluation, report, wanted)
    return Hint(percent, lines, num_left, num_prompts, num_judgements, why_not)


def _line(evaluation: Evaluation, report: Report, entrant: Entrant, wanted: float) -> Line:
    rate = report.of_models(entrant.model_id, report.entrants[report.baseline].model_id)
    scores = list(rate.scores.values()) if rate else []
    need = power.prompts_wanted(scores, wanted=wanted)
    if rate is None or need.total is None:
        return Line(entrant, None, None, None, need.why_not)
    num_more = max(0, need.total - rate.num_planned)
    asked = 1 - rate.num_same / len(scores)
    return Line(entrant, power.half_width(scores), num_more, round(num_more * asked * evaluation.num_wanted), "")


def _judgements(evaluation: Evaluation, report: Report, wanted: float) -> tuple[int | None, str]:
    """More per task, for the model that needs most."""
    most = 0
    for _, rate in report.over_baseline():
        scores = list(rate.scores.values())
        need = power.judgements_wanted(scores, wanted=wanted, num_prompts=rate.num_planned)
        if need.total is None:
            return None, need.why_not
        most = max(most, need.total)
    if most > MAX_JUDGEMENTS:
        return None, f"it would take {most:,} judgements per task"
    return max(0, most - evaluation.num_wanted), ""
