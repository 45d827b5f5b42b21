"""Attention of packed rows and trees on a CUDA GPU under bf16: no padding, no mask, one copy of a prompt's keys.

torch's flash kernel takes sequences of any lengths that stand one after the other. The rows of a packed row are such
sequences, and so are the prompts and branches of a tree. What branches see of their prompts is a second call, of all
branch tokens of an element over its prompt's keys; the two are joined by their log-sum-exps. Backward, the kernel makes
probabilities again from scores and log-sum-exp; given the joined output and log-sum-exp it makes those of the joined
softmax, so the gradients of both calls are added and nothing is approximated (Dao 2023, FlashAttention-2, sections
3.1.1 and 3.1.2).

It knows no sliding window that cuts, no capped scores and no fp32: `knows` says so, and the padded ways take those.
The kernel is one that torch does not promise to keep: before its first use for a number of heads it is compared with
plain softmax attention, forward and backward (`fault`); where it is missing or says something else the padded ways are
taken, with a warning.

Shape legend: T tokens of the packed row, Q of them that look at their prompt, S that are looked at, H heads, D head
size; cumulative lengths are [sequences + 1], int32.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any, Final

import torch
from torch import Tensor

from training.engine.tree_shared import SAMPLE, difference
from training.engine.tree_together import Span

LARGEST_HEAD: Final = 256
TOLERANCES: Final = {torch.bfloat16: 0.1, torch.float16: 0.02, torch.float64: 1e-9}
"""Of the token that is furthest off at first use: rounding stays below half of it. fp16, which rounds least of what the
kernel takes, is always compared too."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """Tokens that look and tokens that are looked at, in as many sequences; None: all tokens of the row."""

    looking_Q: Tensor | None
    seen_S: Tensor | None
    ends_looking: Tensor
    ends_seen: Tensor
    longest_looking: int
    longest_seen: int


@dataclass(frozen=True, kw_only=True)
class Flash:
    """Each token sees its own sequence up to itself; branch tokens see their prompts whole, too."""

    own: Sequences
    prompts: Sequences | None
    longest: int  # the highest position, and one


def of_rows(lengths: Sequence[int], *, device: Any) -> Flash:
    """Causal rows of these lengths, one after the other."""
    return Flash(own=_own(lengths, device), prompts=None, longest=max(lengths))


def of_tree(spans: Sequence[Span], *, device: Any) -> Flash:
    """Prompts with their branches, one after the other."""
    own: list[int] = []
    looking: list[int] = []
    seen: list[int] = []
    sizes: list[tuple[int, int]] = []
    for start, num_prompt, lengths in spans:
        own += [length for length in (num_prompt, *lengths) if length]
        if num_prompt:
            looking += range(start + num_prompt, start + num_prompt + sum(lengths))
            seen += range(start, start + num_prompt)
            sizes.append((sum(lengths), num_prompt))
    prompts = None
    if sizes:
        num_looking, num_seen = zip(*sizes, strict=True)
        prompts = Sequences(
            looking_Q=torch.tensor(looking, device=device),
            seen_S=torch.tensor(seen, device=device),
            ends_looking=_ends(num_looking, device),
            ends_seen=_ends(num_seen, device),
            longest_looking=max(num_looking),
            longest_seen=max(num_seen),
        )
    longest = max(num_prompt + max(lengths) for _, num_prompt, lengths in spans)
    return Flash(own=_own(own, device), prompts=prompts, longest=longest)


def knows(flash: Flash, query: Tensor, key: Tensor, *, window: int | None, softcap: float | None) -> bool:
    """Can `attend` take these tokens?"""
    if query.device.type != "cuda" or softcap is not None:
        return False
    dtype, size = _dtype(query), query.shape[-1]
    is_cut = window is not None and window < flash.longest
    is_small = dtype in (torch.bfloat16, torch.float16) and size <= LARGEST_HEAD and size % 8 == 0
    return is_small and not is_cut and not fault(query.device, dtype, query.shape[1], key.shape[1], size)


def attend(flash: Flash, query: Tensor, key: Tensor, value: Tensor, *, scaling: float | None) -> Tensor:
    """Of the whole row: query [1, H, T, D], key and value with as many heads or fewer, result [1, T, H, D]."""
    tokens = (tensor[0].transpose(0, 1).to(_dtype(query)).contiguous() for tensor in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    result: Tensor = _Attention.apply(*tokens, flash, scale)  # type: ignore[no-untyped-call]
    return result[None]


@cache
def fault(device: torch.device, dtype: torch.dtype, num_heads: int, num_key_heads: int, size: int) -> str:
    """Why this way is not taken, in words for the log; empty when it is right. Compared once, with one warning."""
    flash = of_tree(SAMPLE, device=device)
    try:
        apart = {
            kind: difference(
                lambda *tensors: attend(flash, *tensors, scaling=None).transpose(1, 2),
                kind,
                heads=(num_heads, num_key_heads, size),
                device=device,
            )
            for kind in {dtype, torch.float16}
        }
        wrong = [value for kind, value in apart.items() if not value <= TOLERANCES[kind]]
        reason = f"torch's flash kernel differs from plain attention by {wrong[0]:.1e}" if wrong else ""
    except (RuntimeError, AttributeError, TypeError) as error:  # other arguments, other results, another GPU
        reason = f"torch's flash kernel cannot be called as it is here: {str(error).splitlines()[0]}"
    if reason:
        logger.warning("packed rows and trees are padded for attention, which is slower, because %s", reason)
    return reason


class _Attention(torch.autograd.Function):
    """query [T, H, D], key and value [T, fewer H, D] to [T, H, D]."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, flash: Flash, scale: float) -> Tensor:
        output, lse_HT = _forward(query, key, value, flash.own, scale=scale, causal=True)
        if flash.prompts is not None:
            looking_Q = flash.prompts.looking_Q
            assert looking_Q is not None  # noqa: S101  # branches are some of the tokens
            seen, lse_HQ = _forward(*_tokens(flash.prompts, query, key, value), flash.prompts, scale=scale)
            own_HQ = lse_HT[:, looking_Q]
            both_HQ = torch.logaddexp(own_HQ, lse_HQ)
            shares = [(part - both_HQ).exp().T[:, :, None] for part in (own_HQ, lse_HQ)]
            output[looking_Q] = (shares[0] * output[looking_Q] + shares[1] * seen).to(output.dtype)
            lse_HT[:, looking_Q] = both_HQ
        ctx.save_for_backward(query, key, value, output, lse_HT)
        ctx.flash, ctx.scale = flash, scale
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, lse_HT = ctx.saved_tensors
        flash, scale, gradient = ctx.flash, ctx.scale, gradient.contiguous()
        own = _backward(gradient, query, key, value, output, lse_HT, flash.own, scale=scale, causal=True)
        if flash.prompts is not None:
            looking_Q, seen_S = flash.prompts.looking_Q, flash.prompts.seen_S
            tokens = _tokens(flash.prompts, query, key, value)
            joined = output[looking_Q], lse_HT[:, looking_Q].contiguous()
            parts = _backward(gradient[looking_Q], *tokens, *joined, flash.prompts, scale=scale)
            for whole, index, part in zip(own, (looking_Q, seen_S, seen_S), parts, strict=True):
                whole.index_add_(0, index, part)
        return *own, None, None


def _tokens(sequences: Sequences, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return query[sequences.looking_Q], key[sequences.seen_S], value[sequences.seen_S]


def _forward(
    query: Tensor, key: Tensor, value: Tensor, sequences: Sequences, *, scale: float, causal: bool = False
) -> tuple[Tensor, Tensor]:
    """Attention within sequences, [tokens that look, H, D], and the log-sum-exps of its scores, [H, tokens]."""
    output, lse, *_ = torch.ops.aten._flash_attention_forward(
        query, key, value, *_shape(sequences), 0.0, causal, return_debug_mask=False, scale=scale
    )
    return output, lse


def _backward(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    lse_HT: Tensor,
    sequences: Sequences,
    *,
    scale: float,
    causal: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of query, key and value."""
    no_dropout = torch.zeros(2, dtype=torch.uint64, device=query.device)
    unused = torch.empty(0, device=query.device)
    found: tuple[Tensor, ...] = torch.ops.aten._flash_attention_backward(
        *(gradient, query, key, value, output, lse_HT),
        *(*_shape(sequences), 0.0, causal, no_dropout, unused),
        scale=scale,
    )
    return found


def _shape(sequences: Sequences) -> tuple[Tensor, Tensor, int, int]:
    return sequences.ends_looking, sequences.ends_seen, sequences.longest_looking, sequences.longest_seen


def _own(lengths: Sequence[int], device: Any) -> Sequences:
    ends, longest = _ends(lengths, device), max(lengths)
    return Sequences(
        looking_Q=None,
        seen_S=None,
        ends_looking=ends,
        ends_seen=ends,
        longest_looking=longest,
        longest_seen=longest,
    )


def _ends(lengths: Sequence[int], device: Any) -> Tensor:
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


def _dtype(query: Tensor) -> torch.dtype:
    """What attention computes in: autocast's precision where it is on."""
    kind = query.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype
