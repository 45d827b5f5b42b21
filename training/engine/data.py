"""Snapshot folders: `data.parquet` and `manifest.json`, read with every row checked and the content hash compared.

The columns of each kind are `training.contract.records.COLUMNS`. pyarrow reads in a process of its own
(`training.engine.parquet_lines`), and is loaded in this one by what writes.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from training.contract.records import (
    COLUMNS,
    ROW_TYPES,
    AnsweredRow,
    DemonstrationRow,
    PromptRow,
    RecordError,
    RewardRow,
    Row,
    SnapshotManifest,
    TextRow,
    content_sha256,
    read_snapshot_manifest,
)
from training.contract.rundir import write_json

RowT = TypeVar("RowT", bound=Row)

_READER: Final = Path(__file__).with_name("parquet_lines.py")


class SnapshotError(ValueError):
    """A snapshot folder that is missing, of another kind, broken, or not the rows that its manifest names."""


@dataclass(frozen=True, kw_only=True)
class Snapshot(Generic[RowT]):
    """All rows of a snapshot, in file order, with the hash that names them."""

    folder: Path
    manifest: SnapshotManifest
    rows: tuple[RowT, ...]


def read_reward(folder: str | Path) -> Snapshot[RewardRow]:
    """Rankings. Raises SnapshotError."""
    return _read(Path(folder), "reward")


def read_demonstrations(folder: str | Path) -> Snapshot[DemonstrationRow]:
    """Demonstrations. Raises SnapshotError."""
    return _read(Path(folder), "sft")


def read_prompts(folder: str | Path) -> Snapshot[PromptRow]:
    """Prompts. Raises SnapshotError."""
    return _read(Path(folder), "prompts")


def read_text(folder: str | Path) -> Snapshot[TextRow]:
    """Pretraining text. Raises SnapshotError."""
    return _read(Path(folder), "text")


def read_responses(folder: str | Path) -> Snapshot[AnsweredRow]:
    """Prompts with their responses. Raises SnapshotError."""
    return _read(Path(folder), "responses")


def arrow_schema(kind: str) -> Any:
    """The pyarrow schema of a kind of snapshot."""
    import pyarrow as pa

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    types = {
        "string": pa.string(),
        "double": pa.float64(),
        "bool": pa.bool_(),
        "list<string>": pa.list_(pa.string()),
        "list<int32>": pa.list_(pa.int32()),
        "list<struct<role: string, content: string>>": pa.list_(message),
    }
    return pa.schema([pa.field(name, types[type_], nullable=False) for name, type_ in COLUMNS[kind].items()])


def write_snapshot(folder: str | Path, kind: str, rows: Sequence[Row], *, stats: dict[str, Any] | None = None) -> str:
    """Write a snapshot folder, the manifest last. Returns the content hash."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    values = [row.to_dict() for row in rows]
    pq.write_table(pa.Table.from_pylist(values, schema=arrow_schema(kind)), folder / "data.parquet")
    manifest = SnapshotManifest(kind=kind, sha256=content_sha256(values), num_rows=len(rows), stats=stats or {})
    write_json(folder / "manifest.json", manifest.to_dict())
    return manifest.sha256


def _read(folder: Path, kind: str) -> Snapshot[Any]:
    try:
        manifest = read_snapshot_manifest(folder)
        if manifest.kind != kind:
            raise SnapshotError(f"{folder} is a snapshot of kind {manifest.kind!r}; {kind!r} is wanted")
        rows = tuple(_rows(folder / "data.parquet", ROW_TYPES[kind]))
    except (RecordError, OSError) as error:
        raise SnapshotError(f"{folder} cannot be read as a snapshot: {error}") from error
    if content_sha256(row.to_dict() for row in rows) != manifest.sha256:
        raise SnapshotError(f"{folder}: the rows are not those that its manifest names (the content hash differs)")
    return Snapshot(folder=folder, manifest=manifest, rows=rows)


def _rows(path: Path, row_type: type[Row]) -> Iterator[Row]:
    for index, line in enumerate(_lines(path)):
        try:
            yield row_type.from_dict(json.loads(line))
        except RecordError as error:
            raise RecordError(error.field, f"{error.message} (row {index})") from None


def _lines(path: Path) -> Iterator[str]:
    """One JSON object per row. Raises OSError with what pyarrow says of a file that it cannot read.

    The reader is in a group of its own: a stage that is asked to stop, with its group, still gets what it reads. When
    the stage is gone, nobody takes what the reader writes, and it ends.
    """
    command = [sys.executable, "-P", str(_READER), str(path)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen(command, process_group=0, **pipes) as reader:
        assert reader.stdout and reader.stderr  # noqa: S101, PT018  # both are pipes
        yield from reader.stdout
        said = reader.stderr.read().strip()
    if reader.returncode:
        raise OSError(said or f"its reader ended with {reader.returncode}")
