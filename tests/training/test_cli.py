"""The shared command line: one process per run, one end with the parent, a status for every way to fail."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from training import cli
from training.cli import Result, run_stage
from training.contract import configs
from training.contract.rundir import RunDir
from training.engine.runlog import RunLog

ROOT = Path(__file__).parents[2]


def arguments(tmp_path: Path, values: Mapping[str, Any] | None = None) -> list[str]:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(values if values is not None else {"init_model": "tiny", "dataset": "inputs/data"}))
    data = tmp_path / "run" / "inputs" / "data"
    data.mkdir(parents=True, exist_ok=True)
    return ["--config", str(config), "--run-dir", str(tmp_path / "run"), "--outlive-parent"]


def test_a_stage_that_ends_well_leaves_manifest_config_and_status(tmp_path: Path) -> None:
    def stage(config: Any, run_dir: RunDir, log: RunLog) -> Result:
        (run_dir.outputs / "answer").write_text("42")
        assert Path(config.dataset) == tmp_path / "run" / "inputs" / "data"  # paths in the run directory are found
        return Result(summary={"loss": 1.0}, inputs={"dataset": "hash"})

    assert run_stage("sft", stage, arguments(tmp_path)) == 0
    run_dir = RunDir(tmp_path / "run")
    assert set(run_dir.verify_manifest()["files"]) == {"config.json", "outputs/answer"}
    kept = json.loads(run_dir.config_path.read_text())
    assert kept["dataset"] == "inputs/data"  # as it was given, so that the folder can move
    assert set(kept) == {spec.name for spec in configs.specs(configs.STAGES["sft"])}
    status = run_dir.read_status()
    assert status is not None
    assert status.state == "succeeded"


def test_a_stage_that_raises_says_why_in_status_and_log(tmp_path: Path) -> None:
    def stage(config: Any, run_dir: RunDir, log: RunLog) -> Result:
        raise OSError(28, "No space left on device")

    assert run_stage("sft", stage, arguments(tmp_path)) == 1
    status = RunDir(tmp_path / "run").read_status()
    assert status is not None
    assert status.error == {"type": "OSError", "message": "[Errno 28] No space left on device"}
    assert "Traceback" in (tmp_path / "run" / "log.txt").read_text()
    assert not (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize("values", [{"init_model": "tiny"}, {"init_model": "tiny", "dataset": "x", "seed": "0"}])
def test_a_wrong_config_is_a_failure_that_names_its_field(tmp_path: Path, values: dict[str, Any]) -> None:
    def stage(config: Any, run_dir: RunDir, log: RunLog) -> Result:
        raise AssertionError("a wrong config must not start a stage")

    assert run_stage("sft", stage, arguments(tmp_path, values)) == 1
    status = RunDir(tmp_path / "run").read_status()
    assert status is not None
    assert status.error is not None
    assert status.error["field"] == ("seed" if "seed" in values else "dataset")


def test_a_second_process_in_one_run_directory_is_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "LOCK_WAIT_S", 0.1)

    def inner(config: Any, run_dir: RunDir, log: RunLog) -> Result:
        raise AssertionError("two processes in one run")

    def outer(config: Any, run_dir: RunDir, log: RunLog) -> Result:
        before = run_dir.read_status()
        assert run_stage("sft", inner, arguments(tmp_path)) == 1
        assert run_dir.read_status() == before  # the running process's status is not touched
        return Result()

    assert run_stage("sft", outer, arguments(tmp_path)) == 0
    assert "in use" in capsys.readouterr().err


CHILD = """
import os, sys, time
from training.cli import Result, run_stage
def stage(config, run_dir, log):
    (run_dir.outputs / "pid").write_text(str(os.getpid()))
    time.sleep(60)
    return Result()
run_stage("sft", stage, sys.argv[1:])
"""


def test_a_stage_ends_with_its_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, *arguments(tmp_path)[:-1]]
    pid_file = tmp_path / "run" / "outputs" / "pid"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({command!r})"], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    wait_until(pid_file.exists, seconds=60)
    wait_until(lambda: pid_file.read_text() != "", seconds=30)
    child = int(pid_file.read_text())
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_alive(child), seconds=30)


def wait_until(condition: Any, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_the_overview_names_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"training.{stage}" in printed for stage in configs.STAGES)


@pytest.mark.parametrize("stage", configs.STAGES)
def test_a_printed_config_is_complete_and_every_field_is_explained(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["config", stage, "--preset", "paper"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert cli.main(["fields", stage]) == 0
    printed = capsys.readouterr().out
    assert set(values) == {spec.name for spec in configs.specs(configs.STAGES[stage])}
    assert all(f"  {name} (" in printed for name in values)


def test_a_config_file_can_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    file.write_text('{"init_model": "tiny", "dataset": "d"}')
    assert cli.main(["check", "sft", str(file)]) == 0
    file.write_text('{"init_model": "tiny", "dataset": "d", "num_epochs": 0}')
    assert cli.main(["check", "sft", str(file)]) == 1
    assert "num_epochs: must be at least 1" in capsys.readouterr().err
