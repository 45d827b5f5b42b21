"""Workers as `make up` starts them, on servers of their own, and a small project whose run is always the same."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from config.children import spawn
from config.embedded import service_folder
from config.servers import first_number
from config.supervisor import programs

if TYPE_CHECKING:
    from labeling.models import Run

LEASE_SECONDS: Final = 8  # the product's is 30: a benchmark of some fifty lost leases would wait half an hour for them
CONFIG: Final = {
    "init_model": "tiny",
    "tiny_layers": 1,
    "tiny_width": 48,
    "tiny_heads": 2,
    "tiny_context": 128,
    "pretrain_steps": 60,
    "max_prompt_tokens": 64,
    "max_response_tokens": 56,
    "num_epochs": 1000,
    "max_steps": 500,
    "checkpoint_every": 20,
    "dropout": 0.1,  # so that the random state has to come back too
}
NAMES: Final = ("dog", "cat", "hen", "fox", "bee", "cow", "owl", "pig", "ant", "elk", "emu", "ram")


class FloorError(Exception):
    """What was waited for did not come; the text says what."""


@dataclass
class Floor:
    """The processes around runs. `home` holds all they write."""

    home: Path
    project: Any = None
    dataset: Any = None
    children: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, *, program: str = "", wrap: Sequence[str] = (), **env: str) -> None:
        """Start a program of the site under a name of its own: "gpu", "worker", "beat"."""
        (found,) = [each for each in programs("127.0.0.1:0") if each.name == (program or name)]
        command = [part.replace("gpu@%h", f"{name}@%h") for part in found.command]
        log = (self.home / f"{name}.log").open("ab")
        environment = os.environ | {"PODIUM_RUN_LEASE_SECONDS": str(LEASE_SECONDS)} | env
        self.children[name] = spawn([*wrap, *command], stdout=log, env=environment, new_session=True)

    def kill(self, name: str, *, with_children: bool) -> None:
        """As the kernel does when memory is out (one process), or a machine that loses power (all of them)."""
        child = self.children.pop(name)
        victims = _family(child.pid) if with_children else [child.pid]
        for pid in victims:
            _signal(pid, signal.SIGKILL)
        child.wait()

    def ask_to_stop(self, name: str) -> None:
        child = self.children.pop(name)
        child.send_signal(signal.SIGTERM)
        child.wait(60)

    def signal_all(self, name: str, sig: signal.Signals) -> None:
        for pid in _family(self.children[name].pid):
            _signal(pid, sig)

    def stop(self) -> None:
        for name in list(self.children):
            self.kill(name, with_children=True)

    def server(self, name: str, file: str) -> int:
        """The process number of an embedded server."""
        pid = first_number(service_folder(self.home, name) / file)
        if pid is None:
            raise FloorError(f"{name} is not running")
        return pid

    def begin(self) -> "Run":
        from labeling.services import runs

        inputs = {"dataset": self.dataset}
        return runs.create(project=self.project, stage="sft", config=CONFIG, inputs=inputs, user=None)


def prepare(floor: Floor) -> None:
    """Prompts with an answer each, frozen."""
    from labeling.models import Demonstration, Project, User
    from labeling.services import prompts, snapshots

    floor.project = Project.objects.create(slug="faults", name="Faults")
    writer = User.objects.create_user("writer@bench.example", None)
    for number, name in enumerate(NAMES):
        prompt = prompts.add(
            project=floor.project,
            messages=[{"role": "user", "content": f"What is a {name}?"}],
            author=None,
            source="customer",
            customer=f"customer-{number}",
            split="valid" if number % 4 == 3 else "train",
        )
        text = f"The {name} is an animal that I like very much."
        Demonstration.objects.create(prompt=prompt, labeler=writer, text=text, idempotency_key=str(number))
    made = snapshots.create(project=floor.project, kind="sft", name="answers")
    built = snapshots.build(made.pk)
    if built is None or built.state != "ready":
        raise FloorError(f"the snapshot was not made: {built and built.error}")
    floor.dataset = built


def wait_for(condition: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """Ask again and again; a database that is away is asked again too."""
    from django.db import DatabaseError, InterfaceError, connection

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := condition():
                return found
        except (DatabaseError, InterfaceError):
            connection.close()
        time.sleep(0.1)
    raise FloorError(f"after {seconds:.0f} s still not: {what}")


def _family(pid: int) -> list[int]:
    """A process and all below it, the lowest first: none gets to hear of another's end."""
    try:
        root = psutil.Process(pid)
        return [*(child.pid for child in reversed(root.children(recursive=True))), pid]
    except psutil.NoSuchProcess:
        return []


def _signal(pid: int, sig: signal.Signals) -> None:
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        return
