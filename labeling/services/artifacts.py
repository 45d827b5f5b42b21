"""Folders in the `artifacts` storage: snapshots, models, what runs leave. Keys are made here, never taken in."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages


def storage() -> Storage:
    return storages["artifacts"]


def put_folder(*, source: Path, key: str) -> None:
    """Copy every file below `source` to `key/…`. A file already there is replaced."""
    for path in sorted(item for item in source.rglob("*") if item.is_file()):
        put_file(source=path, name=f"{key}/{path.relative_to(source).as_posix()}")


def put_file(*, source: Path, name: str) -> None:
    """Copy one file. One already there is replaced."""
    if storage().exists(name):
        storage().delete(name)
    with source.open("rb") as file:
        storage().save(name, File(file))


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
    """A local folder with the files of a key: the storage's own when it is one, else a copy kept in a cache."""
    try:
        return Path(storage().path(key))
    except NotImplementedError:
        return _cached_copy(key)


def _cached_copy(key: str) -> Path:
    target = settings.PODIUM_HOME / "cache" / key
    if target.is_dir():
        return Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=target.parent))
    for name in names(key):
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        with storage().open(f"{key}/{name}", "rb") as source, (part / name).open("wb") as file:
            shutil.copyfileobj(source, file)
    try:
        part.rename(target)
    except OSError:  # another process was first; its copy is as good
        shutil.rmtree(part)
    return Path(target)


def local_file(name: str) -> Path:
    """A local path of one file: the storage's own when it is one, else a copy kept in a cache."""
    try:
        return Path(storage().path(name))
    except NotImplementedError:
        target = Path(settings.PODIUM_HOME / "cache" / name)
        if not target.is_file():
            _copy_to_cache(name, target)
        return target


def _copy_to_cache(name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=target.parent)
    with storage().open(name, "rb") as source, open(descriptor, "wb") as file:
        shutil.copyfileobj(source, file)
    Path(part).replace(target)


def delete_folder(key: str) -> None:
    for name in list(names(key)):
        storage().delete(f"{key}/{name}")
