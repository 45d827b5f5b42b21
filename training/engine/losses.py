"""The losses of SFT and of the reward model, as pure functions.

Shape legend: N responses of a batch, G rankings, K responses of the longest ranking. Masks are boolean and True means
keep.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

DIVISORS: Final = ("remaining_pairs", "all_pairs")


def pad_rankings(rankings: Sequence[tuple[Sequence[int], Sequence[int]]]) -> tuple[Tensor, Tensor]:
    """(positions, ranks) of each ranking as two tensors [G, K]; rank 0 marks padding."""
    width = max(len(ranks) for _, ranks in rankings)
    index_GK = torch.zeros(len(rankings), width, dtype=torch.long)
    ranks_GK = torch.zeros(len(rankings), width, dtype=torch.long)
    for row, (positions, ranks) in enumerate(rankings):
        index_GK[row, : len(positions)] = torch.as_tensor(positions)
        ranks_GK[row, : len(ranks)] = torch.as_tensor(ranks)
    return index_GK, ranks_GK


def pair_mask(ranks_GK: Tensor) -> Tensor:
    """[G, K, K]: True at [g, w, l] where response w is ranked better than l. Ties and padding are False."""
    kept_GK = ranks_GK > 0
    better_GKK = ranks_GK[:, :, None] < ranks_GK[:, None, :]
    return better_GKK & kept_GK[:, :, None] & kept_GK[:, None, :]


def kwise_losses(scores_N: Tensor, index_GK: Tensor, ranks_GK: Tensor, *, divisor: str) -> tuple[Tensor, Tensor]:
    """The loss of each ranking, [G], and the number of its pairs, [G].

    −1/divisor · Σ_(w,l) log σ(r_w − r_l) over the pairs that are not ties (InstructGPT, equation 1). `divisor` is
    "remaining_pairs" (those pairs) or "all_pairs" (K(K−1)/2). A ranking that is one tie has no pairs and loss 0.
    """
    mask_GKK = pair_mask(ranks_GK)
    num_pairs_G = mask_GKK.sum(dim=(1, 2))
    scores_GK = scores_N[index_GK]
    losses_GKK = -logsigmoid(scores_GK[:, :, None] - scores_GK[:, None, :])
    sum_G = losses_GKK.masked_fill(~mask_GKK, 0.0).sum(dim=(1, 2))
    return sum_G / _divisor(num_pairs_G, ranks_GK, divisor), num_pairs_G


def _divisor(num_pairs_G: Tensor, ranks_GK: Tensor, divisor: str) -> Tensor:
    if divisor == "remaining_pairs":
        return num_pairs_G.clamp_min(1)
    if divisor == "all_pairs":
        lengths_G = (ranks_GK > 0).sum(dim=1)
        return lengths_G * (lengths_G - 1) // 2
    raise ValueError(f"divisor must be one of {', '.join(DIVISORS)}, not {divisor!r}")
