"""A ranking in words."""

from collections.abc import Sequence
from itertools import groupby


def in_words(ranks: Sequence[int]) -> str:
    """[2, 1, 2, 3] is “2 > 1 = 3 > 4”: responses by their number in the task, best first, ties joined."""
    places = sorted(range(len(ranks)), key=lambda position: ranks[position])
    rungs = groupby(places, key=lambda position: ranks[position])
    return " > ".join(" = ".join(str(position + 1) for position in rung) for _, rung in rungs)
