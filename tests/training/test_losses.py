"""The K-wise loss against numbers worked by hand."""

import math

import pytest
import torch

from training.engine.losses import kwise_losses, pad_rankings, pair_mask

SOFT = [math.log(1 + math.exp(-margin)) for margin in range(4)]  # −log σ(margin)


def losses(scores: list[float], *ranks: list[int], divisor: str = "remaining_pairs") -> list[float]:
    index_GK, ranks_GK = pad_rankings([(list(range(len(item))), item) for item in ranks])
    loss_G, _ = kwise_losses(torch.tensor(scores, dtype=torch.float64), index_GK, ranks_GK, divisor=divisor)
    return [float(value) for value in loss_G]


def test_three_responses_make_three_pairs() -> None:
    # scores 3 > 2 > 0 ranked 1, 2, 3: margins 1, 3, 2
    assert losses([3.0, 2.0, 0.0], [1, 2, 3]) == pytest.approx([(SOFT[1] + SOFT[3] + SOFT[2]) / 3])


def test_a_tie_is_dropped_and_the_divisor_is_the_remaining_pairs() -> None:
    # first is best, the others tie: two pairs remain, margins 1 and 3
    assert losses([3.0, 2.0, 0.0], [1, 2, 2]) == pytest.approx([(SOFT[1] + SOFT[3]) / 2])


def test_the_divisor_can_be_all_pairs() -> None:
    assert losses([3.0, 2.0, 0.0], [1, 2, 2], divisor="all_pairs") == pytest.approx([(SOFT[1] + SOFT[3]) / 3])


def test_one_single_tie_has_loss_zero_and_no_gradient() -> None:
    scores = torch.tensor([1.0, 5.0], requires_grad=True)
    index_GK, ranks_GK = pad_rankings([([0, 1], [1, 1])])
    loss_G, num_pairs_G = kwise_losses(scores, index_GK, ranks_GK, divisor="remaining_pairs")
    loss_G.sum().backward()
    assert (loss_G[0].item(), int(num_pairs_G[0])) == (0.0, 0)
    assert scores.grad is not None
    assert scores.grad.tolist() == [0.0, 0.0]


def test_padding_of_a_shorter_ranking_changes_nothing() -> None:
    alone = losses([3.0, 2.0], [1, 2])[0]
    assert losses([3.0, 2.0, 0.0, 7.0], [1, 2], [4, 3, 2, 1])[0] == alone


def test_two_labelers_of_the_same_responses_are_two_rankings() -> None:
    index_GK, ranks_GK = pad_rankings([([0, 1], [1, 2]), ([1, 0], [1, 2])])
    loss_G, _ = kwise_losses(
        torch.tensor([2.0, 0.0], dtype=torch.float64), index_GK, ranks_GK, divisor="remaining_pairs"
    )
    assert loss_G.tolist() == pytest.approx([SOFT[2], SOFT[2] + 2.0])


def test_gradients_pull_the_better_up_and_the_worse_down_and_sum_to_zero() -> None:
    scores = torch.tensor([0.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    index_GK, ranks_GK = pad_rankings([([0, 1, 2], [2, 1, 3])])
    kwise_losses(scores, index_GK, ranks_GK, divisor="remaining_pairs")[0].sum().backward()
    assert scores.grad is not None
    # at equal scores every pair pulls with σ(0) = 1/2, over 3 pairs: the middle one is pulled both ways
    assert scores.grad.tolist() == pytest.approx([0.0, -1 / 3, 1 / 3])


def test_the_loss_is_exact_for_huge_margins() -> None:
    assert losses([0.0, 1000.0], [1, 2]) == [1000.0]
    assert losses([1000.0, 0.0], [1, 2]) == [0.0]


def test_an_unknown_divisor_is_an_error() -> None:
    with pytest.raises(ValueError, match="divisor"):
        losses([1.0, 2.0], [1, 2], divisor="pairs")


def test_the_pair_mask_keeps_better_over_worse_only() -> None:
    mask = pair_mask(torch.tensor([[1, 2, 2, 0]]))
    assert mask[0].nonzero().tolist() == [[0, 1], [0, 2]]
