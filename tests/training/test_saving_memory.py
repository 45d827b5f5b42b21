"""LoRA, recomputed activations, bf16 and Liger in the stages: the curves they must not change, and what they leave."""

import json
import random
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training import preference_world, tiny_world
from tests.training.preference_world import Snapshots
from tests.training.test_tree import PAD, an_element, reward_model
from tests.training.tiny_world import World, curve, run, run_until
from training.contract.configs import RewardConfig
from training.contract.rundir import RunDir
from training.engine import models
from training.engine.rewards import LAYOUTS, choose_layout

pytestmark = pytest.mark.slow

Run = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    return preference_world.build(tmp_path_factory.mktemp("snapshots"), num_prompts=20)


@pytest.fixture(params=["sft", "reward", "ppo"])
def stage(request: pytest.FixtureRequest, world: World, snapshots: Snapshots) -> Run:
    """Each stage that trains, starting from a model, as a run of a few steps."""
    common = {"init_model": str(world.policy), "max_steps": 6, "batch_size": 4, "checkpoint_every": 2}
    lengths = {"max_prompt_tokens": 32, "max_response_tokens": 32}
    configs = {
        "sft": common | lengths | {"dataset": str(snapshots.sft)},
        "reward": common | lengths | {"dataset": str(snapshots.reward), "learning_rate": 1e-3},
        "ppo": world.ppo | {"num_episodes": 32},
    }
    return request.param, configs[request.param]


def finish(stage: Run, folder: Path, **changes: Any) -> Path:
    assert run(stage[0], stage[1] | changes, folder) == 0, (folder / "log.txt").read_text()
    return folder


def loss_curve(stage: Run, folder: Path) -> list[float]:
    name = {"sft": "sft/loss", "reward": "reward/loss", "ppo": "ppo/value_loss"}[stage[0]]
    return [values[name] or 0.0 for _, values in curve(folder)]


def test_recomputed_activations_change_nothing(stage: Run, tmp_path: Path) -> None:
    plain = finish(stage, tmp_path / "plain")
    recomputed = finish(stage, tmp_path / "recomputed", gradient_checkpointing=True)
    assert loss_curve(stage, recomputed) == pytest.approx(loss_curve(stage, plain), rel=1e-6)
    if stage[0] == "ppo":
        assert [values["ppo/first_ratio_error"] for _, values in curve(recomputed)] == [0.0] * 4


@pytest.mark.parametrize("family", ["gpt2", "qwen3"])
@pytest.mark.parametrize("layout", ["rows", "tree"])
def test_layers_really_are_computed_again_and_give_the_same_gradients(family: str, layout: str) -> None:
    draw = random.Random(0)
    elements = [an_element(draw, k=3, prompt=9), an_element(draw, k=2, prompt=5)]
    gradients, num_calls = [], []
    for wanted in (False, True):
        model = reward_model(family)
        config = RewardConfig(init_model="m", dataset="d", gradient_checkpointing=wanted)
        models.prepare_training(model, config)
        choose_layout(model, layout)
        calls: list[int] = []
        for name, module in model.named_modules():
            if name.endswith(".mlp"):
                module.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        with models.learning(model):
            LAYOUTS[layout](model, elements, pad_id=PAD).square().sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
        num_calls.append(len(calls))
        assert not model.training
    assert num_calls == [2, 4]
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain, rtol=1e-9, atol=1e-12)


def test_adapters_learn_and_the_published_model_is_plain(stage: Run, world: World, tmp_path: Path) -> None:
    folder = finish(stage, tmp_path / "run", lora_rank=2, learning_rate=3e-3)
    published = load_file(folder / "outputs" / "model" / "model.safetensors")
    start = load_file(world.policy / "model.safetensors")
    assert not any("lora" in name or "base_layer" in name for name in published)
    assert not (folder / "outputs" / "model" / "adapter_config.json").exists()
    assert torch.equal(published["transformer.wte.weight"], start["transformer.wte.weight"])
    name = "transformer.h.0.attn.c_attn.weight"
    assert not torch.equal(published[name], start[name])
    assert "of which learn" in (folder / "log.txt").read_text()


def test_a_run_with_adapters_goes_on_after_a_kill_to_the_last_digit(stage: Run, tmp_path: Path) -> None:
    changes = {"lora_rank": 2, "learning_rate": 3e-3}
    whole = finish(stage, tmp_path / "whole", **changes)
    folder = tmp_path / "run"
    assert run_until(stage[0], stage[1] | changes, folder, step=3, kill=signal.SIGKILL) == -signal.SIGKILL
    finish(stage, folder, **changes)
    assert curve(folder) == curve(whole)
    weights = "outputs/model/model.safetensors"
    assert (folder / weights).read_bytes() == (whole / weights).read_bytes()


def test_ppo_with_adapters_starts_at_a_ratio_of_one_and_no_kl(world: World, tmp_path: Path) -> None:
    folder = finish(("ppo", world.ppo), tmp_path / "run", lora_rank=2, learning_rate=3e-3, num_episodes=32)
    steps = [values for _, values in curve(folder)]
    assert [values["ppo/first_ratio_error"] for values in steps] == [0.0] * 4
    assert steps[0]["ppo/kl"] == 0.0
    assert abs(steps[-1]["ppo/kl"] or 0.0) > 0.0
    summary = json.loads((folder / "manifest.json").read_text())["summary"]
    assert summary["valid_kl_before"] == 0.0
    assert summary["valid_kl_after"] != 0.0


def test_weights_stay_fp32_when_the_forward_pass_is_bf16(stage: Run, tmp_path: Path) -> None:
    exact = finish(stage, tmp_path / "fp32")
    folder = finish(stage, tmp_path / "bf16", precision="bf16")
    published = load_file(folder / "outputs" / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in published.values()} == {torch.float32}
    newest = max((folder / "checkpoints").glob("step-*"))
    kept = load_file(newest / "tensors.safetensors")
    moments = [tensor for name, tensor in kept.items() if name.endswith(("exp_avg", "exp_avg_sq"))]
    assert moments
    assert {tensor.dtype for tensor in moments} == {torch.float32}
    first, exact_first = loss_curve(stage, folder)[0], loss_curve(stage, exact)[0]
    assert first != exact_first
    if stage[0] != "ppo":  # in PPO the sampled responses differ
        assert first == pytest.approx(exact_first, rel=0.02)


def test_liger_without_a_gpu_is_refused_by_name_before_a_model_loads(stage: Run, tmp_path: Path) -> None:
    assert run(stage[0], stage[1] | {"use_liger": True, "device": "cpu"}, tmp_path / "run") == 1
    status = RunDir(tmp_path / "run").read_status()
    assert status is not None
    assert status.error is not None
    assert status.error["field"] == "use_liger"


def test_a_model_that_is_pretrained_here_gets_no_adapters(snapshots: Snapshots, tmp_path: Path) -> None:
    config = {"init_model": "tiny", "dataset": str(snapshots.sft), "lora_rank": 4}
    assert run("sft", config, tmp_path / "run") == 1
    status = RunDir(tmp_path / "run").read_status()
    assert status is not None
    assert status.error is not None
    assert status.error["field"] == "lora_rank"
