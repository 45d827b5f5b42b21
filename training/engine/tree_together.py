"""The attention of a tree with all elements at once, padded: for devices on which many small products cost more.

A CPU takes the elements of a packed row one by one and computes nothing twice. A GPU waits for the start of each small
product longer than for the product; there prompts and branches of all elements stand in two padded batches. The
scores are the same.

Shape legend: M elements, P tokens of the longest prompt, B branches of all elements, R tokens of the longest branch,
T tokens of the packed row, H heads, D head size. Masks are boolean and True means keep.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from training.engine.attention import attend

Span = tuple[int, int, tuple[int, ...]]
"""Where an element begins in the row, how long its prompt is, and its branches."""


@dataclass(frozen=True, kw_only=True)
class Together:
    """Where every token of the padded batches comes from, and where every token of the row goes."""

    prompt_MP: Tensor  # place in the row; the prompt's last token where it has no more
    branch_BR: Tensor
    element_B: Tensor
    num_prompt_B: Tensor
    lengths_B: Tensor
    back_T: Tensor  # place of each token of the row among prompts and branches, one after the other
    masks: dict[int | None, tuple[Tensor | None, Tensor]] = field(default_factory=dict)  # by sliding window

    def mask(self, window: int | None) -> tuple[Tensor | None, Tensor]:
        """What prompt tokens see [P, P] (None: all before them) and what branch tokens see [B, 1, R, P + R]."""
        if window not in self.masks:
            width, longest = self.prompt_MP.shape[1], self.branch_BR.shape[1]
            place_P = torch.arange(width, device=self.element_B.device)
            place_R = torch.arange(longest, device=self.element_B.device)
            prompt_PP = (place_P[:, None] >= place_P) & (place_P[:, None] - place_P < (window or width))
            in_prompt_BP = place_P < self.num_prompt_B[:, None]
            position_BR = self.num_prompt_B[:, None] + place_R
            near_BRP = position_BR[:, :, None] - place_P < (window or width + longest)
            own_RR = (place_R[:, None] >= place_R) & (place_R[:, None] - place_R < (window or longest))
            sees_BRP = in_prompt_BP[:, None, :] & near_BRP
            branch = torch.cat((sees_BRP, own_RR.expand(len(self.element_B), -1, -1)), dim=2)
            fits = window is None or window >= width
            self.masks[window] = (None if fits else prompt_PP, branch[:, None])
        return self.masks[window]


def together(spans: Sequence[Span], *, device: Any) -> Together | None:
    """The two batches of a row; None if an element has no prompt, which this layout does not know."""
    if not all(num_prompt for _, num_prompt, _ in spans):
        return None
    width = max(num_prompt for _, num_prompt, _ in spans)
    starts, lengths, element, back = [], [], [], []
    for index, (start, num_prompt, branches) in enumerate(spans):
        back += [index * width + place for place in range(num_prompt)]
        first = start + num_prompt
        for length in branches:
            starts.append(first)
            lengths.append(length)
            element.append(index)
            first += length
    longest = max(lengths)
    flat, branch = [], 0
    for _, num_prompt, branches in spans:
        flat += back[:num_prompt]
        del back[:num_prompt]
        for length in branches:
            flat += [len(spans) * width + branch * longest + place for place in range(length)]
            branch += 1
    prompts_M = torch.tensor([num_prompt for _, num_prompt, _ in spans])
    starts_M = torch.tensor([start for start, _, _ in spans])
    lengths_B, element_B = torch.tensor(lengths), torch.tensor(element)
    prompt_MP = starts_M[:, None] + torch.minimum(torch.arange(width), prompts_M[:, None] - 1)
    branch_BR = torch.tensor(starts)[:, None] + torch.minimum(torch.arange(longest), lengths_B[:, None] - 1)
    return Together(
        prompt_MP=prompt_MP.to(device),
        branch_BR=branch_BR.to(device),
        element_B=element_B.to(device),
        num_prompt_B=prompts_M[element_B].to(device),
        lengths_B=lengths_B.to(device),
        back_T=torch.tensor(flat, device=device),
    )


def attention(
    own: Together,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """Of the whole row: query [1, H, T, D], result [1, T, H, D]."""
    prompt_mask, branch_mask = own.mask(window)
    prompts = [_batch(tensor, own.prompt_MP) for tensor in (query, key, value)]
    keys, values = _branch_keys(own, key, value, prompts[1:])
    queries = _batch(query, own.branch_BR)
    options = {"scaling": scaling, "softcap": softcap}
    from_prompts = attend(prompts[0], prompts[1], prompts[2], prompt_mask, **options)
    from_branches = attend(queries, keys, values, branch_mask, **options)
    flat = torch.cat([part.transpose(1, 2).flatten(0, 1) for part in (from_prompts, from_branches)])
    return flat.index_select(0, own.back_T)[None]


def from_ends(
    own: Together,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """Of the end tokens alone, one per branch: query [1, H, B, D], result [1, B, H, D]."""
    _, branch_mask = own.mask(window)
    last_B = own.lengths_B - 1
    mask = branch_mask[torch.arange(len(last_B), device=last_B.device), :, last_B][:, :, None]
    keys, values = _branch_keys(own, key, value, [_batch(tensor, own.prompt_MP) for tensor in (key, value)])
    found = attend(query[0].transpose(0, 1)[:, :, None], keys, values, mask, scaling=scaling, softcap=softcap)
    return found[:, :, 0][None]


def _branch_keys(own: Together, key: Tensor, value: Tensor, prompts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Of each branch: its prompt's keys and values, then its own, [B, H, P + R, D] each."""
    shared = [tensor.index_select(0, own.element_B) for tensor in prompts]
    mine = [_batch(tensor, own.branch_BR) for tensor in (key, value)]
    return torch.cat((shared[0], mine[0]), dim=2), torch.cat((shared[1], mine[1]), dim=2)


def _batch(tensor: Tensor, index: Tensor) -> Tensor:
    """[1, H, T, D] of the row as [rows, H, width, D] of a batch."""
    rows = tensor[0].transpose(0, 1).index_select(0, index.flatten())
    return rows.view(*index.shape, *rows.shape[1:]).transpose(1, 2)
