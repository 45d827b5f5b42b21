"""Archives of model folders, zip or tar: looked through before anything is written, then unpacked file by file.

An archive is somebody else's: its names may lead out of the folder, its links elsewhere, its few bytes may become
terabytes. So names are checked, links are refused, and bytes are counted as they come, whatever the archive says.
"""

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Final

from training.contract.modelfiles import MOST_FILES, ModelFilesError

PIECE: Final = 1 << 20
#: What systems leave in archives of their own accord; not part of any model.
LEFT_OUT: Final = ("__MACOSX",)
#: What libraries raise while they read a damaged archive.
_TROUBLES: Final = (
    zipfile.BadZipFile,
    zlib.error,
    tarfile.TarError,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Member:
    """One file of an archive: its bare name, what the archive says of its size, and how to open it."""

    name: str
    num_bytes: int
    open: Callable[[], IO[bytes]]


@contextmanager
def opened(file: IO[bytes], *, max_bytes: int) -> Iterator[list[Member]]:
    """The archive's files, checked by name and by the size that it claims. Raises ModelFilesError."""
    file.seek(0)
    try:
        if zipfile.is_zipfile(file):
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                yield _checked(_zip_members(archive), max_bytes=max_bytes)
        else:
            file.seek(0)
            with tarfile.open(fileobj=file) as tar:
                yield _checked(_tar_members(tar), max_bytes=max_bytes)
    except ModelFilesError:
        raise
    except tarfile.ReadError:
        raise ModelFilesError("This is neither a zip nor a tar archive, or it is cut short.") from None
    except (zipfile.BadZipFile, zlib.error, tarfile.TarError, EOFError) as error:
        raise ModelFilesError(f"The archive is damaged: {error}.") from None


def write(member: Member, folder: Path, *, most_bytes: int, tick: Callable[[int], None]) -> int:
    """Unpack one file, whole or not at all; returns its size. `tick` gets the size of each piece.

    Raises ModelFilesError when it is damaged, or holds more than `most_bytes`.
    """
    part = folder / f".{member.name}.part"
    written = 0
    with part.open("wb") as target:
        for piece in _pieces(member):
            written += len(piece)
            if written > most_bytes:
                raise ModelFilesError(f"{member.name} becomes larger than is taken.")
            target.write(piece)
            tick(len(piece))
    if written != member.num_bytes:
        raise ModelFilesError(f"{member.name} is cut short.")
    part.replace(folder / member.name)
    return written


def _pieces(member: Member) -> Iterator[bytes]:
    try:
        with member.open() as source:
            while piece := source.read(PIECE):
                yield piece
    except _TROUBLES as error:
        raise ModelFilesError(f"{member.name} cannot be unpacked: {error}.") from None


def _zip_members(archive: zipfile.ZipFile) -> Iterator[tuple[str, int, str, Callable[[], IO[bytes]]]]:
    for info in archive.infolist():
        if info.is_dir():
            continue
        mode = info.external_attr >> 16
        trouble = "is a link" if stat.S_ISLNK(mode) else "is encrypted" if info.flag_bits & 1 else ""
        yield info.filename, info.file_size, trouble, partial(archive.open, info)


def _tar_members(archive: tarfile.TarFile) -> Iterator[tuple[str, int, str, Callable[[], IO[bytes]]]]:
    for info in archive:
        if info.isdir():
            continue
        trouble = "" if info.isreg() and not info.issparse() else "is a link or another special file"
        yield info.name, info.size, trouble, partial(_extracted, archive, info)


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    if file is None:
        raise ModelFilesError(f"{info.name} is no plain file.")
    return file


def _checked(found: Iterator[tuple[str, int, str, Callable[[], IO[bytes]]]], *, max_bytes: int) -> list[Member]:
    members: dict[str, Member] = {}
    folders: set[str] = set()
    total = 0
    for full_name, num_bytes, trouble, open_ in found:
        folder, name = _split(full_name)
        if name.startswith(".") or folder in LEFT_OUT:
            continue
        if trouble:
            raise ModelFilesError(f"{name} {trouble}, and that is not taken.")
        folders.add(folder)
        total += num_bytes
        if total > max_bytes:
            raise ModelFilesError(f"It would unpack to more than {max_bytes / 1e9:,.1f} GB, the most that is taken.")
        if name in members:
            raise ModelFilesError(f"{name} is in the archive twice.")
        if len(members) >= MOST_FILES:
            raise ModelFilesError(f"There are more than {MOST_FILES} files; a model has fewer.")
        members[name] = Member(name, num_bytes, open_)
    if len(folders) > 1:
        raise ModelFilesError("A model's files lie side by side: put them into one folder, without others in it.")
    if not members:
        raise ModelFilesError("There is no file in the archive.")
    return list(members.values())


def _split(full_name: str) -> tuple[str, str]:
    """The folder that a file lies in ("" or one name), and its own name."""
    parts = PurePosixPath(full_name).parts
    is_bare = all(part.isprintable() and part != ".." and "\\" not in part and ":" not in part for part in parts)
    if not parts or not is_bare or full_name.startswith("/") or len(full_name) > 255:
        raise ModelFilesError(f"{full_name[:80]!r} is not a name that is taken: it leads elsewhere.")
    if len(parts) > 2:
        raise ModelFilesError(f"{full_name} lies in a folder within a folder. A model's files lie side by side.")
    return ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
