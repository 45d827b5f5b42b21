"""Copies checkpoints to storage as a stage makes them, so that another machine can go on from there.

Only where the storage is not a folder. A copy is made by a thread, while the stage goes on; it is *named* in the run's
row when all of it is there, under the claim's fence, in the transaction that copies the metrics up to it. Files that
the row does not name are as good as not there.
"""

import hashlib
import json
import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.core.files import File

from labeling.models import Run
from labeling.services import artifacts
from labeling.services.runs.claims import Claim
from training.contract.rundir import RunDir

logger = logging.getLogger(__name__)
HASHES = "hashes.json"  # written last into a checkpoint's folder: names and SHA-256 of its files
#: Files that a stage adds to all the time are copied this often, whole checkpoints as soon as they are there.
LOOSE_SECONDS = 15.0
RETRY_SECONDS = 20.0
PIECE = 1 << 20

#: Path in the run directory → where it lies in storage, its SHA-256 and size.
Saved = dict[str, dict[str, Any]]


class Stopped(Exception):  # noqa: N818 - an outcome
    """The copy is not wanted any more."""


@dataclass(frozen=True)
class Held:
    """A file that was opened: it can be read to its end even when the stage has removed it meanwhile."""

    name: str
    file: IO[bytes]
    sha256: str
    num_bytes: int


class Saver:
    """One claim's copies of its run's checkpoints. Its methods are called by one thread; `_copy` runs in another."""

    def __init__(self, *, run: Run, claim: Claim, run_dir: RunDir) -> None:
        self._home, self._run_dir = f"{home(run)}/{claim.fence}", run_dir
        self._named: Saved = run.checkpoint
        self._stored = _keys(self._named)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="saver")
        self._under_way: Future[Saved] | None = None
        self._stop = threading.Event()
        self._number = 0
        self._seen: dict[str, Any] = {}
        self._not_before = 0.0

    def look(self) -> None:
        """Begin a copy when there is something new and none is under way."""
        found = _listing(self._run_dir.checkpoints)
        if self._under_way or not found or found == self._seen:
            return
        wait = 0.0 if _checkpoints_of(found) - _checkpoints_of(self._seen) else LOOSE_SECONDS
        if time.monotonic() >= self._not_before + wait:
            self._begin(found)

    def finished(self) -> Saved | None:
        """A copy that is whole and not yet named."""
        if self._under_way is None or not self._under_way.done():
            return None
        try:
            return self._under_way.result()
        except OSError as error:
            logger.warning("%s: a checkpoint could not be copied to storage (%s)", self._home, error)
            self._under_way, self._seen = None, {}
            self._not_before = time.monotonic() + RETRY_SECONDS
            return None

    def named(self, saved: Saved) -> None:
        """The row names this copy now: what only the one before it needed goes."""
        gone = self._stored - _keys(saved)
        self._named, self._stored = saved, _keys(saved)
        self._under_way, self._not_before = None, time.monotonic()
        self._pool.submit(_delete, gone)

    def last(self) -> Saved:
        """What there is now that the stage has ended. Raises OSError when it cannot be copied."""
        if self._under_way:
            with suppress(OSError):
                self._named = self._named | self._under_way.result()  # its files need not be copied again
                self._stored |= _keys(self._named)
        found = _listing(self._run_dir.checkpoints)
        return self._begin(found).result() if found else self._named

    def close(self) -> None:
        """Give up what is under way, and wait until the thread is done."""
        self._stop.set()
        self._pool.shutdown(wait=True)

    def _begin(self, found: dict[str, Any]) -> "Future[Saved]":
        self._number += 1
        self._seen = found
        self._under_way = self._pool.submit(self._copy, f"{self._home}/{self._number}", dict(self._named))
        return self._under_way

    def _copy(self, key: str, named: Saved) -> Saved:
        new: list[str] = []
        try:
            with ExitStack() as stack:
                return {held.name: self._put(held, key, named, new) for held in _hold(self._run_dir, stack)}
        except (OSError, Stopped):
            _delete(set(new))
            raise

    def _put(self, held: Held, key: str, named: Saved, new: list[str]) -> dict[str, Any]:
        entry = named.get(held.name, {})
        if entry.get("sha256") == held.sha256:
            return entry
        name = f"{key}/{held.name}"
        new.append(name)
        artifacts.storage().save(name, _Stoppable(held.file, self._stop))
        return {"key": name, "sha256": held.sha256, "bytes": held.num_bytes}


def home(run: Run) -> str:
    """Beside the fences' folders of the run's results."""
    return f"runs/{run.uid}/checkpoints"


def _keys(saved: Saved) -> set[str]:
    return {entry["key"] for entry in saved.values()}


def _delete(keys: set[str]) -> None:
    try:
        for key in sorted(keys):
            artifacts.storage().delete(key)
    except OSError as error:
        logger.warning("could not remove old checkpoints from storage (%s)", error)


def _listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file below, but what is not yet at its place: inode, size, time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):
            continue
        with suppress(FileNotFoundError):  # an old checkpoint goes
            status = path.stat()
            if path.is_file():
                found[name.as_posix()] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def _checkpoints_of(listing: dict[str, Any]) -> set[tuple[str, Any]]:
    return {(name, facts) for name, facts in listing.items() if name.endswith(f"/{HASHES}")}


def _hold(run_dir: RunDir, stack: ExitStack) -> list[Held]:
    """All files of one moment. Raises FileNotFoundError when the stage is at it again and again."""
    for _ in range(5):
        before = _listing(run_dir.checkpoints)
        try:
            held = list(_open(before, run_dir, stack))
        except FileNotFoundError:
            continue
        after = _listing(run_dir.checkpoints)
        if _inodes(before) == _inodes(after):
            return held
    raise FileNotFoundError("checkpoints come and go too fast to be copied")


def _inodes(listing: dict[str, Any]) -> dict[str, int]:
    return {name: facts[0] for name, facts in listing.items()}


def _open(listing: dict[str, Any], run_dir: RunDir, stack: ExitStack) -> Iterator[Held]:
    folder = run_dir.checkpoints
    for name in listing:
        file = stack.enter_context((folder / name).open("rb"))
        path = f"{folder.name}/{name}"
        if sha256 := _hashes(folder / name).get(Path(name).name):
            yield Held(path, file, sha256, listing[name][1])
        else:
            copy = stack.enter_context(_nameless(run_dir))
            yield Held(path, copy, *_drain(file, copy))


def _nameless(run_dir: RunDir) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=run_dir.path)


def _hashes(path: Path) -> dict[str, str]:
    """What a checkpoint's folder says of its files; they do not change any more."""
    try:
        found = json.loads((path.parent / HASHES).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _drain(source: IO[bytes], target: IO[bytes]) -> tuple[str, int]:
    """Copy a file that may grow, and say what was copied."""
    digest, size = hashlib.sha256(), 0
    while piece := source.read(PIECE):
        target.write(piece)
        digest.update(piece)
        size += len(piece)
    target.seek(0)
    return digest.hexdigest(), size


class _Stoppable(File):  # type: ignore[type-arg]
    """A file whose reader is told when nobody waits for it any more."""

    def __init__(self, file: IO[bytes], stop: threading.Event) -> None:
        super().__init__(file)
        self._source, self._stop = file, stop

    def read(self, size: int = -1) -> bytes:
        if self._stop.is_set():
            raise Stopped
        return self._source.read(size)
