"""The attention of a tree on a CPU: one copy of each prompt's keys and values, no padding, no mask.

The softmax of a branch's token runs over two sets of keys, its prompt's and its own branch's. Each set is one call of
torch's flash kernel: the tokens of all branches together over the prompt's keys, and each branch over its own. The two
results are joined by their log-sum-exps, which is exact. Backward, that kernel makes probabilities again from scores
and log-sum-exp; given the joined output and log-sum-exp it makes those of the joined softmax, so the gradients of the
sets are added and that is exact too (Dao 2023, FlashAttention-2, sections 3.1.1 and 3.1.2).

It knows no sliding window, no capped scores and no autocast: `knows` says so, and `tree.py` has another way for them.
The kernel is one that torch does not promise to keep: before its first use in a process it is compared with plain
softmax attention (`fault`), and where it is missing or says something else the other way is taken, with a warning.

Shape legend: T tokens of the packed row, H heads, D head size.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor

from training.engine.attention import attend, for_all_heads
from training.engine.tree_together import Span

Piece = tuple[slice, slice, bool]
"""Which tokens look, at which, and whether causally."""

SAMPLE: Final[Sequence[Span]] = ((0, 530, (37, 1, 20)), (588, 0, (5, 9)), (602, 3, (2,)))
"""What is compared at first use: a prompt longer than the kernel's blocks, none, and a short one."""

logger = logging.getLogger(__name__)


def _op(name: str) -> Any:
    return getattr(torch.ops.aten, name, None)


_forward = _op("_scaled_dot_product_flash_attention_for_cpu")
_backward = _op("_scaled_dot_product_flash_attention_for_cpu_backward")


def knows(spans: Sequence[Span], query: Tensor, *, window: int | None, softcap: float | None) -> bool:
    """Can `attention` take these elements?"""
    longest = max(num_prompt + max(lengths) for _, num_prompt, lengths in spans)
    is_cut = window is not None and window < longest
    is_asked = query.device.type == "cpu" and softcap is None and not is_cut and not torch.is_autocast_enabled("cpu")
    return is_asked and not fault(query.dtype)


@cache
def fault(dtype: torch.dtype) -> str:
    """Why this way is not taken for numbers of this kind, in words for the log; empty when it is right. One warning."""
    reason = _fault(dtype)
    if reason:
        logger.warning("trees are computed with masks, which is slower, because %s", reason)
    return reason


def attention(spans: Sequence[Span], query: Tensor, key: Tensor, value: Tensor, *, scaling: float | None) -> Tensor:
    """Of the whole row: query [1, H, T, D], result [1, T, H, D]."""
    result: Tensor = _SharedAttention.apply(query, key, value, spans, scaling)  # type: ignore[no-untyped-call]
    return result.transpose(1, 2)


class _SharedAttention(torch.autograd.Function):
    """query, key and value [1, H, T, D] to [1, H, T, D]."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, spans: Any, scaling: float | None) -> Tensor:
        output = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
        lse = query.new_empty(1, query.shape[2], query.shape[1]).transpose(1, 2)
        for start, num_prompt, lengths in spans:
            for looks, at, causal in _own_pieces(start, num_prompt, lengths):
                output[:, :, looks], lse[:, :, looks] = _forward(
                    query[:, :, looks], key[:, :, at], value[:, :, at], is_causal=causal, scale=scaling
                )
            if num_prompt:
                looks, at, _ = _shared_piece(start, num_prompt, lengths)
                shared = _forward(query[:, :, looks], key[:, :, at], value[:, :, at], scale=scaling)
                _join(output[:, :, looks], lse[:, :, looks], *shared)
        ctx.save_for_backward(query, key, value, output, lse)
        ctx.spans, ctx.scaling = spans, scaling
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, lse = ctx.saved_tensors
        found = [torch.empty_like(tensor) for tensor in (query, key, value)]

        def of(piece: Piece) -> tuple[Tensor, ...]:
            looks, at, causal = piece
            mine = (gradient[:, :, looks], query[:, :, looks], key[:, :, at], value[:, :, at])
            parts: tuple[Tensor, ...] = _backward(
                *mine, output[:, :, looks], lse[:, :, looks], 0.0, causal, scale=ctx.scaling
            )
            return parts

        for start, num_prompt, lengths in ctx.spans:
            for piece in _own_pieces(start, num_prompt, lengths):
                for whole, part in zip(found, of(piece), strict=True):
                    whole[:, :, piece[0]] = part
            if num_prompt:
                piece = _shared_piece(start, num_prompt, lengths)
                for whole, where, part in zip(found, (piece[0], piece[1], piece[1]), of(piece), strict=True):
                    whole[:, :, where] += part
        return (*found, None, None)


def _own_pieces(start: int, num_prompt: int, lengths: Sequence[int]) -> Iterator[Piece]:
    """The prompt over itself and each branch over itself."""
    for length in (num_prompt, *lengths):
        if length:
            own = slice(start, start + length)
            yield own, own, True
        start += length


def _shared_piece(start: int, num_prompt: int, lengths: Sequence[int]) -> Piece:
    """All branches over the prompt."""
    first = start + num_prompt
    return slice(first, first + sum(lengths)), slice(start, first), False


def _join(output: Tensor, lse: Tensor, other: Tensor, other_lse: Tensor) -> None:
    """Make `output` and `lse`, in place, those of the softmax over both sets of keys."""
    joined = torch.logaddexp(lse, other_lse)
    output.mul_(torch.exp(lse - joined)[..., None]).add_(other.mul_(torch.exp(other_lse - joined)[..., None]))
    lse.copy_(joined)


def _fault(dtype: torch.dtype) -> str:
    if _forward is None or _backward is None:
        return "this torch has no flash kernel for the CPU under the name that is known here"
    try:
        found = difference(lambda *tensors: attention(SAMPLE, *tensors, scaling=None).transpose(1, 2), dtype)
    except (RuntimeError, TypeError, ValueError) as error:  # other arguments, other results
        return f"torch's flash kernel for the CPU cannot be called as it is here: {str(error).splitlines()[0]}"
    if found < 100 * torch.finfo(dtype).eps:
        return ""
    return f"torch's flash kernel for the CPU differs from plain attention by {found:.1g}"


def difference(
    attention_of: Callable[..., Tensor],
    dtype: torch.dtype,
    *,
    plain: Callable[..., Tensor] | None = None,
    heads: tuple[int, int, int] = (2, 2, 16),
    device: Any = "cpu",
) -> float:
    """How far the attention of `SAMPLE` and its gradients lie from plain masked attention in fp64: of the token that is
    furthest off, relative to the usual size of a token's numbers.

    `attention_of` takes query, key and value [1, H, T, D] and gives [1, H, T, D]. `plain`: what it shall be, when the
    tokens are not the tree of `SAMPLE`. `heads`: those of queries, those of keys, and their size.
    """
    ours = _sample_of(attention_of, dtype, heads, device)
    reference = _sample_of(plain or _masked, torch.float64, heads, device)
    return max(_furthest(one.double() - other, other) for one, other in zip(ours, reference, strict=True))


def _furthest(error: Tensor, whole: Tensor) -> float:
    of_tokens = (tensor.square().sum(dim=(1, 3)) for tensor in (error, whole))
    error_1T, whole_1T = of_tokens
    return float((error_1T.max() / whole_1T.mean()).sqrt())


def _sample_of(
    attention_of: Callable[..., Tensor], dtype: torch.dtype, heads: tuple[int, int, int], device: Any
) -> tuple[Tensor, ...]:
    """Output of `SAMPLE` and the gradients of query, key and value, from the same numbers each time.

    Whatever the model is in the middle of (no gradients, autocast, recomputed layers that count what is saved) sees
    none of it.
    """
    start, num_prompt, lengths = SAMPLE[-1]
    num_heads, num_key_heads, size = heads
    chance = torch.Generator().manual_seed(0)
    drawn = [
        torch.randn(1, number, start + num_prompt + sum(lengths), size, generator=chance)
        for number in (num_heads, num_key_heads, num_key_heads, num_heads)
    ]
    untouched = torch.autograd.graph.saved_tensors_hooks(_as_it_is, _as_it_is)
    with torch.enable_grad(), untouched, torch.autocast(torch.device(device).type, enabled=False):
        *tensors, gradient = (tensor.to(device, dtype) for tensor in drawn)
        inputs = [tensor.requires_grad_() for tensor in tensors]
        output = attention_of(*inputs)
        return (output.detach(), *torch.autograd.grad(output, inputs, gradient))


def _masked(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    key, value = (for_all_heads(tensor, query) for tensor in (key, value))
    return attend(query, key, value, _seen().to(query.device), scaling=None, softcap=None)


def _seen() -> Tensor:
    """What each token of `SAMPLE` sees, [T, T]."""
    start, num_prompt, lengths = SAMPLE[-1]
    width = start + num_prompt + sum(lengths)
    seen_TT = torch.zeros(width, width, dtype=torch.bool)
    for first, num_before, branches in SAMPLE:
        branch = first + num_before
        seen_TT[first:branch, first:branch] = True
        for length in branches:
            seen_TT[branch : branch + length, first : first + num_before] = True
            seen_TT[branch : branch + length, branch : branch + length] = True
            branch += length
    return seen_TT.tril()


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor
