"""A storage that is no folder to anybody: no paths, a file is whole or not there, and it is read from its beginning."""

import io
import os
import tempfile
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.files.storage import Storage


class Bucket(Storage):
    """Kept in a folder all the same, so that several processes can share one."""

    def __init__(self, location: str | Path) -> None:
        self.location = Path(location)

    def _open(self, name: str, mode: str = "rb") -> "File[bytes]":
        return _Sized(io.BufferedReader(_OneWay(self.location / name, "rb")), name, self.size(name))

    def _save(self, name: str, content: Any) -> str:
        target = self.location / name
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=self.location)
        with open(descriptor, "wb") as file:
            for piece in content.chunks():
                file.write(piece)
        os.replace(part, target)
        return name

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def delete(self, name: str) -> None:
        (self.location / name).unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        return (self.location / name).is_file()

    def size(self, name: str) -> int:
        return (self.location / name).stat().st_size

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Folders are only what names have in common: an empty one is not there."""
        found = list((self.location / path).glob("*"))
        folders = [item.name for item in found if any(inner.is_file() for inner in item.rglob("*"))]
        return folders, [item.name for item in found if item.is_file()]


class _OneWay(io.FileIO):
    def seekable(self) -> bool:
        return False

    def seek(self, *_: Any) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


class _Sized(File):  # type: ignore[type-arg]
    def __init__(self, file: Any, name: str, size: int) -> None:
        super().__init__(file, name)
        self.size = size  # type: ignore[misc, assignment]
