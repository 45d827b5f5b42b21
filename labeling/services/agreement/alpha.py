"""Krippendorff's α for ordinal values (Krippendorff 2004, ch. 11), from coincidences that add up over tasks.

A unit is a response in its task, its value for a labeler the rank that this labeler gave it. Because coincidences add
up, one pass over the tasks serves every group and every resample; the `krippendorff` package, which tests hold this
against, would have to start anew for each.

Which of two labelers gave which of two ranks makes no difference: a cell is two ranks, the lower one first.

Shapes: E coincidences, V ranks in use, D = V (V + 1) / 2 cells, R rows (a group's tasks), G groups, B resamples.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from labeling.services.agreement.judged import Ints, Judged
from labeling.services.agreement.resampling import Floats


@dataclass(frozen=True)
class Coincidences:
    """Two labelers' ranks of one response, once per couple; the couples are numbered as in `couples.couples`."""

    couple_E: Ints
    cell_E: Ints
    weight_E: Floats  # 1 / (labelers of the task - 1): each rank given weighs 1 in the end
    num_ranks: int

    @property
    def num_cells(self) -> int:
        return self.num_ranks * (self.num_ranks + 1) // 2


def coincidences(judged: Judged) -> Coincidences:
    num_ranks = int(judged.ranks.max(initial=1))
    parts, num_couples = [], 0
    for shape in judged.shapes():
        num_tasks, n, k = shape.ranks_TNK.shape
        for i, j in combinations(range(n), 2):
            couple = np.repeat(num_couples + np.arange(num_tasks), k)
            cell = _cell(shape.ranks_TNK[:, i].ravel() - 1, shape.ranks_TNK[:, j].ravel() - 1, num_ranks)
            parts.append((couple, cell, np.full(len(couple), 1 / (n - 1))))
            num_couples += num_tasks
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return Coincidences(nothing, nothing, np.zeros(0), num_ranks=num_ranks)
    couple, cell, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Coincidences(couple, cell, weight, num_ranks=num_ranks)


def _cell(one: Ints, other: Ints, num_ranks: int) -> Ints:
    """The place of (lower, higher) in the upper triangle, row by row."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    cell: Ints = low * num_ranks - low * (low - 1) // 2 + high - low
    return cell


def of_cells(cells_GDB: Floats, num_ranks: int) -> Floats:
    """G × B: α from how often rank v stood against rank w; NaN where only one rank was ever given.

    The ordinal distance of two ranks is that of their mid-ranks.
    """
    low, high = np.triu_indices(num_ranks)
    gives_DV = np.eye(num_ranks)[low] + np.eye(num_ranks)[high]  # a cell's two ranks, each given once
    num_GVB = np.einsum("dv,gdb->gvb", gives_DV, cells_GDB, optimize=True)
    middle_GVB = num_GVB.cumsum(axis=1) - num_GVB / 2
    apart_GDB = (middle_GVB[:, low] - middle_GVB[:, high]) ** 2
    observed = 2 * (cells_GDB * apart_GDB).sum(axis=1)
    expected = 2 * (num_GVB[:, low] * num_GVB[:, high] * apart_GDB).sum(axis=1)
    total = num_GVB.sum(axis=1)
    alpha: Floats = 1 - (total - 1) * np.divide(observed, expected, out=np.full_like(total, np.nan), where=expected > 0)
    return alpha
