"""Latencies, and the CPU time that a server and its database take, from /proc."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


def quantile(values: Sequence[float], q: float) -> float | None:
    """Nearest rank, so that it is a value that was seen; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-(q * len(ordered)) // 1) - 1))]


def latency(seconds: Sequence[float]) -> dict[str, Any]:
    """Milliseconds."""
    shown = {"p50": quantile(seconds, 0.50), "p95": quantile(seconds, 0.95), "p99": quantile(seconds, 0.99)}
    shown["max"] = max(seconds, default=None)
    return {"n": len(seconds)} | {name: None if s is None else round(1000 * s, 1) for name, s in shown.items()}


@dataclass
class Tally:
    """What the labelers saw in one phase."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"next": [], "submit": [], "page": []})
    errors: Counter[str] = field(default_factory=Counter)
    first_errors: dict[str, str] = field(default_factory=dict)
    num_submitted: int = 0  # distinct answers that the app has acknowledged
    num_doubled: int = 0  # of which this many were sent twice
    num_differing: int = 0  # of which the two acknowledgements were not the same
    num_surplus: int = 0
    num_empty: int = 0  # "nothing for you"

    def failed(self, step: str, error: Exception) -> None:
        kind = f"{step} {getattr(error, 'status', type(error).__name__)}"
        self.errors[kind] += 1
        self.first_errors.setdefault(kind, str(error)[:300])

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            seconds={step: self.seconds[step] + other.seconds[step] for step in self.seconds},
            errors=self.errors + other.errors,
            first_errors=other.first_errors | self.first_errors,
            num_submitted=self.num_submitted + other.num_submitted,
            num_doubled=self.num_doubled + other.num_doubled,
            num_differing=self.num_differing + other.num_differing,
            num_surplus=self.num_surplus + other.num_surplus,
            num_empty=self.num_empty + other.num_empty,
        )


@dataclass(frozen=True)
class Spent:
    """CPU seconds."""

    app: float
    database: float
    driver: float
    wall: float

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.app + other.app,
            self.database + other.database,
            self.driver + other.driver,
            self.wall + other.wall,
        )

    def __sub__(self, earlier: "Spent") -> "Spent":
        return Spent(
            self.app - earlier.app,
            self.database - earlier.database,
            self.driver - earlier.driver,
            self.wall - earlier.wall,
        )


@dataclass(frozen=True)
class Meter:
    """Reads what two sets of process trees (and this very process) have used so far."""

    app: Sequence[int]
    database: Sequence[int]

    def read(self) -> Spent:
        parents = _parents()
        return Spent(
            app=_cpu(_trees(self.app, parents)),
            database=_cpu(_trees(self.database, parents)),
            driver=time.process_time(),
            wall=time.monotonic(),
        )


def _parents() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (numbers := _stat(int(folder.name))):
            children.setdefault(int(numbers[1]), []).append(int(folder.name))
    return children


def _trees(roots: Iterable[int], children: dict[int, list[int]]) -> list[int]:
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def _cpu(pids: Iterable[int]) -> float:
    """User and system time, with that of children which have ended (a database connection is a process)."""
    return sum(sum(int(ticks) for ticks in _stat(pid)[11:15]) for pid in pids) / TICKS


def _stat(pid: int) -> list[str]:
    """The fields after the name, from the third on; none of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
