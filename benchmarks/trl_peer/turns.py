"""Two measured processes that take turns, an update at a time: what else the machine does meets both alike.

Needs nothing of Podium's or TRL's. A file says whose turn it is; empty means that the other one has ended. Both find it
in the environment; without it nobody waits.
"""

import os
import time
from pathlib import Path

FILE, OWN, OTHER = "BENCH_TURN_FILE", "BENCH_TURN_OWN", "BENCH_TURN_OTHER"
WAIT_SECONDS = 0.005


def wait() -> None:
    """Until it is this process' turn, or the other one has ended."""
    while FILE in os.environ and Path(os.environ[FILE]).read_text() not in ("", os.environ[OWN]):
        time.sleep(WAIT_SECONDS)


def give() -> None:
    """It is the other one's turn, unless that has ended."""
    if FILE in os.environ and Path(os.environ[FILE]).read_text():
        _say(Path(os.environ[FILE]), os.environ[OTHER])


def end(file: Path | None = None) -> None:
    """There are no turns any more."""
    if file or FILE in os.environ:
        _say(file or Path(os.environ[FILE]), "")


def environment(file: Path, *, own: str, other: str) -> dict[str, str]:
    """What a process is started with."""
    return {FILE: str(file), OWN: own, OTHER: other}


def begin(file: Path, first: str) -> None:
    """Make the file; it is the turn of `first`."""
    _say(file, first)


def _say(file: Path, text: str) -> None:
    new = file.with_suffix(f".{os.getpid()}")
    new.write_text(text)
    new.replace(file)
