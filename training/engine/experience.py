"""One batch of PPO experience: what was sampled, what the four models say about it, and the advantages that follow.

Shape legend: B episodes, R response positions. Masks are boolean and True means keep.
Sources of each detail: docs/ppo-details.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import torch
from torch import Tensor

from training.engine import advantages, packing
from training.engine.processes import Processes
from training.engine.rollout import Responses
from training.engine.scoring import (
    Episodes,
    end_rewards,
    end_rewards_left_padded,
    response_logprobs,
    response_logprobs_and_entropy,
    response_values,
)
from training.engine.sharding import asked, is_sharded

JUDGED_TOGETHER: Final = 4
"""Times the tokens of a micro-batch that reference, value and reward model read in one pass. Without a graph that takes
no more memory than learning from the micro-batch. A GPU takes longer to start a small model than to compute it: four of
0.1B judged 256 episodes in 77 ms at once, in 256 ms as four micro-batches (H200)."""

Plan = list[list[Tensor]]
"""The minibatches of one pass, each a list of micro-batches, each a tensor of row numbers."""


@dataclass(frozen=True, kw_only=True)
class Models:
    """The four models of PPO; policy and value learn, reference and reward are frozen."""

    policy: Any
    value: Any
    reference: Any
    reward: Any


@dataclass(frozen=True, kw_only=True)
class RewardRule:
    """How scores become per-token rewards."""

    kl_coef: float
    gae_lambda: float
    whiten_rewards: bool
    missing_end_rule: str
    missing_end_amount: float


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the models say before anything is learned; all computed in the training layout."""

    logprobs_BR: Tensor
    ref_logprobs_BR: Tensor
    entropy_BR: Tensor
    values_BR: Tensor
    rewards_B: Tensor


@dataclass(frozen=True, kw_only=True)
class Experience:
    """Everything the learning step needs, and the figures to log."""

    episodes: Episodes
    old_logprobs_BR: Tensor
    old_values_BR: Tensor
    advantages_BR: Tensor
    returns_BR: Tensor
    figures: dict[str, float]


def make_plan(
    num_rows: int, *, minibatch_size: int, micro_batch_size: int, seed: int, own: Tensor | None = None
) -> Plan:
    """A shuffled pass over all rows, or over those of `own`, which keep their minibatches. The same seed gives the same
    pass, so nothing of it needs a checkpoint."""
    order = torch.randperm(num_rows, generator=torch.Generator().manual_seed(seed))
    minibatches = torch.split(order, minibatch_size)
    if own is not None:
        minibatches = tuple(rows[torch.isin(rows, own)] for rows in minibatches)
    return [[rows for rows in torch.split(minibatch, micro_batch_size) if len(rows)] for minibatch in minibatches]


@torch.no_grad()
def judge(models: Models, episodes: Episodes, plan: Plan, *, temperature: float) -> Judgement:
    """All models on all rows.

    The policy reads the micro-batches of `plan`, exactly as the first learning pass will, so the old log-probabilities
    are those of the training forward to the last bit, and the first ratio is exactly 1. The other models read
    `JUDGED_TOGETHER` times as much at a time.
    """
    result = {name: torch.zeros(episodes.mask_BR.shape, device=episodes.mask_BR.device) for name in _PER_TOKEN}
    rewards_B = torch.zeros(len(episodes), device=episodes.mask_BR.device)
    micro_batches = [rows for minibatch in plan for rows in minibatch]
    for rows, part in _parts(episodes, micro_batches):
        logprobs, entropy = asked(models.policy, response_logprobs_and_entropy, part, temperature=temperature)
        _put(result["logprobs_BR"], rows, logprobs)
        _put(result["entropy_BR"], rows, entropy)
    for rows, part in _parts(episodes, _judged_together(models, episodes, micro_batches)):
        _put(result["ref_logprobs_BR"], rows, asked(models.reference, response_logprobs, part, temperature=temperature))
        _put(result["values_BR"], rows, asked(models.value, response_values, part))
        rewards_B[rows] = asked(models.reward, end_rewards, part)
    return Judgement(rewards_B=rewards_B, **result)


def whole(judgement: Judgement, processes: Processes) -> Judgement:
    """The judgement of all rows, of which each process has judged its own; the others are 0 in it."""
    return Judgement(**{item.name: processes.sum_tensor(getattr(judgement, item.name)) for item in fields(Judgement)})


def experience(judgement: Judgement, episodes: Episodes, has_end_B: Tensor, *, rule: RewardRule) -> Experience:
    """Rewards, advantages and returns of a judged batch."""
    mask_BR = episodes.mask_BR
    scores_B = advantages.end_scores(
        judgement.rewards_B, has_end_B, rule=rule.missing_end_rule, amount=rule.missing_end_amount
    )
    kl_BR = advantages.kl_k1(judgement.logprobs_BR, judgement.ref_logprobs_BR, mask_BR)
    rewards_BR = advantages.token_rewards(scores_B, kl_BR, mask_BR, kl_coef=rule.kl_coef)
    if rule.whiten_rewards:
        rewards_BR = advantages.whiten_keeping_mean(rewards_BR, mask_BR)
    advantages_BR, returns_BR = advantages.gae(
        rewards_BR, judgement.values_BR, mask_BR, discount=1.0, lam=rule.gae_lambda
    )
    return Experience(
        episodes=episodes,
        old_logprobs_BR=judgement.logprobs_BR,
        old_values_BR=judgement.values_BR,
        advantages_BR=advantages.whiten(advantages_BR, mask_BR),
        returns_BR=returns_BR,
        figures=_figures(
            judgement,
            mask_BR,
            scores_B=scores_B,
            kl_BR=kl_BR,
            returns_BR=returns_BR,
            has_end_B=has_end_B,
            kl_coef=rule.kl_coef,
        ),
    )


def sampler_difference(responses: Responses, judgement: Judgement, mask_BR: Tensor) -> float:
    """Largest |log-probability of the sampler (left-padded, cached) − that of the training forward (right-padded)|."""
    difference_BR = (responses.logprobs_BR - judgement.logprobs_BR).abs()
    return float(difference_BR[mask_BR].amax())


@torch.no_grad()
def padding_difference(reward: Any, episodes: Episodes, judgement: Judgement, rows: Tensor) -> float:
    """Largest |score of a row as judged − score of the same row padded on the left|: rounding, or a misread mask.

    Of the longest and the shortest of these rows: beside each other the shortest has the most padding.
    """
    lengths_B = episodes.attention_mask_BT[rows].sum(dim=1)
    some = rows[torch.stack([lengths_B.argmax(), lengths_B.argmin()]).to(rows.device)]
    padded_B = asked(reward, end_rewards_left_padded, episodes.rows(some))
    return float((judgement.rewards_B[some] - padded_B).abs().amax())


def _judged_together(models: Models, episodes: Episodes, micro_batches: Sequence[Tensor]) -> Sequence[Tensor]:
    """The rows that reference, value and reward model read in one pass."""
    others = (models.reference, models.value, models.reward)
    if any(map(is_sharded, others)):  # all processes must compute equally often
        return micro_batches
    is_packed = all(map(packing.is_enabled, others))
    lengths_B = episodes.attention_mask_BT.sum(dim=1).cpu()
    sizes = (lengths_B[rows] for rows in micro_batches)
    most = max(int(size.sum()) if is_packed else len(size) * int(size.amax()) for size in sizes)
    rows = torch.cat(list(micro_batches))
    packs = packing.packs(
        lengths_B[rows].tolist(), is_packed=is_packed, max_rows=len(rows), max_tokens=JUDGED_TOGETHER * most
    )
    return [rows[pack] for pack in packs]


def _parts(episodes: Episodes, groups: Sequence[Tensor]) -> Iterator[tuple[Tensor, Episodes]]:
    for rows in groups:
        yield rows, episodes.rows(rows)


def _put(whole_BR: Tensor, rows: Tensor, part: Tensor) -> None:
    whole_BR[rows, : part.shape[1]] = part


def _figures(
    judgement: Judgement,
    mask_BR: Tensor,
    *,
    scores_B: Tensor,
    kl_BR: Tensor,
    returns_BR: Tensor,
    has_end_B: Tensor,
    kl_coef: float,
) -> dict[str, float]:
    kl_B = kl_BR.sum(dim=1)
    figures = {
        "ppo/reward": judgement.rewards_B.mean(),
        "ppo/reward_std": judgement.rewards_B.std(correction=0),
        "ppo/score": scores_B.mean(),
        "ppo/objective": (scores_B - kl_coef * kl_B).mean(),
        "ppo/kl": kl_B.mean(),
        "ppo/kl_per_token": advantages.masked_mean(kl_BR, mask_BR),
        "ppo/entropy": advantages.masked_mean(judgement.entropy_BR, mask_BR),
        "ppo/explained_variance": advantages.explained_variance(judgement.values_BR, returns_BR, mask_BR),
        "ppo/value": advantages.masked_mean(judgement.values_BR, mask_BR),
        "ppo/return": advantages.masked_mean(returns_BR, mask_BR),
        "ppo/response_tokens": mask_BR.float().sum(dim=1).mean(),
        "ppo/missing_end_share": 1 - has_end_B.float().mean(),
    }
    return {name: float(value) for name, value in figures.items()}


_PER_TOKEN: Sequence[str] = ("logprobs_BR", "ref_logprobs_BR", "entropy_BR", "values_BR")
