"""Folders in the `artifacts` storage: snapshots, models, what runs leave. Keys are made here, never taken in."""

import logging
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages

logger = logging.getLogger(__name__)
PATIENCE_SECONDS, PAUSE_SECONDS = 300.0, 5.0


def storage() -> Storage:
    return storages["artifacts"]


def is_folder() -> bool:
    """Whether the storage is a folder that this process sees. If not, workers may be on other machines."""
    try:
        storage().path("")
    except NotImplementedError:
        return False
    return True


def put_folder(*, source: Path, key: str) -> None:
    """Copy every file below `source` to `key/…`. A file already there is replaced."""
    for path in sorted(item for item in source.rglob("*") if item.is_file()):
        put_file(source=path, name=f"{key}/{path.relative_to(source).as_posix()}")


def put_file(*, source: Path, name: str) -> None:
    """Copy one file. One already there is replaced."""
    _patiently(partial(_put, source, name))


def _put(source: Path, name: str) -> None:
    if storage().exists(name):
        storage().delete(name)
    with source.open("rb") as file:
        storage().save(name, File(file))


def _patiently(act: Callable[[], None]) -> None:
    """A bucket may be away for minutes, and a run that took days ends meanwhile. A disk's errors have a number."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return act()
        except OSError as error:
            is_over = is_folder() or isinstance(error, FileNotFoundError) or error.errno is not None
            if is_over or time.monotonic() > until:
                raise
            logger.warning("the storage is away, trying again (%s)", error)
            time.sleep(PAUSE_SECONDS)


def folders(key: str) -> list[str]:
    """Names of the folders directly below a key."""
    try:
        return sorted(storage().listdir(key)[0])
    except FileNotFoundError:
        return []


def names(key: str) -> Iterator[str]:
    """Names of all files below a key, relative to it."""
    folders, files = storage().listdir(key)
    yield from sorted(files)
    for folder in sorted(folders):
        yield from (f"{folder}/{name}" for name in names(f"{key}/{folder}"))


def local_folder(key: str) -> Path:
    """A local folder with the files of a key: the storage's own when it is one, else a copy kept in a cache.

    For keys whose files never change.
    """
    try:
        return Path(storage().path(key))
    except NotImplementedError:
        target = cache() / key
        if not target.is_dir():
            fetch_folder(key, target)
        os.utime(target)  # when it was last asked for: services/runs/room.py
        return target


def cache() -> Path:
    return Path(settings.PODIUM_HOME / "cache")


def fetch_folder(key: str, target: Path) -> None:
    """Copy the files of a key to this machine. Raises FileNotFoundError when there is none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=target.parent))
    try:
        for name in names(key):
            fetch_file(f"{key}/{name}", part / name)
        if not any(part.iterdir()):
            raise FileNotFoundError(f"{key}: there is nothing in the storage")
        part.rename(target)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        if not target.is_dir():  # else another process was first, and its copy is as good
            raise


def fetch_file(name: str, target: Path) -> None:
    """Copy one file to this machine, whole or not at all. Raises FileNotFoundError when it is not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, path = tempfile.mkstemp(prefix=".part-", dir=target.parent)
    os.close(descriptor)
    part = Path(path)
    try:
        _patiently(partial(_write, name, part))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write(name: str, target: Path) -> None:
    found = storage()
    if hasattr(found, "download"):  # it knows how to do it faster
        found.download(name, target)
        return
    with found.open(name, "rb") as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)


def try_out() -> None:
    """Write, read and remove a file. Raises OSError when one of it does not work."""
    name, content = f"tried/{uuid.uuid4()}", b"Podium was here."
    storage().save(name, ContentFile(content))
    with storage().open(name) as file:
        if file.read() != content:
            raise OSError(f"{name}: what is read is not what was written")
    storage().delete(name)
    if storage().exists(name):
        raise OSError(f"{name}: it was removed, and is still there")


def delete_folder(key: str) -> None:
    for name in list(names(key)):
        storage().delete(f"{key}/{name}")
