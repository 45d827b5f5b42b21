"""Which workers there are, what each may do, and what it is at: told by the workers themselves, every few seconds."""

import logging
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import psutil
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q
from django.db.models.functions import Now

from labeling.models import Run, Worker

logger = logging.getLogger(__name__)
TELL_SECONDS: Final = 10
SILENT_SECONDS: Final = 35  # three times not heard of
FORGET_AFTER: Final = timedelta(days=1)
HERE, SILENT, STOPPED = "here", "silent", "stopped"


@dataclass(frozen=True)
class Seen:
    """A worker with the runs it is at. `state`: here, silent (died, or is cut off), stopped (said so)."""

    worker: Worker
    state: str
    runs: Sequence[Run]


@dataclass
class Herald:
    """Tells the database about this worker from a thread of its own, until the worker goes."""

    name: str
    queues: Sequence[str]
    num_processes: int

    def __post_init__(self) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tell_until_done, name="herald", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The last word: it goes."""
        self._done.set()
        self._thread.join(5)

    def _tell_until_done(self) -> None:
        is_first = True
        while True:
            is_last = self._done.is_set()
            try:
                tell(self, is_first=is_first, is_last=is_last)
                is_first = False
            except (DatabaseError, InterfaceError, psutil.Error) as error:  # a worker that lives must not fall silent
                logger.warning("could not tell that %s is here (%s)", self.name, error)
            finally:
                connection.close()  # a pool process forked later must not inherit an open one
            if is_last:
                return
            self._done.wait(TELL_SECONDS)


def tell(herald: Herald, *, is_first: bool = False, is_last: bool = False) -> None:
    values: dict[str, Any] = {
        "queues": sorted(herald.queues),
        "num_processes": herald.num_processes,
        "process_ids": _process_ids(),
        "gpus": gpus(),
        "seen_at": Now(),
        "stopped_at": Now() if is_last else None,
    }
    if is_first:
        values["started_at"] = Now()
    Worker.objects.update_or_create(name=herald.name, defaults=values)


def all_seen() -> list[Seen]:
    """Those that are here first, then by name."""
    lately = Q(seen_at__gt=Now() - timedelta(seconds=SILENT_SECONDS))
    here = set(Worker.objects.filter(lately, stopped_at__isnull=True).values_list("pk", flat=True))
    running = list(Run.objects.filter(state__in=[Run.State.RUNNING, Run.State.CANCELLING]).select_related("project"))
    found = [
        Seen(
            worker=worker,
            state=STOPPED if worker.stopped_at else HERE if worker.pk in here else SILENT,
            runs=[run for run in running if _is_at(worker, run)],
        )
        for worker in Worker.objects.order_by("name")
    ]
    return sorted(found, key=lambda seen: (HERE, SILENT, STOPPED).index(seen.state))


def forget() -> int:
    """Rows of workers that nobody has heard of for a day."""
    return Worker.objects.filter(seen_at__lt=Now() - FORGET_AFTER).delete()[0]


def gpus() -> list[dict[str, Any]]:
    """What nvidia-smi says of each GPU; nothing where there is none."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    asked = [command, "--query-gpu=name,memory.total,memory.used,utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("nvidia-smi says nothing (%s)", error)
        return []
    return [_gpu(line) for line in said.splitlines() if line.count(",") >= 3]


def _gpu(line: str) -> dict[str, Any]:
    name, *numbers = (part.strip() for part in line.rsplit(",", 3))
    total, used, percent = (int(number) if number.isdigit() else None for number in numbers)
    return {"name": name, "memory_mib": total, "used_mib": used, "percent": percent}


def _process_ids() -> list[int]:
    this = psutil.Process()
    return [this.pid, *sorted(child.pid for child in this.children())]


def _is_at(worker: Worker, run: Run) -> bool:
    """A run's owner is “host:process”; a worker is “queue@host”."""
    host, _, process = run.owner.rpartition(":")
    return host == worker.name.rpartition("@")[2] and process.isdigit() and int(process) in worker.process_ids


def name_of(node: str) -> str:
    """A node's name with the host as run owners have it: Celery may put a shorter one there."""
    return f"{node.partition('@')[0]}@{socket.gethostname()}"
