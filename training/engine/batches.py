"""From snapshot rows to what a forward pass takes.

Which items make the batch of a step is a function of (seed, step) alone, so that a resumed run needs no saved
position but the step. Right-padded rows themselves are made by `training.engine.scoring.episodes`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch

from training.contract.records import AnsweredRow, DemonstrationRow, Message, RewardRow
from training.engine.text import Text


@dataclass(frozen=True)
class Example:
    """One row for the language-model loss: the loss is on `response` alone. Is it plain text, or a demonstration?"""

    prompt: list[int]
    response: list[int]
    is_text: bool = False


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """One labeler's ranks of some responses of an element: `positions` points into its responses."""

    positions: tuple[int, ...]
    ranks: tuple[int, ...]
    weight: float
    labeler: str
    held_out: bool


@dataclass(frozen=True, kw_only=True)
class Element:
    """One prompt with each distinct response once, and every ranking of them: one element of the mean of the loss."""

    prompt_id: str
    split: str
    category: str
    prompt: list[int]
    responses: tuple[list[int], ...]
    rankings: tuple[Ranking, ...]


@dataclass
class Cuts:
    """How many texts did not fit, by kind. Shown in the log and in the metrics: nothing is dropped in silence."""

    prompts: int = 0
    responses: int = 0
    total_prompts: int = 0
    total_responses: int = 0

    def prompt(self, text: Text, messages: Sequence[Message], max_tokens: int) -> list[int]:
        """Token ids of a prompt, counted."""
        ids = text.prompt_ids(messages)
        self.total_prompts += 1
        self.prompts += len(ids) > max_tokens
        return ids if len(ids) <= max_tokens else text.prompt_ids(messages, max_tokens=max_tokens)

    def response(self, text: Text, response: str, max_tokens: int) -> list[int]:
        """Token ids of a response with its end token, counted; a cut one has no end token."""
        ids = text.response_ids(response)
        self.total_responses += 1
        self.responses += len(ids) > max_tokens
        return ids[:max_tokens]

    def __str__(self) -> str:
        return (
            f"{self.prompts} of {self.total_prompts} prompts and {self.responses} of {self.total_responses} responses"
            " were longer than the limit and were cut"
        )


@dataclass
class _Draft:
    """An element while its rows are still coming."""

    row: RewardRow
    texts: dict[str, int] = field(default_factory=dict)
    rankings: list[Ranking] = field(default_factory=list)

    def add(self, row: RewardRow) -> None:
        positions = [self.texts.setdefault(response, len(self.texts)) for response in row.responses]
        self.rankings.append(
            Ranking(
                positions=tuple(positions),
                ranks=tuple(row.ranks),
                weight=row.weight,
                labeler=row.labeler,
                held_out=row.held_out,
            )
        )


def demonstrations(
    rows: Iterable[DemonstrationRow], text: Text, *, max_prompt_tokens: int, max_response_tokens: int, cuts: Cuts
) -> list[Example]:
    """Examples of demonstrations, in file order."""
    return [
        Example(
            cuts.prompt(text, row.prompt, max_prompt_tokens), cuts.response(text, row.response, max_response_tokens)
        )
        for row in rows
    ]


def elements(
    rows: Iterable[RewardRow], text: Text, *, max_prompt_tokens: int, max_response_tokens: int, cuts: Cuts
) -> list[Element]:
    """Rankings grouped by prompt, in the order in which the prompts first appear.

    Each distinct response of a prompt is kept once, however many labelers ranked it. A response that is cut gets an
    end token in its last place: the reward is read there.
    """
    return [
        Element(
            prompt_id=draft.row.prompt_id,
            split=draft.row.split,
            category=draft.row.category,
            prompt=cuts.prompt(text, draft.row.prompt, max_prompt_tokens),
            responses=tuple(_whole(cuts.response(text, item, max_response_tokens), text) for item in draft.texts),
            rankings=tuple(draft.rankings),
        )
        for draft in _drafts(rows)
    ]


def texts(rows: Iterable[RewardRow]) -> list[list[str]]:
    """The responses of each element that `elements` makes of the same rows, in the same order, as texts."""
    return [list(draft.texts) for draft in _drafts(rows)]


def to_score(
    rows: Iterable[AnsweredRow], text: Text, *, max_prompt_tokens: int, max_response_tokens: int, cuts: Cuts
) -> list[Element]:
    """Prompts with their responses as elements without a ranking; cut as `elements` cuts."""
    return [
        Element(
            prompt_id=row.prompt_id,
            split=row.split,
            category=row.category,
            prompt=cuts.prompt(text, row.prompt, max_prompt_tokens),
            responses=tuple(_whole(cuts.response(text, item, max_response_tokens), text) for item in row.responses),
            rankings=(),
        )
        for row in rows
    ]


def lone(example: Example, *, end_id: int) -> Element:
    """A demonstration as an element of one response and no ranking, to be scored."""
    response = [*example.response[:-1], end_id]
    return Element(prompt_id="", split="", category="", prompt=example.prompt, responses=(response,), rankings=())


def num_batches(num_items: int, batch_size: int) -> int:
    """Batches of one epoch; the last one may be smaller."""
    return -(-num_items // batch_size)


def batch_indices(num_items: int, *, batch_size: int, step: int, seed: int) -> list[int]:
    """The items of step `step` (from 0): each epoch is a fresh shuffle, and takes every item once."""
    epoch, position = divmod(step, num_batches(num_items, batch_size))
    order = torch.randperm(num_items, generator=_generator(seed, epoch)).tolist()
    return [int(index) for index in order[position * batch_size : (position + 1) * batch_size]]


def text_batch(stream: Sequence[int], *, num_pieces: int, length: int, step: int, seed: int) -> list[Example]:
    """`num_pieces` random pieces of a token stream for step `step`; the loss is on all but the first token of each."""
    starts = torch.randint(0, max(1, len(stream) - length), (num_pieces,), generator=_generator(seed, step)).tolist()
    return [
        Example(list(stream[start : start + 1]), list(stream[start + 1 : start + length]), is_text=True)
        for start in starts
    ]


def _drafts(rows: Iterable[RewardRow]) -> Iterable[_Draft]:
    drafts: dict[tuple[str, str], _Draft] = {}
    for row in rows:
        drafts.setdefault((row.prompt_id, row.split), _Draft(row)).add(row)
    return drafts.values()


def _whole(response: list[int], text: Text) -> list[int]:
    """With an end token in its last place, also where it was cut."""
    return [*response[:-1], text.end_id]


def _generator(seed: int, number: int) -> torch.Generator:
    # two numbers into one seed: a plain sum would give seed 0's second epoch to seed 1's first
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9 + 1) % 2**63)
