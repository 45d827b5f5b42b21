"""The last layer of a packed row or a tree, computed where it is read and nowhere else.

What it says at one token needs the keys and values of all tokens, but queries, projections and the feed-forward part of
that token alone. So the layer's own code runs twice: once over all tokens until its attention has keys and values, and
once over the tokens that are read, from their queries on. With L layers of which a share s of the tokens is read, about
(1 − s)/L of the work and of the kept activations falls away, and nothing that is read changes.

Shape legend: T tokens of the packed row, N tokens that are read, R the most that are read of one row of a
group, G rows of a group, W tokens of its longest row, H heads, D head size. Masks are boolean and True means keep.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import Cache
from transformers.pytorch_utils import Conv1D


class Read(Protocol):
    """A layout, of which these tokens alone are read; None: all."""

    @property
    def read_N(self) -> Tensor | None: ...  # noqa: N802


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


def shorten(model: Any, *, argument: str) -> None:
    """Let the last layer of this model end early where its layout, which comes as this argument, says what is read."""
    layers = model.base_model.h if hasattr(model.base_model, "h") else model.base_model.layers
    layer = layers[-1]
    attention = layer.attn if hasattr(layer, "attn") else layer.self_attn
    layer.forward = partial(_forward, layer.forward, argument)
    attention.forward = partial(_attention, attention, attention.forward, argument)


def readers(number_GW: Tensor) -> Readers:
    """The readers of a group, given which of the N each of its tokens is, [G, W]; −1: not read."""
    is_read_GW = number_GW >= 0
    count_G1 = is_read_GW.sum(dim=1, keepdim=True)
    width = int(count_G1.amax())
    position_GR = is_read_GW.byte().argsort(dim=1, descending=True, stable=True)[:, :width]
    number_GR = number_GW.gather(1, position_GR).clamp_min(0)
    kept_N = (torch.arange(width, device=number_GW.device) < count_G1).flatten().nonzero().squeeze(1)
    return Readers(gather_GR=number_GR, position_GR=position_GR, kept_N=kept_N, own_N=number_GR.flatten()[kept_N])


def _forward(forward: Callable[..., Tensor], argument: str, hidden_1TD: Tensor, *args: Any, **others: Any) -> Tensor:
    """The layer's own code, once for keys and values, once for the tokens that are read."""
    layout: Read | None = others.pop(argument, None)
    if layout is None or layout.read_N is None:
        return forward(hidden_1TD, *args, **others, **({} if layout is None else {argument: layout}))
    found, read_N = Harvest(), layout.read_N
    with contextlib.suppress(_Harvested):
        forward(hidden_1TD, *args, **others, **{argument: found})
    assert found.key is not None and found.value is not None  # noqa: S101, PT018  # the layer has attention
    if others.get("position_embeddings") is not None:
        others["position_embeddings"] = tuple(part[:, read_N] for part in others["position_embeddings"])
    if others.get("position_ids") is not None:
        others["position_ids"] = others["position_ids"][:, read_N]
    args = tuple(map(_no_cache, args))  # it has the keys and values by now
    others = {name: _no_cache(item) for name, item in others.items()}
    reading = Reading(layout=layout, key=found.key, value=found.value)
    done_1ND = forward(hidden_1TD.index_select(1, read_N), *args, **others, **{argument: reading})
    return torch.zeros_like(hidden_1TD).index_copy_(1, read_N, done_1ND.to(hidden_1TD.dtype))


def _no_cache(item: Any) -> Any:
    return None if isinstance(item, Cache) else item


def _attention(
    attention: Any, forward: Callable[..., Any], argument: str, *args: Any, **others: Any
) -> tuple[Tensor, Tensor | None]:
    """The attention's own code. In the first run it computes keys and values alone, in the second one queries alone.

    In place of what is left out stands a single head of zeros, at which nobody looks. Projections of another make
    (adapters around a joint one) compute all, as ever.
    """
    run = others.get(argument)
    stand_ins = _stand_ins(attention, queries=isinstance(run, Reading)) if isinstance(run, Harvest | Reading) else {}
    for module, stand_in in stand_ins.items():
        module.forward = stand_in
    try:
        found: tuple[Tensor, Tensor | None] = forward(*args, **others)
        return found
    finally:
        for module in stand_ins:
            del module.forward


def _stand_ins(attention: Any, *, queries: bool) -> dict[Any, Callable[[Tensor], Any]]:
    """What the projections compute instead."""
    nothing = partial(_nothing, attention.head_dim)
    if not hasattr(attention, "c_attn"):
        return dict.fromkeys((attention.k_proj, attention.v_proj) if queries else (attention.q_proj,), nothing)
    joint = attention.c_attn
    return {joint: partial(_third_or_two, joint, nothing, queries)} if type(joint) is Conv1D else {}


class _Cut(tuple[Tensor, Tensor, Tensor]):
    """Queries, keys and values of a joint projection, cut already."""

    __slots__ = ()

    def split(self, *_args: Any, **_named: Any) -> "_Cut":
        return self


def _third_or_two(joint: Any, nothing: Callable[[Tensor], Tensor], queries: bool, hidden_1TD: Tensor) -> _Cut:
    """Of the joint projection of queries, keys and values the first third, or the two others."""
    width = joint.nf // 3
    columns = slice(0, width) if queries else slice(width, None)
    flat_TD = hidden_1TD.view(-1, hidden_1TD.shape[-1])
    found = torch.addmm(joint.bias[columns], flat_TD, joint.weight[:, columns]).view(*hidden_1TD.shape[:-1], -1)
    zeros = nothing(hidden_1TD)
    if queries:
        return _Cut((found, zeros, zeros))
    return _Cut((zeros, *torch.split(found, width, dim=-1)))  # cut in one call: one gradient of both


def _nothing(head_dim: int, hidden_1TD: Tensor) -> Tensor:
    return hidden_1TD.new_zeros(1).expand(*hidden_1TD.shape[:-1], head_dim)
