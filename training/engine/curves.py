"""Accuracy per number of rankings: nested training sets, and intervals of what was learned from them.

Several seeds draw the training sets anew; all models answer for the same held-out pairs. An interval is a 95 %
percentile bootstrap that draws both whole prompts and seeds again, so it holds what the held-out prompts happened to
be and what the drawn training sets happened to be. Two curves are compared within each resample: their difference has
an interval of its own, which is narrower than theirs suggest.

Shapes: S seeds, G held-out prompts, B resamples.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import numpy as np

from training.engine.batches import Element
from training.engine.report import judged_pairs

Floats = np.ndarray[Any, np.dtype[np.float64]]
PERCENTILES: Final = (2.5, 97.5)


@dataclass(frozen=True)
class Answers:
    """Of one model: how many pairs of each held-out prompt it has right (equal scores: half), and how many there
    are."""

    right_G: tuple[float, ...]
    pairs_G: tuple[int, ...]

    @property
    def accuracy(self) -> float:
        return sum(self.right_G) / sum(self.pairs_G)


def budgets(most: int, *, num_points: int) -> list[int]:
    """Numbers of rankings, each twice the one before, the last one `most`; fewer where it cannot be halved so often."""
    return sorted({round(most / 2**step) for step in range(num_points)} - {0})


def shuffled(elements: Sequence[Element], *, seed: int) -> list[Element]:
    """The order in which a seed takes the prompts in; a beginning of it is a training set, so the sets are nested."""
    return Random(seed).sample(list(elements), len(elements))


def beginning(elements: Sequence[Element], *, num_rankings: int) -> list[Element]:
    """The first elements that hold exactly so many rankings: the last one gives only as many as are wanted.

    Raises ValueError when there are not so many.
    """
    taken: list[Element] = []
    left = num_rankings
    for element in elements:
        if not left:
            break
        kept = element.rankings[:left]
        taken.append(replace(element, rankings=kept))
        left -= len(kept)
    if left:
        raise ValueError(f"{num_rankings} rankings are wanted, and {left} of them are not there")
    return taken


def answers(elements: Sequence[Element], scores: Sequence[Sequence[float]]) -> Answers:
    """What a model's scores have right, by prompt. Prompts without a pair do not count."""
    right: dict[str, float] = {}
    pairs: Counter[str] = Counter()
    for pair in judged_pairs(elements, scores):
        right[pair.prompt_id] = right.get(pair.prompt_id, 0.0) + pair.right
        pairs[pair.prompt_id] += 1
    return Answers(right_G=tuple(right.values()), pairs_G=tuple(pairs[name] for name in right))


class Resamples:
    """The same draws of prompts and seeds for everything that is compared."""

    def __init__(self, *, num_prompts: int, num_seeds: int, num_samples: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        drawn_BG = rng.multinomial(num_prompts, np.full(num_prompts, 1 / num_prompts), size=num_samples)
        drawn_BS = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=num_samples)
        self._drawn_BG = np.vstack([np.ones((1, num_prompts)), drawn_BG])  # the first is the data as they are
        self._drawn_BS = np.vstack([np.ones((1, num_seeds)), drawn_BS])

    def accuracies(self, of_seeds: Sequence[Answers]) -> Floats:
        """[1 + B]: the share of pairs that the models of all seeds have right, as it is and in each resample."""
        right_SG = np.array([found.right_G for found in of_seeds])
        pairs_SG = np.array([found.pairs_G for found in of_seeds], dtype=float)
        right_B = (self._drawn_BS * (self._drawn_BG @ right_SG.T)).sum(axis=1)
        pairs_B = (self._drawn_BS * (self._drawn_BG @ pairs_SG.T)).sum(axis=1)
        shares_B: Floats = right_B / pairs_B
        return shares_B


def interval(values_B: Floats) -> dict[str, float]:
    """`value` as it is, and the ends of its 95 % interval."""
    low, high = np.percentile(values_B[1:], PERCENTILES)
    return {"value": float(values_B[0]), "low": float(low), "high": float(high)}
