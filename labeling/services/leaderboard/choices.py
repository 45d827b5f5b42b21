"""Rankings as choices: each is a set of responses out of which one was taken as the best of those left.

- Plackett–Luce: a ranking takes the best of K, then the best of the K - 1 left, and so on. Responses tied with each
  other are taken in every order, all equally likely, and the mean of the log-likelihoods counts. A tie of two out of
  two is then half a win for each, as in Bradley–Terry.
- Bradley–Terry: every two responses are a choice of one out of two; a tie is half a win for each.

In both, each response is taken once per choice set it is judged in, so a data set is how often each set came up, and
how often each model's responses were taken. Responses of one model among themselves say nothing, and weigh nothing.

Rankings are sorted by rank and split by the sizes of their rungs: all of one pattern (3 responses: “best, then two
tied”) are turned into choices at once.

Shapes: R rankings, K responses, L responses left in a set, T tasks, S sets, M models, E entries.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations
from math import comb
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rungs = tuple[int, ...]  # how many responses share each rank, the best first
MAX_EXACT = 6  # tied responses of which every order is taken; of more, the rotations of their order


class Judgement(NamedTuple):
    task: int  # from 0
    models: Sequence[int]  # from 0, by position
    ranks: Sequence[int]


class Choice(NamedTuple):
    left: Sequence[int]  # places in the sorted ranking
    weight: float
    taken: Sequence[float]  # how much each of these was taken


@dataclass(frozen=True)
class Sorted:
    """Rankings with the same rungs, their models from best to worst."""

    rungs: Rungs
    task_R: Ints
    models_RK: Ints


@dataclass(frozen=True)
class Choices:
    num_in_set_SM: Floats
    times_TS: Any  # sparse: how often each set came up in each task
    taken_TM: Floats

    @property
    def num_models(self) -> int:
        return int(self.num_in_set_SM.shape[1])


def plackett_luce(judgements: Sequence[Judgement], *, num_tasks: int, num_models: int) -> Choices:
    return _choices(judgements, stages, num_tasks=num_tasks, num_models=num_models)


def bradley_terry(judgements: Sequence[Judgement], *, num_tasks: int, num_models: int) -> Choices:
    return _choices(judgements, pairs, num_tasks=num_tasks, num_models=num_models)


def stages(rungs: Rungs) -> Iterator[Choice]:
    """What is left, stage by stage."""
    num = sum(rungs)
    for start, num_tied in zip(accumulate(rungs, initial=0), rungs, strict=False):
        later = range(start + num_tied, num)
        for left, weight in left_of(range(start, start + num_tied)):
            yield Choice([*left, *later], weight, [weight / len(left)] * len(left) + [0.0] * len(later))


def pairs(rungs: Rungs) -> Iterator[Choice]:
    rung_of = [number for number, num_tied in enumerate(rungs) for _ in range(num_tied)]
    for a, b in combinations(range(len(rung_of)), 2):
        is_tied = rung_of[a] == rung_of[b]
        yield Choice([a, b], 1.0, [0.5, 0.5] if is_tied else [1.0, 0.0])


def left_of(tied: Sequence[int]) -> Iterator[tuple[Sequence[int], float]]:
    """What may be left of tied responses while they are taken one by one, and how likely: every order is as likely."""
    num = len(tied)
    for size in range(num, 0, -1):
        if num <= MAX_EXACT:
            for left in combinations(tied, size):
                yield left, 1 / comb(num, size)
        elif size == num:
            yield tied, 1.0
        else:
            for start in range(num):
                yield [tied[(start + step) % num] for step in range(size)], 1 / num


def by_rungs(judgements: Sequence[Judgement]) -> Iterator[Sorted]:
    for size in sorted({len(judgement.ranks) for judgement in judgements}):
        of_size = [judgement for judgement in judgements if len(judgement.ranks) == size]
        task_R = np.array([judgement.task for judgement in of_size], dtype=np.int64)
        ranks_RK = np.array([judgement.ranks for judgement in of_size], dtype=np.int64)
        order_RK = np.argsort(ranks_RK, axis=1, kind="stable")
        models_RK = np.take_along_axis(np.array([judgement.models for judgement in of_size]), order_RK, axis=1)
        falls_RK = np.diff(np.take_along_axis(ranks_RK, order_RK, axis=1), axis=1) > 0
        patterns, pattern_R = np.unique(falls_RK, axis=0, return_inverse=True)
        for number, falls in enumerate(patterns):
            ends = [*np.flatnonzero(falls).tolist(), size - 1]
            is_in = pattern_R.ravel() == number
            rungs = tuple(int(num) for num in np.diff([-1, *ends]))
            yield Sorted(rungs, task_R[is_in], models_RK[is_in])


def _choices(
    judgements: Sequence[Judgement], split: Callable[[Rungs], Iterator[Choice]], *, num_tasks: int, num_models: int
) -> Choices:
    from scipy.sparse import coo_matrix  # takes a while to load, and few processes need it

    drawn = [_drawn(found, choice) for found in by_rungs(judgements) for choice in split(found.rungs)]
    width = max((len(judgement.ranks) for judgement in judgements), default=1)
    task_E = np.concatenate([np.zeros(0, dtype=np.int64), *(part.task_E for part in drawn)])
    weight_E = np.concatenate([np.zeros(0), *(np.full(len(part.task_E), part.weight) for part in drawn)])
    sets_SK, set_E = _numbered([part.models_EL for part in drawn], width=width, num_models=num_models)
    num_in_set_SM = (sets_SK[:, :, None] == np.arange(num_models)).sum(axis=1).astype(float)
    times_TS = coo_matrix((weight_E, (task_E, set_E)), shape=(num_tasks, len(sets_SK))).tocsr()
    return Choices(num_in_set_SM, times_TS, _taken(drawn, num_tasks=num_tasks, num_models=num_models))


class _Drawn(NamedTuple):
    """The same choice in many rankings, of which those between responses of one model are left out."""

    task_E: Ints
    models_EL: Ints
    weight: float
    taken: Sequence[float]


def _drawn(found: Sorted, choice: Choice) -> _Drawn:
    models_RL = found.models_RK[:, list(choice.left)]
    says_something = (models_RL != models_RL[:, :1]).any(axis=1)
    return _Drawn(found.task_R[says_something], models_RL[says_something], choice.weight, choice.taken)


def _numbered(models: Sequence[Ints], *, width: int, num_models: int) -> tuple[Ints, Ints]:
    """The different sets, filled up with -1, and the number of each entry's."""
    filled = [
        np.pad(np.sort(part, axis=1), ((0, 0), (width - part.shape[1], 0)), constant_values=-1) for part in models
    ]
    sets_EK = np.concatenate([np.zeros((0, width), dtype=np.int64), *filled])
    if (num_models + 1.0) ** width >= 2**62:
        sets_SK, set_E = np.unique(sets_EK, axis=0, return_inverse=True)
        return sets_SK, set_E.ravel()
    code_E = (sets_EK + 1) @ (num_models + 1) ** np.arange(width, dtype=np.int64)  # many times faster
    _, first, set_E = np.unique(code_E, return_index=True, return_inverse=True)
    return sets_EK[first], set_E


def _taken(drawn: Sequence[_Drawn], *, num_tasks: int, num_models: int) -> Floats:
    cells, amounts = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for part in drawn:
        for place, share in enumerate(part.taken):
            if share:
                cells.append(part.task_E * num_models + part.models_EL[:, place])
                amounts.append(np.full(len(part.task_E), share))
    taken = np.bincount(np.concatenate(cells), np.concatenate(amounts), minlength=num_tasks * num_models)
    return taken.astype(np.float64).reshape(num_tasks, num_models)
