"""How unsure reward models are of a prompt's responses, and how much people's order surprises one; in bits a pair.

By a reward model, the chance that response a is better than b is σ(s_a − s_b), as its loss says (Bradley–Terry). All
three measures are means over the pairs of responses, so that more responses are not more uncertain by their number.
The web application chooses and sorts tasks by them, the engine's benchmark simulates the choice: one place for both.

Shapes: M models, K responses of one prompt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

LN2: Final = math.log(2)
Scores = Sequence[float]


@dataclass(frozen=True)
class Surprise:
    """What a ranking said of the pairs that it ranks apart, beside what the model expected.

    `bits` is summed over the pairs: −log₂ of the chance that the model gave to the order that was given, less the
    entropy of that chance, which is what the model itself expects to be surprised by. People who judge as the model
    says come to 0 on average; above it they contradict what the model is sure of.
    """

    bits: float
    num_pairs: int
    num_against: float  # the model has it the other way round; equal scores are half

    def __add__(self, other: "Surprise") -> "Surprise":
        return Surprise(self.bits + other.bits, self.num_pairs + other.num_pairs, self.num_against + other.num_against)

    @property
    def bits_per_pair(self) -> float | None:
        return self.bits / self.num_pairs if self.num_pairs else None


NO_SURPRISE: Final = Surprise(0.0, 0, 0.0)


def chance(margin: float) -> float:
    """σ(margin): how likely the model holds the response that is ahead by so much to be better."""
    if margin < 0:
        return 1 - chance(-margin)
    return 1 / (1 + math.exp(-margin))


def entropy(probability: float) -> float:
    """Of a yes with this probability, in bits: 1 at one half, 0 where it is sure."""
    return sum(-part * math.log2(part) for part in (probability, 1 - probability) if part > 0)


def pair_entropy(scores_MK: Sequence[Scores]) -> float:
    """How open the order is: the mean entropy of the pairs by the models' mean chance, 0 (sure) to 1 (all alike).

    With one model this is how small its margins are.
    """
    chances_PM = _chances(scores_MK)
    return math.fsum(entropy(_mean(chances_M)) for chances_M in chances_PM) / len(chances_PM)


def model_disagreement(scores_MK: Sequence[Scores]) -> float:
    """What of that openness another model would settle: entropy of the mean chance less the mean of the models' own.

    It is the mutual information between the answer and the model (Houlsby et al. 2011, arXiv 1112.5745): high where
    each model is sure and they contradict each other, 0 where all say the same, be it “even”. From 0 to 1.
    """
    if len(scores_MK) < 2:
        raise ValueError("models disagree from two on")
    chances_PM = _chances(scores_MK)
    parts = [entropy(_mean(chances_M)) - _mean([entropy(p) for p in chances_M]) for chances_M in chances_PM]
    return max(0.0, math.fsum(parts) / len(parts))


def surprise(scores_K: Scores, ranks_K: Sequence[int]) -> Surprise:
    """Of one ranking (1 is best; a tie is no pair), by one model's scores."""
    bits, num_pairs, num_against = [], 0, 0.0
    for (one, rank), (other, other_rank) in combinations(zip(scores_K, ranks_K, strict=True), 2):
        if rank == other_rank:
            continue
        margin = one - other if rank < other_rank else other - one
        bits.append(_log2_of_one_plus_exp(-margin) - _expected(margin))
        num_pairs += 1
        num_against += 0.5 if margin == 0 else float(margin < 0)
    return Surprise(math.fsum(bits), num_pairs, num_against)


def _chances(scores_MK: Sequence[Scores]) -> list[list[float]]:
    """By pair, each model's chance that the first is better."""
    num = {len(scores_K) for scores_K in scores_MK}
    if len(num) != 1 or min(num) < 2:
        raise ValueError("each model has to score the same two responses or more")
    pairs = combinations(range(num.pop()), 2)
    return [[chance(scores_K[a] - scores_K[b]) for scores_K in scores_MK] for a, b in pairs]


def _expected(margin: float) -> float:
    """The entropy of σ(margin), exact for large margins, too."""
    probability = chance(margin)
    return probability * _log2_of_one_plus_exp(-margin) + (1 - probability) * _log2_of_one_plus_exp(margin)


def _log2_of_one_plus_exp(value: float) -> float:
    """−log₂ σ(−value) without overflow."""
    return (max(value, 0.0) + math.log1p(math.exp(-abs(value)))) / LN2


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
