"""Rows without padding: several rows stand one after the other in one packed row, and none sees another.

Position ids start anew with every row. What joins tokens is attention alone, so attention alone is ours: rows of about
the same length are laid beside each other for it (padded on the right, where causal attention never looks), on a CPU it
goes row by row (`training.engine.row_attention`), on a GPU the flash kernel takes the rows as they stand
(`training.engine.flash_rows`), and everything else in the model computes tokens only. Nothing is computed over all T²
cells of the packed row, and no weight depends on what else is packed beside it.

A model's own code runs unchanged; it finds `packed_attention` under the name `NAME` and hands it the layout, which
travels as a keyword through the forward pass (so that a recomputed one, under gradient checkpointing, sees it too).

Shape legend: T tokens of the packed row, B rows, W tokens of the longest row of a group, G rows of a group, H heads,
D head size (or hidden size, for hidden states). Masks are boolean and True means keep.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from training.engine import flash_rows, last_layer
from training.engine.attention import attend, for_all_heads, why_not
from training.engine.last_layer import Harvest, Readers, Reading
from training.engine.row_attention import Row, attend_rows, is_possible, rows_of

NAME: Final = "podium_packed"
ALIKE: Final = 0.75
"""Rows share a group down to this share of its longest row: at most a quarter of what attention computes is padding."""

FEW: Final = 0.75
"""The last layer is computed at the tokens that are read alone when those are fewer than this share of all; with more,
little falls away."""


class PackingError(ValueError):
    """A model whose tokens see each other by other ways than attention, or in a way not compared here."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows of about the same length, for attention. `gather_GW` is None when they stand there like that already."""

    num_rows: int
    width: int
    gather_GW: Tensor | None
    is_token_GW: Tensor | None = None  # None: all are


@dataclass(frozen=True)
class Padded:
    """The rows beside each other, for attention that goes neither row by row nor through the flash kernel: laid out
    when it is asked for."""

    lengths: tuple[int, ...]
    device: Any

    @property
    def groups(self) -> tuple[Group, ...]:
        """Rows of about the same length each."""
        return self._laid_out[0]

    @property
    def back_T(self) -> Tensor | None:  # noqa: N802
        """Where each token's output stands in the groups' outputs, one after the other; None: where it stood."""
        return self._laid_out[1]

    @cached_property
    def _laid_out(self) -> tuple[tuple[Group, ...], Tensor | None]:
        return _groups(self.lengths, self.device)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where rows stand in the packed row: row b is the `lengths[b]` tokens from `starts_B[b]`."""

    lengths: tuple[int, ...]
    starts_B: Tensor
    padded: Padded
    read_N: Tensor | None = None  # the tokens whose last hidden states are wanted; None: all
    flash: flash_rows.Flash | None = None  # on a GPU
    flash_readers: flash_rows.Readers | None = None  # the same where only the N tokens look
    rows: tuple[Row, ...] = ()  # on a CPU, unless a row is too long
    reading_rows: tuple[Row, ...] = ()

    @cached_property
    def readers(self) -> tuple[Readers, ...]:
        """Who reads in each padded group."""
        assert self.read_N is not None  # noqa: S101  # somebody reads
        return _readers(self.padded.groups, self.read_N, num_tokens=sum(self.lengths))


def enable(model: Any) -> None:
    """From now on `training.engine.scoring` reads this model's rows packed. Raises PackingError."""
    if reason := why_not(model):
        raise PackingError(reason)
    if model.config._attn_implementation != NAME:
        model.set_attn_implementation(NAME)
        last_layer.shorten(model, argument="packed")


def enable_where_possible(model: Any, *, wanted: bool) -> str:
    """`enable` if it is wanted and possible. Returns a sentence for the log."""
    if not wanted:
        return "rows are padded, because packing is off"
    if reason := why_not(model):
        return f"rows are padded instead of packed: {reason}"
    enable(model)
    return "rows are packed"


def is_enabled(model: Any) -> bool:
    """Does this model read packed rows?"""
    config = getattr(model, "config", None)
    return config is not None and config._attn_implementation == NAME


def packs(lengths: Sequence[int], *, is_packed: bool, max_rows: int, max_tokens: int) -> Iterator[list[int]]:
    """Which rows share a forward pass: alike in length, at most so many rows and tokens; a longer row goes alone.

    Tokens are what is computed: with padding, when rows are not packed. Longest first, so that the peak of memory
    comes at once.
    """
    pack: list[int] = []
    total = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        cost = lengths[index] if is_packed or not pack else lengths[pack[0]]
        if pack and (len(pack) == max_rows or total + cost > max_tokens):
            yield pack
            pack, total, cost = [], 0, lengths[index]
        pack.append(index)
        total += cost
    if pack:
        yield pack


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Tokens of padded rows, one row after the other, and the N places in them whose hidden states are wanted."""

    input_ids_1T: Tensor
    positions_1T: Tensor
    layout: Layout
    wanted_N: Tensor

    def arguments(self) -> dict[str, Any]:
        """What a model's forward pass is called with, besides what it shall keep."""
        return {
            "input_ids": self.input_ids_1T,
            "position_ids": self.positions_1T,
            # Four dimensions: the model takes the mask as it is and builds none of T² cells. It is never read.
            "attention_mask": torch.zeros((1, 1, 1, 1), dtype=torch.bool, device=self.input_ids_1T.device),
            "packed": self.layout,
        }


def rows(input_ids_BT: Tensor, mask_BT: Tensor, *, places_BR: Tensor, read_BR: Tensor) -> Rows:
    """Padded rows without their padding; wanted are the places, counted from a row's first token, that `read_BR` keeps.

    They are the same for every model that reads them.
    """
    layout = layout_of(mask_BT.sum(dim=1).tolist(), device=input_ids_BT.device)
    wanted_N = (layout.starts_B[:, None] + places_BR)[read_BR]
    different_N = torch.unique(wanted_N)
    if len(different_N) < FEW * sum(layout.lengths):
        layout = _read_at(layout, different_N)
    positions_BT = mask_BT.long().cumsum(dim=1) - 1
    return Rows(
        input_ids_1T=input_ids_BT[mask_BT][None],
        positions_1T=positions_BT[mask_BT][None],
        layout=layout,
        wanted_N=wanted_N,
    )


def hidden(model: Any, given: Rows) -> Tensor:
    """The last hidden states at the wanted places, [N, D]."""
    output = model.base_model(**given.arguments(), use_cache=False)
    hidden_ND: Tensor = output.last_hidden_state[0].index_select(0, given.wanted_N)
    return hidden_ND


def layout_of(lengths: Sequence[int], *, device: Any = "cpu") -> Layout:
    """The layout of rows of these lengths, one after the other. A row without tokens is an error."""
    if not lengths or min(lengths) < 1:
        raise ValueError("a packed row has no token")
    lengths_B = torch.tensor(lengths)
    return Layout(
        lengths=tuple(lengths),
        starts_B=(lengths_B.cumsum(0) - lengths_B).to(device),
        padded=Padded(tuple(lengths), device),
        flash=flash_rows.of_rows(lengths, device=device) if flash_rows.is_for(device) else None,
        rows=rows_of(lengths) if torch.device(device).type == "cpu" else (),
    )


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed: Layout | Harvest | Reading | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention of one layer over a packed row; query [1, H, T, D], result [1, T, H, D]. No layout: as usual."""
    if packed is None and softcap is None:
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return plain
    if dropout:
        raise PackingError("attention dropout must be off: rows would drop different things when packed")
    if packed is None:
        key, value = (for_all_heads(tensor, query) for tensor in (key, value))
        return attend(query, key, value, attention_mask, scaling=scaling, softcap=softcap).transpose(1, 2), None
    if isinstance(packed, Harvest):
        last_layer.harvest(packed, key, value)
    rule: dict[str, Any] = {"scaling": scaling, "window": sliding_window, "softcap": softcap}
    if isinstance(packed, Reading):
        return _from_readers(packed, query, **rule), None
    return _from_all(packed, query, key, value, **rule), None


def _from_all(
    packed: Layout,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """Attention of every token; query [1, H, T, D], result [1, T, H, D]."""
    if is_possible(packed.rows, query, window=window, softcap=softcap):
        key, value = (for_all_heads(tensor, query) for tensor in (key, value))
        return attend_rows(query, key, value, packed.rows, scaling=scaling)
    flash = packed.flash
    if flash is not None and flash_rows.knows(flash, query, key, window=window, softcap=softcap):
        return flash_rows.attend(flash, query, key, value, scaling=scaling)
    tokens = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]
    outputs = []
    for group in packed.padded.groups:
        query_GW, key_GW, value_GW = (_laid_out(tensor, group) for tensor in tokens)
        key_GW, value_GW = (for_all_heads(tensor, query_GW) for tensor in (key_GW, value_GW))
        mask = _window_mask(group.width, window, query.device)
        found = attend(query_GW, key_GW, value_GW, mask, scaling=scaling, softcap=softcap)
        outputs.append(found.transpose(1, 2).flatten(0, 1))
    joined = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
    back_T = packed.padded.back_T
    return (joined if back_T is None else joined.index_select(0, back_T))[None]


def _from_readers(
    reading: Reading, query: Tensor, *, scaling: float | None, window: int | None, softcap: float | None
) -> Tensor:
    """Attention of the tokens that are read alone; query [1, H, N, D], result [1, N, H, D]."""
    rows = reading.layout.reading_rows
    if is_possible(rows, query, window=window, softcap=softcap):
        key, value = (for_all_heads(tensor, query) for tensor in (reading.key, reading.value))
        return attend_rows(query, key, value, rows, scaling=scaling)
    flash, readers = reading.layout.flash, reading.layout.flash_readers
    if flash and readers and flash_rows.knows(flash, query, reading.key, window=window, softcap=softcap):
        return flash_rows.attend_readers(readers, query, reading.key, reading.value, scaling=scaling)
    query_NHD, key_THD, value_THD = (tensor[0].transpose(0, 1) for tensor in (query, reading.key, reading.value))
    outputs, own = [], []
    for group, some in zip(reading.layout.padded.groups, reading.layout.readers, strict=True):
        if not len(some.own_N):
            continue
        query_GR = query_NHD[some.gather_GR].transpose(1, 2)
        key_GW, value_GW = (for_all_heads(_laid_out(tensor, group), query_GR) for tensor in (key_THD, value_THD))
        found = attend(query_GR, key_GW, value_GW, some.mask(group.width, window), scaling=scaling, softcap=softcap)
        outputs.append(found.transpose(1, 2).flatten(0, 1).index_select(0, some.kept_N))
        own.append(some.own_N)
    back_N = torch.cat(own).argsort()
    return torch.cat(outputs).index_select(0, back_N)[None]


def _read_at(layout: Layout, read_N: Tensor) -> Layout:
    """The same rows, of which these tokens alone are read; different ones, in rising order."""
    return replace(
        layout,
        read_N=read_N,
        flash_readers=flash_rows.of_readers(layout.lengths, read_N) if layout.flash else None,
        reading_rows=rows_of(layout.lengths, read_N) if layout.rows else (),
    )


def _groups(lengths: Sequence[int], device: Any) -> tuple[tuple[Group, ...], Tensor | None]:
    """Padded groups of the rows, and where in their outputs each token stands."""
    if len(set(lengths)) == 1:
        return (Group(num_rows=len(lengths), width=lengths[0], gather_GW=None),), None
    lengths_B = torch.tensor(lengths)
    starts_B = lengths_B.cumsum(0) - lengths_B
    groups, kept, offset = [], [], 0
    for rows in _alike(lengths):
        width = max(lengths[row] for row in rows)
        within_GW = torch.minimum(torch.arange(width), lengths_B[rows][:, None] - 1)
        is_token_GW = torch.arange(width) < lengths_B[rows][:, None]
        gather_GW = starts_B[rows][:, None] + within_GW
        group = Group(
            num_rows=len(rows), width=width, gather_GW=gather_GW.to(device), is_token_GW=is_token_GW.to(device)
        )
        groups.append(group)
        kept.append((gather_GW[is_token_GW], offset + is_token_GW.flatten().nonzero().squeeze(1)))
        offset += len(rows) * width
    back_T = torch.empty(sum(lengths), dtype=torch.long)
    for tokens, places in kept:
        back_T[tokens] = places
    return tuple(groups), back_T.to(device)


def _readers(groups: Sequence[Group], read_N: Tensor, *, num_tokens: int) -> tuple[Readers, ...]:
    """Who reads in each group; `read_N` are different tokens of the packed row."""
    number_T = torch.full((num_tokens,), -1, device=read_N.device)
    number_T[read_N] = torch.arange(len(read_N), device=read_N.device)
    found = []
    for group in groups:
        number_GW = number_T.view(group.num_rows, -1) if group.gather_GW is None else number_T[group.gather_GW]
        is_token_GW = torch.ones_like(number_GW, dtype=torch.bool) if group.is_token_GW is None else group.is_token_GW
        found.append(last_layer.readers(torch.where(is_token_GW, number_GW, -1)))
    return tuple(found)


def _alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if rows and lengths[row] < ALIKE * lengths[rows[0]]:
            yield rows
            rows = []
        rows.append(row)
    yield rows


def _laid_out(tensor_THD: Tensor, group: Group) -> Tensor:
    """The group's tokens as rows, [G, H, W, D]."""
    if group.gather_GW is not None:
        tensor_THD = tensor_THD.index_select(0, group.gather_GW.flatten())
    return tensor_THD.view(group.num_rows, group.width, *tensor_THD.shape[1:]).transpose(1, 2)


def _window_mask(width: int, window: int | None, device: Any) -> Tensor | None:
    """What a token sees, [W, W], when its window is shorter than the row; None: all before it."""
    if window is None or window >= width:
        return None
    positions_W = torch.arange(width, device=device)
    distance_WW = positions_W[:, None] - positions_W[None, :]
    return (distance_WW >= 0) & (distance_WW < window)


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
