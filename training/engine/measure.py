"""What a policy is worth on prompts: reward, KL to its reference, length; and its loss on plain text.

Measuring draws the same random numbers for the same prompt each time, so that two policies answer under equal luck.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from training.engine import advantages, sharding
from training.engine.decode_graphs import DecodeGraphs
from training.engine.processes import ALONE, Processes
from training.engine.rollout import SamplingRule, row_uniforms, sample
from training.engine.scoring import Episodes, end_rewards, episodes, response_logprobs
from training.engine.sharding import asked


@dataclass(frozen=True, kw_only=True)
class NamedPrompt:
    """Token ids of a prompt, and the name that decides its random numbers."""

    name: str
    ids: list[int]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One number per response: `rewards` and `kl` are empty when there was no model to give them."""

    texts_ids: list[list[int]]
    num_tokens: list[int]
    has_end: list[bool]
    rewards: list[float]
    kl: list[float]

    def whole(self, processes: Processes) -> "Answers":
        """The answers of all processes, each of which answered its share of the prompts once."""
        return Answers(**{item.name: processes.whole(getattr(self, item.name)) for item in fields(Answers)})


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Who judges the answers; each may be None."""

    reference: Any = None
    reward: Any = None


@torch.no_grad()
def answer(
    policy: Any,
    prompts: Sequence[NamedPrompt],
    judges: Judges,
    *,
    rule: SamplingRule,
    seed: int,
    batch_size: int,
    num_samples: int = 1,
    processes: Processes = ALONE,
    graphs: DecodeGraphs | None = None,
) -> Answers:
    """Let the policy answer each prompt `num_samples` times; rows n·K + k belong to prompt n.

    `processes` are those that a sharded policy is spread over, each with prompts of its own. `graphs`: recorded steps
    of the policy.
    """
    found = Answers(texts_ids=[], num_tokens=[], has_end=[], rewards=[], kl=[])
    how: dict[str, Any] = {"rule": rule, "num_samples": num_samples, "graphs": graphs}
    with sharding.gathered(policy):
        batches = [
            _let_answer(policy, chunk, found, seed=seed, **how)
            for chunk in _chunks(prompts, max(1, batch_size // num_samples))
        ]
    one = [[rule.end_token_id]]
    spare = episodes(one, one, pad_token_id=rule.pad_token_id, device=_device(policy))
    for batch, factor in sharding.evened(policy, batches, processes, spare=spare):
        rewards = asked(judges.reward, end_rewards, batch).tolist() if judges.reward is not None else []
        kl = _sequence_kl(policy, judges.reference, batch, rule) if judges.reference is not None else []
        if factor:
            found.rewards.extend(rewards)
            found.kl.extend(kl)
    return found


def summary(answers: Answers) -> dict[str, float]:
    """Means over responses; a figure that nobody judged is left out."""
    figures = {
        "response_tokens": _mean(answers.num_tokens),
        "missing_end_share": 1 - _mean(answers.has_end),
    }
    if answers.rewards:
        figures["reward"] = _mean(answers.rewards)
    if answers.kl:
        figures["kl"] = _mean(answers.kl)
    return figures


def best_of(rewards: Sequence[float], num_samples: int) -> list[float]:
    """The best reward of each prompt, of which `rewards` holds `num_samples` in a row."""
    return [max(rewards[first : first + num_samples]) for first in range(0, len(rewards), num_samples)]


def best_of_kl(num_samples: int) -> float:
    """The KL in nats of the best of n from the model it was chosen from: log n − (n − 1)/n.

    An upper bound where answers repeat (Stiennon et al., arXiv 2009.01325, appendix G.3).
    """
    return math.log(num_samples) - (num_samples - 1) / num_samples


@torch.no_grad()
def text_losses(
    policy: Any, pieces: Sequence[Sequence[int]], *, pad_token_id: int, batch_size: int
) -> list[tuple[float, int]]:
    """Cross-entropy in nats of each piece that has more than one token (all but its first), and over how many tokens.

    Raises ValueError when there is no such piece."""
    found: list[tuple[float, int]] = []
    for chunk in _chunks([piece for piece in pieces if len(piece) > 1], batch_size):
        batch = text_episodes(chunk, pad_token_id=pad_token_id, device=_device(policy))
        nats_B = -response_logprobs(policy, batch, temperature=1.0).double().sum(dim=1)
        found += zip(nats_B.tolist(), batch.mask_BR.sum(dim=1).tolist(), strict=True)
    if not found:
        raise ValueError("there is no text to measure the loss on")
    return found


def text_episodes(pieces: Sequence[Sequence[int]], *, pad_token_id: int, device: Any) -> Episodes:
    """Plain text as rows whose first token is given and whose other tokens are scored."""
    heads, tails = [piece[:1] for piece in pieces], [piece[1:] for piece in pieces]
    return episodes(heads, tails, pad_token_id=pad_token_id, device=device)


def _let_answer(
    policy: Any,
    prompts: Sequence[NamedPrompt],
    found: Answers,
    *,
    rule: SamplingRule,
    seed: int,
    num_samples: int,
    graphs: DecodeGraphs | None,
) -> Episodes:
    """Notes the answers of a few prompts; what there is to judge of them."""
    names = [f"{prompt.name}/{k}" for prompt in prompts for k in range(num_samples)]
    uniforms_BR = row_uniforms(names, seed=seed, num_draws=rule.max_new_tokens)
    ids = [item.ids for item in prompts]
    responses = sample(policy, ids, uniforms_BR, rule=rule, num_samples=num_samples, graphs=graphs)
    rows = [responses.row(index) for index in range(len(names))]
    found.texts_ids.extend(rows)
    found.num_tokens.extend(len(row) for row in rows)
    found.has_end.extend(responses.has_end_B.tolist())
    repeated = [prompt.ids for prompt in prompts for _ in range(num_samples)]
    return episodes(repeated, rows, pad_token_id=rule.pad_token_id, device=_device(policy))


def _sequence_kl(policy: Any, reference: Any, batch: Episodes, rule: SamplingRule) -> list[float]:
    rate = rule.temperature or 1.0
    logprobs = [asked(model, response_logprobs, batch, temperature=rate) for model in (policy, reference)]
    kl_B: Tensor = advantages.kl_k1(logprobs[0], logprobs[1], batch.mask_BR).sum(dim=1)
    return [float(value) for value in kl_B]


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _device(model: Any) -> Any:
    return next(iter(model.parameters())).device


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
