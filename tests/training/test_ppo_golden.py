"""Our formulas give the numbers that TRL 1.12 computed in one real update, and its functions on random input, to 1e-6.

The numbers were written down by benchmarks/trl_peer/ppo_golden.py. Where TRL differs on purpose, the test says how:
it whitens with Bessel's n − 1, and it pays the score, and counts the value, one position after the end token.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from training.engine import advantages, ppo_losses

GOLDEN = json.loads((Path(__file__).parent / "trl_ppo_golden.json").read_text(encoding="utf-8"))
FUNCTIONS, UPDATE, RULE = GOLDEN["functions"], GOLDEN["update"], GOLDEN["rule"]
PAD, END = 0, 1


def recorded(name: str, numbers: dict[str, Any] = UPDATE) -> Tensor:
    return torch.tensor(numbers[name], dtype=torch.float64)


def mask(name: str, numbers: dict[str, Any] = UPDATE) -> Tensor:
    return torch.tensor(numbers[name])


def same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


def from_bessel(mask: Tensor) -> float:
    """The population deviation over Bessel's."""
    n = int(mask.sum())
    return float(((n - 1) / n) ** 0.5)


def returns() -> Tensor:
    """Of TRL: advantages before whitening, and values as far as it counts them."""
    return recorded("advantages") + torch.where(mask("reward_mask"), recorded("values"), 0.0)


def test_the_update_has_all_that_can_go_wrong() -> None:
    responses = torch.tensor(UPDATE["responses"])
    has_end = (responses == END).any(dim=1)
    assert 0 < int(has_end.sum()) < len(responses)
    assert len(set((responses != PAD).sum(dim=1).tolist())) > 4
    assert all(0 < step[f"{name}_clip_fraction"] < 1 for step in UPDATE["steps"][1:] for name in ("policy", "value"))


def test_means_and_whitening_on_random_input_are_those_of_trl() -> None:
    values, kept = recorded("values", FUNCTIONS), mask("mask", FUNCTIONS)
    mean = recorded("mean", FUNCTIONS)
    same(advantages.masked_mean(values, kept), mean)
    same(advantages.whiten(values, kept) * from_bessel(kept), recorded("whitened", FUNCTIONS))
    ours = (advantages.whiten_keeping_mean(values, kept) - mean) * from_bessel(kept) + mean
    same(torch.where(kept, ours, 0.0), recorded("whitened_keeping_mean", FUNCTIONS))


def test_kl_missing_ends_and_rewards_are_those_of_trl() -> None:
    responses = torch.tensor(UPDATE["responses"])
    scores = advantages.end_scores(
        recorded("scores"), (responses == END).any(dim=1), rule="penalise", amount=RULE["missing_eos_penalty"]
    )
    kl = advantages.kl_k1(recorded("logprobs"), recorded("ref_logprobs"), mask("mask"))
    rewards = advantages.token_rewards(scores, kl, mask("reward_mask"), kl_coef=RULE["kl_coef"])
    same(rewards, recorded("rewards"))


def test_whitened_rewards_are_those_of_trl() -> None:
    rewards, kept = recorded("rewards"), mask("reward_mask")
    mean = advantages.masked_mean(rewards, kept)
    ours = (advantages.whiten_keeping_mean(rewards, kept) - mean) * from_bessel(kept) + mean
    same(torch.where(kept, ours, 0.0), recorded("whitened_rewards"))


def test_advantages_and_returns_are_those_of_trl() -> None:
    ours, back = advantages.gae(
        recorded("whitened_rewards"),
        recorded("values"),
        mask("reward_mask"),
        discount=RULE["gamma"],
        lam=RULE["lam"],
    )
    same(ours, recorded("advantages"))
    same(back, returns())
    same(advantages.whiten(ours, mask("mask")) * from_bessel(mask("mask")), recorded("whitened_advantages"))


@pytest.mark.parametrize("step", UPDATE["steps"], ids=["1", "2", "3", "4"])
def test_clipped_losses_and_clip_fractions_are_those_of_trl(step: dict[str, Any]) -> None:
    rows = step["rows"]
    policy = ppo_losses.policy_loss(
        recorded("new_logprobs", step),
        recorded("logprobs")[rows],
        recorded("whitened_advantages")[rows],
        mask("mask")[rows],
        clip=RULE["cliprange"],
    )
    value = ppo_losses.value_loss(
        recorded("new_values", step),
        recorded("values")[rows],
        returns()[rows],
        mask("reward_mask")[rows],
        clip=RULE["cliprange_value"],
    )
    same(policy.loss, recorded("policy_loss", step))
    same(value.loss, recorded("value_loss", step))
    same(policy.loss + RULE["vf_coef"] * value.loss, recorded("loss", step))
    same(policy.clip_fraction.double(), recorded("policy_clip_fraction", step))
    same(value.clip_fraction.double(), recorded("value_clip_fraction", step))
