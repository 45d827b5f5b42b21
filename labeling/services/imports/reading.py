"""From a file's lines to drafts and refusals, and the first look at a file before anything is written."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any, Protocol

from labeling.models import ImportBatch
from labeling.services import files
from labeling.services.files.lines import MAX_COLUMNS
from labeling.services.imports.columns import Reader, Row
from labeling.services.imports.demonstrations_in import DemonstrationImport
from labeling.services.imports.prompts_in import PromptImport
from labeling.services.imports.rankings_in import RankingImport
from labeling.services.imports.reasons import Refused
from labeling.services.imports.rows import Options
from labeling.services.imports.taking import Refusal
from labeling.services.imports.tally import Tally

ROWS_PER_TRANSACTION = 200
ROWS_SHOWN = 20
PREVIEW_ROWS = 2_000
PREVIEW_SECONDS = 3.0


class Import(Protocol):
    """One reading of one file of one kind."""

    def draft(self, row: Row, *, line: int) -> Any: ...
    def sift(self, drafts: Sequence[Any], /) -> tuple[list[Any], list[Refusal]]: ...
    def write(self, drafts: Sequence[Any], /) -> Any: ...


KINDS: dict[str, Any] = {
    ImportBatch.Kind.PROMPTS: PromptImport,
    ImportBatch.Kind.RANKINGS: RankingImport,
    ImportBatch.Kind.DEMONSTRATIONS: DemonstrationImport,
}


def import_of(batch: ImportBatch) -> Import:
    made: Import = KINDS[batch.kind](batch, Options.of(batch.options))
    return made


def batches(lines: Iterable[files.Line]) -> Iterator[list[files.Line]]:
    remaining = iter(lines)
    while batch := list(islice(remaining, ROWS_PER_TRANSACTION)):
        yield batch


def drafts_of(reading: Import, reader: Reader, lines: Iterable[files.Line]) -> tuple[list[Any], list[Refusal]]:
    drafts, refused = [], []
    for line in lines:
        try:
            drafts.append(_draft(reading, reader, line))
        except Refused as refusal:
            refused.append(Refusal(line.number, refusal.reason, refusal.detail))
    return drafts, refused


def _draft(reading: Import, reader: Reader, line: files.Line) -> Any:
    if line.problem or line.values is None:
        problem = line.problem or files.Problem(files.NOT_AN_OBJECT)
        raise Refused(problem.reason, problem.detail)
    return reading.draft(reader.row(line.values), line=line.number)


@dataclass
class Preview:
    """The first rows as they will be read, and what the first rows of the file come to."""

    rows: list[tuple[int, Any, Refusal | None]] = field(default_factory=list)  # line, draft, why not
    tally: Tally = field(default_factory=Tally)
    names: list[str] = field(default_factory=list)  # columns met, in order
    columns: dict[str, str] = field(default_factory=dict)  # our name → the file's
    is_whole: bool = True


def preview(batch: ImportBatch, file: IO[bytes]) -> Preview:
    """Read as `run` would, without writing; a large file's beginning only. Raises FileError."""
    reading, reader = import_of(batch), reader_of(batch)
    found = Preview()
    deadline = time.monotonic() + PREVIEW_SECONDS
    for lines in batches(files.read(file, filename=batch.filename)):
        if found.tally.num_rows >= PREVIEW_ROWS or time.monotonic() > deadline:
            found.is_whole = False
            break
        drafts, refused = drafts_of(reading, reader, lines)
        taken, more = reading.sift(drafts)
        found.tally.add(drafts=taken, refusals=[*refused, *more], made={}, last_line=lines[-1].number)
        _show(found, lines, drafts, [*refused, *more])
    found.columns = reader.columns(found.names)
    found.tally = found.tally.sorted()
    return found


def reader_of(batch: ImportBatch) -> Reader:
    return Reader(batch.kind, Options.of(batch.options).columns)


def _show(found: Preview, lines: list[files.Line], drafts: list[Any], refusals: list[Refusal]) -> None:
    for line in lines:
        new = [name for name in line.values or {} if name not in found.names]
        found.names = [*found.names, *new][:MAX_COLUMNS]
    by_line = {draft.line: draft for draft in drafts}
    why_not = {refusal.line: refusal for refusal in refusals}
    for line in lines[: ROWS_SHOWN - len(found.rows)]:
        found.rows.append((line.number, by_line.get(line.number), why_not.get(line.number)))
