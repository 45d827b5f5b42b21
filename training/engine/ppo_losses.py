"""PPO's two clipped losses and the entropy, as pure functions.

Shape legend: B episodes, R response positions, V vocabulary. Masks are boolean and True means keep.
Means run over kept tokens, never over padding. Source: PPO (arXiv 1707.06347, equation 7) and the value clipping of
OpenAI's own implementation; see docs/ppo-details.md.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.engine.advantages import masked_mean


@dataclass(frozen=True)
class PolicyLoss:
    """The loss to minimise, and what to look at while doing so (all scalars, detached but `loss`)."""

    loss: Tensor
    clip_fraction: Tensor
    approx_kl: Tensor
    ratio_mean: Tensor
    ratio_max_error: Tensor


@dataclass(frozen=True)
class ValueLoss:
    """The loss to minimise and the share of tokens at which the clipped branch was the one taken."""

    loss: Tensor
    clip_fraction: Tensor


def policy_loss(
    new_logprobs_BR: Tensor, old_logprobs_BR: Tensor, advantages_BR: Tensor, mask_BR: Tensor, *, clip: float
) -> PolicyLoss:
    """Pessimistic maximum of −A·ratio and −A·clip(ratio, 1 ± clip), mean over kept tokens.

    `approx_kl` is ½·mean((log ratio)²), the size of the step since the rollout, not the KL to the reference.
    """
    log_ratio_BR = torch.where(mask_BR, new_logprobs_BR - old_logprobs_BR, torch.zeros_like(new_logprobs_BR))
    ratio_BR = torch.exp(log_ratio_BR)
    plain_BR = -advantages_BR * ratio_BR
    clipped_BR = -advantages_BR * torch.clamp(ratio_BR, 1 - clip, 1 + clip)
    with torch.no_grad():
        clip_fraction = masked_mean((clipped_BR > plain_BR).float(), mask_BR)
        approx_kl = 0.5 * masked_mean(log_ratio_BR.float() ** 2, mask_BR)
        ratio_mean = masked_mean(ratio_BR, mask_BR)
        ratio_max_error = (ratio_BR - 1).abs()[mask_BR].amax()
    loss = masked_mean(torch.maximum(plain_BR, clipped_BR), mask_BR)
    return PolicyLoss(loss, clip_fraction, approx_kl, ratio_mean, ratio_max_error)


def value_loss(
    values_BR: Tensor, old_values_BR: Tensor, returns_BR: Tensor, mask_BR: Tensor, *, clip: float
) -> ValueLoss:
    """½·max of the squared errors of the value and of the value kept within ± clip of the old one."""
    clipped_values_BR = old_values_BR + torch.clamp(values_BR - old_values_BR, -clip, clip)
    plain_BR = (values_BR - returns_BR) ** 2
    clipped_BR = (clipped_values_BR - returns_BR) ** 2
    with torch.no_grad():
        clip_fraction = masked_mean((clipped_BR > plain_BR).float(), mask_BR)
    return ValueLoss(0.5 * masked_mean(torch.maximum(plain_BR, clipped_BR), mask_BR), clip_fraction)


def entropy(logits_NV: Tensor) -> Tensor:
    """Entropy in nats of each row's softmax, [N], in fp32."""
    log_probs_NV = torch.log_softmax(logits_NV.float(), dim=-1)
    return -(log_probs_NV.exp() * log_probs_NV).sum(dim=-1)
