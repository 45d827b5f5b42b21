"""Commands run as a person runs them: in a process of their own, with a PODIUM_HOME of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config.embedded import ROOT


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what the wrapper around the test run has put into it."""
    hidden = {"DATABASE_URL", "REDIS_URL", "PODIUM_HOME", "PODIUM_TEST_DATABASE_URL", "PORT", "PODIUM_HOST"}
    return {**{key: value for key, value in os.environ.items() if key not in hidden}, **more}


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def processes_of(home: Path) -> list[str]:
    """Command lines of living processes that work in this PODIUM_HOME, by command line, folder or environment."""
    return [words for process in psutil.process_iter() if (words := _words_in(process, str(home)))]


def _words_in(process: psutil.Process, home: str) -> str:
    try:
        words = " ".join(process.cmdline())
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        works_there = home in words or home in process.cwd() or process.environ().get("PODIUM_HOME") == home
        return words if works_there else ""
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


class Embedded:
    """`python -m config.embedded exec` on one PODIUM_HOME."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *command: str, fresh: bool = False, **env: str) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-m", "config.embedded", "exec", *(["--fresh"] if fresh else []), "--", *command]
        process = subprocess.Popen(
            arguments,
            env=clean_environment(PODIUM_HOME=str(self.home), **env),
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.started.append(process)
        return process

    def run(self, *command: str, fresh: bool = False, **env: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*command, fresh=fresh, **env)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def python(self, code: str, *, fresh: bool = False, **env: str) -> str:
        outcome = self.run(sys.executable, "-c", code, fresh=fresh, **env)
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout.strip()

    def holding(self, *, fresh: bool = False) -> tuple[subprocess.Popen[str], str]:
        """A command that keeps the servers up until its standard input is closed, and DATABASE_URL as it saw it."""
        code = "import os, sys; print(os.environ['DATABASE_URL'], flush=True); sys.stdin.read()"
        process = self.start(sys.executable, "-c", code, fresh=fresh)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, process.communicate()[1]
        return process, url

    def folder(self, name: str) -> Path:
        return self.home / "services" / name


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    instance = Embedded(tmp_path / "home")
    yield instance
    for process in instance.started:
        if process.poll() is None:
            process.kill()
            process.wait()
    wait_until(lambda: not processes_of(instance.home))
