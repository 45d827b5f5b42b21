"""Copies what a stage writes into its run directory to rows, so that pages need no access to the worker's disk."""

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from django.db import transaction

from labeling.models import RunLog, RunMetric, RunUsage
from labeling.services.runs.claims import Claim, keep
from labeling.services.runs.saving import Saved
from training.contract.rundir import MetricRow, RunDir, RunDirError

LOG_PIECE_BYTES = 64_000
#: A page shows no more of a log than this; the file has it all.
LOG_KEPT_BYTES = 5_000_000


@dataclass(frozen=True)
class Position:
    """How far the metrics file was read. A resumed stage replaces the file, which its inode tells."""

    inode: int | None = None
    offset: int = 0


@dataclass(frozen=True)
class LogPosition:
    """How far the log was read: a place in bytes, and the number of the line that begins or goes on there."""

    offset: int = 0
    line: int = 1


class Mirror:
    """One claim's view of a run directory. Each tick is one transaction under the claim's fence."""

    def __init__(self, *, claim: Claim, run_dir: RunDir) -> None:
        self.claim, self.run_dir = claim, run_dir
        self._position = Position()
        last = RunLog.objects.filter(run_id=claim.run_id).last()
        self._log_at = LogPosition(last.end, last.first_line + last.text.count("\n")) if last else LogPosition()
        used = RunUsage.objects.filter(run_id=claim.run_id).last()
        self._usage_offset = used.end if used else 0

    def tick(self, *, is_last: bool = False, saved: Saved | None = None) -> str:
        """Copy what is new, renew the lease and return the run's state. Raises Superseded when the claim is void.

        `saved` are checkpoints that lie in storage. They are named together with the metrics that led to them.
        """
        with transaction.atomic():
            state = keep(self.claim, **self._progress(), **({} if saved is None else {"checkpoint": saved}))
            position = self._copy_metrics(Position() if is_last else self._position)
            log_at = self._copy_log(is_last=is_last)
            usage_offset = self._copy_usage()
        self._position, self._log_at, self._usage_offset = position, log_at, usage_offset
        return state

    def _progress(self) -> dict[str, Any]:
        try:
            status = self.run_dir.read_status()
        except (RunDirError, TypeError):  # a stage wrote nonsense; it will be told from its exit code
            return {}
        if status is None:
            return {}
        return {
            "phase": status.phase[:40],
            "step": status.step,
            "num_steps": status.num_steps or None,
            "eta_seconds": status.eta_s,
        }

    def _copy_metrics(self, position: Position) -> Position:
        inode = _inode(self.run_dir)
        if inode is None or inode != position.inode:
            rows, offset = self.run_dir.read_metrics()
            make_equal(self.claim.run_id, rows)
        else:
            rows, offset = self.run_dir.read_metrics(position.offset)
            insert(self.claim.run_id, rows)
        return Position(inode=inode, offset=offset)

    def _copy_log(self, *, is_last: bool) -> LogPosition:
        at = self._log_at if self._log_at.offset <= _size(self.run_dir.log_path) else LogPosition()
        while piece := _log_piece(self.run_dir, at.offset, is_last=is_last):
            text, end = printable(piece), at.offset + len(piece)
            RunLog.objects.create(run_id=self.claim.run_id, text=text, first_line=at.line, end=end)
            at = LogPosition(end, at.line + text.count("\n"))
        if at.offset > LOG_KEPT_BYTES:
            RunLog.objects.filter(run_id=self.claim.run_id, end__lt=at.offset - LOG_KEPT_BYTES).delete()
        return at

    def _copy_usage(self) -> int:
        offset = self._usage_offset if self._usage_offset <= _size(self.run_dir.usage_path) else 0
        rows = self.run_dir.read_usage(offset)
        RunUsage.objects.bulk_create(
            RunUsage(run_id=self.claim.run_id, time=row.time, values=row.values, end=row.end) for row in rows
        )
        return rows[-1].end if rows else offset


def make_equal(run_id: int, rows: list[MetricRow]) -> None:
    """Make the run's rows those of the file: a resumed stage does its last steps again."""
    stored = list(RunMetric.objects.filter(run_id=run_id).order_by("id").values_list("id", "step", "time"))
    pairs = zip(stored, rows, strict=False)
    num_same = sum(1 for _ in takewhile(lambda pair: pair[0][1:] == (pair[1].step, pair[1].time), pairs))
    if num_same < len(stored):
        RunMetric.objects.filter(run_id=run_id, id__gte=stored[num_same][0]).delete()
    insert(run_id, rows[num_same:])


def insert(run_id: int, rows: list[MetricRow]) -> None:
    new = (RunMetric(run_id=run_id, step=row.step, phase=_phase(row), time=row.time, values=row.values) for row in rows)
    RunMetric.objects.bulk_create(new, batch_size=1000)


def printable(data: bytes) -> str:
    """Text that Postgres takes: no NUL."""
    return data.decode("utf-8", errors="replace").replace("\0", "\ufffd")


def _phase(row: MetricRow) -> str:
    """Metrics are named `phase/noun`."""
    return next(iter(row.values), "").partition("/")[0][:40]


def _log_piece(run_dir: RunDir, offset: int, *, is_last: bool) -> bytes:
    """The next whole lines; the rest as well when nothing more will come, or when a line does not end."""
    try:
        with run_dir.log_path.open("rb") as file:
            file.seek(offset)
            data = file.read(LOG_PIECE_BYTES)
    except FileNotFoundError:
        return b""
    whole = data[: data.rfind(b"\n") + 1]
    return whole or (data if is_last or len(data) == LOG_PIECE_BYTES else b"")


def _inode(run_dir: RunDir) -> int | None:
    return run_dir.metrics_path.stat().st_ino if run_dir.metrics_path.exists() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
