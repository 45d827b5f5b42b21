"""What the PPO stage sets up before its first iteration, and under which precision it runs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training import tiny_world
from tests.training.tiny_world import World, curve, run
from training import ppo
from training.contract import configs
from training.contract.configs import PPOConfig
from training.engine import device, experience, models, ppo_iteration, ppo_progress
from training.engine.processes import ALONE
from training.engine.text import load_text

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


def build(world: World, **changes: Any) -> PPOConfig:
    config = configs.build("ppo", world.ppo | changes)
    assert isinstance(config, PPOConfig)
    return config


def with_dropout(folder: Path, target: Path) -> Path:
    """A model whose config asks for heavy dropout, as an SFT model's may."""
    shutil.copytree(folder, target)
    values = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(
        json.dumps(values | {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5, "dropout": 0.5})
    )
    return target


def test_adam_has_its_small_epsilon_and_no_weight_decay(world: World) -> None:
    config = build(world)
    text = load_text(str(world.policy))
    policy, reward = ppo._load_models(config, text, device.choose(config).device)
    judges = experience.Models(policy=policy, value=reward, reference=policy, reward=reward)
    learner = ppo._learner(config, judges, device.choose(config), ALONE)
    for optimizer in (learner.policy_optimizer, learner.value_optimizer):
        assert all(group["eps"] == 1e-5 and group["weight_decay"] == 0.0 for group in optimizer.param_groups)
        assert all(group["betas"] == (0.9, 0.95) for group in optimizer.param_groups)
    ppo_iteration.set_rates(learner, policy=1e-3, value=2e-3)
    assert {group["lr"] for group in learner.policy_optimizer.param_groups} == {1e-3}
    assert {group["lr"] for group in learner.value_optimizer.param_groups} == {2e-3}


def test_dropout_is_off_in_policy_and_reward_model_whatever_their_configs_say(world: World, tmp_path: Path) -> None:
    wet = {
        "policy_model": str(with_dropout(world.policy, tmp_path / "policy")),
        "reward_model": str(with_dropout(world.reward, tmp_path / "reward")),
        "num_episodes": 8,
    }
    assert run("ppo", world.ppo | wet, tmp_path / "wet") == 0
    assert run("ppo", world.ppo | {"num_episodes": 8}, tmp_path / "dry") == 0
    assert curve(tmp_path / "wet") == curve(tmp_path / "dry")


def test_weights_that_learn_are_fp32_when_the_forward_pass_is_bf16_and_the_ratio_still_starts_at_one(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, stored = experience.judge, {}

    def watched(models: experience.Models, *args: Any, **named: Any) -> experience.Judgement:
        for name, model in vars(models).items():
            stored[name] = {parameter.dtype for parameter in model.transformer.h.parameters() if parameter.dim() == 2}
        return judge(models, *args, **named)

    monkeypatch.setattr(experience, "judge", watched)
    assert run("ppo", world.ppo | {"precision": "bf16", "num_episodes": 16}, tmp_path / "run") == 0
    state = load_file(tmp_path / "run" / "checkpoints" / "step-00000002" / "tensors.safetensors")
    kinds = {tensor.dtype for name, tensor in state.items() if name.startswith(("/policy/", "/value/", "/average/"))}
    assert kinds == {torch.float32}
    assert stored["policy"] == stored["value"] == {torch.float32}
    assert stored["reference"] == stored["reward"] == {torch.bfloat16}
    published = load_file(tmp_path / "run" / "outputs" / "model" / "model.safetensors")
    assert {tensor.dtype for tensor in published.values()} == {torch.float32}
    values = [values for _, values in curve(tmp_path / "run")]
    assert [row["ppo/first_ratio_error"] for row in values] == [0.0, 0.0]
    assert all(0.0 < (row["ppo/sampler_difference"] or 0.0) < 0.2 for row in values)


def test_a_missing_end_is_replaced_or_penalised_as_the_config_says(world: World) -> None:
    penalised = ppo_iteration.reward_rule(build(world, missing_end_penalty=2.5), 0.02)
    replaced = ppo_iteration.reward_rule(build(world, missing_end_rule="replace", missing_end_score=-3.0), 0.02)
    assert (penalised.missing_end_rule, penalised.missing_end_amount) == ("penalise", 2.5)
    assert (replaced.missing_end_rule, replaced.missing_end_amount) == ("replace", -3.0)


def test_beta_is_constant_unless_control_is_adaptive(world: World) -> None:
    assert ppo_progress.steered(0.02, 100.0, build(world)) == 0.02
    adaptive = build(world, kl_control="adaptive", kl_target=6.0, kl_horizon=800)
    assert ppo_progress.steered(0.02, 100.0, adaptive) == pytest.approx(0.02 * (1 + 0.2 * 8 / 800))
    assert ppo_progress.steered(0.02, 0.0, adaptive) == pytest.approx(0.02 * (1 - 0.2 * 8 / 800))


def test_a_model_without_room_for_the_longest_row_is_refused_before_anything_is_sampled(
    world: World, tmp_path: Path
) -> None:
    assert run("ppo", world.ppo | {"max_new_tokens": 60}, tmp_path / "run") == 1
    assert "do not fit the model's 64 positions" in (tmp_path / "run" / "log.txt").read_text()
    assert curve(tmp_path / "run") == []


def test_the_reward_bias_counts_in_rewards_and_values(world: World, tmp_path: Path) -> None:
    text = load_text(str(world.reward))
    reward = models.load_reward(str(world.reward), text)
    models.set_reward_bias(reward, 10.0)
    models.save_model(reward, text, tmp_path / "shifted")
    changes = {"num_episodes": 8, "reward_model": str(tmp_path / "shifted")}
    assert run("ppo", world.ppo | {"num_episodes": 8}, tmp_path / "plain") == 0
    assert run("ppo", world.ppo | changes, tmp_path / "run") == 0
    (_, plain), (_, shifted) = curve(tmp_path / "plain")[0], curve(tmp_path / "run")[0]
    for name in ("ppo/reward", "ppo/value"):
        assert (shifted[name] or 0.0) - (plain[name] or 0.0) == pytest.approx(10.0, abs=1e-3)
