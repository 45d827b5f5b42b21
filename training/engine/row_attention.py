"""Attention of packed rows on a CPU: row by row, as plain products of matrices, forward and backward.

torch's attention for CPUs cuts rows into tiles that are too small to multiply well when a row has a hundred tokens, and
its backward pass takes more than twice as long as its forward pass. Here each row is one product for all heads, read
from the packed row where it stands: no token is copied to a padded batch and back, and no padding is computed. Who
looks how much at whom is kept for the backward pass: with rows this short, a small part of all that is kept. The rows'
results stand one behind the other, heads outside, as the products leave them, and one gather puts all in place. The
result is that of the reference up to rounding.

Shape legend: T tokens of the packed row, N tokens that look (all, or those that are read), H heads, D head size, R and
W tokens of one row that look and that are looked at, C tensors that stand beside each other.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache
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
        joint = _joint(query, key, value)
        given = (query, key, value) if joint is None else (joint,)
        result: Tensor = _Attention.apply(rows, scale, query.shape[1], *given)  # type: ignore[no-untyped-call]
        return result
    return _forward(query, key, value, rows, scale)


class _Attention(torch.autograd.Function):
    """Of queries, keys and values; or of the tensor that holds all three, whose gradient is then made in one piece."""

    @staticmethod
    def forward(ctx: Any, rows: Sequence[Row], scale: float, num_heads: int, *given: Tensor) -> Tensor:
        kept: list[Tensor] = []
        query, key, value = _three(given, num_heads)
        output = _forward(query, key, value, rows, scale, keep_in=kept)
        ctx.save_for_backward(*given, *kept)
        ctx.rows, ctx.scale, ctx.num_heads = rows, scale, num_heads
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # read once: recomputed ones are made then
        given, kept = saved[: -len(ctx.rows)], saved[-len(ctx.rows) :]
        query, key, value = _three(given, ctx.num_heads)
        looking, seen = _lengths(ctx.rows)
        rooms = [_Room(query, looking, 3)] if len(given) == 1 else [_Room(query, looking), _Room(key, seen, 2)]
        to_query, to_key, to_value = (pieces for room in rooms for pieces in room.pieces())
        for query_HRD, key_HWD, value_HWD, given_HRD, shares_HRW, its_query, its_key, its_value in zip(
            _by_row(query, looking),
            _by_row(key, seen),
            _by_row(value, seen),
            _by_row(gradient.transpose(1, 2), looking),
            kept,
            to_query,
            to_key,
            to_value,
            strict=True,
        ):
            torch.bmm(shares_HRW.mT, given_HRD, out=its_value)
            to_shares = torch.empty_like(shares_HRW).baddbmm_(given_HRD, value_HWD.mT, beta=0, alpha=ctx.scale)
            to_scores = torch.ops.aten._softmax_backward_data(to_shares, shares_HRW, -1, shares_HRW.dtype)
            torch.bmm(to_scores, key_HWD, out=its_query)
            torch.bmm(to_scores.mT, query_HRD, out=its_key)
        if len(given) == 1:
            return None, None, None, rooms[0].gathered().view_as(given[0])
        return None, None, None, *(found for room in rooms for found in _heads_first(room.gathered()))


def _forward(
    query: Tensor, key: Tensor, value: Tensor, rows: Sequence[Row], scale: float, keep_in: list[Tensor] | None = None
) -> Tensor:
    looking, seen = _lengths(rows)
    room = _Room(query, looking)
    (outputs,) = room.pieces()
    for unseen_RW, query_HRD, key_HWD, value_HWD, its_output in zip(
        rows, _by_row(query, looking), _by_row(key, seen), _by_row(value, seen), outputs, strict=True
    ):
        scores_HRW = torch.baddbmm(unseen_RW.to(query.dtype), query_HRD, key_HWD.mT, alpha=scale)
        shares_HRW = scores_HRW.softmax(dim=-1)
        torch.bmm(shares_HRW, value_HWD, out=its_output)
        if keep_in is not None:
            keep_in.append(shares_HRW)
    return room.gathered().transpose(0, 1)


def _joint(query: Tensor, key: Tensor, value: Tensor) -> Tensor | None:
    """The tensor [T, 3·H·D] of which these three are thirds, as a joint projection makes them; None: of none."""
    whole, given, num_heads = query._base, (query, key, value), query.shape[1]
    if whole is None or any(tensor._base is not whole for tensor in given):
        return None
    if not whole.is_contiguous() or whole.shape[-1] != 3 * num_heads * query.shape[3]:
        return None
    thirds = _three((whole,), num_heads)
    return whole if all(_where(third) == _where(tensor) for third, tensor in zip(thirds, given, strict=True)) else None


def _where(tensor_1HTD: Tensor) -> tuple[int, torch.Size, tuple[int, ...]]:
    """Which memory it reads."""
    return tensor_1HTD.data_ptr(), tensor_1HTD.shape, tensor_1HTD.stride()[1:]


def _three(given: Sequence[Tensor], num_heads: int) -> Sequence[Tensor]:
    """Queries, keys and values, [1, H, T, D] each, whether they come as three tensors or as one."""
    if len(given) == 3:
        return given
    (whole,) = given
    return _heads_first(whole.view(-1, 3, num_heads, whole.shape[-1] // (3 * num_heads)))


def _heads_first(tensor_TCHD: Tensor) -> tuple[Tensor, ...]:
    """C views, [1, H, T, D] each."""
    return tensor_TCHD.permute(1, 2, 0, 3)[:, None].unbind()


def _by_row(tensor_1HND: Tensor, lengths: list[int]) -> tuple[Tensor, ...]:
    """Views of the rows, which stand one after the other: all in one call."""
    return torch.split(tensor_1HND[0], lengths, dim=1)


def _lengths(rows: Sequence[Row]) -> tuple[list[int], list[int]]:
    """How many tokens of each row look, and how many are looked at."""
    return [len(row) for row in rows], [row.shape[1] for row in rows]


class _Room:
    """Where products write: C results of each row, [H, R, D], one behind the other."""

    def __init__(self, like_1HND: Tensor, lengths: list[int], num: int = 1) -> None:
        _, self._num_heads, _, self._size = like_1HND.shape
        self._lengths, self._num = lengths, num
        self._room = like_1HND.new_empty((num * sum(lengths) * self._num_heads, self._size))

    def pieces(self) -> list[list[Tensor]]:
        """C lists, of each row its place."""
        lengths = self._lengths * self._num
        flat = torch.split(self._room, [length * self._num_heads for length in lengths])
        each = [piece.view(self._num_heads, n, self._size) for piece, n in zip(flat, lengths, strict=True)]
        return [each[first : first + len(self._lengths)] for first in range(0, len(each), len(self._lengths))]

    def gathered(self) -> Tensor:
        """Token by token, [N, C, H, D], as the layers before and behind read it."""
        places = _places(tuple(self._lengths), self._num_heads, self._num)
        return self._room.index_select(0, places).view(-1, self._num, self._num_heads, self._size)


@lru_cache(maxsize=8)  # a few layouts are in use at a time, each by all layers
def _places(lengths: tuple[int, ...], num_heads: int, num: int) -> Tensor:
    """Where in a room the heads of each token stand, [N·C·H]."""
    lengths_B = torch.tensor(lengths)
    length_N = lengths_B.repeat_interleave(lengths_B)
    start_N = (lengths_B.cumsum(0) - lengths_B).repeat_interleave(lengths_B)
    within_N = torch.arange(len(start_N)) - start_N
    place_NH = (start_N * num_heads + within_N)[:, None] + length_N[:, None] * torch.arange(num_heads)
    return (place_NH[:, None] + len(start_N) * num_heads * torch.arange(num)[:, None]).flatten()
