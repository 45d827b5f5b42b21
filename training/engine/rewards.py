"""Scores of elements (a prompt with its distinct responses), by layout.

A layout decides how responses stand in a forward pass, never what their scores are. With K responses of R tokens
after P of the prompt:

- `tree`: the prompt once, P + K·R tokens (`training.engine.tree`); the default where the model's family allows it.
- `rows`: each response once, after its own copy of the prompt, K·(P + R) tokens.
- `pairs`: each untied pair as two rows, K·(K−1)·(P + R) tokens: what most trainers do, kept to compare with.

The scores of several elements come back in one vector, element after element, response after response.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Final

import torch
from torch import Tensor

from training.engine import tree
from training.engine.attention import why_not
from training.engine.batches import Element, Ranking
from training.engine.device import Compute
from training.engine.scoring import end_scores, episodes, score_hidden


def rows_scores(model: Any, elements: Sequence[Element], *, pad_id: int) -> Tensor:
    """Scores [N] of all responses of the elements, each response once in a right-padded row with its prompt."""
    prompts = [element.prompt for element in elements for _ in element.responses]
    responses = [response for element in elements for response in element.responses]
    return end_scores(model, episodes(prompts, responses, pad_token_id=pad_id, device=_device(model)))


def tree_scores(model: Any, elements: Sequence[Element], *, pad_id: int) -> Tensor:  # a tree has no padding
    """Scores [N] of all responses of the elements, each prompt encoded once. `tree.enable` the model before."""
    return score_hidden(model, tree.hidden_at_ends(model, tree.plant(elements, device=_device(model))))


LAYOUTS: Final[dict[str, Callable[..., Tensor]]] = {"tree": tree_scores, "rows": rows_scores, "pairs": rows_scores}


def choose_layout(model: Any, layout: str) -> tuple[str, str]:
    """(the layout that this model takes, why it is not the one asked for). Sets the model up for it."""
    if layout != "tree":
        return layout, ""
    if reason := why_not(model):
        return "rows", reason
    tree.enable(model)
    return "tree", ""


def laid_out(element: Element, *, layout: str, divisor: str) -> Element:
    """The element as its layout scores it. `pairs` gives each untied pair its own two responses; the loss is equal."""
    return _as_pairs(element, divisor=divisor) if layout == "pairs" else element


def packs(elements: Sequence[Element], *, layout: str, max_elements: int, max_tokens: int) -> Iterator[list[int]]:
    """Which elements share a forward pass: alike in length, at most so many of both; a longer element goes alone."""
    pack: list[int] = []
    for index in sorted(range(len(elements)), key=lambda index: -_longest(elements[index])):
        together = [elements[other] for other in (*pack, index)]
        if pack and (len(pack) == max_elements or num_tokens(together, layout=layout) > max_tokens):
            yield pack
            pack = []
        pack.append(index)
    if pack:
        yield pack


def num_tokens(elements: Sequence[Element], *, layout: str) -> int:
    """Tokens that a forward pass of these elements computes, padding included."""
    if layout == "tree":
        return sum(len(item.prompt) + sum(map(len, item.responses)) for item in elements)
    return max(map(_longest, elements)) * sum(len(item.responses) for item in elements)


@torch.no_grad()
def score_all(
    model: Any,
    elements: Sequence[Element],
    *,
    layout: str,
    max_elements: int,
    max_tokens: int,
    compute: Compute,
    pad_id: int,
) -> list[list[float]]:
    """The scores of each element's responses, in the order of the elements, for reports."""
    scores: list[list[float]] = [[] for _ in elements]
    for pack in packs(elements, layout=layout, max_elements=max_elements, max_tokens=max_tokens):
        with compute.autocast():
            flat = LAYOUTS[layout](model, [elements[index] for index in pack], pad_id=pad_id).tolist()
        for index in pack:
            num = len(elements[index].responses)
            scores[index], flat = flat[:num], flat[num:]
    return scores


def flat_rankings(elements: Sequence[Element]) -> list[tuple[list[int], list[int], float]]:
    """(positions in the flat scores, ranks, weight) of every ranking of the elements."""
    found, offset = [], 0
    for element in elements:
        for ranking in element.rankings:
            found.append(([offset + position for position in ranking.positions], list(ranking.ranks), ranking.weight))
        offset += len(element.responses)
    return found


def token_rows(elements: Sequence[Element], *, pad_id: int) -> dict[str, Tensor]:
    """The token ids of all responses with their prompts, to be kept when a batch has to be looked at."""
    rows = [torch.tensor([*element.prompt, *response]) for element in elements for response in element.responses]
    return {"input_ids": torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad_id)}


def _as_pairs(element: Element, *, divisor: str) -> Element:
    """Each pair a ranking of two; its weight carries the divisor of the ranking that it came from."""
    responses: list[list[int]] = []
    rankings = []
    for ranking in element.rankings:
        judged = list(zip(ranking.positions, ranking.ranks, strict=True))
        pairs = [(one, other) for one, other in combinations(judged, 2) if one[1] != other[1]]
        num = len(pairs) if divisor == "remaining_pairs" else len(judged) * (len(judged) - 1) // 2
        for one, other in pairs:
            better, worse = sorted((one, other), key=lambda place: place[1])
            positions = (len(responses), len(responses) + 1)
            responses += [element.responses[better[0]], element.responses[worse[0]]]
            rankings.append(_pair_of(ranking, positions, weight=ranking.weight / num))
    return replace(element, responses=tuple(responses), rankings=tuple(rankings))


def _pair_of(ranking: Ranking, positions: tuple[int, int], *, weight: float) -> Ranking:
    return replace(ranking, positions=positions, ranks=(1, 2), weight=weight)


def _longest(element: Element) -> int:
    return len(element.prompt) + max(map(len, element.responses))


def _device(model: Any) -> Any:
    return next(iter(model.parameters())).device
