"""What policy, value and reward models say about finished episodes: right-padded rows of prompt and response.

A model for which `training.engine.packing` is enabled reads the tokens of those rows alone, in one packed row without
padding; the others read the padded rows. What they say is the same up to rounding.

Shape legend: B episodes, T tokens of a row (prompt and response), R response positions, N kept response tokens of all
rows, D hidden size, V vocabulary. Masks are boolean and True means keep.

The policy's log-probability of response token t, and the value before it, are read at the token in front of it; the
reward at the last token of the response. Only those positions ever meet the unembedding, in chunks, in fp32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from training.engine import packing
from training.engine.ppo_losses import entropy

CHUNK_TOKENS = 2048
"""Response tokens whose logits exist at one time: 2048 × 50k × 4 bytes = 400 MB at the largest common vocabulary."""


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """Right-padded rows. `index_BR[b, t]` is where response token t of row b stands in its row."""

    input_ids_BT: Tensor
    attention_mask_BT: Tensor
    index_BR: Tensor
    mask_BR: Tensor

    def __len__(self) -> int:
        return int(self.input_ids_BT.shape[0])

    def rows(self, indices: Tensor) -> "Episodes":
        """The chosen rows, cut to their own longest row and longest response."""
        attention_mask_BT, mask_BR = self.attention_mask_BT[indices], self.mask_BR[indices]
        width, response_width = _width(attention_mask_BT), _width(mask_BR)
        return Episodes(
            input_ids_BT=self.input_ids_BT[indices, :width],
            attention_mask_BT=attention_mask_BT[:, :width],
            index_BR=self.index_BR[indices, :response_width].clamp_max(width - 1),
            mask_BR=mask_BR[:, :response_width],
        )

    @property
    def response_ids(self) -> Tensor:
        """Response token ids; whatever stands at the clamped index outside the mask."""
        return self.input_ids_BT.gather(1, self.index_BR)

    @cached_property
    def index_before(self) -> Tensor:
        """Where the token in front of each response token stands in its row."""
        return (self.index_BR - 1).clamp_min(0)

    @cached_property
    def index_last(self) -> Tensor:
        """Where the last response token of each row stands."""
        count_B1 = self.mask_BR.sum(dim=1, keepdim=True) - 1  # of the response: index_BR says where that is in the row
        return self.index_BR.gather(1, count_B1)

    @cached_property
    def packed_before(self) -> packing.Rows:
        """Without padding, to be read in front of the response tokens. Made once, however many models ask."""
        return packing.rows(
            self.input_ids_BT, self.attention_mask_BT, places_BR=self.index_before, read_BR=self.mask_BR
        )

    @cached_property
    def packed_last(self) -> packing.Rows:
        """Without padding, to be read at the last response tokens."""
        places_B1 = self.index_last
        read_B1 = torch.ones_like(places_B1, dtype=torch.bool)
        return packing.rows(self.input_ids_BT, self.attention_mask_BT, places_BR=places_B1, read_BR=read_B1)


def positions_from_mask(mask_BT: Tensor) -> Tensor:
    """0, 1, 2, … over the kept tokens of each row, [B, T]; 0 at padding on the left."""
    return (mask_BT.long().cumsum(dim=1) - 1).clamp_min(0)


def episodes(
    prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], *, pad_token_id: int, device: Any = "cpu"
) -> Episodes:
    """Prompt and response of each episode as one right-padded row. An empty response is an error."""
    if not all(len(response) for response in responses):
        raise ValueError("an episode has no response token")
    rows = [[*prompt, *response] for prompt, response in zip(prompts, responses, strict=True)]
    width, response_width = max(map(len, rows)), max(map(len, responses))
    input_ids = [row + [pad_token_id] * (width - len(row)) for row in rows]
    lengths_B = torch.tensor([len(row) for row in rows])
    response_lengths_B = torch.tensor([len(response) for response in responses])
    starts_B = lengths_B - response_lengths_B
    positions_R = torch.arange(response_width)
    return Episodes(
        input_ids_BT=torch.tensor(input_ids).to(device),
        attention_mask_BT=(torch.arange(width) < lengths_B[:, None]).to(device),
        index_BR=(starts_B[:, None] + positions_R).clamp_max(width - 1).to(device),
        mask_BR=(positions_R < response_lengths_B[:, None]).to(device),
    )


def response_logprobs(model: Any, batch: Episodes, *, temperature: float, chunk_tokens: int = CHUNK_TOKENS) -> Tensor:
    """log π(token) of every response token at the sampling temperature, [B, R] in fp32, zero outside the mask."""
    hidden_ND = _hidden_before(model, batch)
    targets_N = batch.response_ids[batch.mask_BR]
    head = model.get_output_embeddings()
    chunks = [
        _chunk_logprobs(head, hidden, targets, temperature, save_memory=len(targets_N) > chunk_tokens)
        for hidden, targets in zip(
            torch.split(hidden_ND, chunk_tokens), torch.split(targets_N, chunk_tokens), strict=True
        )
    ]
    return _scatter(torch.cat(chunks), batch.mask_BR)


@torch.no_grad()
def response_logprobs_and_entropy(
    model: Any, batch: Episodes, *, temperature: float, chunk_tokens: int = CHUNK_TOKENS
) -> tuple[Tensor, Tensor]:
    """`response_logprobs` to the last bit, and the entropy in nats of what each token was drawn from; [B, R] each."""
    hidden_ND = _hidden_before(model, batch)
    targets_N = batch.response_ids[batch.mask_BR]
    head = model.get_output_embeddings()
    logprobs, entropies = [], []
    for hidden, targets in zip(torch.split(hidden_ND, chunk_tokens), torch.split(targets_N, chunk_tokens), strict=True):
        logits_NV = _logits(head, hidden, temperature)
        logprobs.append(_picked(logits_NV, targets))
        entropies.append(entropy(logits_NV))
    return _scatter(torch.cat(logprobs), batch.mask_BR), _scatter(torch.cat(entropies), batch.mask_BR)


def response_values(model: Any, batch: Episodes) -> Tensor:
    """The value of the state before each response token, [B, R] in fp32, zero outside the mask.

    `model` has a scalar head (`AutoModelForSequenceClassification`, one label), read here at every response position.
    """
    return _scatter(score_hidden(model, _hidden_before(model, batch)).float(), batch.mask_BR)


@torch.no_grad()
def check_unembedding(model: Any) -> None:
    """Raises ValueError for a policy whose logits are more than its unembedding of the last hidden state.

    Some models scale or cap their logits after it; here log-probabilities are made from the unembedding alone.
    """
    ids_BT = torch.arange(1, 5, device=next(iter(model.parameters())).device)[None, :]
    expected = model(input_ids=ids_BT).logits
    found = model.get_output_embeddings()(model.base_model(input_ids=ids_BT).last_hidden_state)
    if not torch.allclose(found.float(), expected.float(), atol=1e-3, rtol=1e-3):
        kind = model.config.model_type
        raise ValueError(f"a {kind} model changes its logits after the unembedding, which is not supported")


@torch.no_grad()
def end_rewards(model: Any, batch: Episodes) -> Tensor:
    """`end_scores` without a graph, in fp32, [B]."""
    return end_scores(model, batch).float()


def end_scores(model: Any, batch: Episodes) -> Tensor:
    """The reward model's score at the last response token of each row (the end token where there is one), [B].

    Differentiable.
    """
    if packing.is_enabled(model):
        hidden_BD = packing.hidden(model, batch.packed_last)
    else:
        hidden_BD = _gather(_hidden(model, batch), batch.index_last).squeeze(1)
    return score_hidden(model, hidden_BD)


@torch.no_grad()
def end_rewards_left_padded(model: Any, batch: Episodes) -> Tensor:
    """`end_rewards` of the same rows padded on the left, [B]: equal up to rounding, or padding is misread.

    Never packed, so that what packed rows say is compared with padded ones, too.
    """
    width = batch.input_ids_BT.shape[1]
    positions_T = torch.arange(width, device=batch.input_ids_BT.device)
    shift_B1 = width - batch.attention_mask_BT.sum(dim=1, keepdim=True)
    shifted = Episodes(
        input_ids_BT=batch.input_ids_BT.gather(1, (positions_T - shift_B1).clamp_min(0)),
        attention_mask_BT=positions_T >= shift_B1,
        index_BR=batch.index_BR + shift_B1,
        mask_BR=batch.mask_BR,
    )
    hidden_BD = _gather(_hidden(model, shifted), shifted.index_last).squeeze(1)
    return score_hidden(model, hidden_BD).float()


def score_hidden(model: Any, hidden: Tensor) -> Tensor:
    """The scalar head, in at least fp32 also under autocast: a score is a difference of large sums."""
    with torch.autocast(hidden.device.type, enabled=False):
        scores: Tensor = model.score(hidden.to(model.score.weight.dtype)).squeeze(-1)
    return scores


def _hidden(model: Any, batch: Episodes) -> Tensor:
    """Last hidden states, [B, T, D], of the base model alone: no logits. Position ids come from the mask."""
    output = model.base_model(
        input_ids=batch.input_ids_BT,
        attention_mask=batch.attention_mask_BT.long(),
        position_ids=positions_from_mask(batch.attention_mask_BT),
        use_cache=False,
    )
    hidden_BTD: Tensor = output.last_hidden_state
    return hidden_BTD


def _hidden_before(model: Any, batch: Episodes) -> Tensor:
    """The hidden states in front of the kept response tokens, [N, D]."""
    if packing.is_enabled(model):
        return packing.hidden(model, batch.packed_before)
    return _gather(_hidden(model, batch), batch.index_before)[batch.mask_BR]


def _gather(hidden_BTD: Tensor, index_BR: Tensor) -> Tensor:
    return hidden_BTD.gather(1, index_BR[:, :, None].expand(-1, -1, hidden_BTD.shape[2]))


def _chunk_logprobs(head: Any, hidden: Tensor, targets: Tensor, temperature: float, *, save_memory: bool) -> Tensor:
    """One chunk; with several, its logits are made again in the backward pass instead of being kept."""
    if save_memory and torch.is_grad_enabled():
        result: Tensor = checkpoint(_token_logprobs, head, hidden, targets, temperature, use_reentrant=False)
    else:
        result = _token_logprobs(head, hidden, targets, temperature)
    return result


def _token_logprobs(head: Any, hidden_ND: Tensor, targets_N: Tensor, temperature: float) -> Tensor:
    return _picked(_logits(head, hidden_ND, temperature), targets_N)


def _logits(head: Any, hidden_ND: Tensor, temperature: float) -> Tensor:
    """[N, V] in at least fp32, also under autocast."""
    logits_NV: Tensor = head(hidden_ND)
    return logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32)) / temperature


def _picked(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    return logits_NV.gather(1, targets_N[:, None]).squeeze(1) - torch.logsumexp(logits_NV, dim=1)


def _scatter(values_N: Tensor, mask_BR: Tensor) -> Tensor:
    values_BR = torch.zeros(mask_BR.shape, dtype=values_N.dtype, device=values_N.device)
    return values_BR.masked_scatter(mask_BR, values_N)


def _width(mask_BT: Tensor) -> int:
    return int(mask_BT.sum(dim=1).amax())
