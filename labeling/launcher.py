"""The only file that starts, finds and stops training processes."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from config import children
from training.contract.rundir import RunDir, read_json, write_json

# What a stage may know of the worker's environment: no address, key or password of the web application is among them.
ALLOWED = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "VIRTUAL_ENV",
        "XDG_CACHE_HOME",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "TOKENIZERS_PARALLELISM",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "HF_ENDPOINT",
        "TRANSFORMERS_OFFLINE",
    ]
)
ALLOWED_PREFIXES = (
    "LC_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "CUDA_",
    "NVIDIA_",
    "NCCL_",
    "TORCH_",
    "PYTORCH_",
    "ACCELERATE_",
)
PROCESS_FILE = "process.json"


@dataclass(frozen=True)
class StageProcess:
    """A stage that was started here, as the leader of its own process group."""

    child: subprocess.Popen[bytes]

    def exit_code(self) -> int | None:
        """None while it runs. Once its leader has ended, the rest of the group is killed."""
        if self.child.returncode is None:
            if not _has_ended(self.child):
                return None
            _signal_group(self.child.pid, signal.SIGKILL)
            self.child.wait()
        return self.child.returncode

    def ask_to_stop(self) -> None:
        """The stage writes a checkpoint at its next step and exits."""
        if self.exit_code() is None:
            _signal_group(self.child.pid, signal.SIGTERM)

    def kill(self) -> None:
        if self.exit_code() is None:
            _signal_group(self.child.pid, signal.SIGKILL)
            self.child.wait()


def start(*, stage: str, run_dir: RunDir, config: Path) -> StageProcess:
    """Start a stage in its run directory. It is killed however this process ends."""
    end_leftover(run_dir)
    command = [
        settings.TRAINING_PYTHON,
        "-m",
        f"training.{stage}",
        "--config",
        str(config),
        "--run-dir",
        str(run_dir.path),
    ]
    with run_dir.log_path.open("ab") as log:
        child = children.spawn(
            command,
            # A checkpoint written by the child of a dead worker would race with the next worker's child.
            death_signal=signal.SIGKILL,
            stdout=log,
            env=environment(),
            # A name like owner/name must never be a folder beside the program.
            cwd=run_dir.path,
            new_session=True,
        )
    write_json(run_dir.path / PROCESS_FILE, {"pid": child.pid})
    return StageProcess(child)


def find(run_dir: RunDir) -> int | None:
    """The process id of a living stage in this run directory, whoever started it. Only this machine is searched."""
    noted = read_json(run_dir.path / PROCESS_FILE)
    if noted is None or str(run_dir.path) not in children.command_of(noted["pid"]):
        return None
    return int(noted["pid"])


def end_leftover(run_dir: RunDir, *, seconds: float = 5.0) -> bool:
    """Kill a stage that an earlier worker left in this run directory. True when there was one."""
    pid = find(run_dir)
    if pid is None:
        return False
    _signal_group(pid, signal.SIGKILL)
    deadline = time.monotonic() + seconds
    while find(run_dir) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    return True


def environment(source: Iterable[tuple[str, str]] | None = None) -> dict[str, str]:
    """The allowed part of the environment."""
    pairs = os.environ.items() if source is None else source
    kept = {name: value for name, value in pairs if name in ALLOWED or name.startswith(ALLOWED_PREFIXES)}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(settings.BASE_DIR)}


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Without reaping it where the system can: a zombie keeps the group's number ours until the group is killed."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return child.poll() is not None
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(group: int, sig: signal.Signals) -> None:
    try:
        os.killpg(group, sig)
    except (ProcessLookupError, PermissionError):  # it has ended; macOS answers EPERM for a group of zombies
        return
