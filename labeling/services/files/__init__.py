"""Rows of a file that somebody brought: JSON Lines, CSV, Parquet or Arrow, plain or gzipped, streamed under caps.

A bad row is a `Line` with a problem; a file that cannot be read at all is a `FileError`. Nothing else comes out.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from django.conf import settings

from labeling.services.files import columnar, csv_rows, jsonl
from labeling.services.files.lines import CHUNK, NOT_AN_OBJECT, FileError, Line, Problem, opened, too_large

__all__ = ["NOT_AN_OBJECT", "Facts", "FileError", "Line", "Problem", "inspect", "read"]

MAX_ROWS = 1_000_000


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
            too_large()
    if not size:
        raise FileError("The file is empty.")
    next(read(file, filename=filename), None)  # a header that cannot be read
    return Facts(sha256=digest.hexdigest(), num_lines=_num_lines(file))


def read(file: IO[bytes], *, filename: str) -> Iterator[Line]:
    """The file's rows in order. Blank lines are no rows."""
    rows = columnar.rows(file) if columnar.is_columnar(file) else _text(file, filename=filename)
    for count, line in enumerate(rows, start=1):
        if count > MAX_ROWS:
            raise FileError(f"The file has more than {MAX_ROWS:,} rows. Split it.")
        yield line


def _num_lines(file: IO[bytes]) -> int:
    if columnar.is_columnar(file):
        return columnar.num_rows(file)
    count, last = 0, b""
    stream = opened(file)
    while chunk := stream.read(CHUNK):
        count += chunk.count(b"\n")
        last = chunk
    return count + (not last.endswith(b"\n"))


def _text(file: IO[bytes], *, filename: str) -> Iterator[Line]:
    if _format(file, filename=filename) == "jsonl":
        yield from jsonl.rows(opened(file))
    else:
        yield from csv_rows.rows(opened(file), is_tabbed=filename.lower().removesuffix(".gz").endswith(".tsv"))


def _format(file: IO[bytes], *, filename: str) -> str:
    """JSON Lines or CSV: by content where it is plain, by name otherwise."""
    head = opened(file).read(4096)
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
