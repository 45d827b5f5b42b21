"""Attention of packed rows and trees on a CUDA GPU under bf16: no padding, no mask, one copy of a prompt's keys.

torch's flash kernel takes sequences of any lengths that stand one after the other. The rows of a packed row are such
sequences, and so are the prompts and branches of a tree. What branches see of their prompts is a second call, of all
branch tokens of an element over its prompt's keys; the two are joined by their log-sum-exps. Backward, the kernel makes
probabilities again from scores and log-sum-exp; given the joined output and log-sum-exp it makes those of the joined
softmax, so the gradients of both calls are added and nothing is approximated (Dao 2023, FlashAttention-2, sections
3.1.1 and 3.1.2).

In a last layer that is computed where it is read, the tokens that look are the last ones of each row, to its end; the
kernel lets the last of them see the whole row, the one before it one token less, and so on.

It knows no sliding window that cuts, no capped scores and no fp32: `knows` says so, and the padded ways take those.
The kernel is one that torch does not promise to keep: before its first use for a number of heads it is compared with
plain softmax attention, forward and backward (`fault`); where it is missing or says something else the padded ways are
taken, with a warning.

Shape legend: T tokens of the packed row, Q of them that look at their prompt, S that are looked at, H heads, D head
size; cumulative lengths are [sequences + 1], int32.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from typing import Any, Final

import torch
from torch import Tensor

from training.engine.attention import attend as plain_attention
from training.engine.attention import for_all_heads
from training.engine.tree_shared import SAMPLE, difference
from training.engine.tree_together import Span

LARGEST_HEAD: Final = 256
TOLERANCES: Final = {torch.bfloat16: 0.1, torch.float16: 0.02, torch.float64: 1e-9}
"""Of the token that is furthest off at first use: rounding stays below half of it. fp16, which rounds least of what the
kernel takes, is always compared too."""

READ_SAMPLE: Final = ((530, range(489, 529)), (58, range(530, 588)), (19, range(606, 607)))
"""Rows as long as `SAMPLE`, and the tokens of each that look, at first use: some before the end, all, and the end."""

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
class Readers:
    """N tokens that look at their rows: the last ones of each row, of which its very last may be missing.

    That one looks too, in place of nobody: query i is the one of reader `source_Q[i]`, and the result of reader n is
    that of query `kept_N[n]`.
    """

    source_Q: Tensor
    kept_N: Tensor
    flash: "Flash"


@dataclass(frozen=True, kw_only=True)
class Flash:
    """Each token sees its own sequence up to itself; branch tokens see their prompts whole, too."""

    own: Sequences
    prompts: Sequences | None
    longest: int  # the highest position, and one


def is_for(device: Any) -> bool:
    """Is this a device that has the kernel?"""
    return torch.device(device).type == "cuda"


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


def of_readers(lengths: Sequence[int], read_N: Tensor) -> Readers | None:
    """These tokens, in rising order, of causal rows of these lengths; None where they are not the last ones of each."""
    device, read_N = read_N.device, read_N.cpu()
    ends_B = torch.tensor(lengths).cumsum(0)
    row_N = torch.searchsorted(ends_B, read_N, right=True)
    count_B = torch.bincount(row_N, minlength=len(lengths))
    if not bool(count_B.all()):
        return None
    last_B = read_N[count_B.cumsum(0) - 1]
    is_missing_B = last_B < ends_B - 1
    first_B = last_B - count_B + 1
    size_B = count_B + is_missing_B
    if not torch.equal(first_B, read_N[count_B.cumsum(0) - count_B]) or not torch.equal(first_B + size_B, ends_B):
        return None
    source_Q = torch.arange(len(read_N)).repeat_interleave(_times_asked(count_B, is_missing_B))
    is_kept_Q = torch.ones(len(source_Q), dtype=torch.bool)
    is_kept_Q[(size_B.cumsum(0) - 1)[is_missing_B]] = False
    seen = _own(lengths, device)
    looking = replace(seen, ends_looking=_ends(size_B.tolist(), device), longest_looking=int(size_B.max()))
    return Readers(
        source_Q=source_Q.to(device),
        kept_N=is_kept_Q.nonzero().squeeze(1).to(device),
        flash=Flash(own=looking, prompts=None, longest=max(lengths)),
    )


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
    tokens = (_with_heads_whole(tensor[0].transpose(0, 1).to(_dtype(query))) for tensor in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    result: Tensor = _Attention.apply(*tokens, flash, scale)  # type: ignore[no-untyped-call]
    return result[None]


def attend_readers(readers: Readers, query: Tensor, key: Tensor, value: Tensor, *, scaling: float | None) -> Tensor:
    """Of the readers: query [1, H, N, D], key and value of the whole row [1, H or fewer, T, D], result [1, N, H, D]."""
    found = attend(readers.flash, query.index_select(2, readers.source_Q), key, value, scaling=scaling)
    return found.index_select(1, readers.kept_N)


@cache
def fault(device: torch.device, dtype: torch.dtype, num_heads: int, num_key_heads: int, size: int) -> str:
    """Why this way is not taken, in words for the log; empty when it is right. Compared once, with one warning."""
    flash = of_tree(SAMPLE, device=device)
    place: dict[str, Any] = {"heads": (num_heads, num_key_heads, size), "device": device}
    try:
        apart = [
            (kind, difference(ours, kind, plain=plain, **place))
            for kind in {dtype, torch.float16}
            for ours, plain in (
                (lambda *tensors: attend(flash, *tensors, scaling=None).transpose(1, 2), None),
                (_sample_readers, _plain_readers),
            )
        ]
        wrong = [value for kind, value in apart if not value <= TOLERANCES[kind]]
        reason = f"torch's flash kernel differs from plain attention by {wrong[0]:.1e}" if wrong else ""
    except (RuntimeError, AttributeError, TypeError) as error:  # other arguments, other results, another GPU
        reason = f"torch's flash kernel cannot be called as it is here: {str(error).splitlines()[0]}"
    if reason:
        logger.warning("packed rows and trees are padded for attention, which is slower, because %s", reason)
    return reason


def _sample_readers(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """`attend_readers` of `READ_SAMPLE`, [1, H, T, D]; 0 for the tokens that do not look."""
    read_N = torch.tensor([token for _, tokens in READ_SAMPLE for token in tokens], device=query.device)
    readers = of_readers([length for length, _ in READ_SAMPLE], read_N)
    assert readers is not None  # noqa: S101  # they are the last ones of each row
    found = attend_readers(readers, query[:, :, read_N], key, value, scaling=None)
    return torch.zeros_like(query).index_copy(2, read_N, found.transpose(1, 2))


def _plain_readers(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    key, value = (for_all_heads(tensor, query) for tensor in (key, value))
    row_T = torch.repeat_interleave(torch.tensor([length for length, _ in READ_SAMPLE], device=query.device))
    seen_TT = (row_T[:, None] == row_T).tril()
    looks_T = torch.zeros(len(row_T), dtype=query.dtype, device=query.device)
    looks_T[[token for _, tokens in READ_SAMPLE for token in tokens]] = 1
    return plain_attention(query, key, value, seen_TT, scaling=None, softcap=None) * looks_T[:, None]


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


def _with_heads_whole(tensor_THD: Tensor) -> Tensor:
    """The numbers of a head side by side, which is all the kernel asks for: tokens may stand apart."""
    return tensor_THD if tensor_THD.stride(-1) == 1 else tensor_THD.contiguous()


def _shape(sequences: Sequences) -> tuple[Tensor, Tensor, int, int]:
    at_least_two = max(2, sequences.longest_looking)  # for one token to each sequence the kernel has a way of its own
    return sequences.ends_looking, sequences.ends_seen, at_least_two, sequences.longest_seen


def _times_asked(count_B: Tensor, is_missing_B: Tensor) -> Tensor:
    """How often each reader is a query, [N]: the last one of a row twice where the row's end is missing."""
    times_N = torch.ones(int(count_B.sum()), dtype=torch.long)
    times_N[count_B.cumsum(0) - 1] += is_missing_B
    return times_N


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
