"""Parquet, and Arrow as the datasets library saves it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from django.conf import settings

from labeling.services.files.lines import MAX_COLUMNS, FileError, Line, too_large

BATCH = 200
PARQUET = b"PAR1"
ARROW_FILE = b"ARROW1"
ARROW_STREAM = b"\xff\xff\xff\xff"


def is_columnar(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(6).startswith((PARQUET, ARROW_FILE, ARROW_STREAM))


def rows(file: IO[bytes]) -> Iterator[Line]:
    """One `Line` per row, numbered from 1. A null is as good as no value."""
    number = 0
    with _damage_as_file_error():
        for batch in _batches(file):
            for values in batch.to_pylist():
                number += 1
                yield Line(number, values={name: value for name, value in values.items() if value is not None})


def num_rows(file: IO[bytes]) -> int:
    with _damage_as_file_error():
        return sum(batch.num_rows for batch in _batches(file))


def _batches(file: IO[bytes]) -> Iterator[Any]:
    file.seek(0)
    magic = file.read(6)
    file.seek(0)
    found = _parquet_batches(file) if magic.startswith(PARQUET) else _arrow_batches(file, magic)
    size = 0
    for batch in found:
        size += batch.nbytes
        if size > settings.MAX_IMPORT_BYTES:
            too_large()
        if batch.num_columns > MAX_COLUMNS:
            raise FileError(f"The file has more than {MAX_COLUMNS} columns.")
        yield from (batch.slice(start, BATCH) for start in range(0, batch.num_rows, BATCH))


def _parquet_batches(file: IO[bytes]) -> Iterator[Any]:
    from pyarrow import parquet

    source = parquet.ParquetFile(file)
    metadata = source.metadata
    groups = (metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    if sum(groups) > settings.MAX_IMPORT_BYTES:  # what the file claims; what it holds is counted while reading
        too_large()
    yield from source.iter_batches(batch_size=BATCH, use_threads=False)


def _arrow_batches(file: IO[bytes], magic: bytes) -> Iterator[Any]:
    from pyarrow import ipc

    if magic.startswith(ARROW_STREAM):
        yield from ipc.open_stream(file)
    else:
        source = ipc.open_file(file)
        yield from (source.get_batch(index) for index in range(source.num_record_batches))


@contextmanager
def _damage_as_file_error() -> Iterator[None]:
    import pyarrow

    try:
        yield
    except FileError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:  # UnicodeDecodeError is a ValueError
        brief = str(error).split("\n", 1)[0][:200]
        raise FileError(f"The file is damaged ({brief}).") from error
