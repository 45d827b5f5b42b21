"""The process behind `make up`, with small programs in the place of the site's."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.embedded import ROOT
from config.supervisor import programs

from .conftest import clean_environment, processes_of, wait_until

# Each program notes its start and its end; `deaf` and `stubborn` do not hear SIGTERM; `brief` ends by itself.
PROGRAM = """
import os, pathlib, signal, subprocess, sys, time
name, home = sys.argv[1], pathlib.Path(sys.argv[2])
def note(what):
    with open(home / "story", "a") as story:
        story.write(f"{what} {name} {os.getpid()}\\n")
def end(*_):
    note("end")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if name in ("deaf", "stubborn") else end)
note("start")
print("hello from", name, flush=True)
if name == "parent":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(home)])
time.sleep(0.2 if name == "brief" else 600)
"""
SUPERVISE = """
import signal, sys
from config import embedded, supervisor
stop = lambda name: ((signal.SIGTERM, 60.0 if name == "stubborn" else 1.0),)
command = lambda name: (sys.executable, "-c", open(sys.argv[1] + "/program.py").read(), name, sys.argv[1])
children = [supervisor.Supervised(supervisor.Program(name, command(name), stop(name))) for name in sys.argv[2:]]
supervisor.COLOURS.update(dict.fromkeys(sys.argv[2:], 1))
it = supervisor.Supervisor(children, embedded.Services(), "127.0.0.1:1", "welcome")
supervisor.catch_signals(it)
it.run()
it.stop()
"""


class Supervising:
    def __init__(self, home: Path, *names: str) -> None:
        self.home = home
        (home / "program.py").write_text(PROGRAM)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, str(home), *names],
            cwd=ROOT,
            env=clean_environment(PODIUM_HOME=str(home)),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def story(self) -> list[list[str]]:
        path = self.home / "story"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def starts(self, name: str) -> list[int]:
        return [int(pid) for what, who, pid in self.story() if (what, who) == ("start", name)]

    def ends(self) -> list[str]:
        return [who for what, who, _ in self.story() if what == "end"]

    def children(self) -> list[str]:
        return [words for words in processes_of(self.home) if "supervisor" not in words]

    def wait_for_all(self, count: int) -> None:
        wait_until(lambda: len(self.story()) >= count)

    def stop(self, sig: signal.Signals = signal.SIGINT) -> str:
        self.process.send_signal(sig)
        return self.process.communicate(timeout=30)[0]


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_stops_what_makes_work_before_what_does_it(tmp_path: Path, sig: signal.Signals) -> None:
    supervising = Supervising(tmp_path, "gpu", "worker", "web", "beat")
    supervising.wait_for_all(4)
    supervising.stop(sig)
    assert supervising.ends()[:2] == ["beat", "web"]
    assert sorted(supervising.ends()[2:]) == ["gpu", "worker"]
    assert supervising.process.returncode == 0
    assert supervising.children() == []


def test_it_shows_what_its_programs_say_each_line_with_a_name(tmp_path: Path) -> None:
    supervising = Supervising(tmp_path, "gpu", "worker", "web", "beat")
    supervising.wait_for_all(4)
    lines = supervising.stop().splitlines()
    assert {f"{name:>6} | hello from {name}" for name in ("gpu", "worker", "web", "beat")} <= set(lines)


def test_it_starts_again_what_was_killed_and_says_so(tmp_path: Path) -> None:
    supervising = Supervising(tmp_path, "gpu", "worker", "web", "beat")
    supervising.wait_for_all(4)
    os.kill(supervising.starts("worker")[0], signal.SIGKILL)
    wait_until(lambda: len(supervising.starts("worker")) == 2)
    assert "podium | worker ended with -9; starting it again in 1 s" in supervising.stop()
    assert [len(supervising.starts(name)) for name in ("gpu", "web", "beat")] == [1, 1, 1]


def test_it_waits_longer_each_time_for_what_keeps_ending(tmp_path: Path) -> None:
    supervising = Supervising(tmp_path, "brief", "worker", "web", "beat")
    wait_until(lambda: len(supervising.starts("brief")) == 3, seconds=20)
    output = supervising.stop()
    assert "again in 1 s" in output
    assert "again in 2 s" in output


def test_it_kills_what_does_not_hear_and_what_its_programs_left_behind(tmp_path: Path) -> None:
    supervising = Supervising(tmp_path, "deaf", "parent", "web", "beat")
    supervising.wait_for_all(4)
    wait_until(lambda: len(supervising.children()) == 5)
    supervising.stop()
    assert supervising.children() == []


def test_a_second_ctrl_c_stops_at_once_what_had_a_minute_to_end(tmp_path: Path) -> None:
    supervising = Supervising(tmp_path, "gpu", "worker", "web", "stubborn")
    supervising.wait_for_all(4)
    supervising.process.send_signal(signal.SIGINT)
    assert supervising.process.stdout is not None
    while "stopping; Ctrl-C again" not in supervising.process.stdout.readline():
        pass
    supervising.stop()  # gives it 30 s
    assert supervising.children() == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start stops them")
def test_no_program_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    supervising = Supervising(tmp_path, "gpu", "worker", "web", "beat")
    supervising.wait_for_all(4)
    supervising.process.kill()
    supervising.process.wait()
    wait_until(lambda: supervising.children() == [])


def test_the_numbers_of_its_programs_are_there_for_a_later_start(tmp_path: Path) -> None:
    supervising = Supervising(tmp_path, "gpu", "worker", "web", "beat")
    supervising.wait_for_all(4)
    wait_until((tmp_path / "processes.json").exists)
    ids = json.loads((tmp_path / "processes.json").read_text())
    assert sorted(ids) == sorted(supervising.starts(name)[0] for name in ("gpu", "worker", "web", "beat"))
    supervising.stop()
    assert not (tmp_path / "processes.json").exists()


def test_the_gpu_queue_has_a_worker_of_its_own_that_takes_one_job_at_a_time() -> None:
    commands = {program.name: " ".join(program.command) for program in programs("127.0.0.1:8000")}
    assert "-Q gpu -c 1" in commands["gpu"]
    assert "-Q default" in commands["worker"]
    assert list(commands) == ["gpu", "worker", "web", "beat"]
