"""SFT, reward model and PPO sharded by FSDP2 over two CPU processes: the curve of one process, checkpoints that go on,
a plain model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training import preference_world, tiny_world
from tests.training.preference_world import Snapshots
from tests.training.test_processes import DRIFTING, LAUNCH, STOP_AT, as_launched, config, launch
from tests.training.tiny_world import World, curve, run
from training.contract.configs import ConfigError
from training.contract.rundir import RunDir
from training.engine import sharding
from training.engine.processes import ALONE

pytestmark = pytest.mark.slow

FSDP = [*(word for word in LAUNCH if word != "--multi_gpu"), "--use_fsdp", "--fsdp_version", "2"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    return preference_world.build(tmp_path_factory.mktemp("snapshots"), num_prompts=20)


@pytest.mark.parametrize("stage", ["sft", "sft by reward", "reward"])
def test_a_sharded_run_has_the_curve_of_one_process_stops_and_goes_on_and_publishes_a_plain_model(
    stage: str, world: World, snapshots: Snapshots, tmp_path: Path
) -> None:
    stage, _, by_reward = stage.partition(" ")
    values = config(stage, world, snapshots) | {"micro_batch_size": 2}  # uneven: 3 and 2 examples of a batch
    if by_reward:  # 4 valid prompts: 2 and 2, whose answers end at different steps
        values |= {"reward_model": str(world.reward), "validation_prompts": str(snapshots.prompts)}
    assert run(stage, values, tmp_path / "one") == 0
    script = tmp_path / "stop.py"
    script.write_text(STOP_AT.replace("sft", stage))
    assert as_launched([str(script)], values, tmp_path / "run", launcher=FSDP).returncode != 0
    status = RunDir(tmp_path / "run").read_status()
    assert status is not None
    assert (status.state, status.step) == ("cancelled", 3)
    start = launch if stage == "reward" else as_launched
    done = start(["-m", f"training.{stage}"], values, tmp_path / "run", launcher=FSDP)
    assert done.returncode == 0, done.stderr
    assert "2 processes, sharded by FSDP" in (tmp_path / "run" / "log.txt").read_text()
    one, two = curve(tmp_path / "one"), curve(tmp_path / "run")
    assert [step for step, _ in two] == [step for step, _ in one]
    for (_, alone), (_, sharded) in zip(one, two, strict=True):
        assert sharded.keys() == alone.keys()
        for name in alone.keys() - DRIFTING:
            assert sharded[name] == pytest.approx(alone[name], rel=2e-6), name
    RunDir(tmp_path / "run").verify_manifest()
    whole, parts = (load_file(tmp_path / name / "outputs" / "model" / "model.safetensors") for name in ("one", "run"))
    assert whole.keys() == parts.keys()
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=1e-4, rtol=0)


@pytest.mark.parametrize("recomputes", [False, True])
def test_a_sharded_ppo_run_has_the_curve_of_one_process_stops_and_goes_on_and_publishes_a_plain_model(
    recomputes: bool, world: World, snapshots: Snapshots, tmp_path: Path
) -> None:
    """With pretraining text, two inner epochs (whose minibatches are shared unevenly), valid prompts and the best of
    several answers; the processes sample for different numbers of steps."""
    values = config("ppo", world, snapshots) | {"num_episodes": 40, "best_of": 2, "gradient_checkpointing": recomputes}
    assert run("ppo", values, tmp_path / "one") == 0
    script = tmp_path / "stop.py"
    script.write_text(STOP_AT.replace("sft", "ppo"))
    assert as_launched([str(script)], values, tmp_path / "run", launcher=FSDP).returncode != 0
    status = RunDir(tmp_path / "run").read_status()
    assert status is not None
    assert (status.state, status.step) == ("cancelled", 3)
    done = as_launched(["-m", "training.ppo"], values, tmp_path / "run", launcher=FSDP)
    assert done.returncode == 0, done.stderr
    assert "2 processes, sharded by FSDP" in (tmp_path / "run" / "log.txt").read_text()
    one, two = curve(tmp_path / "one"), curve(tmp_path / "run")
    assert [step for step, _ in two] == [step for step, _ in one] == [1, 2, 3, 4, 5]
    for (_, alone), (_, sharded) in zip(one, two, strict=True):
        assert sharded.keys() == alone.keys()
        for name in alone:
            assert sharded[name] == pytest.approx(alone[name], rel=2e-6, abs=1e-6), name
        assert sharded["ppo/first_ratio_error"] == 0.0
    manifests = [RunDir(tmp_path / name).verify_manifest() for name in ("one", "run")]
    for name, value in manifests[0]["summary"].items():
        close = pytest.approx(value, rel=2e-5, abs=1e-6) if isinstance(value, float) else value
        assert manifests[1]["summary"][name] == close, name
    whole, parts = (load_file(tmp_path / name / "outputs" / "model" / "model.safetensors") for name in ("one", "run"))
    assert whole.keys() == parts.keys()
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=2e-6, rtol=0)
    kept = [
        load_file(tmp_path / name / "checkpoints" / "step-00000005" / "tensors.safetensors") for name in ("one", "run")
    ]
    for name, tensor in kept[0].items():
        if name.startswith(("/policy/", "/value/", "/average/")):
            torch.testing.assert_close(kept[1][name], tensor, atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    ("stage", "changes", "field"),
    [
        ("sft", {"init_model": "tiny", "tiny_context": 128}, "a tiny model"),
        ("ppo", {"lora_rank": 4}, "lora_rank: must be 0 under FSDP for PPO"),
    ],
)
def test_what_cannot_be_sharded_is_refused_and_says_why(
    stage: str, changes: dict[str, Any], field: str, world: World, snapshots: Snapshots, tmp_path: Path
) -> None:
    values = config(stage, world, snapshots) | changes
    done = as_launched(["-m", f"training.{stage}"], values, tmp_path / "run", launcher=FSDP)
    assert done.returncode != 0
    assert field in (tmp_path / "run" / "log.txt").read_text()


def test_a_stage_that_does_not_shard_says_so_where_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ConfigError, match="FSDP"):
        sharding.refuse("this")


def test_without_sharding_nothing_is_wrapped_and_no_pass_is_added() -> None:
    model = torch.nn.Linear(2, 2)
    assert sharding.within(model, lambda: 3) == 3
    assert sharding.evened(model, ["a", "b"], ALONE, spare="c") == [("a", 1.0), ("b", 1.0)]
    state = {"x": torch.ones(1), "y": [1, (2.0, None)]}
    assert json.dumps(sharding.whole({"y": state["y"]})) == '{"y": [1, [2.0, null]]}'
    assert sharding.whole(state)["x"] is state["x"]
