"""The last layer of a packed row, computed where it is read and nowhere else.

What it says at one token needs the keys and values of all tokens, but queries, projections and the feed-forward part of
that token alone. So the layer's own code runs twice: once over all tokens until its attention has keys and values, and
once over the tokens that are read. With L layers of which a share s of the tokens is read, about (1 − s)/L of the work
and of the kept activations falls away, and nothing that is read changes.

Shape legend: T tokens of the packed row, N tokens that are read, R the most that are read of one row of a
group, G rows of a group, W tokens of its longest row, H heads, D head size. Masks are boolean and True means keep.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor


@dataclass
class Harvest:
    """Stands for the layout in the first run: takes keys and values, and ends the layer there."""

    key: Tensor | None = None
    value: Tensor | None = None


class _Harvested(Exception):  # noqa: N818  # no error: it ends a layer early
    """The keys and values are taken; what follows in the layer is not wanted."""


@dataclass(frozen=True, kw_only=True)
class Readers:
    """The tokens read of a group of rows: which of the N they are, and where each stands in its row."""

    gather_GR: Tensor
    position_GR: Tensor
    kept_N: Tensor  # which of G × R are tokens
    own_N: Tensor  # which of the N those are

    def mask(self, width: int, window: int | None) -> Tensor:
        """What each sees of its own row, [G, 1, R, W]: itself and what stands before it."""
        place_W = torch.arange(width, device=self.position_GR.device)
        distance_GRW = self.position_GR[:, :, None] - place_W
        seen_GRW = distance_GRW >= 0
        if window is not None:
            seen_GRW &= distance_GRW < window
        return seen_GRW[:, None]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Stands for the layout in the second run: the layout itself, which knows who reads, and keys and values of all
    tokens."""

    layout: Any
    key: Tensor
    value: Tensor


def harvest(into: Harvest, key: Tensor, value: Tensor) -> NoReturn:
    """End the layer with its keys and values, [1, H, T, D] each."""
    into.key, into.value = key, value
    raise _Harvested


def shorten(model: Any) -> None:
    """Let the last layer of this model end early where its layout says which tokens are read (`layout.read`)."""
    layers = model.base_model.h if hasattr(model.base_model, "h") else model.base_model.layers
    layers[-1].forward = partial(_forward, layers[-1].forward)


def readers(number_GW: Tensor) -> Readers:
    """The readers of a group, given which of the N each of its tokens is, [G, W]; −1: not read."""
    is_read_GW = number_GW >= 0
    count_G1 = is_read_GW.sum(dim=1, keepdim=True)
    width = int(count_G1.amax())
    position_GR = is_read_GW.byte().argsort(dim=1, descending=True, stable=True)[:, :width]
    number_GR = number_GW.gather(1, position_GR).clamp_min(0)
    kept_N = (torch.arange(width, device=number_GW.device) < count_G1).flatten().nonzero().squeeze(1)
    return Readers(gather_GR=number_GR, position_GR=position_GR, kept_N=kept_N, own_N=number_GR.flatten()[kept_N])


def _forward(
    forward: Callable[..., Tensor], hidden_1TD: Tensor, *args: Any, packed: Any = None, **others: Any
) -> Tensor:
    """The layer's own code, once for keys and values, once for the tokens that are read."""
    if packed is None or packed.read_N is None:
        return forward(hidden_1TD, *args, **others, **({} if packed is None else {"packed": packed}))
    found = Harvest()
    with contextlib.suppress(_Harvested):
        forward(hidden_1TD, *args, packed=found, **others)
    assert found.key is not None and found.value is not None  # noqa: S101, PT018  # the layer has attention
    if others.get("position_embeddings") is not None:
        others["position_embeddings"] = tuple(part[:, packed.read_N] for part in others["position_embeddings"])
    if others.get("position_ids") is not None:
        others["position_ids"] = others["position_ids"][:, packed.read_N]
    reading = Reading(layout=packed, key=found.key, value=found.value)
    done_1ND = forward(hidden_1TD.index_select(1, packed.read_N), *args, packed=reading, **others)
    return torch.zeros_like(hidden_1TD).index_copy(1, packed.read_N, done_1ND.to(hidden_1TD.dtype))
