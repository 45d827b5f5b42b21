"""From what people left in a file to ranks: 1 is best, ties share a number, no gaps. Pure functions."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from labeling.services.imports.reasons import JUDGEMENT_DOES_NOT_FIT, Refused

Wins = set[tuple[int, int]]  # (better, worse)


def dense(values: Sequence[float]) -> list[int]:
    """Ranks of values where the lowest is best: [1, 1, 3] and [0, 0, 7] are both [1, 1, 2]."""
    order = {value: place for place, value in enumerate(sorted(set(values)), start=1)}
    return [order[value] for value in values]


def from_ranks(values: Any, *, num_responses: int, where: str) -> list[int] | None:
    """The file's ranks without gaps; None when one is missing."""
    numbers = _numbers(values, num_responses=num_responses, where=where)
    return dense(numbers) if numbers is not None else None


def from_ratings(values: Any, *, num_responses: int, where: str) -> list[int] | None:
    """Ranks by rating, the highest first, equal ratings tied; None when one is missing."""
    numbers = _numbers(values, num_responses=num_responses, where=where)
    return dense([-number for number in numbers]) if numbers is not None else None


def overall(ratings: Any) -> list[Any] | None:
    """One number for each response: the number itself, or `overall` of its criteria. None if a criterion is missing."""
    if not isinstance(ratings, list):
        return None
    if any(isinstance(item, Mapping) and "overall" not in item for item in ratings):
        return None
    return [item["overall"] if isinstance(item, Mapping) else item for item in ratings]


def from_comparisons(pairs: Sequence[tuple[int, int, str]], *, num_responses: int) -> list[int] | None:
    """Ranks if the pairs (a, b, "a"|"b"|"tie") leave exactly one weak order of all responses; None otherwise.

    Ties join responses to one rung; every rung must then be above the next by a judgement. A pair that nobody judged
    and that does not follow from others leaves the order open; a circle contradicts it. Neither is a ranking.
    """
    rung = _rungs([(a, b) for a, b, winner in pairs if winner == "tie"], num_responses=num_responses)
    wins: Wins = {(a, b) if winner == "a" else (b, a) for a, b, winner in pairs if winner != "tie"}
    above: Wins = {(rung[better], rung[worse]) for better, worse in wins}
    order = _only_order(set(rung), above)
    return [order.index(rung[index]) + 1 for index in range(num_responses)] if order else None


def num_against(pairs: Sequence[tuple[int, int, str]], ranks: Sequence[int]) -> int:
    """How many single judgements these ranks contradict."""
    expected = {-1: "a", 0: "tie", 1: "b"}
    return sum(winner != expected[(ranks[a] > ranks[b]) - (ranks[a] < ranks[b])] for a, b, winner in pairs)


def _rungs(ties: Sequence[tuple[int, int]], *, num_responses: int) -> list[int]:
    rung = list(range(num_responses))
    for a, b in ties:
        kept, gone = rung[a], rung[b]
        rung = [kept if item == gone else item for item in rung]
    return rung


def _only_order(rungs: set[Hashable] | set[int], above: Wins) -> list[int] | None:
    """The rungs from best to worst if that order is the only one: at each step just one has nothing left above it."""
    order: list[Any] = []
    left = set(rungs)
    while left:
        beaten = {worse for better, worse in above if better in left}
        top = left - beaten
        if len(top) != 1:
            return None
        order.extend(top)
        left -= top
    return order


def _numbers(values: Any, *, num_responses: int, where: str) -> list[float] | None:
    if not isinstance(values, list) or len(values) != num_responses:
        raise Refused(JUDGEMENT_DOES_NOT_FIT, f"{where}: one number for each of {num_responses} responses is needed")
    if any(value is None for value in values):
        return None
    if not all(map(_is_number, values)):
        raise Refused(JUDGEMENT_DOES_NOT_FIT, f"{where} holds something that is not a number")
    return values


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e15 and not math.isnan(value)
