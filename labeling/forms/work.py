"""The plain forms of the work pages, read into the same shape that drafts and the API have: by letter."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString

from labeling.models import Task
from labeling.services.answers import LETTERS, NONE_ACCEPTABLE, RANKED, Answer
from labeling.services.sheets import Sheet


@dataclass(frozen=True)
class CardForm:
    """A card with its fields filled in."""

    letter: str
    html: SafeString
    rank: int | None
    rating: int | None
    flags: Sequence[tuple[str, bool]]
    note: str
    error: str

    @property
    def num_flagged(self) -> int:
        return sum(is_set for _, is_set in self.flags)


def fill_cards(sheet: Sheet, filled: Mapping[str, Any], errors: Mapping[str, str]) -> list[CardForm]:
    """The sheet's cards with what was said so far. A draft is what some client saved: what does not fit is empty."""
    ranks, ratings, flags, notes = (_mapping(filled.get(name)) for name in ("ranks", "ratings", "flags", "notes"))
    return [
        CardForm(
            letter=card.letter,
            html=card.html,
            rank=_whole(ranks.get(card.letter)),
            rating=_whole(ratings.get(card.letter)),
            flags=[(flag, flag in (flags.get(card.letter) or [])) for flag in sheet.flags],
            note=str(notes.get(card.letter) or ""),
            error=errors.get(card.letter, ""),
        )
        for card in sheet.cards
    ]


def read_ranking(post: QueryDict, num_cards: int) -> dict[str, Any]:
    """What the ranking form holds, finished or not: {"ranks": {"A": 1}, …}, as a draft keeps it."""
    letters = LETTERS[:num_cards]
    return {
        "outcome": NONE_ACCEPTABLE if post.get("outcome") == NONE_ACCEPTABLE else RANKED,
        "ranks": {letter: rank for letter in letters if (rank := _integer(post.get(f"rank_{letter}"))) is not None},
        "ratings": {letter: mark for letter in letters if (mark := _integer(post.get(f"rating_{letter}"))) is not None},
        "flags": {letter: flags for letter in letters if (flags := post.getlist(f"flags_{letter}"))},
        "notes": {letter: text for letter in letters if (text := post.get(f"note_{letter}", ""))},
        "note": post.get("note", ""),
    }


def read_circumstances(post: QueryDict) -> dict[str, Any]:
    """What the page noticed beside the answer. Without JavaScript it notices only the guideline's version."""
    return {
        "guideline_version": _integer(post.get("guideline_version")),
        "active_seconds": _seconds(post.get("active_seconds")),
        "client_time": _moment(post.get("client_time")),
    }


def to_answer(task: Task, payload: Mapping[str, Any], circumstances: Mapping[str, Any]) -> Answer:
    letters = LETTERS[: task.num_responses]
    ratings = [payload["ratings"].get(letter) for letter in letters]
    return Answer(
        outcome=payload["outcome"],
        ranks=[payload["ranks"].get(letter) for letter in letters],
        ratings=ratings if any(ratings) or task.rate_first else [],
        flags=payload["flags"],
        notes=payload["notes"],
        note=payload["note"],
        **circumstances,
    )


def read_version(post: QueryDict) -> int:
    """The number of a draft's next save."""
    return (_integer(post.get("draft_version")) or 0) + 1


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _integer(text: str | None) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        return None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text) if text else None
    except ValueError:
        return None
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parse_datetime(text) if text else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None
