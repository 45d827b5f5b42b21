"""One token of every row as a replayed CUDA graph: a GPU starts a whole decode step at once.

A step of a small model is a few hundred short kernels, and starting them one by one takes longer than computing them.
A graph needs tensors that stay where they are, so keys and values stand in blocks of fixed size. A row that has ended
stays in its place, unread; when half of the rows are gone, the others move together and a smaller graph takes over.
Likewise a step looks at as many places as the next power of two, not at the whole block.

Under autocast the weights of linear layers are cast once per rollout, and keys and values are kept as attention would
cast them: both give what autocast gives. The first step that is ever replayed is compared with the same step over the
growing cache, and where they differ nothing is replayed.

Shape legend: N prompts, K samples of each, B = N·K rows, A rows alive, S rows of a step, P prompt tokens, H heads,
T places for tokens, D head size, V vocabulary.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache, DynamicLayer
from transformers.pytorch_utils import Conv1D

from training.engine import sharding

PLACES: Final = 128
"""Blocks have a multiple of so many places, and a step looks at so many at least."""
FEWEST_ROWS: Final = 8
KEPT_SHARE: Final = 16
"""What is kept between rollouts takes less than 1/16 of the GPU's memory."""
TOLERANCES: Final = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 3e-2, torch.float16: 1e-2}
"""Relative, of the logits of one step of `USUAL_DEPTH` layers: rounding stays below it (tf32 for fp32), a wrong mask or
place is far above."""
USUAL_DEPTH: Final = 12
"""What deeper models round adds up like independent errors: with the root of their layers."""


class Steps(Protocol):
    """Tokens one after the other, for all rows that are alive."""

    def advance(self, tokens_A: Tensor) -> Tensor:
        """The logits [A, V] that follow these tokens."""

    def keep(self, kept_A: Tensor) -> None:
        """Row i is row `kept_A[i]` from now on."""


class DecodeGraphs:
    """Recorded steps of one model, kept from rollout to rollout. `refused` says why they are not used (and `say` is
    told); it is empty while they are.

    `captures` False computes the same steps kernel by kernel, on any device.
    """

    def __init__(self, model: nn.Module, *, say: Callable[[str], None] = print, captures: bool = True) -> None:
        self.refused = ""
        self._model, self._say, self._captures = model, say, captures
        self._board: _Board | None = None
        self._is_checked = False

    def begin(self, cache: DynamicCache, mask_NP: Tensor, *, num_samples: int, num_tokens: int) -> "Steps | None":
        """Steps for N·K rows that go on from the cache of N prompts, which is read and left; None when there are none.

        `num_tokens`: the most tokens that will come.
        """
        if not self.refused and (reason := _why_not(cache)):
            self.refuse(reason)
        if self.refused:
            return None
        num_rows, num_places = len(mask_NP) * num_samples, mask_NP.shape[1] + num_tokens
        if self._board is None or not self._board.fits(num_rows, num_places):
            self._board = None  # gives back its memory first
            self._board = _Board(self._model, cache, num_rows, num_places, captures=self._captures)
        self._board.fill(cache, mask_NP, num_samples)
        return _Replayed(self._board, num_rows, num_used=mask_NP.shape[1], device=mask_NP.device)

    def compared(self, replayed: Steps, growing: Steps) -> Steps:
        """The first step is taken both ways, and `growing` goes on where the two differ."""
        return _Compared(self, replayed, growing)

    def compare(self, logits_AV: Tensor, wanted_AV: Tensor) -> None:
        """Set `refused` where the first step is not the step that it stands for."""
        assert self._board is not None  # noqa: S101  # there was a step
        self._is_checked = True
        apart = float((logits_AV.double() - wanted_AV.double()).norm() / wanted_AV.double().norm())
        if not apart <= self._board.tolerance:
            self.refuse(f"the first replayed step differs from the same step without a graph by {apart:.1e}")

    def refuse(self, reason: str) -> None:
        """Replay nothing from now on."""
        self.refused = reason
        self._say(f"sampling goes without CUDA graphs: {reason}")

    def rest(self) -> None:
        """A rollout is over: what takes much memory, or is not used any more, is given back."""
        if self._board is not None and (self.refused or self._board.is_large()):
            self._board = None

    @property
    def is_checked(self) -> bool:
        """Has a step been compared?"""
        return self._is_checked


def where_possible(model: nn.Module, device: torch.device, *, say: Callable[[str], None]) -> DecodeGraphs | None:
    """Recorded steps for a model that is whole on a CUDA GPU."""
    is_whole = not any(map(sharding.is_spread, model.parameters()))
    return DecodeGraphs(model, say=say) if device.type == "cuda" and is_whole else None


class _Compared:
    """The first step is taken by both; then one of them goes on alone."""

    def __init__(self, graphs: DecodeGraphs, replayed: Steps, growing: Steps) -> None:
        self._graphs, self._ways = graphs, [replayed, growing]

    def advance(self, tokens_A: Tensor) -> Tensor:
        if len(self._ways) == 1:
            return self._ways[0].advance(tokens_A)
        replayed, growing = self._ways
        wanted_AV = growing.advance(tokens_A)
        try:
            self._graphs.compare(replayed.advance(tokens_A), wanted_AV)
        except RuntimeError as error:  # a model whose step cannot be recorded: it waits for the GPU in its middle
            self._graphs.refuse(f"a step cannot be recorded: {str(error).splitlines()[0]}")
        self._ways = [growing if self._graphs.refused else replayed]
        return wanted_AV

    def keep(self, kept_A: Tensor) -> None:
        for way in self._ways:
            way.keep(kept_A)


class _Replayed:
    """The steps of one rollout on a board."""

    def __init__(self, board: "_Board", num_rows: int, *, num_used: int, device: torch.device) -> None:
        self._board, self._num_used = board, num_used
        self._place_A = torch.arange(num_rows, device=device)
        self._num_rows = board.rows_for(num_rows)

    def advance(self, tokens_A: Tensor) -> Tensor:
        self._num_used += 1
        self._board.tokens_B1[self._place_A, 0] = tokens_A
        return self._board.step(self._num_rows, self._board.places_for(self._num_used))[self._place_A]

    def keep(self, kept_A: Tensor) -> None:
        self._place_A = self._place_A[kept_A]
        num_rows = self._board.rows_for(len(kept_A))
        if len(kept_A) and num_rows < self._num_rows:
            self._board.move_together(self._place_A, self._num_used)
            self._place_A = torch.arange(len(kept_A), device=kept_A.device)
            self._num_rows = num_rows


class _Board:
    """The tensors that stay where they are, and the graphs that read and write them."""

    def __init__(self, model: nn.Module, cache: Any, num_rows: int, num_places: int, *, captures: bool) -> None:
        keys = cache.layers[0].keys
        casts = torch.is_autocast_enabled(keys.device.type)
        self.dtype = torch.get_autocast_dtype(keys.device.type) if casts else keys.dtype
        self.num_rows, self.num_places = num_rows, -(-num_places // PLACES) * PLACES
        self._model, self._captures, self._device = model, captures, keys.device
        self._cast = _CastWeights(model, self.dtype) if casts else None
        self._blocks = [(self._block(layer.keys), self._block(layer.values)) for layer in cache.layers]
        whole: dict[str, Any] = {"dtype": torch.long, "device": keys.device}
        self.tokens_B1, self._positions_B1 = torch.zeros((2, num_rows, 1), **whole)
        self._place_1 = torch.zeros(1, **whole)
        self._mask_B11T = torch.zeros((num_rows, 1, 1, self.num_places), dtype=torch.bool, device=keys.device)
        self._graphs: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    @property
    def tolerance(self) -> float:
        """How far rounding alone may move the logits of a step."""
        return float(TOLERANCES[self.dtype] * max(1.0, len(self._blocks) / USUAL_DEPTH) ** 0.5)

    def fits(self, num_rows: int, num_places: int) -> bool:
        """Can a rollout of this size, with these weights' precision, use it?"""
        casts = torch.is_autocast_enabled(self._device.type)
        return num_rows <= self.num_rows and num_places <= self.num_places and casts == (self._cast is not None)

    def is_large(self) -> bool:
        """Does it take more than its share of the GPU?"""
        held = sum(block.nbytes for pair in self._blocks for block in pair) + (self._cast.nbytes if self._cast else 0)
        return self._captures and held * KEPT_SHARE > torch.cuda.get_device_properties(self._device).total_memory

    def fill(self, cache: Any, mask_NP: Tensor, num_samples: int) -> None:
        """Begin with the keys and values of the prompts, each as often as it has samples."""
        num_rows, num_prompt = len(mask_NP) * num_samples, mask_NP.shape[1]
        for pair, layer in zip(self._blocks, cache.layers, strict=True):
            for block, given in zip(pair, (layer.keys, layer.values), strict=True):
                rows = block[:num_rows].view(len(mask_NP), num_samples, *block.shape[1:])
                rows[:, :, :, :num_prompt] = given[:, None]
        mask_BP = mask_NP.repeat_interleave(num_samples, dim=0)
        self._mask_B11T.zero_()
        self._mask_B11T[:num_rows, 0, 0, :num_prompt] = mask_BP
        self._positions_B1.zero_()
        self._positions_B1[:num_rows] = mask_BP.sum(dim=1, keepdim=True)
        self._place_1.fill_(num_prompt)
        if self._cast:
            self._cast.refresh()

    def rows_for(self, num_alive: int) -> int:
        """The rows of the smallest step that holds so many: all, half, a quarter …"""
        size = self.num_rows
        while size > FEWEST_ROWS and num_alive <= (size + 1) // 2:
            size = (size + 1) // 2
        return size

    def places_for(self, num_used: int) -> int:
        """How many places a step looks at."""
        size = PLACES
        while size < num_used:
            size *= 2
        return min(size, self.num_places)

    def move_together(self, place_A: Tensor, num_used: int) -> None:
        """The rows at these places become the first ones."""
        for block in (block for pair in self._blocks for block in pair):
            block[: len(place_A), :, :num_used] = block[place_A, :, :num_used]
        for tensor in (self._positions_B1, self._mask_B11T):
            tensor[: len(place_A)] = tensor[place_A]

    def step(self, num_rows: int, num_places: int) -> Tensor:
        """The logits [S, V] of the first rows after their tokens; they are overwritten by the next step."""
        if not self._captures:
            return self._compute(num_rows, num_places)
        if (num_rows, num_places) not in self._graphs:
            self._graphs[num_rows, num_places] = self._captured(num_rows, num_places)
        graph, logits_SV = self._graphs[num_rows, num_places]
        graph.replay()
        return logits_SV

    def _captured(self, num_rows: int, num_places: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """One step recorded, nothing changed: the step before it, for which libraries get ready, is undone."""
        changed = (self._positions_B1, self._place_1, self._mask_B11T)
        before = [tensor.clone() for tensor in changed]
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            self._compute(num_rows, num_places)
        torch.cuda.current_stream(self._device).wait_stream(side)
        for tensor, was in zip(changed, before, strict=True):
            tensor.copy_(was)
        graph = torch.cuda.CUDAGraph()
        others = next(iter(self._graphs.values()), None)
        with torch.cuda.graph(graph, pool=others[0].pool() if others else None):
            logits_SV = self._compute(num_rows, num_places)
        return graph, logits_SV

    def _compute(self, num_rows: int, num_places: int) -> Tensor:
        self._mask_B11T.index_fill_(3, self._place_1, 1)
        cache = DynamicCache()
        cache.layers = [_Layer(pair, self._place_1, num_rows, num_places) for pair in self._blocks]
        with _as_recorded(self._device), self._cast.in_place() if self._cast else _nothing():
            output = self._model(
                input_ids=self.tokens_B1[:num_rows],
                attention_mask=self._mask_B11T[:num_rows, :, :, :num_places],
                position_ids=self._positions_B1[:num_rows],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self._positions_B1.add_(1)
        self._place_1.add_(1)
        logits_SV: Tensor = output.logits[:, -1]
        return logits_SV

    def _block(self, tensor: Tensor) -> Tensor:
        shape = (self.num_rows, tensor.shape[1], self.num_places, tensor.shape[3])
        return torch.zeros(shape, dtype=self.dtype, device=self._device)


class _Layer(DynamicLayer):  # type: ignore[misc]
    """One layer's blocks for one step: a new token's keys and values go to the place that a tensor names."""

    def __init__(self, pair: tuple[Tensor, Tensor], place_1: Tensor, num_rows: int, num_places: int) -> None:
        super().__init__()
        self.is_initialized, self._place_1 = True, place_1
        self.keys, self.values = (block[:num_rows, :, :num_places] for block in pair)
        self.dtype, self.device = self.keys.dtype, self.keys.device

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_named: Any) -> tuple[Tensor, Tensor]:
        """Write the new token's keys and values and give all of them."""
        self.keys.index_copy_(2, self._place_1, key_states.to(self.dtype))
        self.values.index_copy_(2, self._place_1, value_states.to(self.dtype))
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """As if the new token stood at the last place in sight. What is true, mask and positions say."""
        return int(self.keys.shape[2]) - 1


class _CastWeights:
    """The weights of linear layers in autocast's precision, cast once instead of at each step."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        self._cast = [
            (module, name, weight, nn.Parameter(weight.detach().to(dtype), requires_grad=False))
            for module in model.modules()
            if isinstance(module, nn.Linear | Conv1D)
            for name, weight in module.named_parameters(recurse=False)
            if weight.dtype == torch.float32
        ]

    @property
    def nbytes(self) -> int:
        return sum(cast.nbytes for *_, cast in self._cast)

    def refresh(self) -> None:
        """The weights have learnt: cast them again."""
        for _, _, weight, cast in self._cast:
            cast.data.copy_(weight.data)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model computes with them meanwhile."""
        try:
            for module, name, _, cast in self._cast:
                module.register_parameter(name, cast)
            yield
        finally:
            for module, name, weight, _ in self._cast:
                module.register_parameter(name, weight)


@contextmanager
def _as_recorded(device: torch.device) -> Iterator[None]:
    """Autocast, if it is on, without its memory of casts: one made while a graph is recorded lives in the graph."""
    is_on, dtype = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)
    with torch.autocast(device.type, dtype=dtype, enabled=is_on, cache_enabled=False):
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _why_not(cache: Any) -> str:
    if any(type(layer) is not DynamicLayer for layer in cache.layers):
        return "a layer of this model sees a window, or is no attention"
    return ""
