"""Bootstrap over whole tasks: what people said about one task hangs together, so a task is drawn whole or not at all.

A measure is a function of sums over tasks. The sums are made for the data as they are and for every resample at once,
as one product of a sparse matrix (what each task adds to each sum) and a dense one (how often each task was drawn).
The seed is fixed: the same rankings give the same interval.

Shapes: T tasks, S sums, B resamples; column 0 of S × (1 + B) is the data as they are.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labeling.services.agreement.judged import Ints

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
MIN_TASKS = 2  # for an interval
MAX_RESAMPLES, MIN_RESAMPLES = 1_000, 200
MAX_DRAWS = 4_000_000  # resamples × tasks: from 4,000 tasks on there are fewer resamples, and intervals are narrow
BLOCK = 64  # resamples multiplied at once: bounds the memory


@dataclass(frozen=True)
class Figure:
    """A measure with its interval. `value` is None where it is undefined, and `why_not` says so."""

    value: float | None
    low: float | None = None
    high: float | None = None
    num: int = 0  # of what it is a mean of
    num_tasks: int = 0
    why_not: str = ""

    @property
    def half_width(self) -> float | None:
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


class Resamples:
    """How often each task was drawn, in each resample."""

    def __init__(self, num_tasks: int, *, seed: int = 0) -> None:
        self.num_tasks = num_tasks
        self.num = max(MIN_RESAMPLES, min(MAX_RESAMPLES, MAX_DRAWS // max(1, num_tasks)))
        draw = np.random.default_rng(seed)
        drawn = np.ones((1 + self.num, num_tasks), dtype=np.uint8)
        for resample in range(1, 1 + self.num if num_tasks else 1):
            drawn[resample] = np.bincount(draw.integers(num_tasks, size=num_tasks), minlength=num_tasks)
        self._drawn_TB = np.ascontiguousarray(drawn.T)

    def sums(self, *, task: Ints, column: Ints, amount: npt.NDArray[Any], num_columns: int) -> Floats:
        """S × (1 + B). Entry e adds `amount[e]` to sum `column[e]` whenever `task[e]` is drawn."""
        from scipy.sparse import coo_matrix  # takes a while to load, and few processes need it

        shape = (num_columns, self.num_tasks)
        adds = coo_matrix((amount.astype(np.float64), (column, task)), shape=shape).tocsr()
        found = np.empty((num_columns, 1 + self.num))
        for start in range(0, 1 + self.num, BLOCK):
            found[:, start : start + BLOCK] = adds @ self._drawn_TB[:, start : start + BLOCK].astype(np.float64)
        return found


def ratio(above: Floats, below: Floats) -> Floats:
    """NaN where there is nothing to divide by."""
    divided: Floats = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    return divided


def figure(values: Floats, *, num: float, num_tasks: int, why_not: str) -> Figure:
    """From a measure's values: as it is, then in each resample (those in which it is undefined have no say)."""
    value = float(values[0])
    if np.isnan(value):
        return Figure(None, num=round(num), num_tasks=num_tasks, why_not=why_not)
    defined = values[1:][~np.isnan(values[1:])]
    if num_tasks < MIN_TASKS or not len(defined):
        return Figure(value, num=round(num), num_tasks=num_tasks, why_not="an interval needs two tasks")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(value, float(low), float(high), num=round(num), num_tasks=num_tasks)
