"""Bootstrap over whole tasks: what people said about one task hangs together, so a task is drawn whole or not at all.

A measure is a function of sums over tasks. The sums are made for the data as they are and for every resample at once,
as one product of matrices for each group: what each of its tasks adds to each sum, and how often each task was drawn.
The seed is fixed: the same rankings give the same interval.

Shapes: T tasks, G groups, E entries, R rows (a group's tasks), S sums, B resamples; the first of 1 + B is the data as
they are.
"""

from collections.abc import Iterator, Sequence
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
BLOCK = 8_192  # rows multiplied at once, and
MAX_CELLS = 4_000_000  # groups × sums × resamples held at once: both bound the memory
WHY_NO_INTERVAL = "an interval needs two tasks"


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


@dataclass(frozen=True)
class Rows:
    """The tasks of each group, a row for each, sorted by group. `row_E` is the row of each entry they were made of."""

    task_R: Ints
    group_R: Ints
    num_groups: int
    row_E: Ints

    def add_up(self, amounts: npt.NDArray[Any]) -> Floats:
        """R × S out of E × S: what the entries of a row add up to."""
        columns = [np.bincount(self.row_E, column, minlength=len(self.task_R)) for column in amounts.T]
        return np.stack(columns, axis=1) if columns else np.zeros((len(self.task_R), 0))

    def num_tasks(self, counts_R: npt.NDArray[Any]) -> Ints:
        """Tasks of each group in which something counts: an interval needs two of these."""
        return np.bincount(self.group_R[counts_R > 0], minlength=self.num_groups)

    def bounds(self) -> Ints:
        """Where the rows of each group begin, and the last ones end."""
        return np.searchsorted(self.group_R, np.arange(self.num_groups + 1))


def rows(*, task: Ints, group: Ints, num_groups: int) -> Rows:
    span = 1 + int(task.max(initial=0))
    codes, row_E = np.unique(group * span + task, return_inverse=True)
    return Rows(task_R=codes % span, group_R=codes // span, num_groups=num_groups, row_E=row_E)


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

    def sums(self, rows: Rows, amounts_RS: Floats) -> Iterator[Floats]:
        """Some groups at a time as G × S × (1 + B): row r adds its amounts whenever its task is drawn."""
        bounds, num_sums = rows.bounds(), amounts_RS.shape[1]
        at_once = max(1, MAX_CELLS // max(1, num_sums * (1 + self.num)))
        for start in range(0, rows.num_groups, at_once):
            groups = range(start, min(start + at_once, rows.num_groups))
            found = np.zeros((len(groups), num_sums, 1 + self.num))
            for group in groups:
                for first in range(bounds[group], bounds[group + 1], BLOCK):
                    block = slice(first, min(first + BLOCK, bounds[group + 1]))
                    drawn_RB = self._drawn_TB[rows.task_R[block]].astype(np.float64)
                    found[group - start] += amounts_RS[block].T @ drawn_RB
            yield found

    def all_sums(self, rows: Rows, amounts_RS: Floats) -> Floats:
        """The same as one array, where there are few groups."""
        nothing = np.zeros((0, amounts_RS.shape[1], 1 + self.num))
        return np.concatenate([nothing, *self.sums(rows, amounts_RS)])


def ratio(above: Floats, below: Floats) -> Floats:
    """NaN where there is nothing to divide by."""
    divided: Floats = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    return divided


def figure(values: Floats, *, num: float, num_tasks: int, why_not: str) -> Figure:
    """From a measure's values: as it is, then in each resample."""
    return figures(values[None], num=[num], num_tasks=[num_tasks], why_not=[why_not])[0]


def figures(values_GB: Floats, *, num: Any, num_tasks: Any, why_not: Sequence[str]) -> list[Figure]:
    """Of each group. Resamples in which a measure is undefined have no say; `why_not` is for groups in which it is."""
    low_G, high_G = _ends(values_GB[:, 1:])
    found = []
    for group, value in enumerate(values_GB[:, 0].tolist()):
        counts = {"num": round(num[group]), "num_tasks": int(num_tasks[group])}
        if np.isnan(value):
            found.append(Figure(None, why_not=why_not[group], **counts))
        elif counts["num_tasks"] < MIN_TASKS or np.isnan(low_G[group]):
            found.append(Figure(value, why_not=WHY_NO_INTERVAL, **counts))
        else:
            found.append(Figure(value, float(low_G[group]), float(high_G[group]), **counts))
    return found


def _ends(resampled_GB: Floats) -> Floats:
    """2 × G: the ends of each interval, NaN where no resample has a value."""
    levels = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    ends = np.full((2, len(resampled_GB)), np.nan)
    is_nan_GB = np.isnan(resampled_GB)
    is_whole_G = ~is_nan_GB.any(axis=1)
    if is_whole_G.any():
        ends[:, is_whole_G] = np.quantile(resampled_GB[is_whole_G], levels, axis=1)
    for group in np.flatnonzero(~is_whole_G & ~is_nan_GB.all(axis=1)):
        ends[:, group] = np.quantile(resampled_GB[group, ~is_nan_GB[group]], levels)
    return ends
