"""A run's log as people read it: by lines with their numbers, its end, a place in it, and where a text stands.

Rows hold the last 5 MB (`mirror.LOG_KEPT_BYTES`); numbers are those of the whole file all the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.db.models import QuerySet

from labeling.models import Run, RunLog
from labeling.services import artifacts

MOST_FOUND: Final = 200
LINES_BEFORE, LINES_AFTER = 100, 200


@dataclass(frozen=True)
class Line:
    number: int
    text: str


@dataclass(frozen=True)
class Tail:
    """The end of a log. `last_id` is where a live page goes on from."""

    lines: list[Line]
    last_id: int
    is_cut: bool


@dataclass(frozen=True)
class Found:
    """Lines that hold a text: those after some line, and how many there are in all."""

    lines: list[Line]
    total: int
    has_more: bool


def tail(run: Run, *, num_chars: int) -> Tail:
    """About the last `num_chars` characters, in whole pieces."""
    pieces: list[RunLog] = []
    size, is_cut = 0, False
    for piece in _pieces(run).order_by("-id").iterator(500):
        if size >= num_chars:
            is_cut = True
            break
        pieces.append(piece)
        size += len(piece.text)
    lines = list(_lines(reversed(pieces)))
    starts_late = bool(lines) and lines[0].number > 1
    return Tail(lines=lines, last_id=pieces[0].pk if pieces else 0, is_cut=is_cut or starts_late)


def around(run: Run, number: int) -> list[Line]:
    """The lines before and after a line."""
    first, last = number - LINES_BEFORE, number + LINES_AFTER
    pieces: list[RunLog] = []
    for piece in _pieces(run).filter(first_line__lte=last).order_by("-id").iterator(500):
        pieces.append(piece)
        if piece.first_line < first:
            break
    return [line for line in _lines(reversed(pieces)) if first <= line.number <= last]


def search(run: Run, text: str, *, after: int = 0) -> Found:
    """Lines that hold `text`, upper or lower case alike, from the one after `after` on."""
    wanted = text.lower()
    found: list[Line] = []
    total = num_later = 0
    for line in _lines(_pieces(run).order_by("id").iterator(500)):
        if wanted not in line.text.lower():
            continue
        total += 1
        if line.number > after:
            num_later += 1
            if len(found) < MOST_FOUND:
                found.append(line)
    return Found(lines=found, total=total, has_more=num_later > len(found))


def whole(run: Run) -> Iterator[bytes]:
    """The file itself where the run has left it, else what rows hold of it."""
    name = f"{run.result.get('storage_key', '')}/log.txt"
    if run.result.get("storage_key") and artifacts.storage().exists(name):
        with artifacts.storage().open(name, "rb") as file:
            yield from file.chunks()
        return
    for piece in _pieces(run).order_by("id").iterator(500):
        yield piece.text.encode()


def _pieces(run: Run) -> QuerySet[RunLog]:
    return RunLog.objects.filter(run=run)


def _lines(pieces: Iterator[RunLog]) -> Iterator[Line]:
    """Whole lines: a piece may end, and the next begin, in the middle of one."""
    number, rest = 0, ""
    for piece in pieces:
        number = number or piece.first_line
        *whole_lines, rest = (rest + piece.text).split("\n")
        for text in whole_lines:
            yield Line(number, text)
            number += 1
    if rest:
        yield Line(number, rest)
