"""Human evaluation: `start(wish, …)`, `advance(id)`, `results.of(evaluation)`, `more.hint(evaluation, report)`."""

from labeling.services.evaluations import more, results, tables
from labeling.services.evaluations.lifecycle import (
    advance,
    advance_all,
    cancel,
    more_judgements,
    more_prompts,
    num_left,
    retry,
    runs_of_wave,
    start,
)
from labeling.services.evaluations.wishes import MAX_PROMPTS, SETTINGS, Cost, EvaluationError, Wish, cost

__all__ = [
    "MAX_PROMPTS",
    "SETTINGS",
    "Cost",
    "EvaluationError",
    "Wish",
    "advance",
    "advance_all",
    "cancel",
    "cost",
    "more",
    "more_judgements",
    "more_prompts",
    "num_left",
    "results",
    "retry",
    "runs_of_wave",
    "start",
    "tables",
]
