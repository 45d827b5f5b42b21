"""What a labeler sends for a ranking task, checked: every error found at once, each named by its place.

What comes in speaks of places: A is the first card the labeler saw. Which response that is, only the server knows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from labeling.models import Guideline, Ranking, Task

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_NOTE_CHARS: Final = 10_000
MAX_ACTIVE_SECONDS: Final = 24 * 3600
RATINGS: Final = range(1, 8)  # InstructGPT: 1 to 7

RANKED: Final = Ranking.Outcome.RANKED.value
NONE_ACCEPTABLE: Final = Ranking.Outcome.NONE_ACCEPTABLE.value

T = TypeVar("T")


class AnswerError(Exception):
    """What came in is no answer to this task. `errors`: place ("C", "ranks", …) → what is wrong there."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__(" ".join(f"{place}: {text}" for place, text in self.errors.items()))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Lists are by place: index 0 is card A."""

    outcome: str = RANKED
    ranks: Sequence[int | None] = ()
    ratings: Sequence[int | None] = ()
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)  # {"A": ["Hallucination"]}
    notes: Mapping[str, str] = field(default_factory=dict)  # {"A": "…"}
    note: str = ""
    guideline_version: int | None = None
    active_seconds: float | None = None
    client_time: datetime | None = None


def to_columns(*, task: Task, displayed: Sequence[int], answer: Answer) -> dict[str, Any]:
    """The answer by position, ready for a Ranking; raises AnswerError."""
    errors = _check(task, answer)
    guideline = _guideline(task, answer, errors)
    if errors:
        raise AnswerError(errors)
    ranks = [rank for rank in answer.ranks if rank is not None]
    flags = {place: sorted(set(flags)) for place, flags in answer.flags.items() if flags}
    notes = {place: text.strip() for place, text in answer.notes.items() if text.strip()}
    return {
        "outcome": answer.outcome,
        "displayed": list(displayed),
        "ranks": _by_position(dense(ranks), displayed) if ranks else [],
        "ratings": _by_position(answer.ratings, displayed) if any(answer.ratings) else [],
        "flags": {str(displayed[LETTERS.index(place)]): value for place, value in flags.items()},
        "notes": {str(displayed[LETTERS.index(place)]): value for place, value in notes.items()},
        "note": answer.note.strip(),
        "guideline": guideline,
        "active_seconds": answer.active_seconds,
        "client_time": answer.client_time,
    }


def from_ranking(ranking: Ranking) -> Answer:
    """A stored ranking as its labeler gave it."""
    displayed = ranking.displayed
    return Answer(
        outcome=ranking.outcome,
        ranks=[ranking.ranks[position] for position in displayed] if ranking.ranks else [],
        ratings=[ranking.ratings[position] for position in displayed] if ranking.ratings else [],
        flags={LETTERS[j]: ranking.flags[str(p)] for j, p in enumerate(displayed) if str(p) in ranking.flags},
        notes={LETTERS[j]: ranking.notes[str(p)] for j, p in enumerate(displayed) if str(p) in ranking.notes},
        note=ranking.note,
    )


def dense(ranks: Sequence[int]) -> list[int]:
    """Ranks without gaps, ties kept: 1 4 4 9 is 1 2 2 3."""
    order = {rank: number for number, rank in enumerate(sorted(set(ranks)), start=1)}
    return [order[rank] for rank in ranks]


def _check(task: Task, answer: Answer) -> dict[str, str]:
    letters = LETTERS[: task.num_responses]
    errors: dict[str, str] = {}
    if answer.outcome not in Ranking.Outcome.values:
        errors["outcome"] = f"“{answer.outcome}” is neither “{RANKED}” nor “{NONE_ACCEPTABLE}”."
    _check_ranks(letters, answer, errors)
    _check_ratings(letters, answer, errors, are_needed=task.rate_first and answer.outcome == RANKED)
    _check_flags_and_notes(letters, set(task.project.flags), answer, errors)
    if len(answer.note) > MAX_NOTE_CHARS:
        errors["note"] = f"At most {MAX_NOTE_CHARS} characters."
    seconds = answer.active_seconds
    if seconds is not None and not (math.isfinite(seconds) and 0 <= seconds <= MAX_ACTIVE_SECONDS):
        errors["active_seconds"] = "Must be between 0 and one day."
    return errors


def _check_ranks(letters: str, answer: Answer, errors: dict[str, str]) -> None:
    if answer.outcome == NONE_ACCEPTABLE and not any(rank is not None for rank in answer.ranks):
        return
    if len(answer.ranks) != len(letters):
        errors["ranks"] = f"{len(letters)} responses need a rank each; {len(answer.ranks)} came."
        return
    for letter, rank in zip(letters, answer.ranks, strict=True):
        if rank is None:
            errors[letter] = f"{letter} has no rank yet."
        elif not 1 <= rank <= len(letters):
            errors[letter] = f"The rank of {letter} must be from 1 to {len(letters)}, not {rank}."


def _check_ratings(letters: str, answer: Answer, errors: dict[str, str], *, are_needed: bool) -> None:
    if not answer.ratings and not are_needed:
        return
    if len(answer.ratings) != len(letters):
        errors["ratings"] = f"{len(letters)} ratings are expected, {len(answer.ratings)} came."
        return
    for letter, rating in zip(letters, answer.ratings, strict=True):
        if rating is None and are_needed:
            errors.setdefault(letter, f"{letter} has no rating yet.")
        elif rating is not None and rating not in RATINGS:
            errors.setdefault(letter, f"The rating of {letter} must be from 1 to 7, not {rating}.")


def _check_flags_and_notes(letters: str, known: set[str], answer: Answer, errors: dict[str, str]) -> None:
    for place in {*answer.flags, *answer.notes}:
        if len(place) != 1 or place not in letters:
            errors[place] = f"There is no card {place}."
    for place, flags in answer.flags.items():
        if unknown := set(flags) - known:
            errors.setdefault(
                place, f"{place} has a flag that this project does not know: {', '.join(sorted(unknown))}."
            )
    for place, text in answer.notes.items():
        if len(text) > MAX_NOTE_CHARS:
            errors.setdefault(place, f"The note of {place} is longer than {MAX_NOTE_CHARS} characters.")


def _guideline(task: Task, answer: Answer, errors: dict[str, str]) -> Guideline | None:
    """The version the labeler had before them; the current one when the page did not say."""
    guideline = task.project.guideline(answer.guideline_version)
    if guideline is None and answer.guideline_version is not None:
        errors["guideline_version"] = f"There is no version {answer.guideline_version} of the guidelines."
    return guideline


def _by_position(values: Sequence[T], displayed: Sequence[int]) -> list[T]:
    place_of = {position: place for place, position in enumerate(displayed)}
    return [values[place_of[position]] for position in range(len(displayed))]
