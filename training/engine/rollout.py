"""Sampling responses: left-padded prompts, one prefill for all samples of a prompt, finished rows leave the batch.

Shape legend: N prompts, K samples per prompt, B = N·K rows, P prompt tokens, R response positions, V vocabulary,
A rows still alive, T tokens of a row. Masks are boolean and True means keep.

Every row draws its own random numbers before sampling starts (`row_uniforms`), so what a row says depends on the seed
and on its own name, not on its neighbours, on the order of the batch, or on a resume.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from training.engine import kv_cache, packing
from training.engine.decode_graphs import DecodeGraphs, Steps
from training.engine.prefill import Prefill, prefill


class RolloutError(ValueError):
    """A request that cannot be sampled, with the reason."""


@dataclass(frozen=True, kw_only=True)
class SamplingRule:
    """How to sample. `temperature` 0 takes the most likely token; `top_p` 1 keeps the whole distribution."""

    end_token_id: int
    pad_token_id: int
    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if self.end_token_id == self.pad_token_id:
            raise RolloutError("the pad token is the end token: a padded row would count as finished")


@dataclass(frozen=True, kw_only=True)
class Responses:
    """Sampled rows. `has_end_B` False means that the length limit cut the response (its end is missing)."""

    tokens_BR: Tensor
    logprobs_BR: Tensor
    lengths_B: Tensor
    has_end_B: Tensor

    def to(self, device: Any) -> "Responses":
        """The same on another device."""
        return Responses(**{item.name: getattr(self, item.name).to(device) for item in fields(self)})

    def row(self, index: int) -> list[int]:
        """Token ids of one response, its end token included."""
        ids: list[int] = self.tokens_BR[index, : int(self.lengths_B[index])].tolist()
        return ids


def row_uniforms(names: Sequence[str], *, seed: int, num_draws: int) -> Tensor:
    """One row of uniform numbers in [0, 1) per name, [B, num_draws]; equal names and seeds give equal rows."""
    generator = torch.Generator()
    rows = []
    for name in names:
        generator.manual_seed(sample_seed(name, seed=seed))
        rows.append(torch.rand(num_draws, generator=generator, dtype=torch.float64))
    return torch.stack(rows)


def sample_seed(name: str, *, seed: int) -> int:
    """The seed of one sample: 63 bits that depend on its name and the run's seed alone."""
    digest = hashlib.sha256(f"{seed}\n{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@torch.no_grad()
def sample(
    model: Any,
    prompts: Sequence[Sequence[int]],
    uniforms_BR: Tensor,
    *,
    rule: SamplingRule,
    num_samples: int = 1,
    graphs: DecodeGraphs | None = None,
) -> Responses:
    """K samples for each prompt; row n·K + k is sample k of prompt n.

    `uniforms_BR` holds at least `rule.max_new_tokens` numbers per row. The log-probabilities are the sampler's own, at
    the sampling temperature; PPO recomputes them with the training forward. `graphs`: recorded steps of this model.
    """
    decoder, logits_BV = _begin(model, prompts, uniforms_BR, rule=rule, num_samples=num_samples, graphs=graphs)
    for _ in decoder.steps(logits_BV):
        pass
    if graphs:
        graphs.rest()
    return decoder.responses()


@torch.no_grad()
def stream(model: Any, prompt: Sequence[int], uniforms_R: Tensor, *, rule: SamplingRule) -> Iterator[int]:
    """The token ids of one sample as they come, the end token included: those that `sample` gives for the same numbers.

    Raises RolloutError at the first one.
    """
    decoder, logits_BV = _begin(model, [prompt], uniforms_R[None, :], rule=rule, num_samples=1)
    for t in decoder.steps(logits_BV):
        yield int(decoder.tokens_BR[0, t])


def _begin(
    model: Any,
    prompts: Sequence[Sequence[int]],
    uniforms_BR: Tensor,
    *,
    rule: SamplingRule,
    num_samples: int,
    graphs: DecodeGraphs | None = None,
) -> "tuple[_Decoder, Tensor]":
    """The prompts' prefill: a decoder of N·K rows, and the logits [B, V] of their first tokens."""
    _check_lengths(model, prompts, rule)
    prompt_NP, mask_NP = left_padded(prompts, rule.pad_token_id, device=_device(model))
    given = prefill(model, prompt_NP, mask_NP)
    logits_BV = given.logits_NV.repeat_interleave(num_samples, dim=0)
    steps = _steps(model, given, rule=rule, num_samples=num_samples, graphs=graphs)
    return _Decoder(steps, uniforms_BR, rule, device=mask_NP.device), logits_BV


def _steps(model: Any, given: Prefill, *, rule: SamplingRule, num_samples: int, graphs: DecodeGraphs | None) -> Steps:
    """How the tokens after the prompts come: replayed where that is possible, else over a cache that grows."""
    sizes = {"num_samples": num_samples, "num_tokens": rule.max_new_tokens}
    replayed = graphs.begin(given.cache, given.mask_NP, **sizes) if graphs else None
    if graphs and replayed and graphs.is_checked:
        return replayed
    kv_cache.make_room(given.cache, num_repeats=num_samples)
    mask_BP = given.mask_NP.repeat_interleave(num_samples, dim=0)
    growing = _Growing(model, given.cache, mask_BP, num_tokens=rule.max_new_tokens)
    return graphs.compared(replayed, growing) if graphs and replayed else growing


def together(parts: Sequence[tuple[Sequence[int], Responses]], *, pad_token_id: int, device: Any) -> Responses:
    """The responses of several processes as one batch: each part with the rows of the batch that it holds."""
    num_rows = sum(len(rows) for rows, _ in parts)
    width = max(part.tokens_BR.shape[1] for _, part in parts)
    tokens_BR = torch.full((num_rows, width), pad_token_id, device=device)
    logprobs_BR = torch.zeros((num_rows, width), device=device)
    lengths_B = torch.zeros(num_rows, dtype=torch.long, device=device)
    has_end_B = torch.zeros(num_rows, dtype=torch.bool, device=device)
    for rows, found in parts:
        part, index = found.to(device), torch.tensor(rows, device=device)
        tokens_BR[index, : part.tokens_BR.shape[1]] = part.tokens_BR
        logprobs_BR[index, : part.tokens_BR.shape[1]] = part.logprobs_BR
        lengths_B[index] = part.lengths_B
        has_end_B[index] = part.has_end_B
    return Responses(tokens_BR=tokens_BR, logprobs_BR=logprobs_BR, lengths_B=lengths_B, has_end_B=has_end_B)


def left_padded(rows: Sequence[Sequence[int]], pad_token_id: int, *, device: Any) -> tuple[Tensor, Tensor]:
    """Token ids and boolean mask, [N, P], padding on the left so that every row ends where sampling starts."""
    width = max(len(row) for row in rows)
    tokens = [[pad_token_id] * (width - len(row)) + list(row) for row in rows]
    mask = [[False] * (width - len(row)) + [True] * len(row) for row in rows]
    return torch.tensor(tokens, device=device), torch.tensor(mask, device=device)


def pick(logits_BV: Tensor, uniforms_B: Tensor, *, temperature: float, top_p: float = 1.0) -> tuple[Tensor, Tensor]:
    """One token per row by inverting the cumulative distribution, and its log-probability, [B] and [B]."""
    logprobs_BV = torch.log_softmax(logits_BV.float() / (temperature or 1.0), dim=-1)
    if temperature == 0:
        tokens_B = logprobs_BV.argmax(dim=-1)
    else:
        cumulative_BV = _nucleus(logprobs_BV.double().exp(), top_p).cumsum(dim=-1)
        targets_B = uniforms_B.to(cumulative_BV.device) * cumulative_BV[:, -1]
        tokens_B = torch.searchsorted(cumulative_BV, targets_B[:, None], right=True).squeeze(1)
        tokens_B = tokens_B.clamp_max(logits_BV.shape[1] - 1)
    return tokens_B, logprobs_BV.gather(1, tokens_B[:, None]).squeeze(1)


def _nucleus(probs_BV: Tensor, top_p: float) -> Tensor:
    """Zero for the tokens outside the smallest set whose probability reaches `top_p`; not renormalised."""
    if top_p >= 1:
        return probs_BV
    sorted_BV, order_BV = probs_BV.sort(dim=-1, descending=True)
    outside_BV = sorted_BV.cumsum(dim=-1) - sorted_BV >= top_p
    return probs_BV.masked_fill(torch.zeros_like(outside_BV).scatter(1, order_BV, outside_BV), 0.0)


class _Growing:
    """Steps over keys and values that grow by one token each; a row that has ended leaves them."""

    def __init__(self, model: Any, cache: Any, mask_BP: Tensor, *, num_tokens: int) -> None:
        self._model, self._cache, self._num_seen = model, cache, mask_BP.shape[1]
        self._positions_A1 = mask_BP.sum(dim=1, keepdim=True)
        is_seen_BT = torch.cat([mask_BP, mask_BP.new_ones((len(mask_BP), num_tokens))], dim=1)
        self._mask_AT = _additive(is_seen_BT, cache) if _takes_additive(model, cache) else is_seen_BT.long()

    def advance(self, tokens_A: Tensor) -> Tensor:
        self._num_seen += 1
        output = self._model(
            input_ids=tokens_A[:, None],
            attention_mask=self._mask_AT[..., : self._num_seen],
            position_ids=self._positions_A1,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._positions_A1 = self._positions_A1 + 1
        logits_AV: Tensor = output.logits[:, -1]
        return logits_AV

    def keep(self, kept_A: Tensor) -> None:
        self._mask_AT, self._positions_A1 = self._mask_AT[kept_A], self._positions_A1[kept_A]
        if len(kept_A):
            self._cache.batch_select_indices(kept_A)


def _takes_additive(model: Any, cache: Any) -> bool:
    """May the mask be what attention adds to its scores, made once for all layers and steps? From ones and zeros it is
    made anew at every step, and in every layer. Layers with a window need another; a GPU replays its steps."""
    is_plain = all(type(layer) is kv_cache.RoomyLayer and layer.device.type == "cpu" for layer in cache.layers)
    return is_plain and packing.is_enabled(model)


def _additive(is_seen_BT: Tensor, cache: Any) -> Tensor:
    """[B, 1, 1, T]: 0 where a token is seen, −∞ where not."""
    unseen = torch.zeros(is_seen_BT.shape, dtype=cache.layers[0].dtype).masked_fill_(~is_seen_BT, float("-inf"))
    return unseen[:, None, None]


class _Decoder:
    """The token loop: its state is the steps and the numbers of the rows that are still alive."""

    def __init__(self, steps: Steps, uniforms_BR: Tensor, rule: SamplingRule, *, device: torch.device) -> None:
        num_rows = len(uniforms_BR)
        shape = (num_rows, rule.max_new_tokens)
        self.rule, self._steps = rule, steps
        self.uniforms_BR = uniforms_BR.to(device)
        self.alive_A = torch.arange(num_rows, device=device)
        self.tokens_BR = torch.full(shape, rule.pad_token_id, device=device)
        self.logprobs_BR = torch.zeros(shape, device=device)
        self.lengths_B = torch.full((num_rows,), rule.max_new_tokens, device=device)
        self.has_end_B = torch.zeros(num_rows, dtype=torch.bool, device=device)

    def steps(self, logits_AV: Tensor) -> Iterator[int]:
        """One token of every row alive at a time; gives its place in the response."""
        for t in range(self.rule.max_new_tokens):
            tokens_A = self._record(t, logits_AV)
            tokens_A = self._drop_finished(t, tokens_A)
            yield t
            if not len(self.alive_A) or t + 1 == self.rule.max_new_tokens:
                break
            logits_AV = self._steps.advance(tokens_A)

    def responses(self) -> Responses:
        """All rows, once their steps are done."""
        width = int(self.lengths_B.amax())
        return Responses(
            tokens_BR=self.tokens_BR[:, :width],
            logprobs_BR=self.logprobs_BR[:, :width],
            lengths_B=self.lengths_B,
            has_end_B=self.has_end_B,
        )

    def _record(self, t: int, logits_AV: Tensor) -> Tensor:
        uniforms_A = self.uniforms_BR[self.alive_A, t]
        tokens_A, logprobs_A = pick(logits_AV, uniforms_A, temperature=self.rule.temperature, top_p=self.rule.top_p)
        self.tokens_BR[self.alive_A, t] = tokens_A
        self.logprobs_BR[self.alive_A, t] = logprobs_A
        return tokens_A

    def _drop_finished(self, t: int, tokens_A: Tensor) -> Tensor:
        """Note the rows that have just ended and take them out of the batch."""
        ended_A = tokens_A == self.rule.end_token_id
        if not bool(ended_A.any()):
            return tokens_A
        self.lengths_B[self.alive_A[ended_A]] = t + 1
        self.has_end_B[self.alive_A[ended_A]] = True
        kept = kv_cache.closed_up(~ended_A)
        self.alive_A = self.alive_A[kept]
        self._steps.keep(kept)
        return tokens_A[kept]


def _check_lengths(model: Any, prompts: Sequence[Sequence[int]], rule: SamplingRule) -> None:
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise RolloutError("a prompt has no token")
    limit = getattr(model.config, "max_position_embeddings", None)
    needed = max(len(prompt) for prompt in prompts) + rule.max_new_tokens
    if limit is not None and needed > limit:
        raise RolloutError(f"prompt and response need {needed} tokens, the model has positions for {limit}")


def _device(model: Any) -> torch.device:
    device: torch.device = next(iter(model.parameters())).device
    return device
