"""The run directory: half-written files are never seen, and a manifest notices every change."""

import json
from pathlib import Path

import pytest

from training.contract.rundir import RunDir, RunDirError, Status, write_json


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    run_dir = RunDir(tmp_path / "run")
    run_dir.create()
    return run_dir


def status(**changes: object) -> Status:
    values = {"state": "running", "phase": "train", "step": 3, "num_steps": 10, "started_at": 1.0, "updated_at": 2.0}
    return Status(**(values | changes))  # type: ignore[arg-type]


def test_a_status_is_read_back_and_is_none_before_the_first(run_dir: RunDir) -> None:
    assert run_dir.read_status() is None
    run_dir.write_status(status(eta_s=12.5))
    assert run_dir.read_status() == status(eta_s=12.5)
    assert status().progress == 0.3


def test_writing_a_status_leaves_no_temporary_file(run_dir: RunDir) -> None:
    run_dir.write_status(status())
    assert [path.name for path in run_dir.path.iterdir() if path.is_file()] == ["status.json"]


def test_a_status_has_an_error_exactly_when_it_failed() -> None:
    for changes in ({"state": "failed"}, {"error": {"type": "X", "message": "y"}}, {"state": "lost"}):
        with pytest.raises(RunDirError):
            status(**changes)


def test_metrics_are_read_on_from_an_offset(run_dir: RunDir) -> None:
    assert run_dir.read_metrics() == ([], 0)
    run_dir.append_metrics(1, {"sft/loss": 2.0}, now=5.0)
    rows, offset = run_dir.read_metrics()
    assert [(row.step, row.time, row.values) for row in rows] == [(1, 5.0, {"sft/loss": 2.0})]
    assert run_dir.read_metrics(offset) == ([], offset)
    run_dir.append_metrics(2, {"sft/loss": 1.0})
    assert [row.step for row in run_dir.read_metrics(offset)[0]] == [2]


def test_a_half_written_last_line_is_left_for_later(run_dir: RunDir) -> None:
    run_dir.append_metrics(1, {"x": 1.0})
    whole = run_dir.metrics_path.read_bytes()
    run_dir.metrics_path.write_bytes(whole + whole[:9])
    rows, offset = run_dir.read_metrics()
    assert (len(rows), offset) == (1, len(whole))
    run_dir.metrics_path.write_bytes(whole + whole)
    assert len(run_dir.read_metrics(offset)[0]) == 1


def test_a_value_that_is_not_finite_is_null_in_the_file(run_dir: RunDir) -> None:
    run_dir.append_metrics(1, {"x": float("inf"), "y": float("nan"), "z": 1})
    assert json.loads(run_dir.metrics_path.read_text())["values"] == {"x": None, "y": None, "z": 1.0}


def test_taking_steps_back_drops_later_lines_and_a_reader_starts_again(run_dir: RunDir) -> None:
    for step in (1, 2, 2, 3):
        run_dir.append_metrics(step, {"x": step})
    with run_dir.metrics_path.open("a") as file:
        file.write('{"step": 4, "ti')
    _, offset = run_dir.read_metrics()
    run_dir.truncate_metrics(2)
    assert [row.step for row in run_dir.read_metrics()[0]] == [1, 2, 2]
    assert [row.step for row in run_dir.read_metrics(offset)[0]] == [1, 2, 2]


def test_taking_steps_back_without_metrics_makes_no_file(run_dir: RunDir) -> None:
    run_dir.truncate_metrics(0)
    assert not run_dir.metrics_path.exists()


def test_the_log_is_read_on_from_an_offset(run_dir: RunDir) -> None:
    assert run_dir.read_log() == ("", 0)
    run_dir.log_path.write_text("grün\n")
    text, offset = run_dir.read_log()
    assert (text, offset) == ("grün\n", 6)


def finished(run_dir: RunDir) -> RunDir:
    write_json(run_dir.config_path, {"seed": 0})
    (run_dir.outputs / "model").mkdir()
    (run_dir.outputs / "model" / "weights").write_bytes(b"abc")
    (run_dir.checkpoints / "old").write_bytes(b"not published")
    run_dir.write_manifest(stage="sft", summary={"loss": 1.5}, inputs={"dataset": "0" * 64})
    return run_dir


def test_a_manifest_covers_the_config_and_every_output_and_nothing_else(run_dir: RunDir) -> None:
    assert run_dir.read_manifest() is None
    manifest = finished(run_dir).verify_manifest()
    assert set(manifest["files"]) == {"config.json", "outputs/model/weights"}
    assert (manifest["stage"], manifest["summary"], manifest["inputs"]) == ("sft", {"loss": 1.5}, {"dataset": "0" * 64})
    assert manifest["files"]["outputs/model/weights"]["bytes"] == 3


def test_a_changed_or_missing_output_is_named(run_dir: RunDir) -> None:
    weights = finished(run_dir).outputs / "model" / "weights"
    weights.write_bytes(b"abd")
    with pytest.raises(RunDirError, match="outputs/model/weights: changed"):
        run_dir.verify_manifest()
    weights.unlink()
    with pytest.raises(RunDirError, match="outputs/model/weights: missing"):
        run_dir.verify_manifest()


def test_a_run_without_a_manifest_is_not_complete(run_dir: RunDir) -> None:
    with pytest.raises(RunDirError, match="not complete"):
        run_dir.verify_manifest()


def test_a_manifest_that_leads_out_of_the_run_directory_is_refused(run_dir: RunDir) -> None:
    manifest = finished(run_dir).read_manifest()
    assert manifest is not None
    manifest["files"] = {"../../etc/passwd": {"sha256": "", "bytes": 0}}
    write_json(run_dir.manifest_path, manifest)
    with pytest.raises(RunDirError, match="leads out"):
        run_dir.verify_manifest()


def test_a_broken_status_is_an_error_not_a_missing_one(run_dir: RunDir) -> None:
    run_dir.status_path.write_text("{")
    with pytest.raises(RunDirError, match=r"status\.json"):
        run_dir.read_status()


def test_use_of_the_machine_is_read_on_from_the_end_of_a_line(run_dir: RunDir) -> None:
    assert run_dir.read_usage() == []
    run_dir.append_usage({"system/cpu_percent": 12.5, "system/gpu_percent": float("nan")})
    (first,) = run_dir.read_usage()
    assert first.values == {"system/cpu_percent": 12.5, "system/gpu_percent": None}
    run_dir.append_usage({"system/cpu_percent": 50})
    with run_dir.usage_path.open("a") as file:
        file.write('{"time": 1, "val')  # the stage is writing
    (second,) = run_dir.read_usage(first.end)
    assert second.values == {"system/cpu_percent": 50}
    assert run_dir.read_usage(second.end) == []
