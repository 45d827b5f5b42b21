"""Progress as the page shows it, and being asked to stop."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.contract.rundir import RunDir
from training.engine import runlog
from training.engine.runlog import RunLog


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunLog:
    monkeypatch.setattr(runlog, "STATUS_INTERVAL_S", 0.0)
    run_dir = RunDir(tmp_path)
    run_dir.create()
    return RunLog(run_dir)


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_eta_is_the_step_time_times_the_steps_that_remain(log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    log.plan(10)
    log.phase("train")
    for step in (1, 2):
        clock[0] += 3.0
        log.step_done(step)
    status = log.run_dir.read_status()
    assert status is not None
    assert (status.step, status.num_steps, status.phase, status.eta_s) == (2, 10, "train", 24.0)


def test_a_new_phase_has_no_eta_until_a_step_of_it_was_timed(log: RunLog) -> None:
    log.plan(10)
    log.phase("pretrain")
    log.step_done(1)
    log.phase("sft")
    status = log.run_dir.read_status()
    assert status is not None
    assert (status.phase, status.eta_s) == ("sft", None)


def test_a_resumed_run_keeps_its_first_start_and_drops_later_metrics(log: RunLog) -> None:
    log.phase("train")
    for step in (1, 2, 3):
        log.metrics(step, {"x": step})
    first = log.run_dir.read_status()
    again = RunLog(log.run_dir)
    again.resume(2)
    again.phase("train")
    second = log.run_dir.read_status()
    assert first is not None
    assert second is not None
    assert second.started_at == first.started_at
    assert second.step == 2
    assert [row.step for row in log.run_dir.read_metrics()[0]] == [1, 2]
    assert "going on after step 2" in log.run_dir.log_path.read_text()


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_and_does_not_kill(log: RunLog, number: signal.Signals) -> None:
    log.listen_for_cancel()
    assert not log.cancel_asked
    os.kill(os.getpid(), number)
    assert log.cancel_asked


def test_a_line_that_stderr_already_carries_to_the_log_is_there_once(
    log: RunLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with log.run_dir.log_path.open("a", encoding="utf-8") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        log.say("hello")
    assert log.run_dir.log_path.read_text().count("hello") == 1
