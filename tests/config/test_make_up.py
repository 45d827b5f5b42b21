"""`make up` as a person meets it: from an empty folder to the first page, Ctrl-C, and again."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.embedded import ROOT

from .conftest import clean_environment, processes_of, wait_until

pytestmark = pytest.mark.slow


class Up:
    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = home / "up.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.up"],
                cwd=ROOT,
                env=clean_environment(PODIUM_HOME=str(home), PORT=str(self.port)),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def wait_for(self, text: str) -> str:
        wait_until(lambda: text in self.output() or self.process.poll() is not None, seconds=300)
        assert text in self.output(), self.output()
        return self.output()

    def output(self) -> str:
        return self.log.read_text()

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return str(answer.read().decode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(120) == 0, self.output()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Up]]:
    started: list[Up] = []

    def start() -> Up:
        started.append(Up(tmp_path))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:  # the test failed in the middle
            one.process.terminate()
    wait_until(lambda: processes_of(tmp_path) == [], seconds=90)


def test_it_starts_greets_stops_and_goes_on_where_it_was(tmp_path: Path, start: Callable[[], Up]) -> None:
    first = start()
    greeting = first.wait_for("Ctrl-C stops Podium")
    assert f"Podium is up: http://127.0.0.1:{first.port}/" in greeting
    assert re.search(r"Manager +manager@podium\.example +\S{12}\n", greeting)
    assert re.search(r"Labeler +labeler@podium\.example +\S{12}\n", greeting)
    assert "<form" in first.page("/accounts/login/")
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0
    first.wait_for("default@")
    first.interrupt()
    assert "everything is kept" in first.output()
    assert first.output().count("manager@podium.example") == 1
    assert processes_of(tmp_path) == []
    key = (tmp_path / "secret_key").read_text()

    second = start()
    greeting = second.wait_for("Ctrl-C stops Podium")
    assert "Log-ins were shown at the first start" in greeting
    assert "manager@podium.example" not in greeting
    assert (tmp_path / "secret_key").read_text() == key
    assert len(processes_of(tmp_path)) > 10
    second.process.kill()
    second.process.wait()
    wait_until(lambda: processes_of(tmp_path) == [], seconds=90)
