"""What the scripted labelers like: answers that speak of different things to eat and drink, and come to an end.

A word counts once, so saying it again and again wins nothing; four are enough.
"""

import random
import re
from collections.abc import Sequence
from typing import Final

FOOD: Final = frozenset(  # words that the tiny model's own pretraining text holds
    (
        "soup", "bread", "cake", "apple", "onions", "potatoes", "beans", "salt", "water", "tomatoes", "carrots",
        "lemon", "pear", "cherry", "peas", "jam", "fish", "milk", "tea", "plum", "orange", "fruits", "eat", "eats",
        "ate", "cook",
    )
)  # fmt: skip
ENOUGH: Final = 4
SLIP: Final = 0.1
"""How often a labeler's eye slips by one point on a response."""

END: Final = re.compile(r"""[.!?]["'”]?\s*$""")


def preference(text: str) -> int:
    """0 to 5 points: different words of food, up to four, and one for an end."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    return min(ENOUGH, len(words & FOOD)) + bool(END.search(text))


def ranks(texts: Sequence[str], *, who: str) -> list[int]:
    """Rank 1 for the most points, ties where they are equal; the same labeler slips at the same texts each time."""
    points = [preference(text) + _slip(f"{who}\n{text}") for text in texts]
    order = {value: rank for rank, value in enumerate(sorted(set(points), reverse=True), start=1)}
    return [order[value] for value in points]


def _slip(name: str) -> int:
    chance = random.Random(name)
    return chance.choice((-1, 1)) if chance.random() < SLIP else 0
