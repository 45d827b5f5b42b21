"""Rows of a file that somebody brought: JSON Lines, CSV or Parquet, plain or gzipped, streamed under caps.

A bad row is a `Line` with a problem; a file that cannot be read at all is a `FileError`. Nothing else comes out.
"""

import csv
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, NoReturn

from django.conf import settings

MAX_ROWS = 1_000_000
MAX_LINE_BYTES = 8_000_000
MAX_DEPTH = 16
MAX_COLUMNS = 200
CHUNK = 1 << 20

NOT_JSON = "not JSON"
NOT_AN_OBJECT = "not an object"
NOT_UTF8 = "not UTF-8"
LINE_TOO_LONG = "line too long"
NESTED_TOO_DEEPLY = "nested too deeply"
BROKEN_CSV = "broken CSV"
TOO_MANY_CELLS = "more cells than the header"

csv.field_size_limit(MAX_LINE_BYTES)  # one limit for the process; Python's own (131,072) is too small for long prompts


class FileError(Exception):
    """The file as a whole cannot be read. The text is for the person who brought it."""


@dataclass(frozen=True)
class Problem:
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Line:
    """One row: its values, or the problem with it. `number` is the line it starts on (Parquet: the row), from 1."""

    number: int
    values: dict[str, Any] | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class Facts:
    """What one pass over the whole file tells, before anything is written."""

    sha256: str
    num_lines: int


def inspect(file: IO[bytes], *, filename: str) -> Facts:
    """Read the whole file once: its hash and number of lines. Raises FileError if it is cut off, empty, too large."""
    file.seek(0)
    digest = hashlib.sha256()
    size = 0
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if size > settings.MAX_IMPORT_BYTES:
            _too_large()
    if not size:
        raise FileError("The file is empty.")
    next(read(file, filename=filename), None)  # a header that cannot be read
    return Facts(sha256=digest.hexdigest(), num_lines=_num_lines(file, filename=filename))


def read(file: IO[bytes], *, filename: str) -> Iterator[Line]:
    """The file's rows in order. Blank lines are no rows."""
    rows = _parquet(file) if _format(file, filename=filename) == "parquet" else _text(file, filename=filename)
    for count, line in enumerate(rows, start=1):
        if count > MAX_ROWS:
            raise FileError(f"The file has more than {MAX_ROWS:,} rows. Split it.")
        yield line


def _num_lines(file: IO[bytes], *, filename: str) -> int:
    if _format(file, filename=filename) == "parquet":
        return int(_parquet_file(file).metadata.num_rows)
    count, last = 0, b""
    stream = _opened(file)
    while chunk := stream.read(CHUNK):
        count += chunk.count(b"\n")
        last = chunk
    return count + (not last.endswith(b"\n"))


def _text(file: IO[bytes], *, filename: str) -> Iterator[Line]:
    if _format(file, filename=filename) == "jsonl":
        yield from _json_lines(_opened(file))
    else:
        yield from _csv(_opened(file), is_tabbed=filename.lower().removesuffix(".gz").endswith(".tsv"))


def _format(file: IO[bytes], *, filename: str) -> str:
    """By content where it is plain, by name otherwise."""
    file.seek(0)
    if file.read(4) == b"PAR1":
        return "parquet"
    head = _opened(file).read(4096)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileError("The file is UTF-16. Save it as UTF-8.")
    name = filename.lower().removesuffix(".gz")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    looks_like_json = start.startswith(b"{") and not name.endswith((".csv", ".tsv"))
    if looks_like_json or name.endswith((".jsonl", ".ndjson", ".json")):
        if start.startswith(b"["):
            raise FileError("The file is one JSON array. Write one object per line (JSON Lines).")
        return "jsonl"
    return "csv"


# --- bytes -------------------------------------------------------------------------------------------------------


def _opened(file: IO[bytes]) -> "_Capped":
    """The file from its start, decompressed if it is gzip (told by its bytes, not its name)."""
    file.seek(0)
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return _Capped(gzip.GzipFile(fileobj=file) if is_gzip else file)


class _Capped:
    """Reads no more than the cap, however small a bomb was before it unfolded."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile) -> None:
        self.source = source
        self.left = settings.MAX_IMPORT_BYTES

    def read(self, size: int) -> bytes:
        return self._counted(lambda: self.source.read(size))

    def readline(self, limit: int) -> bytes:
        return self._counted(lambda: self.source.readline(limit))

    def _counted(self, fetch: Any) -> bytes:
        try:
            piece: bytes = fetch()
        except (EOFError, OSError, zlib.error) as error:
            raise FileError(f"The compressed file is damaged or cut off ({error}).") from error
        self.left -= len(piece)
        if self.left < 0:
            _too_large()
        return piece


def _too_large() -> NoReturn:
    raise FileError(f"The file is larger than {settings.MAX_IMPORT_BYTES // 1_000_000:,} MB unpacked. Split it.")


# --- JSON Lines --------------------------------------------------------------------------------------------------


def _json_lines(stream: _Capped) -> Iterator[Line]:
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES):
        number += 1
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            _skip_rest(stream)
            yield Line(number, problem=Problem(LINE_TOO_LONG, f"more than {MAX_LINE_BYTES:,} bytes"))
            continue
        raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        if raw.strip():
            yield _json_line(number, raw)


def _skip_rest(stream: _Capped) -> None:
    while (piece := stream.readline(CHUNK)) and not piece.endswith(b"\n"):
        pass


def _json_line(number: int, raw: bytes) -> Line:
    try:
        values = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        return Line(number, problem=Problem(NOT_UTF8, f"byte {error.start + 1} of the line"))
    except RecursionError:
        return Line(number, problem=Problem(NESTED_TOO_DEEPLY))
    except ValueError as error:  # JSONDecodeError, NaN, a number with thousands of digits
        return Line(number, problem=Problem(NOT_JSON, str(error)))
    if not isinstance(values, dict):
        return Line(number, problem=Problem(NOT_AN_OBJECT, f"a {type(values).__name__}"))
    if _is_deep(values):
        return Line(number, problem=Problem(NESTED_TOO_DEEPLY, f"more than {MAX_DEPTH} levels"))
    return Line(number, values=values)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []


# --- CSV ---------------------------------------------------------------------------------------------------------


def _csv(stream: _Capped, *, is_tabbed: bool) -> Iterator[Line]:
    lines = _decoded(stream)
    first = next(lines, "")
    delimiter = "\t" if is_tabbed else max(",;\t", key=first.count)
    reader = csv.reader(_chained(first, lines), delimiter=delimiter, strict=True)
    header = _header(reader)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(number, problem=Problem(BROKEN_CSV, str(error)))
            continue
        if cells:
            yield _csv_line(number, header, cells)


def _decoded(stream: _Capped) -> Iterator[str]:
    """Physical lines with their ends. Bytes that are not UTF-8 become lone surrogates, which refuse their row later."""
    is_first = True
    while raw := stream.readline(MAX_LINE_BYTES):
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raise FileError(f"A line is longer than {MAX_LINE_BYTES:,} bytes.")
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
    if len(header) > MAX_COLUMNS:
        raise FileError(f"The file has more than {MAX_COLUMNS} columns.")
    if any(not _is_utf8(name) or "\0" in name for name in header):
        raise FileError("The first line is not text in UTF-8.")
    named = [name for name in header if name]
    for name in named:
        if named.count(name) > 1:
            raise FileError(f"The column “{name}” occurs twice.")
    return header


def _csv_line(number: int, header: list[str], cells: list[str]) -> Line:
    if len(cells) > len(header):
        return Line(number, problem=Problem(TOO_MANY_CELLS, f"{len(cells)} cells, {len(header)} columns"))
    if not all(map(_is_utf8, cells)):
        return Line(number, problem=Problem(NOT_UTF8))
    # Spreadsheets leave out empty cells at the end of a row.
    filled = [*cells, *[""] * (len(header) - len(cells))]
    return Line(number, values={name: cell for name, cell in zip(header, filled, strict=True) if name})


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- Parquet -----------------------------------------------------------------------------------------------------


def _parquet_file(file: IO[bytes]) -> Any:
    import pyarrow
    from pyarrow import parquet

    file.seek(0)
    try:
        source = parquet.ParquetFile(file)
        metadata = source.metadata
        size = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise FileError(f"The Parquet file is damaged ({_brief(error)}).") from error
    if size > settings.MAX_IMPORT_BYTES:
        _too_large()
    if metadata.num_columns > MAX_COLUMNS:
        raise FileError(f"The file has more than {MAX_COLUMNS} columns.")
    return source


def _parquet(file: IO[bytes]) -> Iterator[Line]:
    import pyarrow

    source = _parquet_file(file)
    number = 0
    try:
        for batch in source.iter_batches(batch_size=200, use_threads=False):
            for values in batch.to_pylist():
                number += 1
                yield Line(number, values={name: value for name, value in values.items() if value is not None})
    except (pyarrow.ArrowException, OSError, ValueError) as error:  # UnicodeDecodeError is a ValueError
        raise FileError(f"The Parquet file is damaged after row {number} ({_brief(error)}).") from error


def _brief(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:200]
