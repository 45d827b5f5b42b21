"""Agreement by how far apart two responses are: near ones are hard for everybody, far ones should not be.

- by one's own ranks: when one labeler places two responses d ranks apart, how often does another order them the same
  way? Every couple is asked in both directions.
- by the mean rank: the distance of the two means over all of the task's labelers. The means hold the very judgements
  that are compared, so near 0 the agreement is low by construction; it shows which part of the work is hard, no more.

Shapes: T tasks, N labelers, K responses, P pairs of responses, D distances.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from labeling.services.agreement.couples import NUM_KINDS, TIED_BY_BOTH, TIED_BY_ONE, kind_of, orders
from labeling.services.agreement.grading import TieRule
from labeling.services.agreement.judged import Ints, Judged, Shape
from labeling.services.agreement.resampling import Figure, Resamples, figure, ratio
from labeling.services.agreement.shares import Entries, Share, shares

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
    own_entries = _entries([part for shape in judged.shapes() for part in _own(shape)])
    own = shares(own_entries, num_groups=len(OWN_LABELS), resamples=resamples)
    mean_entries = _entries([part for shape in judged.shapes() for part in _mean(shape)])
    mean = shares(mean_entries, num_groups=len(MEAN_LABELS), resamples=resamples)
    is_tied = (own_entries.group_E == 0).astype(np.int64)
    num_tasks = own_entries.num_tasks(is_tied, num_groups=1)[0]
    return ByDistance(
        own=_steps(OWN_LABELS, own)[1:], mean=_steps(MEAN_LABELS, mean), also_tied=_tied(own[0], num_tasks)
    )


def _own(shape: Shape) -> Iterator[Entries]:
    a, b = np.triu_indices(shape.ranks_TNK.shape[-1], k=1)
    orders_TNP = orders(shape.ranks_TNK)
    for i, j in permutations(range(orders_TNP.shape[1]), 2):
        apart_TP = abs(shape.ranks_TNK[:, i][:, a] - shape.ranks_TNK[:, i][:, b])
        yield _counted(shape, kind_of(orders_TNP[:, i], orders_TNP[:, j]), apart_TP, num=len(OWN_LABELS))


def _mean(shape: Shape) -> Iterator[Entries]:
    a, b = np.triu_indices(shape.ranks_TNK.shape[-1], k=1)
    orders_TNP, sum_TK = orders(shape.ranks_TNK), shape.ranks_TNK.sum(axis=1)
    apart_TP = abs(sum_TK[:, a] - sum_TK[:, b]) // orders_TNP.shape[1]  # of whole numbers: no rounding
    for i, j in permutations(range(orders_TNP.shape[1]), 2):
        if i < j:
            yield _counted(shape, kind_of(orders_TNP[:, i], orders_TNP[:, j]), apart_TP, num=len(MEAN_LABELS))


def _counted(shape: Shape, kind_TP: Ints, apart_TP: Ints, *, num: int) -> Entries:
    """The kinds of each task's pairs at each distance."""
    num_tasks = len(kind_TP)
    cell_TP = (np.arange(num_tasks)[:, None] * num + np.minimum(apart_TP, num - 1)) * NUM_KINDS + kind_TP
    kinds = np.bincount(cell_TP.ravel(), minlength=num_tasks * num * NUM_KINDS).reshape(-1, NUM_KINDS)
    task, group = np.repeat(shape.tasks_T, num), np.tile(np.arange(num), num_tasks)
    is_there = kinds.any(axis=1)
    return Entries(task[is_there], group[is_there], kinds[is_there])


def _entries(parts: Sequence[Entries]) -> Entries:
    nothing = np.zeros(0, dtype=np.int64)
    return Entries(
        np.concatenate([nothing, *(part.task_E for part in parts)]),
        np.concatenate([nothing, *(part.group_E for part in parts)]),
        np.concatenate([np.zeros((0, NUM_KINDS), dtype=np.int64), *(part.kinds for part in parts)]),
    )


def _steps(labels: Sequence[str], found: Sequence[Share]) -> list[Step]:
    return [Step(label, share.agreement) for label, share in zip(labels, found, strict=True)]


def _tied(found: Share, num_tasks: int) -> Figure:
    both, one = found.sums[TIED_BY_BOTH], found.sums[TIED_BY_ONE]
    why_not = "nobody tied what another ranked too"
    return figure(ratio(both, both + one), num=(both + one)[0], num_tasks=int(num_tasks), why_not=why_not)
