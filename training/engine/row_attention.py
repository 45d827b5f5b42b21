"""Attention of packed rows on a CPU: row by row, as plain products of matrices, forward and backward.

torch's attention for CPUs cuts rows into tiles that are too small to multiply well when a row has a hundred tokens, and
its backward pass takes more than twice as long as its forward pass. Here each row is one product for all heads, read
from the packed row where it stands: no token is copied to a padded batch and back, and no padding is computed. Who
looks how much at whom is kept for the backward pass: with rows this short, a small part of all that is kept. The result
is that of the reference up to rounding.

Shape legend: T tokens of the packed row, N tokens that look (all, or those that are read), H heads, D head size, R and
W tokens of one row that look and that are looked at.
"""

import itertools
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

LONGEST: Final = 256
"""A longer row is left to torch, whose tiles skip the half of it that causal attention never sees."""


Row = Tensor
"""Of one row what its tokens see, [R, W]: 0 where a token that looks sees a token, −∞ where it does not."""


def rows_of(lengths: Sequence[int], read_N: Tensor | None = None) -> tuple[Row, ...]:
    """Causal rows of these lengths, one after the other; none when one is too long. `read_N`: the tokens that look, in
    rising order; None: all."""
    if max(lengths) > LONGEST:
        return ()
    unseen_WW = torch.full((max(lengths), max(lengths)), float("-inf")).triu(1)
    if read_N is None:
        return tuple(unseen_WW[:length, :length] for length in lengths)
    starts_B = torch.tensor([0, *lengths]).cumsum(0)
    firsts = torch.searchsorted(read_N, starts_B).tolist()
    parts = zip(lengths, starts_B.tolist(), itertools.pairwise(firsts), strict=False)
    return tuple(unseen_WW[read_N[first:stop] - start, :length] for length, start, (first, stop) in parts)


def is_possible(rows: Sequence[Row], query: Tensor, *, window: int | None, softcap: float | None) -> bool:
    """May `attend_rows` be used?"""
    is_cut = window is not None and any(row.shape[1] > window for row in rows)
    is_plain = query.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled(query.device.type)
    return bool(rows) and is_plain and not is_cut and softcap is None


def attend_rows(query: Tensor, key: Tensor, value: Tensor, rows: Sequence[Row], *, scaling: float | None) -> Tensor:
    """Softmax attention of each row; query [1, H, N, D], key and value [1, H, T, D], result [1, N, H, D]."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if torch.is_grad_enabled():
        result: Tensor = _Attention.apply(query, key, value, rows, scale)  # type: ignore[no-untyped-call]
        return result
    return _forward(query, key, value, rows, scale)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, rows: Sequence[Row], scale: float) -> Tensor:
        kept: list[Tensor] = []
        output = _forward(query, key, value, rows, scale, keep_in=kept)
        ctx.save_for_backward(query, key, value, *kept)
        ctx.rows, ctx.scale = rows, scale
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *kept = ctx.saved_tensors
        to_query, to_key, to_value = (_like(tensor) for tensor in (query, key, value))
        looking, seen = _lengths(ctx.rows)
        for query_HRD, key_HWD, value_HWD, given_HRD, shares_HRW, its_query, its_key, its_value in zip(
            _by_row(query, looking),
            _by_row(key, seen),
            _by_row(value, seen),
            _by_row(gradient.transpose(1, 2), looking),
            kept,
            _by_row(to_query, looking),
            _by_row(to_key, seen),
            _by_row(to_value, seen),
            strict=True,
        ):
            its_value.copy_(torch.bmm(shares_HRW.mT, given_HRD))
            to_shares = torch.empty_like(shares_HRW).baddbmm_(given_HRD, value_HWD.mT, beta=0, alpha=ctx.scale)
            to_scores = torch.ops.aten._softmax_backward_data(to_shares, shares_HRW, -1, shares_HRW.dtype)
            its_query.copy_(torch.bmm(to_scores, key_HWD))
            its_key.copy_(torch.bmm(to_scores.mT, query_HRD))
        return to_query, to_key, to_value, None, None


def _forward(
    query: Tensor, key: Tensor, value: Tensor, rows: Sequence[Row], scale: float, keep_in: list[Tensor] | None = None
) -> Tensor:
    output = _like(query)
    looking, seen = _lengths(rows)
    for unseen_RW, query_HRD, key_HWD, value_HWD, its_output in zip(
        rows,
        _by_row(query, looking),
        _by_row(key, seen),
        _by_row(value, seen),
        _by_row(output, looking),
        strict=True,
    ):
        scores_HRW = torch.baddbmm(unseen_RW.to(query.dtype), query_HRD, key_HWD.mT, alpha=scale)
        shares_HRW = scores_HRW.softmax(dim=-1)
        its_output.copy_(torch.bmm(shares_HRW, value_HWD))
        if keep_in is not None:
            keep_in.append(shares_HRW)
    return output.transpose(1, 2)


def _by_row(tensor_1HND: Tensor, lengths: list[int]) -> tuple[Tensor, ...]:
    """Views of the rows, which stand one after the other: all in one call."""
    return torch.split(tensor_1HND[0], lengths, dim=1)


def _lengths(rows: Sequence[Row]) -> tuple[list[int], list[int]]:
    """How many tokens of each row look, and how many are looked at."""
    return [len(row) for row in rows], [row.shape[1] for row in rows]


def _like(tensor: Tensor) -> Tensor:
    """Room for [1, H, N, D] whose tokens stand one after the other, as the layers before and behind read them."""
    return tensor.new_empty((1, tensor.shape[2], tensor.shape[1], tensor.shape[3])).transpose(1, 2)
