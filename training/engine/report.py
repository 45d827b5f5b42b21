"""What a reward model is worth: pair accuracy with intervals, by category, rank distance and difference in length;
calibration; correlation with length.

A pair is two responses of one prompt that one labeler ranked apart (ties make no pair). It is right when the better
one has the higher score; equal scores count one half. Intervals are 95 % percentile bootstraps that resample prompts,
because the pairs of a prompt are not independent.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from training.engine.batches import Element, Ranking

CALIBRATION_BINS: Final = 10
LENGTH_GROUPS: Final = (
    ("less_than_half", 0.0, 0.5),
    ("shorter", 0.5, 0.9),
    ("alike", 0.9, 1.1),
    ("longer", 1.1, 2.0),
    ("twice_or_more", 2.0, math.inf),
)
"""How long the better response is beside the worse: name, and the ratio of tokens from (included) and to (not)."""


@dataclass(frozen=True)
class Pair:
    """One judged pair: which prompt, how far apart in rank, the score of the better minus that of the worse, and the
    tokens of the better over those of the worse."""

    prompt_id: str
    split: str
    category: str
    held_out: bool
    distance: int
    margin: float
    length_ratio: float

    @property
    def right(self) -> float:
        """1 right, 0 wrong, 0.5 equal scores."""
        return 0.5 if self.margin == 0 else float(self.margin > 0)


def judged_pairs(elements: Sequence[Element], scores: Sequence[Sequence[float]]) -> list[Pair]:
    """Every pair of every ranking. `scores[e][r]` is the score of response r of element e."""
    return [
        pair
        for element, values in zip(elements, scores, strict=True)
        for ranking in element.rankings
        for pair in _pairs_of(element, ranking, values)
    ]


def reward_report(
    elements: Sequence[Element], scores: Sequence[Sequence[float]], *, num_samples: int, seed: int
) -> dict[str, Any]:
    """The whole report as JSON values.

    `accuracy` has train, valid and test (labelers that trained), `held_out_labelers` (all prompts) and
    `held_out_labelers_new_prompts` (prompts that did not train either). A group without pairs is null.
    """
    pairs = judged_pairs(elements, scores)
    rng = np.random.default_rng(seed)
    unseen = [pair for pair in pairs if pair.split != "train"]

    def measure(chosen: Iterable[Pair]) -> dict[str, Any] | None:
        return accuracy(list(chosen), num_samples=num_samples, rng=rng)

    return {
        "accuracy": {name: measure(filter(belongs, pairs)) for name, belongs in _GROUPS.items()},
        "by_category": {
            name: measure(pair for pair in unseen if pair.category == name)
            for name in sorted({pair.category for pair in unseen})
        },
        "by_rank_distance": {
            str(distance): measure(pair for pair in unseen if pair.distance == distance)
            for distance in sorted({pair.distance for pair in unseen})
        },
        "by_length_difference": {
            name: measure(pair for pair in unseen if low <= pair.length_ratio < high)
            for name, low, high in LENGTH_GROUPS
        },
        "calibration": calibration(unseen),
        "length": length_correlation(elements, scores),
        "human_agreement": human_agreement(elements, num_samples=num_samples, rng=rng),
    }


def accuracy(pairs: Sequence[Pair], *, num_samples: int, rng: np.random.Generator) -> dict[str, Any] | None:
    """Share of right pairs with its interval, or None without pairs."""
    return share_with_interval([(pair.prompt_id, pair.right) for pair in pairs], num_samples=num_samples, rng=rng)


def share_with_interval(
    outcomes: Sequence[tuple[str, float]], *, num_samples: int, rng: np.random.Generator
) -> dict[str, Any] | None:
    """Mean of the outcomes of (prompt, outcome) and the 95 % bootstrap interval over prompts.

    One prompt alone has no interval (null): resampling it says nothing.
    """
    if not outcomes:
        return None
    names = {name: index for index, name in enumerate(dict.fromkeys(name for name, _ in outcomes))}
    which = np.array([names[name] for name, _ in outcomes])
    right_P = np.bincount(which, weights=[value for _, value in outcomes], minlength=len(names))
    total_P = np.bincount(which, minlength=len(names))
    rate = rate_with_interval(right_P, total_P, num_samples=num_samples, rng=rng)
    return rate | {"num_pairs": len(outcomes), "num_prompts": len(names)}


def rate_with_interval(
    above_P: "Sequence[float] | np.ndarray[Any, Any]",
    below_P: "Sequence[float] | np.ndarray[Any, Any]",
    *,
    num_samples: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Σ above / Σ below with its 95 % bootstrap interval, which redraws the P parts; one part alone has none (null)."""
    above_P, below_P = np.asarray(above_P), np.asarray(below_P)
    low, high = _interval(above_P, below_P, num_samples, rng) if len(above_P) > 1 else (None, None)
    return {"value": float(above_P.sum() / below_P.sum()), "low": low, "high": high}


def calibration(pairs: Sequence[Pair]) -> dict[str, Any] | None:
    """Is a pair that the model calls with 80 % right 80 % of the time?

    The probability of the model's own choice is σ(|margin|), from 0.5 to 1; `error` is the mean distance between it
    and the share that was right, weighted by pairs (expected calibration error).
    """
    if not pairs:
        return None
    probability = np.array([1 / (1 + math.exp(-min(abs(pair.margin), 700.0))) for pair in pairs])
    right = np.array([pair.right for pair in pairs])
    bins = np.minimum(((probability - 0.5) * 2 * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    curve = [_bin(probability[bins == index], right[bins == index]) for index in np.unique(bins)]
    error = sum(item["num_pairs"] * abs(item["predicted"] - item["observed"]) for item in curve) / len(pairs)
    return {"curve": curve, "error": float(error), "num_pairs": len(pairs)}


def length_correlation(elements: Sequence[Element], scores: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Correlation of score with response length in tokens: over all responses, and within prompts (both less the
    prompt's mean). Null where either does not vary."""
    lengths = [[len(response) for response in element.responses] for element in elements]
    within = [np.array(values) - np.mean(values) for values in scores], [np.array(x) - np.mean(x) for x in lengths]
    return {
        "correlation": _correlation(np.concatenate([np.array(v) for v in scores]), np.concatenate(lengths)),
        "correlation_within_prompts": _correlation(np.concatenate(within[0]), np.concatenate(within[1])),
        "num_responses": sum(len(values) for values in scores),
    }


def human_agreement(
    elements: Sequence[Element], *, num_samples: int, rng: np.random.Generator
) -> dict[str, Any] | None:
    """How often two labelers agree on a pair that both ranked apart: the ceiling that the accuracy stands beside."""
    outcomes = [
        (element.prompt_id, float(agree))
        for element in elements
        for first, second in combinations(element.rankings, 2)
        if first.labeler != second.labeler
        for agree in _agreements(first, second)
    ]
    return share_with_interval(outcomes, num_samples=num_samples, rng=rng)


_GROUPS: Final[dict[str, Callable[[Pair], bool]]] = {
    "train": lambda pair: pair.split == "train" and not pair.held_out,
    "valid": lambda pair: pair.split == "valid" and not pair.held_out,
    "test": lambda pair: pair.split == "test" and not pair.held_out,
    "held_out_labelers": lambda pair: pair.held_out,
    "held_out_labelers_new_prompts": lambda pair: pair.held_out and pair.split != "train",
}


def _pairs_of(element: Element, ranking: Ranking, scores: Sequence[float]) -> list[Pair]:
    judged = list(zip(ranking.positions, ranking.ranks, strict=True))
    return [
        Pair(
            prompt_id=element.prompt_id,
            split=element.split,
            category=element.category,
            held_out=ranking.held_out,
            distance=worse_rank - better_rank,
            margin=scores[better] - scores[worse],
            length_ratio=len(element.responses[better]) / len(element.responses[worse]),
        )
        for better, better_rank in judged
        for worse, worse_rank in judged
        if better_rank < worse_rank
    ]


def _interval(
    right_P: "np.ndarray[Any, Any]", total_P: "np.ndarray[Any, Any]", num_samples: int, rng: np.random.Generator
) -> tuple[float, float]:
    draws = rng.integers(0, len(right_P), size=(num_samples, len(right_P)))
    shares = right_P[draws].sum(axis=1) / total_P[draws].sum(axis=1)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


def _bin(probability: "np.ndarray[Any, Any]", right: "np.ndarray[Any, Any]") -> dict[str, Any]:
    return {"predicted": float(probability.mean()), "observed": float(right.mean()), "num_pairs": len(right)}


def _correlation(first: "np.ndarray[Any, Any]", second: "np.ndarray[Any, Any]") -> float | None:
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _agreements(first: Ranking, second: Ranking) -> list[bool]:
    other = dict(zip(second.positions, second.ranks, strict=True))
    judged = [(rank, other[place]) for place, rank in zip(first.positions, first.ranks, strict=True) if place in other]
    return [(a[0] < b[0]) == (a[1] < b[1]) for a, b in combinations(judged, 2) if a[0] != b[0] and a[1] != b[1]]
