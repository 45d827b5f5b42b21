"""From scores to advantages: KL penalty, reward placement, whitening and GAE, as pure functions.

Shape legend: B episodes, R response positions. Masks are boolean and True means keep.
Position t of a [B, R] tensor belongs to response token t: its log-probability, the value of the state *before* it was
sampled, and the reward for sampling it. So the reward of a whole response sits at its last kept token, the end token
where there is one, and nothing needs to be shifted.

Sources: InstructGPT (arXiv 2203.02155, section 3.5 and appendix C.4); "Fine-Tuning Language Models from Human
Preferences" (arXiv 1909.08593, section 2.2); GAE (arXiv 1506.02438, equation 16); "The N Implementation Details of RLHF
with PPO" (Huang et al., 2023). Which item came from where stands in docs/ppo-details.md.
"""

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the kept entries, over the whole batch at once, so long responses weigh by their tokens.

    Values outside the mask are not read, so they may be anything, NaN included. Raises ValueError on an empty mask.
    """
    kept = values[mask]
    if kept.numel() == 0:
        raise ValueError("masked_mean: the mask keeps nothing")
    return kept.mean()


def masked_variance(values: Tensor, mask: Tensor) -> Tensor:
    """Population variance (divisor n, as OpenAI's code, not Bessel's n − 1) of the kept entries."""
    return masked_mean((values - masked_mean(values, mask)) ** 2, mask)


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """Zero mean and unit population variance over the kept entries; zero elsewhere. For advantages."""
    centred = values - masked_mean(values, mask)
    return torch.where(mask, centred * _inverse_deviation(values, mask), torch.zeros_like(values))


def whiten_keeping_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Unit population variance around the mean they already have; zero outside the mask. For rewards.

    Shifting the mean would change what the policy is paid per token, hence the length it prefers.
    """
    mean = masked_mean(values, mask)
    scaled = (values - mean) * _inverse_deviation(values, mask) + mean
    return torch.where(mask, scaled, torch.zeros_like(values))


def kl_k1(logprobs_BR: Tensor, ref_logprobs_BR: Tensor, mask_BR: Tensor) -> Tensor:
    """log π(token) − log π_ref(token) of the sampled tokens, [B, R], zero outside the mask.

    The k1 estimator: unbiased under the sampling policy, negative for single tokens.
    """
    return torch.where(mask_BR, logprobs_BR - ref_logprobs_BR, torch.zeros_like(logprobs_BR))


def end_scores(scores_B: Tensor, has_end_B: Tensor, *, rule: str, amount: float) -> Tensor:
    """Scores after the rule for responses that were cut by length (no end token), [B].

    `replace`: their score becomes `amount`. `penalise`: `amount` is subtracted. `keep`: the score stands.
    """
    if rule == "keep":
        return scores_B
    if rule == "replace":
        return torch.where(has_end_B, scores_B, torch.full_like(scores_B, amount))
    if rule == "penalise":
        return torch.where(has_end_B, scores_B, scores_B - amount)
    raise ValueError(f"unknown missing-end rule {rule!r}")


def last_positions(mask_BR: Tensor) -> Tensor:
    """Index of each row's last kept position, [B]. Raises ValueError where a row keeps nothing."""
    if not bool(mask_BR.any(dim=1).all()):
        raise ValueError("last_positions: a response has no token at all")
    positions_R = torch.arange(mask_BR.shape[1], device=mask_BR.device)
    return torch.where(mask_BR, positions_R, torch.full_like(positions_R, -1)).amax(dim=1)


def token_rewards(scores_B: Tensor, kl_BR: Tensor, mask_BR: Tensor, *, kl_coef: float) -> Tensor:
    """−β·KL at every kept token plus the score at the last kept one (the end token), [B, R].

    InstructGPT equation 2 spread over tokens as in arXiv 1909.08593: the sum over a row is score − β·Σ KL.
    """
    rewards_BR = torch.where(mask_BR, -kl_coef * kl_BR, torch.zeros_like(kl_BR))
    rows = torch.arange(rewards_BR.shape[0], device=rewards_BR.device)
    rewards_BR[rows, last_positions(mask_BR)] += scores_B
    return rewards_BR


def gae(
    rewards_BR: Tensor, values_BR: Tensor, mask_BR: Tensor, *, discount: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantages and returns (advantages + values), both [B, R] and zero outside the mask.

    A response is a finished episode: what follows its last token is worth 0, whether it ended or was cut
    (a cut one has already been marked down by `end_scores`).
    """
    rewards_BR = torch.where(mask_BR, rewards_BR, torch.zeros_like(rewards_BR))
    values_BR = torch.where(mask_BR, values_BR, torch.zeros_like(values_BR))
    next_value_B = torch.zeros_like(values_BR[:, 0])
    next_advantage_B = torch.zeros_like(next_value_B)
    advantages = []
    for t in reversed(range(rewards_BR.shape[1])):
        delta_B = rewards_BR[:, t] + discount * next_value_B - values_BR[:, t]
        next_advantage_B = delta_B + discount * lam * next_advantage_B
        next_value_B = values_BR[:, t]
        advantages.append(next_advantage_B)
    advantages_BR = torch.stack(advantages[::-1], dim=1)
    advantages_BR = torch.where(mask_BR, advantages_BR, torch.zeros_like(advantages_BR))
    return advantages_BR, advantages_BR + values_BR


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """1 − Var(returns − values) / Var(returns): 1 is a perfect value function, 0 is no better than a constant."""
    return 1 - masked_variance(returns - values, mask) / masked_variance(returns, mask).clamp_min(1e-8)


def adapted_kl_coef(kl_coef: float, *, kl: float, target: float, horizon: float, num_episodes: int) -> float:
    """The proportional controller of arXiv 1909.08593, section 2.2: β grows while KL is above its target."""
    error = max(-0.2, min(0.2, kl / target - 1))
    return kl_coef * (1 + error * num_episodes / horizon)


def _inverse_deviation(values: Tensor, mask: Tensor) -> Tensor:
    return torch.rsqrt(masked_variance(values, mask) + 1e-8)
