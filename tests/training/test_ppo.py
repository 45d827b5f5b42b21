"""The PPO stage as a process: what it writes, how it stops, how it goes on."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training import tiny_world
from tests.training.tiny_world import World, curve, run, run_until
from training.contract import configs
from training.contract.rundir import RunDir
from training.engine import measure

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def finished(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed PPO-ptx run that others are compared with."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert run("ppo", ptx(world), folder) == 0
    return folder


def ptx(world: World) -> dict[str, Any]:
    return world.ppo | {
        "pretraining_text": str(world.text),
        "ptx_coef": 1.0,
        "ptx_examples_per_episode": 1,
        "ptx_sequence_tokens": 16,
        "best_of": 4,
    }


def test_a_run_leaves_a_whole_model_and_its_figures(finished: Path) -> None:
    manifest = RunDir(finished).verify_manifest()
    assert "outputs/model/model.safetensors" in manifest["files"]
    assert "outputs/model/tokenizer.json" in manifest["files"]
    summary = manifest["summary"]
    assert (summary["num_iterations"], summary["num_episodes"]) == (6, 48)
    assert summary["valid_kl_before"] == 0.0
    assert {"valid_reward_before", "valid_reward_after", "valid_kl_after"} <= set(summary)
    assert len(manifest["inputs"]["prompts"]) == len(manifest["inputs"]["pretraining_text"]) == 64
    assert [step for step, _ in curve(finished)] == [1, 2, 3, 4, 5, 6]


def test_the_best_of_several_answers_is_measured_for_comparison(finished: Path) -> None:
    # 4 answers of a prompt are worth at least its first, which is the one that is measured before training.
    summary = RunDir(finished).verify_manifest()["summary"]
    assert summary["valid_best_of_reward"] > summary["valid_reward_before"]
    assert summary["valid_best_of_kl"] == pytest.approx(1.3862944 - 0.75)
    assert measure.best_of([1.0, 3.0, 2.0, -1.0, -5.0, -2.0], 3) == [3.0, -1.0]
    assert measure.best_of_kl(1) == 0.0


def test_some_responses_end_and_some_are_cut_and_the_cut_ones_pay(finished: Path) -> None:
    shares = [values["ppo/missing_end_share"] or 0.0 for _, values in curve(finished)]
    assert 0.0 < sum(shares) / len(shares) < 1.0
    for _, values in curve(finished):
        assert values["ppo/score"] == pytest.approx(values["ppo/reward"] - values["ppo/missing_end_share"], abs=1e-5)


def test_every_iteration_starts_from_a_ratio_of_exactly_one(finished: Path) -> None:
    assert [values["ppo/first_ratio_error"] for _, values in curve(finished)] == [0.0] * 6
    assert all((values["ppo/ratio_error"] or 0.0) > 0.0 for _, values in curve(finished))


def test_left_padded_sampling_and_right_padded_scoring_agree_and_the_difference_is_logged(finished: Path) -> None:
    for _, values in curve(finished):
        assert (values["ppo/sampler_difference"] or 0.0) < 1e-4
        assert (values["ppo/padding_difference"] or 0.0) < 1e-4


def test_the_learning_rate_warms_up_from_a_tenth(finished: Path) -> None:
    rates = [values["ppo/learning_rate"] for _, values in curve(finished)]
    assert rates == pytest.approx([0.3e-4, 1.2e-4, 2.1e-4, 3e-4, 3e-4, 3e-4])


def test_the_moving_average_is_what_is_published(finished: Path, world: World) -> None:
    state = load_file(finished / "checkpoints" / "step-00000006" / "tensors.safetensors")
    published = load_file(finished / "outputs" / "model" / "model.safetensors")
    last, average = state["/policy/transformer.wte.weight"], state["/average/0"]
    start = load_file(world.policy / "model.safetensors")["transformer.wte.weight"]
    assert torch.equal(published["transformer.wte.weight"], average)
    assert not torch.equal(average, last)
    assert (average - start).norm() < (last - start).norm()


def test_without_a_moving_average_the_last_weights_are_published(world: World, tmp_path: Path) -> None:
    assert run("ppo", world.ppo | {"num_episodes": 16, "ema_decay": 0.0, "num_valid_prompts": 0}, tmp_path) == 0
    state = load_file(tmp_path / "checkpoints" / "step-00000002" / "tensors.safetensors")
    published = load_file(tmp_path / "outputs" / "model" / "model.safetensors")
    start = load_file(world.policy / "model.safetensors")
    for name, weights in published.items():
        assert torch.equal(weights, state[f"/policy/{name}"])
    assert any(not torch.equal(weights, start[name]) for name, weights in published.items())


def test_the_value_function_starts_as_the_reward_model_and_has_its_own_weights(finished: Path, world: World) -> None:
    state = load_file(finished / "checkpoints" / "step-00000006" / "tensors.safetensors")
    reward = load_file(world.reward / "model.safetensors")
    for name in ("transformer.wte.weight", "score.weight"):
        value = state[f"/value/{name}"]
        assert not torch.equal(value, reward[name])
        assert (value - reward[name]).norm() < 0.2 * reward[name].norm()
    assert not torch.equal(state["/value/transformer.wte.weight"], state["/policy/transformer.wte.weight"])


def test_two_runs_of_one_config_are_the_same_to_the_last_digit_and_another_seed_is_not(
    finished: Path, world: World, tmp_path: Path
) -> None:
    assert run("ppo", ptx(world), tmp_path / "again") == 0
    assert curve(tmp_path / "again") == curve(finished)
    assert run("ppo", ptx(world) | {"seed": 1, "num_episodes": 8}, tmp_path / "other") == 0
    assert curve(tmp_path / "other")[0] != curve(finished)[0]


@pytest.mark.parametrize("step", [1, 3])
def test_a_run_killed_at_any_step_and_resumed_has_the_same_curve_to_the_last_digit(
    finished: Path, world: World, tmp_path: Path, step: int
) -> None:
    # checkpoints are kept at 2, 4, 6: one kill comes before the first, the other has a step to take back
    folder = tmp_path / "run"
    assert run_until("ppo", ptx(world), folder, step=step, kill=signal.SIGKILL) == -signal.SIGKILL
    assert [number for number, _ in curve(folder)] == list(range(1, step + 1))
    assert RunDir(folder).read_manifest() is None
    assert run("ppo", ptx(world), folder) == 0
    assert curve(folder) == curve(finished)
    published = [load_file(path / "outputs" / "model" / "model.safetensors") for path in (folder, finished)]
    assert all(torch.equal(published[0][name], published[1][name]) for name in published[1])


def test_sigterm_writes_a_checkpoint_exits_3_and_the_next_start_goes_on(
    finished: Path, world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert run_until("ppo", ptx(world), folder, step=3, kill=signal.SIGTERM) == 3
    status = RunDir(folder).read_status()
    assert status is not None
    assert (status.state, status.step) == ("cancelled", 3)
    assert (folder / "checkpoints" / "step-00000003" / "hashes.json").exists()
    assert not (folder / "outputs" / "model").exists()
    assert run("ppo", ptx(world), folder) == 0
    assert curve(folder) == curve(finished)


def test_numbers_that_are_not_finite_stop_the_run_and_keep_the_batch(world: World, tmp_path: Path) -> None:
    broken = tmp_path / "reward"
    broken.mkdir()
    for file in world.reward.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = load_file(broken / "model.safetensors")
    weights["score.weight"] = weights["score.weight"] * float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    folder = tmp_path / "run"
    assert run("ppo", world.ppo | {"reward_model": str(broken)}, folder) == 1
    status = RunDir(folder).read_status()
    assert status is not None
    assert status.error is not None
    assert status.error["type"] == "NonFiniteError"
    batch = load_file(folder / "nonfinite_batch.safetensors")
    assert batch["input_ids"].shape[0] == 8
    assert not (folder / "outputs" / "model").exists()


def test_the_run_stops_early_and_successfully_at_its_kl_budget_when_asked(world: World, tmp_path: Path) -> None:
    changes = {
        "stop_at_kl_budget": True,
        "kl_budget": 0.0,
        "learning_rate": 3e-3,
        "warmup_iterations": 0,
        "kl_coef": 0.0,
    }
    assert run("ppo", world.ppo | changes, tmp_path / "run") == 0
    summary = json.loads((tmp_path / "run" / "manifest.json").read_text())["summary"]
    assert summary["stopped_at_kl_budget"] is True
    assert summary["num_iterations"] < 6
    assert "stopped at iteration" in (tmp_path / "run" / "log.txt").read_text()


def test_a_reward_model_with_another_tokenizer_is_refused_by_name(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in world.reward.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert run("ppo", world.ppo | {"reward_model": str(other)}, tmp_path / "run") == 1
    status = RunDir(tmp_path / "run").read_status()
    assert status is not None
    assert status.error is not None
    assert status.error["field"] == "reward_model"


def test_the_defaults_are_those_of_the_paper_where_size_does_not_matter() -> None:
    for name in configs.PRESETS:
        values = configs.preset("ppo", name)
        assert (values["num_inner_epochs"], values["kl_control"], values["temperature"]) == (1, "fixed", 1.0)
        assert (values["adam_epsilon"], values["weight_decay"], values["gae_lambda"]) == (1e-5, 0.0, 0.95)
    assert configs.preset("ppo", "paper")["kl_coef"] == configs.preset("ppo", "small-gpu")["kl_coef"] == 0.02
