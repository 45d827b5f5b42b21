"""Krippendorff's α for ordinal values (Krippendorff 2004, ch. 11), from coincidences that add up over tasks.

A unit is a response in its task, its value for a labeler the rank that this labeler gave it. Because coincidences add
up, one pass over the tasks serves every group and every resample; the `krippendorff` package, which tests hold this
against, would have to start anew for each.

Shapes: E coincidences, V ranks in use, G groups, B resamples.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from labeling.services.agreement.judged import Ints, Judged
from labeling.services.agreement.resampling import Floats, Resamples

MAX_CELLS = 4_000_000  # groups × ranks² × resamples worked on at once


@dataclass(frozen=True)
class Coincidences:
    """Two labelers' ranks of one response, once per couple; the couples are numbered as in `couples.couples`."""

    couple_E: Ints
    task_E: Ints
    rank_E: Ints  # both from 0
    other_rank_E: Ints
    weight_E: Floats  # 1 / (labelers of the task - 1): each rank given weighs 1 in the end
    num_ranks: int


def coincidences(judged: Judged) -> Coincidences:
    parts, num_couples = [], 0
    for shape in judged.shapes():
        num_tasks, n, k = shape.ranks_TNK.shape
        for i, j in combinations(range(n), 2):
            couple = np.repeat(num_couples + np.arange(num_tasks), k)
            ranks, other = shape.ranks_TNK[:, i].ravel() - 1, shape.ranks_TNK[:, j].ravel() - 1
            parts.append((couple, np.repeat(shape.tasks_T, k), ranks, other, np.full(len(couple), 1 / (n - 1))))
            num_couples += num_tasks
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return Coincidences(nothing, nothing, nothing, nothing, np.zeros(0), num_ranks=1)
    couple, task, rank, other_rank, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Coincidences(couple, task, rank, other_rank, weight, num_ranks=int(judged.ranks.max()))


def alphas(found: Coincidences, *, group_E: Ints, num_groups: int, resamples: Resamples) -> Floats:
    """G × (1 + B), some groups at a time so that memory stays bounded; NaN where only one rank was ever given."""
    at_once = max(1, MAX_CELLS // (found.num_ranks**2 * (1 + resamples.num)))
    parts = [np.zeros((0, 1 + resamples.num))]
    for start in range(0, num_groups, at_once):
        num = min(at_once, num_groups - start)
        is_in = (group_E >= start) & (group_E < start + num)
        cell_E = ((group_E - start) * found.num_ranks + found.rank_E) * found.num_ranks + found.other_rank_E
        cells = resamples.sums(
            task=found.task_E[is_in],
            column=cell_E[is_in],
            amount=found.weight_E[is_in],
            num_columns=num * found.num_ranks**2,
        )
        parts.append(of_cells(cells.reshape(num, found.num_ranks, found.num_ranks, 1 + resamples.num)))
    return np.concatenate(parts)


def of_cells(cells_GVVB: Floats) -> Floats:
    """α from how often rank v stood against rank w. The ordinal distance of two ranks is that of their mid-ranks."""
    num_GVB = cells_GVVB.sum(axis=1) + cells_GVVB.sum(axis=2)
    middle_GVB = num_GVB.cumsum(axis=1) - num_GVB / 2
    apart_GVVB = (middle_GVB[:, :, None] - middle_GVB[:, None]) ** 2
    observed = 2 * (cells_GVVB * apart_GVVB).sum(axis=(1, 2))
    expected = (num_GVB[:, :, None] * num_GVB[:, None] * apart_GVVB).sum(axis=(1, 2))
    total = num_GVB.sum(axis=1)
    alpha: Floats = 1 - (total - 1) * np.divide(observed, expected, out=np.full_like(total, np.nan), where=expected > 0)
    return alpha
