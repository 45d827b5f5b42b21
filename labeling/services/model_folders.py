"""Folders that models are imported from: of this machine, or, where files are in a bucket, of the bucket."""

from pathlib import Path

from django.conf import settings

from labeling.services import artifacts

KEY = "import"


class NoSuchFolder(ValueError):  # noqa: N818 - an outcome
    """There is no such folder; the text names the place."""


def names() -> list[str]:
    """Names of the folders that can be imported."""
    if not artifacts.is_folder():
        storage = artifacts.storage()
        return [name for name in artifacts.folders(KEY) if storage.exists(f"{KEY}/{name}/config.json")]
    root: Path = settings.MODEL_IMPORT_DIR
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if not path.is_symlink() and (path / "config.json").is_file())


def place() -> str:
    """Where people put them."""
    return str(settings.MODEL_IMPORT_DIR) if artifacts.is_folder() else f"{KEY}/ of the storage"


def key_of(name: str) -> str | None:
    """Its key in the bucket; None where folders are of this machine. Raises NoSuchFolder."""
    if artifacts.is_folder():
        return None
    if name not in artifacts.folders(KEY):
        raise NoSuchFolder(f"{name!r} is no folder in {place()}")
    return f"{KEY}/{name}"


def local(name: str) -> Path:
    """A folder of this machine. Raises NoSuchFolder for anything that is not right below the root."""
    root = settings.MODEL_IMPORT_DIR.resolve()
    path = root / name
    if path.resolve().parent != root or path.is_symlink() or not path.is_dir():
        raise NoSuchFolder(f"{name!r} is no folder in {root}")
    return Path(path)
