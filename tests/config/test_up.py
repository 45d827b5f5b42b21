"""What `make up` says when it cannot start: what is wrong and what to do, and never a traceback."""

import json
import os
import socket
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from config import up
from config.embedded import ROOT

from .conftest import clean_environment


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PODIUM_HOME", str(tmp_path))
    return tmp_path


def run_up(home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "config.up"]
    environment = clean_environment(PODIUM_HOME=str(home), **env)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def refusal(outcome: subprocess.CompletedProcess[str]) -> str:
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stderr
    return outcome.stderr


def test_a_taken_port_is_named_with_a_way_out(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refusal(run_up(home, PORT=str(port)))
    assert f"Cannot listen on 127.0.0.1:{port} (Address already in use)" in message
    assert f"PORT={port + 10} make up" in message


def test_an_address_of_another_machine_is_refused(home: Path) -> None:
    assert "Cannot listen on 192.0.2.1:8123" in refusal(run_up(home, PODIUM_HOST="192.0.2.1", PORT="8123"))


@pytest.mark.parametrize("port", ["http", "70000", "-1"])
def test_a_port_that_is_none_is_refused(home: Path, port: str) -> None:
    assert f"PORT={port}" in refusal(run_up(home, PORT=port))


def test_a_second_start_names_the_address_of_the_first(home: Path) -> None:
    with up.only_supervisor("127.0.0.1:8123"):
        assert "Podium runs already: http://127.0.0.1:8123/" in refusal(run_up(home, PORT="8124"))


def test_a_start_after_the_first_has_ended_is_no_second(home: Path) -> None:
    with up.only_supervisor("127.0.0.1:8123"):
        pass
    with up.only_supervisor("127.0.0.1:8124"):
        assert (home / "up.lock").read_text() == "127.0.0.1:8124"


def test_a_full_disk_is_told_before_anything_starts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(up.MIN_FREE_BYTES - 1))
    with pytest.raises(up.StartError, match=r"Only 1\.00 GB free .* set PODIUM_HOME to a folder on another disk"):
        up.check_disk()


def test_enough_room_is_no_news(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(up.MIN_FREE_BYTES))
    up.check_disk()


@pytest.mark.parametrize(
    ("variable", "scheme"), [("DATABASE_URL", "postgres://podium:secret@"), ("REDIS_URL", "redis://:secret@")]
)
def test_a_server_that_does_not_answer_is_named_without_its_password(home: Path, variable: str, scheme: str) -> None:
    with socket.socket() as closed:  # bound, so that nobody else takes it, but not listening
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        message = refusal(run_up(home, PORT=free_port(), **{variable: f"{scheme}127.0.0.1:{port}/0"}))
    assert f"127.0.0.1:{port}, which {variable} names, does not answer (Connection refused)" in message
    assert "secret" not in message


def test_what_a_killed_supervisor_left_is_stopped_and_strangers_are_not(home: Path) -> None:
    def sleeper(label: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", label], start_new_session=True)

    ours, stranger = sleeper("config.celery:app"), sleeper("stranger")
    while not (up.command_of(ours.pid) and up.command_of(stranger.pid)):  # for a moment a new program has no name yet
        time.sleep(0.01)
    (home / "processes.json").write_text(json.dumps([ours.pid, stranger.pid, 4_000_000]))
    up.stop_stale()
    assert ours.wait(5) == -9
    with pytest.raises(subprocess.TimeoutExpired):
        stranger.wait(0.5)
    stranger.kill()
    stranger.wait()


def test_make_names_the_python_it_needs(tmp_path: Path) -> None:
    """Makefile, with nothing but an old Python on the path."""
    old = tmp_path / "python3"
    answer = f'exec {sys.executable} -c "import sys; sys.version_info = (3, 9, 2); $2"'
    old.write_text(f"#!/bin/sh\ncase $1 in --version) echo Python 3.9.2;; -c) {answer};; *) echo installing;; esac\n")
    old.chmod(0o755)
    for name in ("make", "sh"):
        found = next(Path(folder) / name for folder in os.environ["PATH"].split(":") if (Path(folder) / name).exists())
        (tmp_path / name).symlink_to(found.resolve())
    outcome = subprocess.run(
        ["make", "up"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60
    )
    assert outcome.returncode != 0
    assert "Podium needs Python 3.11 or newer, and here 'python3' is Python 3.9.2" in outcome.stderr
