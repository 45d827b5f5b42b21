"""What comes out of a file, and the bytes that go in, under caps."""

import gzip
import zlib
from dataclasses import dataclass
from typing import IO, Any, NoReturn

from django.conf import settings

MAX_LINE_BYTES = 8_000_000
MAX_COLUMNS = 200
CHUNK = 1 << 20

NOT_JSON = "not JSON"
NOT_AN_OBJECT = "not an object"
NOT_UTF8 = "not UTF-8"
LINE_TOO_LONG = "line too long"
NESTED_TOO_DEEPLY = "nested too deeply"
BROKEN_CSV = "broken CSV"
TOO_MANY_CELLS = "more cells than the header"


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


def opened(file: IO[bytes]) -> "Capped":
    """The file from its start, decompressed if it is gzip (told by its bytes, not its name)."""
    file.seek(0)
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return Capped(gzip.GzipFile(fileobj=file) if is_gzip else file)


class Capped:
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
            too_large()
        return piece


def too_large() -> NoReturn:
    raise FileError(f"The file is larger than {settings.MAX_IMPORT_BYTES // 1_000_000:,} MB unpacked. Split it.")
