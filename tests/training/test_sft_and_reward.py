"""SFT and reward model as they are run: what they write, how they stop, how they go on, what they refuse."""

import json
import random
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import preference_world
from tests.training.preference_world import LENGTHS, TINY, Snapshots
from tests.training.tiny_world import curve, run, run_until
from training.contract.rundir import RunDir
from training.engine.models import load_policy, load_reward
from training.engine.text import load_text

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    return preference_world.build(tmp_path_factory.mktemp("snapshots"), num_prompts=20)


@pytest.fixture(scope="module")
def sft(snapshots: Snapshots, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sft") / "run"
    assert run("sft", sft_config(snapshots), folder) == 0
    return folder


@pytest.fixture(scope="module")
def reward(snapshots: Snapshots, sft: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reward") / "run"
    assert run("reward", reward_config(snapshots, sft), folder) == 0
    return folder


def sft_config(snapshots: Snapshots, **changes: Any) -> dict[str, Any]:
    return TINY | {"dataset": str(snapshots.sft), "num_epochs": 3, "batch_size": 4, "checkpoint_every": 3} | changes


def reward_config(snapshots: Snapshots, sft: Path, **changes: Any) -> dict[str, Any]:
    values = {
        "init_model": str(sft / "outputs" / "model"),
        "dataset": str(snapshots.reward),
        "num_epochs": 8,
        "batch_size": 4,
        "learning_rate": 5e-3,
        "checkpoint_every": 3,
    }
    return LENGTHS | values | changes


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "outputs" / "report.json").read_text())
    return found


def test_sft_pretrains_then_learns_the_demonstrations_and_leaves_a_whole_model(sft: Path) -> None:
    manifest = RunDir(sft).verify_manifest()
    assert "outputs/model/model.safetensors" in manifest["files"]
    assert set(manifest["inputs"]) == {"dataset"}
    steps = curve(sft)
    assert [step for step, _ in steps] == list(range(1, 14))  # 4 of pretraining, 3 epochs of 12 demonstrations by 4
    assert ["pretrain/loss" in values for _, values in steps] == [True] * 4 + [False] * 9
    losses = [values["sft/loss"] or 0.0 for _, values in steps[4:]]
    assert losses[-1] < losses[0]
    text = load_text(str(sft / "outputs" / "model"))
    assert load_policy(str(sft / "outputs" / "model"), text).config.n_embd == 32
    status = RunDir(sft).read_status()
    assert status is not None
    assert (status.state, status.step, status.num_steps) == ("succeeded", 13, 13)


def test_sft_without_a_reward_model_selects_by_validation_loss_and_says_so(sft: Path) -> None:
    measured = {step: values["sft/valid_loss"] for step, values in curve(sft) if "sft/valid_loss" in values}
    assert list(measured) == [7, 10, 13]
    found = report(sft)
    assert found["selected_by"] == "validation loss"
    assert found["selected_value"] == min(value for value in measured.values() if value is not None)
    assert measured[found["selected_step"]] == found["selected_value"]


def test_sft_with_a_reward_model_selects_by_its_score(
    snapshots: Snapshots, sft: Path, reward: Path, tmp_path: Path
) -> None:
    config = sft_config(snapshots) | {
        "init_model": str(sft / "outputs" / "model"),
        "reward_model": str(reward / "outputs" / "model"),
        "validation_prompts": str(snapshots.prompts),
    }
    assert run("sft", config, tmp_path / "run") == 0
    measured = {s: values["sft/valid_reward"] for s, values in curve(tmp_path / "run") if "sft/valid_reward" in values}
    found = report(tmp_path / "run")
    assert found["selected_by"] == "reward-model score on validation prompts"
    assert found["selected_value"] == max(value for value in measured.values() if value is not None)
    assert "pretrain/loss" not in curve(tmp_path / "run")[0][1]


def test_the_reward_model_finds_the_preference_on_prompts_it_never_saw(reward: Path) -> None:
    accuracy = report(reward)["accuracy"]
    assert accuracy["test"]["value"] > 0.8
    assert accuracy["valid"]["num_prompts"] == accuracy["test"]["num_prompts"] == 4
    assert accuracy["held_out_labelers"]["num_pairs"] == 20 * 6
    assert report(reward)["human_agreement"]["value"] == 1.0
    assert RunDir(reward).verify_manifest()["inputs"].keys() == {"dataset"}


def test_the_published_bias_makes_the_mean_training_response_zero(reward: Path) -> None:
    found = report(reward)
    folder = str(reward / "outputs" / "model")
    assert float(load_reward(folder, load_text(folder)).score.bias) == pytest.approx(found["bias"], rel=1e-6)
    assert found["bias_reference"] == "mean of the training responses"


def test_rankings_of_held_out_labelers_change_no_weight(
    snapshots: Snapshots, sft: Path, reward: Path, tmp_path: Path
) -> None:
    from training.engine import data

    rows = [row for row in data.read_reward(snapshots.reward).rows if not row.held_out]
    data.write_snapshot(tmp_path / "without", "reward", rows)
    config = reward_config(snapshots, sft, dataset=str(tmp_path / "without"))
    assert run("reward", config, tmp_path / "run") == 0
    assert curve(tmp_path / "run") == curve(reward)


@pytest.mark.parametrize("stage", ["sft", "reward"])
def test_a_run_killed_at_any_step_has_the_same_curve_to_the_last_digit(
    stage: str, snapshots: Snapshots, sft: Path, reward: Path, tmp_path: Path
) -> None:
    config = sft_config(snapshots, dropout=0.2) if stage == "sft" else reward_config(snapshots, sft)
    whole = reward
    if stage == "sft":  # with dropout, so that the generators' state is in the curve
        whole = tmp_path / "whole"
        assert run_until("sft", config, whole, step=10**9, kill=signal.SIGKILL) == 0
    steps = random.SystemRandom().sample(range(2, len(curve(whole))), 2)
    if stage == "sft":
        steps.append(4)  # the last of pretraining, whose optimizers the checkpoint of step 3 holds
    for step in sorted(steps):
        assert run_until(stage, config, tmp_path / "run", step=step, kill=signal.SIGKILL) == -signal.SIGKILL, steps
    assert run_until(stage, config, tmp_path / "run", step=10**9, kill=signal.SIGKILL) == 0
    assert curve(tmp_path / "run") == curve(whole), f"killed at {steps}"
    assert report(tmp_path / "run") == report(whole)
    weights = "outputs/model/model.safetensors"
    assert (tmp_path / "run" / weights).read_bytes() == (whole / weights).read_bytes()


def test_a_cancelled_run_leaves_a_checkpoint_and_goes_on_from_it(
    snapshots: Snapshots, sft: Path, reward: Path, tmp_path: Path
) -> None:
    config = reward_config(snapshots, sft)
    assert run_until("reward", config, tmp_path / "run", step=5, kill=signal.SIGTERM) == 3
    status = RunDir(tmp_path / "run").read_status()
    assert status is not None
    assert (status.state, status.step) == ("cancelled", 5)
    assert RunDir(tmp_path / "run").read_manifest() is None
    assert (tmp_path / "run" / "checkpoints" / "step-00000005").is_dir()
    assert run_until("reward", config, tmp_path / "run", step=10**9, kill=signal.SIGTERM) == 0
    assert curve(tmp_path / "run") == curve(reward)


def test_a_damaged_checkpoint_costs_steps_and_not_the_run(
    snapshots: Snapshots, sft: Path, reward: Path, tmp_path: Path
) -> None:
    config = reward_config(snapshots, sft)
    run_until("reward", config, tmp_path / "run", step=8, kill=signal.SIGKILL)
    newest = max((tmp_path / "run" / "checkpoints").glob("step-*"))
    (newest / "tensors.safetensors").write_bytes(b"damaged")
    assert run("reward", config, tmp_path / "run") == 0
    assert curve(tmp_path / "run") == curve(reward)
    assert "is refused" in (tmp_path / "run" / "log.txt").read_text()


def test_a_finished_run_is_not_done_again(reward: Path, snapshots: Snapshots, sft: Path) -> None:
    before = (reward / "metrics.jsonl").read_bytes()
    assert run("reward", reward_config(snapshots, sft), reward) == 0
    assert (reward / "metrics.jsonl").read_bytes() == before


def test_micro_batches_change_memory_and_not_the_result(
    snapshots: Snapshots, sft: Path, reward: Path, tmp_path: Path
) -> None:
    assert run("reward", reward_config(snapshots, sft, micro_batch_size=1, max_steps=3), tmp_path / "small") == 0
    assert run("reward", reward_config(snapshots, sft, micro_batch_size=4, max_steps=3), tmp_path / "large") == 0
    for (_, small), (_, large) in zip(curve(tmp_path / "small"), curve(tmp_path / "large"), strict=True):
        assert small["reward/loss"] == pytest.approx(large["reward/loss"], rel=1e-5)
        assert small["reward/gradient_norm"] == pytest.approx(large["reward/gradient_norm"], rel=1e-4)


def failure(folder: Path) -> dict[str, str]:
    status = RunDir(folder).read_status()
    assert status is not None
    assert status.state == "failed"
    assert status.error is not None
    return status.error


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"lerning_rate": 1.0}, "lerning_rate"),
        ({"dataset": "/nowhere"}, "dataset"),
        ({"init_model": "./nowhere"}, "init_model"),
        ({"device": "cuda"}, "device"),
    ],
)
def test_a_wrong_config_fails_before_a_model_loads_and_names_the_field(
    changes: dict[str, Any], field: str, snapshots: Snapshots, tmp_path: Path
) -> None:
    if field == "device" and torch.cuda.is_available():
        changes, field = {"device": "tpu"}, "device"
    config = LENGTHS | {"init_model": "some/name", "dataset": str(snapshots.reward)} | changes
    assert run("reward", config, tmp_path / "run") == 1
    error = failure(tmp_path / "run")
    assert (error["type"], error["field"]) == ("ConfigError", field)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_snapshot_that_was_tampered_with_is_refused(snapshots: Snapshots, sft: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reward"
    folder.mkdir()
    (folder / "data.parquet").write_bytes((snapshots.reward / "data.parquet").read_bytes())
    manifest = json.loads((snapshots.reward / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"sha256": "0" * 64}))
    assert run("reward", reward_config(snapshots, sft, dataset=str(folder)), tmp_path / "run") == 1
    assert "content hash differs" in failure(tmp_path / "run")["message"]


def test_a_snapshot_of_another_kind_is_refused(snapshots: Snapshots, sft: Path, tmp_path: Path) -> None:
    assert run("reward", reward_config(snapshots, sft, dataset=str(snapshots.sft)), tmp_path / "run") == 1
    assert "'reward' is wanted" in failure(tmp_path / "run")["message"]


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_batch(
    snapshots: Snapshots, sft: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    model = tmp_path / "model"
    model.mkdir()
    for file in (sft / "outputs" / "model").iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    weights = load_file(model / "model.safetensors")
    weights["transformer.wte.weight"][:] = float("nan")
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    for stage, config in (
        ("reward", reward_config(snapshots, sft, init_model=str(model))),
        ("sft", sft_config(snapshots, init_model=str(model))),
    ):
        assert run(stage, config, tmp_path / stage) == 1
        assert failure(tmp_path / stage)["type"] == "NonFiniteError"
        assert "input_ids" in load_file(tmp_path / stage / "nonfinite_batch.safetensors")
        assert RunDir(tmp_path / stage).read_manifest() is None
        assert not list((tmp_path / stage / "checkpoints").iterdir())


def test_another_config_in_the_same_run_directory_is_refused(snapshots: Snapshots, sft: Path, tmp_path: Path) -> None:
    config = reward_config(snapshots, sft)
    assert run_until("reward", config, tmp_path / "run", step=4, kill=signal.SIGTERM) == 3
    assert run("reward", config | {"seed": 1}, tmp_path / "run") == 1
    assert "differs from the config" in failure(tmp_path / "run")["message"]
