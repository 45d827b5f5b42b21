"""One process that starts the site's processes, shows their logs, brings back what ends and stops them all in order."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from config import embedded
from config.children import spawn

LONGEST_PAUSE = 30.0  # between two tries to start a process that keeps ending
STEADY_SECONDS = 30.0  # after so long a life the pauses begin anew
ROOT_WARNING = "ignore:You're running the worker with superuser privileges"  # as root we were asked to
COLOURS = {"web": 36, "worker": 32, "gpu": 35, "beat": 33, "podium": 1}


@dataclass(frozen=True)
class Program:
    """A process of the site and how it is stopped: each signal with the seconds it has to take effect."""

    name: str
    command: tuple[str, ...]
    stop: tuple[tuple[signal.Signals, float], ...]
    # What it gets when the supervisor is killed: end now, with your own children.
    death_signal: signal.Signals = signal.SIGTERM


def programs(address: str) -> list[Program]:
    """In the order in which they are started; they are stopped in the opposite one."""
    celery = (sys.executable, "-m", "celery", "--quiet", "-A", "config.celery:app")
    worker = (*celery, "worker", "--loglevel=INFO", "--without-gossip", "--without-mingle", "--without-heartbeat")
    # Celery: SIGTERM ends the job at hand, a training run with a checkpoint; SIGQUIT drops it.
    worker_stop = ((signal.SIGTERM, 15.0), (signal.SIGQUIT, 5.0))
    gunicorn = (sys.executable, "-m", "gunicorn", "config.wsgi:application", "--worker-class=gthread", "--preload")
    return [
        Program("gpu", (*worker, "-Q", "gpu", "-c", "1", "-n", "gpu@%h"), worker_stop, signal.SIGQUIT),
        Program("worker", (*worker, "-Q", "default", "-c", "2", "-n", "default@%h"), worker_stop, signal.SIGQUIT),
        Program(
            "web",
            (
                *gunicorn,
                "--workers=2",
                "--threads=4",
                f"--bind={address}",
                "--graceful-timeout=4",
                "--no-control-socket",
            ),
            ((signal.SIGTERM, 6.0), (signal.SIGQUIT, 2.0)),
            signal.SIGQUIT,
        ),
        Program("beat", (*celery, "beat", "--loglevel=WARNING"), ((signal.SIGTERM, 3.0),)),
    ]


@dataclass
class Supervised:
    """A program with its present process."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float = 0.0
    pause: float = 0.5

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.process = spawn(
            list(self.program.command),
            death_signal=self.program.death_signal,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "PYTHONWARNINGS": ROOT_WARNING,
                "PODIUM_SUPERVISOR": str(os.getpid()),
            },
            cwd=embedded.ROOT,
            new_session=True,  # Ctrl-C is ours to pass on, in order; and the group can be killed as one
        )
        threading.Thread(target=_show, args=(self.program.name, self.process), daemon=True).start()

    def look_after(self) -> None:
        """Start it again when it has ended, with growing pauses."""
        if self.process is None or self.process.poll() is None:
            return
        now = time.monotonic()
        if not self.start_again_at:
            self.pause = 1.0 if now - self.started_at > STEADY_SECONDS else min(2 * self.pause, LONGEST_PAUSE)
            self.start_again_at = now + self.pause
            say(f"{self.program.name} ended with {self.process.returncode}; starting it again in {self.pause:.0f} s")
        elif now >= self.start_again_at:
            self.start_again_at = 0.0
            self.start()

    def ask_to_stop(self, sig: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sig)

    def ended_within(self, seconds: float) -> bool:
        try:
            return self.process is None or self.process.wait(seconds) is not None
        except subprocess.TimeoutExpired:
            return False

    def kill_group(self) -> None:
        """The last resort, and the broom for what its process left behind."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
                return


@dataclass
class Supervisor:
    children: list[Supervised]
    services: embedded.Services
    address: str
    welcome: str
    stopping: threading.Event = field(default_factory=threading.Event)
    has_greeted: bool = False

    def run(self) -> None:
        for child in self.children:
            child.start()
        self._write_process_ids()
        threading.Thread(target=self._greet, daemon=True).start()
        while not self.stopping.wait(0.5):
            for child in self.children:
                before = child.process
                child.look_after()
                if child.process is not before:
                    self._write_process_ids()
            self._look_after_services()

    def stop(self) -> None:
        """First what makes work (beat, web), then what does it; servers come last, when their last user is gone."""
        say("stopping; Ctrl-C again stops at once")
        *workers, web, beat = self.children
        for group in ([beat], [web], workers):
            _stop_together(group)
        process_ids().unlink(missing_ok=True)

    def _look_after_services(self) -> None:
        try:
            self.services.ensure()
        except embedded.EmbeddedError as error:
            say(str(error))

    def _greet(self) -> None:
        if _answers(f"http://{self.address}/accounts/login/", seconds=60, stopping=self.stopping):
            say(self.welcome)
            self.has_greeted = True
        elif not self.stopping.is_set():
            say("the site does not answer after a minute; the lines marked web say why")

    def _write_process_ids(self) -> None:
        ids = [child.process.pid for child in self.children if child.process is not None]
        process_ids().write_text(json.dumps(ids))


def _stop_together(group: list[Supervised]) -> None:
    for number in range(max(len(child.program.stop) for child in group)):
        for child in group:
            if number < len(child.program.stop):
                child.ask_to_stop(child.program.stop[number][0])
        for child in group:
            if number < len(child.program.stop):
                child.ended_within(child.program.stop[number][1])
    for child in group:
        child.kill_group()
        child.ended_within(5)


def say(text: str) -> None:
    for line in text.splitlines():
        _print_line("podium", line)


def _show(name: str, process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        for line in process.stdout:
            _print_line(name, line.decode(errors="replace").rstrip())


def _print_line(name: str, line: str) -> None:
    prefix = f"{name:>6} |"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        prefix = f"\033[{COLOURS[name]}m{prefix}\033[0m"
    sys.stdout.write(f"{prefix} {line}\n")  # one write, so that lines of two threads do not mix
    sys.stdout.flush()


def _answers(url: str, *, seconds: float, stopping: threading.Event) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not stopping.wait(0.1):
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  our own address
                return True
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return True
        except OSError:
            continue
    return False


def process_ids() -> Path:
    return embedded.podium_home() / "processes.json"


def catch_signals(supervisor: Supervisor) -> None:
    def on_signal(*_: object) -> None:
        if supervisor.stopping.is_set():
            for child in supervisor.children:
                child.kill_group()
        supervisor.stopping.set()

    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, on_signal)
