"""How many more comparisons until the interval of a win rate is narrow enough: by what is seen so far.

A prompt's score is the mean of its judgements (1 won, ½ tied, 0 lost), and the win rate is the mean over n prompts. Its
interval is about ± 1.96 s / √n, where s² is the variance of the scores. Of s² a part is between prompts (σ²), and a
part is between the J judgements of one prompt (τ² / J): more prompts narrow both, more judgements only the second.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

Z: Final = 1.959964  # of a 95 % interval
MIN_PROMPTS: Final = 20  # of fewer the variance itself is known to no better than a fifth
TOO_FEW: Final = f"too few to tell: it takes {MIN_PROMPTS} judged prompts"
ALL_THE_SAME: Final = "too few to tell: every prompt says the same"
ONE_JUDGEMENT: Final = "nobody can tell from one judgement per task how much people differ"
NEVER: Final = "no number of judgements is enough: these prompts themselves differ too much"

Scores = Sequence[Sequence[float]]  # by prompt, the scores that its judgements gave


@dataclass(frozen=True)
class Need:
    """`total`: of prompts, or of judgements per task; None where nobody can tell, and `why_not` says so."""

    total: int | None
    why_not: str = ""


def half_width(scores: Scores) -> float | None:
    """Of the interval as it is now; None where nobody can tell."""
    if _why_not(scores):
        return None
    return float(Z * math.sqrt(_means(scores).var(ddof=1) / len(scores)))


def prompts_wanted(scores: Scores, *, wanted: float) -> Need:
    """In all, with as many judgements each as so far, until the interval is ± `wanted`."""
    if why_not := _why_not(scores):
        return Need(None, why_not)
    return Need(math.ceil(_means(scores).var(ddof=1) * (Z / wanted) ** 2))


def judgements_wanted(scores: Scores, *, wanted: float, num_prompts: int) -> Need:
    """Per task, in all, on `num_prompts` prompts, until the interval is ± `wanted`."""
    if why_not := _why_not(scores):
        return Need(None, why_not)
    repeated = [np.asarray(given) for given in scores if len(given) > 1]
    if not repeated:
        return Need(None, ONE_JUDGEMENT)
    degrees = sum(len(given) - 1 for given in repeated)
    within = sum(((given - given.mean()) ** 2).sum() for given in repeated) / degrees
    between = max(0.0, _means(scores).var(ddof=1) - within * np.mean([1 / len(given) for given in scores]))
    room = num_prompts * (wanted / Z) ** 2 - between
    return Need(math.ceil(within / room) or 1) if room > 0 else Need(None, NEVER)


def _why_not(scores: Scores) -> str:
    if len(scores) < MIN_PROMPTS:
        return TOO_FEW
    return "" if _means(scores).var() > 0 else ALL_THE_SAME


def _means(scores: Scores) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.array([sum(given) / len(given) for given in scores])
