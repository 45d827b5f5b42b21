"""What a run has left: its files with sizes and hashes, and a look into those that are small and plain text."""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from labeling.models import Run
from labeling.services import artifacts

#: Beside the outputs that the manifest lists.
BESIDE: Final = ("metrics.jsonl", "usage.jsonl", "log.txt", "manifest.json")
READABLE: Final = (".json", ".jsonl", ".txt", ".md", ".csv", ".log", ".jinja")
MOST_BYTES_SHOWN: Final = 200_000


@dataclass(frozen=True)
class File:
    name: str
    num_bytes: int | None
    sha256: str

    @property
    def can_be_shown(self) -> bool:
        return PurePosixPath(self.name).suffix.lower() in READABLE


@dataclass(frozen=True)
class Preview:
    """The beginning of a file; JSON is set out over several lines."""

    file: File
    text: str
    is_cut: bool


def listed(run: Run) -> list[File]:
    """Outputs first, in the order of their names."""
    if not run.result:
        return []
    outputs = [_file(name, entry) for name, entry in sorted(run.result.get("files", {}).items())]
    beside = run.result.get("beside") or {name: {} for name in BESIDE if _exists(run, name)}
    return [*outputs, *(_file(name, beside[name]) for name in BESIDE if name in beside)]


def find(run: Run, name: str) -> File | None:
    return next((file for file in listed(run) if file.name == name), None)


def preview(run: Run, file: File) -> Preview | None:
    """None for what is not there, or is not text."""
    if not file.can_be_shown or not _exists(run, file.name):
        return None
    with artifacts.storage().open(key_of(run, file.name), "rb") as source:
        data = source.read(MOST_BYTES_SHOWN + 1)
    is_cut = len(data) > MOST_BYTES_SHOWN
    try:
        text = data[:MOST_BYTES_SHOWN].decode("utf-8", errors="ignore" if is_cut else "strict")
    except UnicodeDecodeError:
        return None
    return Preview(file=file, text=text if is_cut else _set_out(file, text), is_cut=is_cut)


def key_of(run: Run, name: str) -> str:
    return f"{run.result.get('storage_key', '')}/{name}"


def _file(name: str, entry: dict[str, Any]) -> File:
    return File(name=name, num_bytes=entry.get("bytes"), sha256=entry.get("sha256", ""))


def _exists(run: Run, name: str) -> bool:
    return bool(run.result.get("storage_key")) and artifacts.storage().exists(key_of(run, name))


def _set_out(file: File, text: str) -> str:
    if not file.name.endswith(".json"):
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
