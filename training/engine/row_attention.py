"""Attention of packed rows on a CPU: row by row, as plain products of matrices, forward and backward.

torch's attention for CPUs cuts rows into tiles that are too small to multiply well when a row has a hundred tokens, and
its backward pass takes more than twice as long as its forward pass. Here each row is one product for all heads, read
from the packed row where it stands: no token is copied to a padded batch and back, and no padding is computed. Who
looks how much at whom is kept for the backward pass: with rows this short, a small part of all that is kept. The result
is that of the reference up to rounding.

Shape legend: T tokens of the packed row, N tokens that look (all, or those that are read), H heads, D head size, R and
W tokens of one row that look and that are looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

LONGEST: Final = 256
"""A longer row is left to torch, whose tiles skip the half of it that causal attention never sees."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Which of the N tokens that look, and which of the T tokens, are this row's; `unseen_RW` is 0 where a token sees,
    −∞ where it does not."""

    looking: slice
    tokens: slice
    unseen_RW: Tensor


def rows_of(lengths: Sequence[int], read_N: Tensor | None = None) -> tuple[Row, ...]:
    """Causal rows of these lengths, one after the other; none when one is too long. `read_N`: the tokens that look, in
    rising order; None: all."""
    if max(lengths) > LONGEST:
        return ()
    unseen_WW = torch.full((max(lengths), max(lengths)), float("-inf")).triu(1)
    found, first, looked = [], 0, 0
    for length in lengths:
        if read_N is None:
            count, unseen_RW = length, unseen_WW[:length, :length]
        else:
            places_R = read_N[(read_N >= first) & (read_N < first + length)] - first
            count, unseen_RW = len(places_R), unseen_WW[places_R, :length]
        row = Row(looking=slice(looked, looked + count), tokens=slice(first, first + length), unseen_RW=unseen_RW)
        found.append(row)
        first, looked = first + length, looked + count
    return tuple(found)


def is_possible(rows: Sequence[Row], query: Tensor, *, window: int | None, softcap: float | None) -> bool:
    """May `attend_rows` be used?"""
    is_cut = window is not None and any(row.unseen_RW.shape[1] > window for row in rows)
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
        for row, shares_HRW in zip(ctx.rows, kept, strict=True):
            looking, tokens = row.looking, row.tokens
            given = gradient[0, looking].transpose(0, 1)
            to_value[0, :, tokens] = shares_HRW.transpose(1, 2) @ given
            to_shares = given @ value[0, :, tokens].transpose(1, 2)
            to_scores = torch.ops.aten._softmax_backward_data(to_shares, shares_HRW, -1, shares_HRW.dtype)
            to_scores *= ctx.scale
            to_query[0, :, looking] = to_scores @ key[0, :, tokens]
            to_key[0, :, tokens] = to_scores.transpose(1, 2) @ query[0, :, looking]
        return to_query, to_key, to_value, None, None


def _forward(
    query: Tensor, key: Tensor, value: Tensor, rows: Sequence[Row], scale: float, keep_in: list[Tensor] | None = None
) -> Tensor:
    _, num_heads, num_looking, size = query.shape
    output = query.new_empty((1, num_looking, num_heads, size))
    for row in rows:
        shares_HRW = _shares(query, key, row, scale)
        output[0, row.looking] = (shares_HRW @ value[0, :, row.tokens]).transpose(0, 1)
        if keep_in is not None:
            keep_in.append(shares_HRW)
    return output


def _shares(query: Tensor, key: Tensor, row: Row, scale: float) -> Tensor:
    """How much each token of the row that looks sees of each, [H, R, W]."""
    looking, seen = query[0, :, row.looking], key[0, :, row.tokens].transpose(1, 2)
    return torch.baddbmm(row.unseen_RW.to(query.dtype), looking, seen, alpha=scale).softmax(dim=-1)


def _like(tensor: Tensor) -> Tensor:
    """Room for a gradient [1, H, N, D] whose tokens stand one after the other, as the layer before reads it."""
    return tensor.new_empty((1, tensor.shape[2], tensor.shape[1], tensor.shape[3])).transpose(1, 2)
