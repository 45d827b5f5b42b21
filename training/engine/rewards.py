"""Scores of elements (a prompt with its distinct responses), by layout.

A layout decides how responses stand in the rows of a forward pass, never what their scores are. The scores of several
elements come back in one vector, element after element, response after response. `rows` encodes each response once,
after its own copy of the prompt.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from training.engine.batches import Element
from training.engine.device import Compute
from training.engine.scoring import end_scores, episodes


def rows_scores(model: Any, elements: Sequence[Element], *, pad_id: int) -> Tensor:
    """Scores [N] of all responses of the elements, each response once in a right-padded row with its prompt."""
    prompts = [element.prompt for element in elements for _ in element.responses]
    responses = [response for element in elements for response in element.responses]
    device = next(iter(model.parameters())).device
    return end_scores(model, episodes(prompts, responses, pad_token_id=pad_id, device=device))


LAYOUTS: Final[dict[str, Callable[..., Tensor]]] = {"rows": rows_scores}


@torch.no_grad()
def score_all(
    model: Any, elements: Sequence[Element], *, layout: str, micro_batch_size: int, compute: Compute, pad_id: int
) -> list[list[float]]:
    """The scores of each element's responses, for reports."""
    scores: list[list[float]] = []
    for chunk in chunks(elements, micro_batch_size):
        with compute.autocast():
            flat = LAYOUTS[layout](model, chunk, pad_id=pad_id).tolist()
        for element in chunk:
            scores.append(flat[: len(element.responses)])
            flat = flat[len(element.responses) :]
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


def chunks(elements: Sequence[Element], size: int) -> Iterator[Sequence[Element]]:
    """Runs of at most `size` elements."""
    return (elements[start : start + size] for start in range(0, len(elements), size))
