"""Rankings as choices: each is a set of responses out of which one was taken as the best of those left.

- Plackett–Luce: a ranking takes the best of K, then the best of the K - 1 left, and so on. Responses tied with each
  other are taken in every order, all equally likely, and the mean of the log-likelihoods counts. A tie of two out of
  two is then half a win for each, as in Bradley–Terry.
- Bradley–Terry: every two responses are a choice of one out of two; a tie is half a win for each.

In both, each response is taken once per choice set it is judged in, so a data set is how often each set came up, and
how often each model's responses were taken. Responses of one model among themselves say nothing, and weigh nothing.

Shapes: T tasks, S sets, M models.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ModelSet = tuple[int, ...]  # sorted; a model of two responses stands in it twice
MAX_EXACT = 6  # tied responses of which every order is taken; of more, the rotations of their order


class Judgement(NamedTuple):
    task: int  # from 0
    models: Sequence[int]  # from 0, by position
    ranks: Sequence[int]


@dataclass(frozen=True)
class Choices:
    num_in_set_SM: Floats
    times_TS: Any  # sparse: how often each set came up in each task
    taken_TM: Floats

    @property
    def num_models(self) -> int:
        return int(self.num_in_set_SM.shape[1])


def plackett_luce(judgements: Iterable[Judgement], *, num_tasks: int, num_models: int) -> Choices:
    return _choices(judgements, stages, num_tasks=num_tasks, num_models=num_models)


def bradley_terry(judgements: Iterable[Judgement], *, num_tasks: int, num_models: int) -> Choices:
    return _choices(judgements, pairs, num_tasks=num_tasks, num_models=num_models)


def stages(judgement: Judgement) -> Iterator[tuple[ModelSet, float, Sequence[float]]]:
    """(what was left, its weight, how often each of these was taken) for one ranking."""
    order = sorted(range(len(judgement.ranks)), key=lambda position: judgement.ranks[position])
    later = [judgement.models[position] for position in order]
    while later:
        rank = judgement.ranks[order[0]]
        num_tied = sum(judgement.ranks[position] == rank for position in order)
        tied, later, order = later[:num_tied], later[num_tied:], order[num_tied:]
        for left, weight in left_of(tied):
            left_models = [*left, *later]
            taken = [weight / len(left)] * len(left) + [0.0] * len(later)
            yield from _if_of_several(left_models, weight, taken)


def pairs(judgement: Judgement) -> Iterator[tuple[ModelSet, float, Sequence[float]]]:
    for a, b in combinations(range(len(judgement.ranks)), 2):
        first = 0.5 + 0.5 * ((judgement.ranks[a] < judgement.ranks[b]) - (judgement.ranks[a] > judgement.ranks[b]))
        yield from _if_of_several([judgement.models[a], judgement.models[b]], 1.0, [first, 1 - first])


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


def _if_of_several(
    models: Sequence[int], weight: float, taken: Sequence[float]
) -> Iterator[tuple[ModelSet, float, Sequence[float]]]:
    """A choice between responses of one model says nothing."""
    if len(set(models)) > 1:
        order = sorted(range(len(models)), key=lambda index: models[index])
        yield tuple(models[index] for index in order), weight, [taken[index] for index in order]


def _choices(judgements: Iterable[Judgement], split: Any, *, num_tasks: int, num_models: int) -> Choices:
    from scipy.sparse import coo_matrix  # takes a while to load, and few processes need it

    number: dict[ModelSet, int] = {}
    times: Counter[tuple[int, int]] = Counter()
    taken_TM = np.zeros((num_tasks, num_models))
    for judgement in judgements:
        for models, weight, taken in split(judgement):
            times[judgement.task, number.setdefault(models, len(number))] += weight
            for model, share in zip(models, taken, strict=True):
                taken_TM[judgement.task, model] += share
    num_in_set_SM = np.zeros((len(number), num_models))
    for models, row in number.items():
        np.add.at(num_in_set_SM[row], list(models), 1.0)
    places = np.array(list(times), dtype=np.int64).reshape(-1, 2).T
    times_TS = coo_matrix((list(times.values()), (places[0], places[1])), shape=(num_tasks, len(number)))
    return Choices(num_in_set_SM, times_TS.tocsr(), taken_TM)
