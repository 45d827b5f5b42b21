"""The clipped losses, with numbers worked out by hand."""

import math

import pytest
import torch

from training.engine import ppo_losses

NAN = float("nan")


def test_the_policy_loss_takes_the_worse_of_plain_and_clipped() -> None:
    # ratios 1.5, 0.5, 1.1 with advantages 1, 1, −1 and clip 0.2:
    # max(−1.5, −1.2) = −1.2 (clipped) · max(−0.5, −0.8) = −0.5 · max(1.1, 1.1) = 1.1 → −0.6 / 3 = −0.2
    new = torch.log(torch.tensor([[1.5, 0.5, 1.1]], dtype=torch.float64))
    loss = ppo_losses.policy_loss(
        new,
        torch.zeros_like(new),
        torch.tensor([[1.0, 1.0, -1.0]], dtype=torch.float64),
        torch.ones(1, 3, dtype=torch.bool),
        clip=0.2,
    )
    assert loss.loss.item() == pytest.approx(-0.2)
    assert loss.clip_fraction.item() == pytest.approx(1 / 3)
    assert loss.ratio_mean.item() == pytest.approx(3.1 / 3)
    assert loss.ratio_max_error.item() == pytest.approx(0.5)
    assert loss.approx_kl.item() == pytest.approx((math.log(1.5) ** 2 + math.log(0.5) ** 2 + math.log(1.1) ** 2) / 6)


def test_the_policy_loss_and_its_clip_fraction_do_not_see_padding() -> None:
    new = torch.tensor([[math.log(1.5), NAN], [0.0, 50.0]], requires_grad=True)
    kept = torch.tensor([[True, False], [True, False]])
    loss = ppo_losses.policy_loss(new, torch.zeros(2, 2), torch.tensor([[1.0, 7.0], [2.0, -9.0]]), kept, clip=0.2)
    assert loss.loss.item() == pytest.approx((-1.2 - 2.0) / 2)
    assert loss.clip_fraction.item() == 0.5
    loss.loss.backward()
    assert new.grad is not None
    assert new.grad.tolist() == [[0.0, 0.0], [-1.0, 0.0]]


def test_the_value_loss_has_its_half_and_takes_the_worse_of_plain_and_clipped() -> None:
    # old 0, clip 0.2. Value 1, return 1: clipped to 0.2, error 0.64 beats 0. Value 0.1, return 1: 0.81, not clipped.
    # ½ · (0.64 + 0.81) / 2 = 0.3625; one of the two kept tokens was clipped; the third is padding.
    loss = ppo_losses.value_loss(
        torch.tensor([[1.0, 0.1, 40.0]]),
        torch.zeros(1, 3),
        torch.tensor([[1.0, 1.0, -40.0]]),
        torch.tensor([[True, True, False]]),
        clip=0.2,
    )
    assert loss.loss.item() == pytest.approx(0.3625)
    assert loss.clip_fraction.item() == 0.5


def test_entropy_is_in_nats() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [100.0, 0.0, 0.0, 0.0]])
    uniform, certain = ppo_losses.entropy(logits).tolist()
    assert uniform == pytest.approx(math.log(4))
    assert certain == pytest.approx(0.0, abs=1e-6)
