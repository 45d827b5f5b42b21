"""Makes room on a machine whose storage is elsewhere: what is done, or kept there, need not stay here."""

import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from django.conf import settings

from labeling.models import Run
from labeling.services import artifacts
from labeling.services.runs import takeover
from training.contract.rundir import RunDir

logger = logging.getLogger(__name__)
CACHE_DAYS = 7


def make() -> None:
    """Remove run directories that nobody will go on with here, and copies of inputs unused for a week."""
    if artifacts.is_folder():
        return
    try:
        for run_dir in list(_run_dirs()):
            if not _is_wanted(run_dir):
                takeover.clear(run_dir)
        _drop_unused(artifacts.cache())
    except OSError as error:
        logger.warning("could not make room on this machine (%s)", error)


def _run_dirs() -> Iterator[RunDir]:
    for folder in Path(settings.RUNS_DIR).glob("*"):
        try:
            UUID(folder.name)
        except ValueError:
            continue  # not one of ours
        yield RunDir(folder)


def _is_wanted(run_dir: RunDir) -> bool:
    """The run may go on from here. One that is live may be on its way to this very folder: it stays."""
    row = Run.objects.filter(uid=run_dir.path.name).values_list("state", "fence").first()
    if row is None or row[0] == Run.State.SUCCEEDED:
        return False
    return row[0] in Run.LIVE or takeover.last_fence(run_dir) == row[1]


def _drop_unused(cache: Path) -> None:
    """A folder that a run directory points at stays, however old it is."""
    wanted = {link.resolve() for run_dir in _run_dirs() for link in run_dir.inputs.glob("*") if link.is_symlink()}
    oldest = time.time() - CACHE_DAYS * 86_400
    for folder in _cached(cache):
        is_used = any(target.is_relative_to(folder.resolve()) for target in wanted)
        if not is_used and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder)


def _cached(folder: Path) -> Iterator[Path]:
    """The folders that hold files."""
    for inner in [item for item in folder.glob("*") if item.is_dir()]:
        if any(item.is_file() for item in inner.iterdir()):
            yield inner
        else:
            yield from _cached(inner)
