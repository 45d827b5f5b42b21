"""Agreement by how far apart two responses are: near ones are hard for everybody, far ones should not be.

- by one's own ranks: when one labeler places two responses d ranks apart, how often does another order them the same
  way? Every couple is asked in both directions.
- by the mean rank: the distance of the two means over all of the task's labelers. The means hold the very judgements
  that are compared, so near 0 the agreement is low by construction; it shows which part of the work is hard, no more.

Shapes: T tasks, N labelers, K responses, P pairs of responses, D distances.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from labeling.services.agreement.couples import NUM_KINDS, TIED_BY_BOTH, TIED_BY_ONE, kind_of, orders
from labeling.services.agreement.grading import TieRule
from labeling.services.agreement.judged import Ints, Judged, Shape
from labeling.services.agreement.resampling import Figure, Floats, Resamples, figure, ratio, rows
from labeling.services.agreement.shares import num_usable, of_sums

OWN_LABELS = ["tied", "1 rank", "2 ranks", "3 ranks", "4 ranks", "5 or more"]
MEAN_LABELS = ["below 1", "1 to 2", "2 to 3", "3 to 4", "4 or more"]


@dataclass(frozen=True)
class Step:
    label: str
    agreement: dict[TieRule, Figure]


@dataclass(frozen=True)
class ByDistance:
    own: list[Step]
    mean: list[Step]
    also_tied: Figure  # where one tied two responses, the other did too


def by_distance(judged: Judged, resamples: Resamples) -> ByDistance:
    own, tied = _steps(judged, _own, OWN_LABELS, resamples)
    mean, _ = _steps(judged, _mean, MEAN_LABELS, resamples)
    return ByDistance(own=own[1:], mean=mean, also_tied=tied)


def _steps(
    judged: Judged, kinds_of: Callable[[Shape], Ints], labels: Sequence[str], resamples: Resamples
) -> tuple[list[Step], Figure]:
    """The agreement at each distance; of the first of them, how often both tied."""
    shapes = list(judged.shapes())
    task = np.concatenate([np.zeros(0, dtype=np.int64), *(np.repeat(shape.tasks_T, len(labels)) for shape in shapes)])
    kinds = np.concatenate([np.zeros((0, NUM_KINDS), dtype=np.int64), *(kinds_of(shape) for shape in shapes)])
    group = np.tile(np.arange(len(labels)), len(task) // len(labels))
    is_there = kinds.any(axis=1)
    found = rows(task=task[is_there], group=group[is_there], num_groups=len(labels))
    kinds_R5 = found.add_up(kinds[is_there])
    sums_G5B = resamples.all_sums(found, kinds_R5)
    steps = zip(labels, of_sums(sums_G5B, num_usable(found, kinds_R5)), strict=True)
    num_tasks = np.bincount(found.group_R, minlength=len(labels))[0]
    return [Step(label, share.agreement) for label, share in steps], _tied(sums_G5B[0], num_tasks)


def _own(shape: Shape) -> Ints:
    """The kinds of each task's pairs at each distance, as rows of one table, tasks first."""
    a, b = np.triu_indices(shape.ranks_TNK.shape[-1], k=1)
    orders_TNP = orders(shape.ranks_TNK)
    apart_TNP = np.minimum(abs(shape.ranks_TNK[:, :, a] - shape.ranks_TNK[:, :, b]), len(OWN_LABELS) - 1)
    couples = permutations(range(orders_TNP.shape[1]), 2)
    return _added_up(
        _counted(kind_of(orders_TNP[:, i], orders_TNP[:, j]), apart_TNP[:, i], num=len(OWN_LABELS)) for i, j in couples
    )


def _mean(shape: Shape) -> Ints:
    a, b = np.triu_indices(shape.ranks_TNK.shape[-1], k=1)
    orders_TNP, sum_TK = orders(shape.ranks_TNK), shape.ranks_TNK.sum(axis=1)
    apart_TP = abs(sum_TK[:, a] - sum_TK[:, b]) // orders_TNP.shape[1]  # of whole numbers: no rounding
    apart_TP = np.minimum(apart_TP, len(MEAN_LABELS) - 1)
    couples = combinations(range(orders_TNP.shape[1]), 2)
    return _added_up(
        _counted(kind_of(orders_TNP[:, i], orders_TNP[:, j]), apart_TP, num=len(MEAN_LABELS)) for i, j in couples
    )


def _added_up(parts: Iterable[Ints]) -> Ints:
    total: Ints = sum(parts, np.zeros((), dtype=np.int64))
    return total


def _counted(kind_TP: Ints, apart_TP: Ints, *, num: int) -> Ints:
    num_tasks = len(kind_TP)
    cell_TP = (np.arange(num_tasks)[:, None] * num + apart_TP) * NUM_KINDS + kind_TP
    return np.bincount(cell_TP.ravel(), minlength=num_tasks * num * NUM_KINDS).reshape(-1, NUM_KINDS)


def _tied(sums_5B: Floats, num_tasks: int) -> Figure:
    both, one = sums_5B[TIED_BY_BOTH], sums_5B[TIED_BY_ONE]
    why_not = "nobody tied what another ranked too"
    return figure(ratio(both, both + one), num=(both + one)[0], num_tasks=int(num_tasks), why_not=why_not)
