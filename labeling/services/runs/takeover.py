"""Makes this machine's run directory the one that the last claim left, whichever machine that was on.

A run directory says which claim last worked in it. When another machine had the run in between, what is here is old:
checkpoints come from storage, each held to its hash; metrics, log and use of the machine from rows.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F

from labeling import launcher
from labeling.models import Run, RunLog, RunMetric, RunUsage
from labeling.services import artifacts
from labeling.services.runs.claims import Claim, keep
from training.contract.rundir import MetricRow, RunDir, UsageRow, file_sha256, write_bytes

logger = logging.getLogger(__name__)
FENCE_FILE = "fence"


def take_over(run: Run, claim: Claim, run_dir: RunDir) -> None:
    """Nothing to do where all machines share the run directory. Raises OSError when the storage does not answer."""
    if artifacts.is_folder():
        return
    if (last_fence(run_dir) or 0) != claim.fence - 1:
        clear(run_dir)
        run_dir.create()
        _fetch_checkpoints(run, run_dir)
        _fetch_rows(run, claim, run_dir)
    write_bytes(run_dir.path / FENCE_FILE, str(claim.fence).encode())


def last_fence(run_dir: RunDir) -> int | None:
    """The claim that last worked in this run directory."""
    try:
        return int((run_dir.path / FENCE_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return None


def clear(run_dir: RunDir) -> None:
    """Remove a run directory, and a stage that still works in it."""
    if run_dir.path.exists():
        launcher.end_leftover(run_dir)
        shutil.rmtree(run_dir.path)


def _fetch_checkpoints(run: Run, run_dir: RunDir) -> None:
    """A file that is missing or changed takes its whole checkpoint with it: the one before it has to do."""
    refused: set[Path] = set()
    for name, entry in run.checkpoint.items():
        unit = _unit(name, run_dir)
        if unit not in refused and not _fetch(entry, run_dir.path / name):
            refused.add(unit)
    for unit in refused:
        logger.warning("run %s: %s in storage is damaged; going on without it", run.pk, unit.name)
        shutil.rmtree(unit) if unit.is_dir() else unit.unlink(missing_ok=True)
    # What is made again comes out the same, and must not be taken for what lies there.
    run.checkpoint = {name: entry for name, entry in run.checkpoint.items() if _unit(name, run_dir) not in refused}


def _unit(name: str, run_dir: RunDir) -> Path:
    """The checkpoint that a file belongs to: a folder, or the file itself."""
    target = run_dir.path / name
    return target.parent if target.parent != run_dir.checkpoints else target


def _fetch(entry: dict[str, Any], target: Path) -> bool:
    try:
        artifacts.fetch_file(entry["key"], target)
    except FileNotFoundError:
        return False
    return file_sha256(target) == str(entry["sha256"])


def _fetch_rows(run: Run, claim: Claim, run_dir: RunDir) -> None:
    metrics = RunMetric.objects.filter(run=run).order_by("id").values_list("step", "time", "values")
    run_dir.write_metrics(MetricRow(*row) for row in metrics.iterator())
    usage = RunUsage.objects.filter(run=run).order_by("id").values_list("time", "values", "end")
    usage_end = run_dir.write_usage(UsageRow(*row) for row in usage.iterator())
    log_end = _write_log(run, run_dir)
    with transaction.atomic():
        keep(claim)
        _continue_at(RunLog, run, log_end)
        _continue_at(RunUsage, run, usage_end)


def _write_log(run: Run, run_dir: RunDir) -> int:
    """What rows hold of it: its last 5 MB."""
    with run_dir.log_path.open("wb") as file:
        for piece in RunLog.objects.filter(run=run).order_by("id").iterator(100):
            file.write(piece.text.encode())
        return file.tell()


def _continue_at(rows: Any, run: Run, end: int) -> None:
    """Places in the new file, so that copying goes on behind what rows have already."""
    if last := rows.objects.filter(run=run).order_by("id").last():
        rows.objects.filter(run=run).update(end=F("end") + (end - last.end))
