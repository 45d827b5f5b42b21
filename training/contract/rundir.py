"""The run directory: where a stage reads its config and leaves everything it made.

    config.json  inputs/  status.json  metrics.jsonl  usage.jsonl  log.txt  checkpoints/  outputs/
    manifest.json (written last)

The web application only reads what a stage writes here (and asks it to stop by SIGTERM); the stage only writes. Times
are seconds since 1970-01-01 UTC of the machine that runs the stage.
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

STATES: Final = ("running", "succeeded", "failed", "cancelled")
EXIT_SUCCEEDED: Final = 0
EXIT_FAILED: Final = 1
EXIT_CANCELLED: Final = 3


class RunDirError(ValueError):
    """A run directory whose files do not agree with its manifest, or a file that is not what it should be."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """`status.json`: what the stage says about itself. `eta_s` is None until a step has been timed."""

    state: str
    phase: str
    step: int
    num_steps: int
    started_at: float
    updated_at: float
    eta_s: float | None = None
    error: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise RunDirError(f"state: must be one of {', '.join(STATES)}, not {self.state!r}")
        if (self.state == "failed") != (self.error is not None):
            raise RunDirError("error: must be given exactly when the state is failed")

    @property
    def progress(self) -> float:
        """Share of the steps done, from 0 to 1."""
        return min(1.0, self.step / self.num_steps) if self.num_steps else 0.0


@dataclass(frozen=True)
class MetricRow:
    """One line of `metrics.jsonl`. A value that is not finite is None."""

    step: int
    time: float
    values: dict[str, float | None]


@dataclass(frozen=True)
class UsageRow:
    """One line of `usage.jsonl`: what the stage used of its machine. `end` is where the line ends, in bytes."""

    time: float
    values: dict[str, float | None]
    end: int


class RunDir:
    """Paths and the atomic reads and writes of one run directory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.json"
        self.inputs = self.path / "inputs"
        self.status_path = self.path / "status.json"
        self.metrics_path = self.path / "metrics.jsonl"
        self.usage_path = self.path / "usage.jsonl"
        self.log_path = self.path / "log.txt"
        self.checkpoints = self.path / "checkpoints"
        self.outputs = self.path / "outputs"
        self.manifest_path = self.path / "manifest.json"

    def create(self) -> None:
        """Make the folders; harmless when they exist."""
        for folder in (self.path, self.inputs, self.checkpoints, self.outputs):
            folder.mkdir(parents=True, exist_ok=True)

    def write_status(self, status: Status) -> None:
        """Replace `status.json` in one step: a reader sees the old one or the new one."""
        write_json(self.status_path, asdict(status))

    def read_status(self) -> Status | None:
        """The last status, or None when the stage has not written one yet."""
        values = read_json(self.status_path)
        return None if values is None else Status(**values)

    def append_metrics(self, step: int, values: Mapping[str, float], *, now: float | None = None) -> None:
        """Append one JSON line. NaN and infinity are not JSON, so they are written as null."""
        line = {"step": step, "time": time.time() if now is None else now, "values": _finite(values)}
        _append_line(self.metrics_path, line)

    def read_metrics(self, offset: int = 0) -> tuple[list[MetricRow], int]:
        """The whole lines from byte `offset`, and the offset to go on from. A half-written last line is left for later.

        When the file has become shorter than `offset` (a resumed stage took steps back), reading starts again at 0:
        the caller sees a new offset that does not continue its own, and should drop what it had.
        """
        try:
            size = self.metrics_path.stat().st_size
        except FileNotFoundError:
            return [], 0
        start = offset if offset <= size else 0
        with self.metrics_path.open("rb") as file:
            file.seek(start)
            data = file.read()
        whole, _, _ = data.rpartition(b"\n")
        rows = [MetricRow(**json.loads(line)) for line in whole.split(b"\n") if line]
        return rows, start + (len(whole) + 1 if whole else 0)

    def truncate_metrics(self, step: int) -> None:
        """Drop the lines after `step`, and a half-written one: a resumed stage writes each step exactly once."""
        rows, _ = self.read_metrics()
        if self.metrics_path.exists():
            self.write_metrics(row for row in rows if row.step <= step)

    def write_metrics(self, rows: Iterable[MetricRow]) -> None:
        """Make these the whole of `metrics.jsonl`."""
        write_bytes(self.metrics_path, "".join(json.dumps(asdict(row)) + "\n" for row in rows).encode())

    def write_usage(self, rows: Iterable[UsageRow]) -> int:
        """Make these the whole of `usage.jsonl`; returns its size in bytes. Where the rows ended before is not kept."""
        lines = (json.dumps({"time": row.time, "values": row.values}) + "\n" for row in rows)
        write_bytes(self.usage_path, data := "".join(lines).encode())
        return len(data)

    def append_usage(self, values: Mapping[str, float]) -> None:
        """Append one JSON line. Usage belongs to a moment, not to a step: a resumed stage keeps what is there."""
        _append_line(self.usage_path, {"time": time.time(), "values": _finite(values)})

    def read_usage(self, offset: int = 0) -> list[UsageRow]:
        """The whole lines from byte `offset`, which is the `end` of a row or 0."""
        try:
            with self.usage_path.open("rb") as file:
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            return []
        rows = []
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            offset += len(line)
            rows.append(UsageRow(**json.loads(line), end=offset))
        return rows

    def read_log(self, offset: int = 0, *, limit: int = 65536) -> tuple[str, int]:
        """Up to `limit` bytes of `log.txt` from byte `offset`, and the offset to go on from."""
        try:
            with self.log_path.open("rb") as file:
                file.seek(offset)
                data = file.read(limit)
        except FileNotFoundError:
            return "", offset
        return data.decode("utf-8", errors="replace"), offset + len(data)

    def write_manifest(self, *, stage: str, summary: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Hash the config and every output file and write `manifest.json`: the sign that the run is complete.

        `summary` holds the run's final figures, `inputs` the hashes of what it read.
        """
        manifest = {
            "schema_version": 1,
            "stage": stage,
            "finished_at": time.time(),
            "inputs": dict(inputs),
            "summary": dict(summary),
            "files": {name: _fingerprint(self.path / name) for name in self._published_files()},
        }
        write_json(self.manifest_path, manifest)
        return manifest

    def read_manifest(self) -> dict[str, Any] | None:
        """The manifest, or None while the run is not complete."""
        return read_json(self.manifest_path)

    def verify_manifest(self) -> dict[str, Any]:
        """The manifest, after every file was hashed again. Raises RunDirError that names what is missing or changed."""
        manifest = self.read_manifest()
        if manifest is None:
            raise RunDirError("manifest.json: not there, so the run is not complete")
        for name, expected in manifest["files"].items():
            path = self._inside(name)
            if not path.is_file():
                raise RunDirError(f"{name}: missing")
            if _fingerprint(path) != expected:
                raise RunDirError(f"{name}: changed since the manifest was written")
        return manifest

    def _published_files(self) -> list[str]:
        outputs = sorted(path for path in self.outputs.rglob("*") if path.is_file() and not path.is_symlink())
        names = [path.relative_to(self.path).as_posix() for path in outputs]
        return (["config.json"] if self.config_path.is_file() else []) + names

    def _inside(self, name: str) -> Path:
        path = (self.path / name).resolve()
        if not path.is_relative_to(self.path.resolve()):
            raise RunDirError(f"{name}: leads out of the run directory")
        return path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}


def _append_line(path: Path, value: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader, or a crash, never sees half of it."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write to a neighbouring temporary file, fsync, rename over `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None when there is no such file. Raises RunDirError when it is not a JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise RunDirError(f"{path.name}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RunDirError(f"{path.name}: not a JSON object")
    return value


def _fingerprint(path: Path) -> dict[str, Any]:
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size}
