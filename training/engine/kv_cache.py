"""Keys and values with room for the tokens to come: a new token is written where it belongs, and nothing is copied.

transformers' own growing cache copies all keys and values for every token; its static one keeps the whole batch and
the longest response to the end. Here room is made for `ROOM` tokens at a time, and a row that has ended gives its place
to the last one.

Shape legend: A rows alive, H heads, T tokens, D head size.
"""

from typing import Any, Final

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

ROOM: Final = 64
"""Tokens that room is made for at a time."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, [A, H, T, D] each, at the beginning of larger blocks."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._blocks = (_with_room(keys), _with_room(values))
        self._show(keys.shape[0], keys.shape[2])

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_named: Any) -> tuple[Tensor, Tensor]:
        """Write the keys and values of new tokens and give all of them."""
        num_rows, _, first, _ = self.keys.shape
        stop = first + key_states.shape[2]
        if stop > self._blocks[0].shape[2]:
            self._blocks = (_with_room(self.keys), _with_room(self.values))
        for block, new in zip(self._blocks, (key_states, value_states), strict=True):
            block[:num_rows, :, first:stop] = new
        self._show(num_rows, stop)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Row i is row `indices[i]` from now on. Only rows that move are copied, and none may be moved onto another
        that is still wanted: see `closed_up`."""
        num_tokens = self.keys.shape[2]
        moved = (indices != torch.arange(len(indices), device=indices.device)).nonzero().squeeze(1)
        for block in self._blocks:
            seen = block[:, :, :num_tokens]
            seen.index_copy_(0, moved, seen.index_select(0, indices[moved]))
        self._show(len(indices), num_tokens)

    def _show(self, num_rows: int, num_tokens: int) -> None:
        self.keys, self.values = (block[:num_rows, :, :num_tokens] for block in self._blocks)


def make_room(cache: Any, *, num_repeats: int = 1) -> None:
    """Give a prompt's cache room, every row `num_repeats` times; layers with a window are only repeated."""
    for index, layer in enumerate(cache.layers):
        layer.batch_repeat_interleave(num_repeats)
        if type(layer) is DynamicLayer:
            cache.layers[index] = RoomyLayer(layer.keys, layer.values)


def closed_up(is_kept_A: Tensor) -> Tensor:
    """Which row stands where after those that are not kept have gone: the last ones take their places, [kept rows]."""
    num_kept = int(is_kept_A.sum())
    order = torch.arange(num_kept, device=is_kept_A.device)
    order[~is_kept_A[:num_kept]] = num_kept + is_kept_A[num_kept:].nonzero().squeeze(1)
    return order


def _with_room(tensor: Tensor) -> Tensor:
    num_rows, num_heads, num_tokens, size = tensor.shape
    block = tensor.new_empty((num_rows, num_heads, num_tokens + ROOM, size))
    block[:, :, :num_tokens] = tensor
    return block
