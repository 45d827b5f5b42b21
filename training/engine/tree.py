"""The tree layout: a prompt once, and its K responses as branches that cannot see each other.

All elements of a forward pass stand in one packed row without padding: prompt, response 1, …, response K, next prompt.
Position ids of every branch continue its prompt. What joins tokens is attention alone, so attention alone is ours:
each prompt attends to itself, and each branch to its prompt's keys and values and to itself. Nothing is computed over
all T² cells of the row, and no weight depends on what else is packed beside it. There are four ways to compute it, all
exact: `tree_shared` on a CPU, `flash_rows` on a GPU, and for what they do not know `tree_together` on a GPU and the
masked one here.

Only the end tokens are read, so the last layer computes keys and values of all tokens but everything else of the end
tokens alone: with L layers about 1/L of the work falls away, and no score changes.

A model's own code runs unchanged; it finds `tree_attention` under the name `NAME` and hands it the layout, which
travels as a keyword through the forward pass (so that a recomputed one, under gradient checkpointing, sees it too).

Shape legend: T tokens of the packed row, P of a prompt, K branches, R tokens of the longest branch, H heads, D head
size. Masks are boolean and True means keep.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from training.engine import flash_rows, last_layer, tree_shared, tree_together
from training.engine.attention import attend, for_all_heads, why_not
from training.engine.batches import Element
from training.engine.last_layer import Harvest, Reading
from training.engine.tree_together import Span, Together, together

NAME: Final = "podium_tree"


class TreeError(ValueError):
    """A model whose tokens see each other by other ways than attention, or in a way not compared here."""


@dataclass(frozen=True, kw_only=True)
class Branching:
    """One element in the packed row: its prompt begins at `start`; its branches follow, one after the other."""

    start: int
    num_prompt: int
    lengths: tuple[int, ...]
    gather_KR: Tensor  # where each branch's tokens stand behind the prompt; its last one where it has no more
    kept_N: Tensor  # which of the K × R are tokens, as an index
    masks: dict[int | None, tuple[Tensor | None, Tensor]] = field(default_factory=dict)  # by sliding window

    @property
    def span(self) -> Span:
        return self.start, self.num_prompt, self.lengths

    @property
    def end(self) -> int:
        return self.start + self.num_prompt + sum(self.lengths)

    def mask(self, window: int | None) -> tuple[Tensor | None, Tensor]:
        """What prompt tokens see [P, P] (None: all before them) and what branch tokens see [R, P + R]."""
        if window not in self.masks:
            positions_Q = torch.arange(self.num_prompt + max(self.lengths), device=self.gather_KR.device)
            distance_QQ = positions_Q[:, None] - positions_Q[None, :]
            seen_QQ = (distance_QQ >= 0) & (distance_QQ < (window or len(positions_Q)))
            fits = window is None or window >= self.num_prompt
            prompt_PP = None if fits else seen_QQ[: self.num_prompt, : self.num_prompt]
            self.masks[window] = (prompt_PP, seen_QQ[self.num_prompt :])
        return self.masks[window]

    def end_mask(self, window: int | None) -> Tensor:
        """What the end tokens see of their element, [K, P + all branch tokens]: the prompt and their own branch."""
        lengths_K = torch.tensor(self.lengths, device=self.gather_KR.device)
        stops_K1 = lengths_K.cumsum(0)[:, None]
        place_T = torch.arange(self.end - self.start, device=self.gather_KR.device) - self.num_prompt
        own_KT = (place_T >= stops_K1 - lengths_K[:, None]) & (place_T < stops_K1)
        if window is None:
            return own_KT | (place_T < 0)
        first_K1 = self.num_prompt + lengths_K[:, None] - window  # the earliest position that an end token sees
        position_KT = torch.where(place_T < 0, 0, lengths_K[:, None] - stops_K1) + place_T + self.num_prompt
        return (own_KT | (place_T < 0)) & (position_KT >= first_K1)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A packed row: what the model reads, and where each response's end token stands."""

    input_ids_1T: Tensor
    position_ids_1T: Tensor
    ends_N: Tensor
    parts: tuple[Branching, ...]
    together: Together | None = None  # on a GPU: all elements at once
    flash: flash_rows.Flash | None = None  # on a GPU

    @property
    def read_N(self) -> Tensor:  # noqa: N802
        """Of the last layer the end tokens alone are read."""
        return self.ends_N


def enable(model: Any) -> None:
    """Let the model's attention layers find `tree_attention`; plain rows are read as before. Raises TreeError."""
    if reason := why_not(model):
        raise TreeError(reason)
    if model.config._attn_implementation != NAME:
        model.set_attn_implementation(NAME)
        last_layer.shorten(model, argument="tree")


def plant(elements: Sequence[Element], *, device: Any = "cpu", at_once: bool | None = None) -> Tree:
    """Lay elements out in one row. An element without responses, or an empty response, is an error.

    `at_once`: whether attention takes all elements together (padded) or one by one; by default a GPU does.
    """
    ids: list[int] = []
    positions: list[int] = []
    ends: list[int] = []
    parts = []
    for element in elements:
        if not element.responses or not all(element.responses):
            raise ValueError(f"an element of prompt {element.prompt_id} has no response token")
        lengths = tuple(len(response) for response in element.responses)
        parts.append(_branching(len(ids), len(element.prompt), lengths, device))
        ids += element.prompt
        positions += range(len(element.prompt))
        for response in element.responses:
            ids += response
            positions += range(len(element.prompt), len(element.prompt) + len(response))
            ends.append(len(ids) - 1)
    is_gpu, spans = torch.device(device).type == "cuda", [part.span for part in parts]
    at_once = is_gpu if at_once is None else at_once
    return Tree(
        flash=flash_rows.of_tree(spans, device=device) if is_gpu else None,
        together=together(spans, device=device) if at_once else None,
        input_ids_1T=torch.tensor([ids], device=device),
        position_ids_1T=torch.tensor([positions], device=device),
        ends_N=torch.tensor(ends, device=device),
        parts=tuple(parts),
    )


def hidden_at_ends(model: Any, tree: Tree) -> Tensor:
    """The last hidden states at the end tokens of all responses, [N, hidden size], in the order of the elements."""
    # Four dimensions: the model takes the mask as it is and builds none of T² cells. `tree_attention` never reads it.
    unread = torch.zeros((1, 1, 1, 1), dtype=torch.bool, device=tree.input_ids_1T.device)
    output = model.base_model(
        input_ids=tree.input_ids_1T,
        position_ids=tree.position_ids_1T,
        attention_mask=unread,
        use_cache=False,
        tree=tree,
    )
    hidden_ND: Tensor = output.last_hidden_state[0].index_select(0, tree.ends_N)
    return hidden_ND


def tree_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    tree: Tree | Harvest | Reading | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention of one layer over a packed row; query [1, H, T, D], result [1, T, H, D]. Without a tree: as usual."""
    if tree is None and softcap is None:
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return plain
    if dropout:
        raise TreeError("attention dropout must be off: rows and trees would drop different things")
    if isinstance(tree, Harvest):
        last_layer.harvest(tree, key, value)
    flash = tree.flash if isinstance(tree, Tree) else None
    if flash is not None and flash_rows.knows(flash, query, key, window=sliding_window, softcap=softcap):
        return flash_rows.attend(flash, query, key, value, scaling=scaling), None
    if isinstance(tree, Reading):
        key, value = tree.key, tree.value
    key, value = for_all_heads(key, query), for_all_heads(value, query)
    if tree is None:
        capped = attend(query, key, value, attention_mask, scaling=scaling, softcap=softcap)
        return capped.transpose(1, 2), None
    rule: dict[str, Any] = {"scaling": scaling, "window": sliding_window, "softcap": softcap}
    if isinstance(tree, Reading):
        if tree.layout.together is not None:
            return tree_together.from_ends(tree.layout.together, query, key, value, **rule), None
        return _from_ends(tree.layout, query, key, value, **rule), None
    if tree.together is not None:
        return tree_together.attention(tree.together, query, key, value, **rule), None
    spans = [part.span for part in tree.parts]
    if tree_shared.knows(spans, query, window=sliding_window, softcap=softcap):
        return tree_shared.attention(spans, query, key, value, scaling=scaling), None
    # split and not sliced: the gradients of all pieces are put together once, not each added to a row of zeros
    sizes = [size for part in tree.parts for size in (part.num_prompt, sum(part.lengths))]
    pieces = [torch.split(tensor[0].transpose(0, 1), sizes) for tensor in (query, key, value)]
    outputs = []
    for index, part in enumerate(tree.parts):
        prompts, branches = ([piece[2 * index + place] for piece in pieces] for place in (0, 1))
        outputs += _part(part, prompts, branches, **rule)
    return torch.cat(outputs)[None], None


def _from_ends(
    tree: Tree,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """Attention of the end tokens alone: query [1, H, N, D], result [1, N, H, D]."""
    outputs, first = [], 0
    for part in tree.parts:
        own = query[:, :, first : first + len(part.lengths)]
        keys, values = (tensor[:, :, part.start : part.end] for tensor in (key, value))
        outputs.append(attend(own, keys, values, part.end_mask(window), scaling=scaling, softcap=softcap))
        first += len(part.lengths)
    return torch.cat(outputs, dim=2).transpose(1, 2)


def _part(
    part: Branching,
    prompts: Sequence[Tensor],
    branches: Sequence[Tensor],
    *,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
) -> list[Tensor]:
    """The prompt's and the branches' outputs of one element, [tokens, H, D] each, from their query, key and value."""
    num_branches, width = part.gather_KR.shape
    prompt_mask, branch_mask = part.mask(window)
    prompts = [tensor.transpose(0, 1)[None] for tensor in prompts]
    flat = part.gather_KR.flatten()
    branches = [
        tensor.index_select(0, flat).view(num_branches, width, *tensor.shape[1:]).transpose(1, 2) for tensor in branches
    ]
    keys, values = (
        torch.cat((shared.expand(num_branches, -1, -1, -1), branch), dim=2)
        for shared, branch in zip(prompts[1:], branches[1:], strict=True)
    )
    from_branches = attend(branches[0], keys, values, branch_mask, scaling=scaling, softcap=softcap)
    rows = from_branches.transpose(1, 2).flatten(0, 1).index_select(0, part.kept_N)
    if not part.num_prompt:
        return [rows]
    query, key, value = prompts
    from_prompt = attend(query, key, value, prompt_mask, scaling=scaling, softcap=softcap)
    return [from_prompt[0].transpose(0, 1), rows]


def _branching(start: int, num_prompt: int, lengths: tuple[int, ...], device: Any) -> Branching:
    lengths_K1 = torch.tensor(lengths)[:, None]
    starts_K1 = lengths_K1.cumsum(0) - lengths_K1
    within_R = torch.arange(max(lengths))
    is_token_KR = within_R < lengths_K1
    return Branching(
        start=start,
        num_prompt=num_prompt,
        lengths=lengths,
        gather_KR=(starts_K1 + torch.minimum(within_R, lengths_K1 - 1)).to(device),
        kept_N=is_token_KR.flatten().nonzero().squeeze(1).to(device),
    )


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
