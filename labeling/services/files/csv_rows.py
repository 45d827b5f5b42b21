"""CSV as spreadsheets write it: byte order marks, quoted line ends, commas, semicolons or tabs."""

import csv
from collections.abc import Iterator
from typing import Any

from labeling.services.files import lines
from labeling.services.files.lines import Capped, FileError, Line, Problem

csv.field_size_limit(lines.MAX_LINE_BYTES)  # for the process; Python's own (131,072) is too small for long prompts


def rows(stream: Capped, *, is_tabbed: bool) -> Iterator[Line]:
    decoded = _decoded(stream)
    first = next(decoded, "")
    delimiter = "\t" if is_tabbed else max(",;\t", key=first.count)
    reader = csv.reader(_chained(first, decoded), delimiter=delimiter, strict=True)
    header = _header(reader)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(number, problem=Problem(lines.BROKEN_CSV, str(error)))
            continue
        if cells:
            yield _csv_line(number, header, cells)


def _decoded(stream: Capped) -> Iterator[str]:
    """Physical lines with their ends. Bytes that are not UTF-8 become lone surrogates, which refuse their row later."""
    is_first = True
    while raw := stream.readline(lines.MAX_LINE_BYTES):
        if len(raw) == lines.MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raise FileError(f"A line is longer than {lines.MAX_LINE_BYTES:,} bytes.")
        if is_first:
            raw, is_first = raw.removeprefix(b"\xef\xbb\xbf"), False
        yield raw.decode("utf-8", errors="surrogateescape")


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _header(reader: Any) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise FileError(f"The first line is no CSV header: {error}.") from error
    if not any(header):
        raise FileError("The first line must name the columns.")
    if len(header) > lines.MAX_COLUMNS:
        raise FileError(f"The file has more than {lines.MAX_COLUMNS} columns.")
    if any(not _is_utf8(name) or "\0" in name for name in header):
        raise FileError("The first line is not text in UTF-8.")
    named = [name for name in header if name]
    for name in named:
        if named.count(name) > 1:
            raise FileError(f"The column “{name}” occurs twice.")
    return header


def _csv_line(number: int, header: list[str], cells: list[str]) -> Line:
    if len(cells) > len(header):
        return Line(number, problem=Problem(lines.TOO_MANY_CELLS, f"{len(cells)} cells, {len(header)} columns"))
    if not all(map(_is_utf8, cells)):
        return Line(number, problem=Problem(lines.NOT_UTF8))
    # Spreadsheets leave out empty cells at the end of a row.
    filled = [*cells, *[""] * (len(header) - len(cells))]
    return Line(number, values={name: cell for name, cell in zip(header, filled, strict=True) if name})


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
