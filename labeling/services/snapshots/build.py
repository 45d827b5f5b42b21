"""Building a snapshot: choose, stream, hash, store, and freeze the row last."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.db import transaction
from django.db.models.functions import Now

from labeling.models import Snapshot, SnapshotDemonstration, SnapshotRanking
from labeling.services import artifacts, locks
from labeling.services.snapshots import text as text_rows
from labeling.services.snapshots.lifecycle import SnapshotError
from labeling.services.snapshots.rows import Plan, plan
from labeling.services.snapshots.tables import Tables
from training.contract.records import COLUMNS, Row, SnapshotManifest, canonical_line

ROWS_PER_GROUP = 1000
_TYPES = {
    "string": pa.string(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "list<string>": pa.list_(pa.string()),
    "list<int32>": pa.list_(pa.int32()),
    "list<struct<role: string, content: string>>": pa.list_(
        pa.struct([("role", pa.string()), ("content", pa.string())])
    ),
}


def build(snapshot_id: int) -> Snapshot | None:
    """Freeze the rows. Returns None when there is nothing to do: built already, or another worker is at it."""
    with locks.alone(locks.Kind.SNAPSHOT, snapshot_id) as is_mine:
        if not is_mine or not _start(snapshot_id):
            return None
        snapshot = Snapshot.objects.get(pk=snapshot_id)
        try:
            _build(snapshot)
        except (SnapshotError, OSError, ValueError) as error:
            _fail(snapshot, str(error))
        snapshot.refresh_from_db()
        return snapshot


def _start(snapshot_id: int) -> bool:
    waiting = Snapshot.objects.filter(pk=snapshot_id, state__in=[Snapshot.State.QUEUED, Snapshot.State.BUILDING])
    return waiting.update(state=Snapshot.State.BUILDING, num_done=0, num_rows=0) == 1


def _build(snapshot: Snapshot) -> None:
    wanted = text_rows.plan(snapshot) if snapshot.kind == Snapshot.Kind.TEXT else plan(snapshot)
    Snapshot.objects.filter(pk=snapshot.pk).update(num_rows=len(wanted.ids))
    with tempfile.TemporaryDirectory(prefix="podium-snapshot-") as folder:
        manifest = _write(snapshot, wanted, folder=Path(folder))
        if manifest.num_rows == 0:
            raise SnapshotError(_nothing_left(wanted))
        key = f"snapshots/{snapshot.uid}"
        if earlier := Snapshot.objects.filter(project=snapshot.project, sha256=manifest.sha256).first():
            _point_at(snapshot, earlier)
            return
        artifacts.put_folder(source=Path(folder), key=key)
    _freeze(snapshot, wanted, manifest=manifest, key=key)


def _write(snapshot: Snapshot, wanted: Plan, *, folder: Path) -> SnapshotManifest:
    """Stream the rows into the Parquet file and the hash at once; the manifest is written last."""
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in COLUMNS[snapshot.kind].items()])
    digest, tables, num_rows = hashlib.sha256(), Tables(), 0
    with pq.ParquetWriter(folder / "data.parquet", schema, compression="zstd") as writer:
        for group in _groups(wanted.stream()):
            dicts = [row.to_dict() for row in group]
            for row, values in zip(group, dicts, strict=True):
                digest.update(canonical_line(values))
                tables.add(row)
            writer.write_table(pa.Table.from_pylist(dicts, schema=schema))
            num_rows += len(group)
            Snapshot.objects.filter(pk=snapshot.pk).update(num_done=num_rows)
    stats = tables.to_json() | {"left_out": {reason: count for reason, count in wanted.left_out.items() if count}}
    manifest = SnapshotManifest(kind=snapshot.kind, sha256=digest.hexdigest(), num_rows=num_rows, stats=stats)
    (folder / "manifest.json").write_text(
        json.dumps(manifest.to_dict(), indent=1, ensure_ascii=False), encoding="utf-8"
    )
    return manifest


def _groups(rows: Iterator[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group


def _freeze(snapshot: Snapshot, wanted: Plan, *, manifest: SnapshotManifest, key: str) -> None:
    """The rows that went in and the state, in one transaction: a snapshot is whole or not ready."""
    with transaction.atomic():
        _remember_rows(snapshot, wanted.ids)
        changed = Snapshot.objects.filter(pk=snapshot.pk, state=Snapshot.State.BUILDING).update(
            state=Snapshot.State.READY,
            sha256=manifest.sha256,
            storage_key=key,
            num_rows=manifest.num_rows,
            num_done=manifest.num_rows,
            stats=manifest.stats,
            finished_at=Now(),
        )
        if changed != 1:
            raise SnapshotError("The snapshot changed while it was being built.")


def _remember_rows(snapshot: Snapshot, ids: list[int]) -> None:
    rows: Any = ()
    if snapshot.kind == Snapshot.Kind.REWARD:
        rows = (SnapshotRanking(snapshot=snapshot, ranking_id=pk) for pk in ids)
        SnapshotRanking.objects.bulk_create(rows, batch_size=1000)
    elif snapshot.kind == Snapshot.Kind.SFT:
        rows = (SnapshotDemonstration(snapshot=snapshot, demonstration_id=pk) for pk in ids)
        SnapshotDemonstration.objects.bulk_create(rows, batch_size=1000)


def _point_at(snapshot: Snapshot, earlier: Snapshot) -> None:
    Snapshot.objects.filter(pk=snapshot.pk, state=Snapshot.State.BUILDING).update(
        state=Snapshot.State.SAME, same_as=earlier, num_rows=earlier.num_rows, finished_at=Now()
    )


def _fail(snapshot: Snapshot, error: str) -> None:
    Snapshot.objects.filter(pk=snapshot.pk, state=Snapshot.State.BUILDING).update(
        state=Snapshot.State.FAILED, error=error, finished_at=Now()
    )


def _nothing_left(wanted: Plan) -> str:
    left_out = ", ".join(f"{count} {reason}" for reason, count in wanted.left_out.items() if count)
    return (
        f"No row is left with these filters{f' (left out: {left_out})' if left_out else ''}. Widen them and try again."
    )
