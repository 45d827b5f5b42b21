"""Killed again and again at random places of random steps, a run ends with the curve of an undisturbed one.

Two kills per stage here; `PODIUM_KILLS=20` makes it twenty. The seed is printed; `PODIUM_KILL_SEED` repeats it.
"""

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.training import preference_world, tiny_world, warm
from tests.training.preference_world import Snapshots
from tests.training.tiny_world import World, _write_config, curve, run

pytestmark = pytest.mark.slow

NUM_KILLS = int(os.environ.get("PODIUM_KILLS", "2"))
SEED = int(os.environ.get("PODIUM_KILL_SEED") or random.SystemRandom().getrandbits(32))
PLACES = ("metrics", "checkpoint", "step_done")
STAGES = {
    "sft": {"dropout": 0.2},
    "reward": {"learning_rate": 1e-3},
    "ppo": {"ptx_coef": 1.0, "ptx_examples_per_episode": 1, "ptx_sequence_tokens": 16, "kl_control": "adaptive"},
}
KILL = """
import os, signal
from training import cli, {stage}
from training.engine import checkpoints
from training.engine.runlog import RunLog

reached = 0
log_metrics, step_done, fsync = RunLog.metrics, RunLog.step_done, checkpoints._write_state

def die(place, step):
    if place == "{place}" and step >= {step}:
        os.kill(os.getpid(), signal.SIGKILL)

def metrics(self, step, values):
    global reached
    reached = step
    log_metrics(self, step, values)
    die("metrics", step)

def done(self, step):
    step_done(self, step)
    die("step_done", step)

def write_state(folder, state):
    fsync(folder, state)
    die("checkpoint", reached)  # all of it is written, and not yet renamed

RunLog.metrics, RunLog.step_done, checkpoints._write_state = metrics, done, write_state
raise SystemExit(cli.run_stage("{stage}", {stage}.main))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    return preference_world.build(tmp_path_factory.mktemp("snapshots"), num_prompts=20)


def config(stage: str, world: World, snapshots: Snapshots) -> dict[str, Any]:
    """A run of 24 steps with a checkpoint after every third."""
    lengths = {"max_prompt_tokens": 32, "max_response_tokens": 32}
    common = {"init_model": str(world.policy), "num_epochs": 20, "max_steps": 24, "batch_size": 5} | lengths
    values = {
        "sft": common | {"dataset": str(snapshots.sft)},
        "reward": common | {"dataset": str(snapshots.reward)},
        "ppo": world.ppo | {"pretraining_text": str(world.text), "num_episodes": 24 * 8},
    }[stage]
    return values | STAGES[stage] | {"checkpoint_every": 3}


def kill(stage: str, values: dict[str, Any], folder: Path, *, place: str, step: int) -> int:
    code = KILL.format(stage=stage, place=place, step=step)
    words = ["-c", code, "--config", _write_config(values, folder), "--run-dir", str(folder)]
    return warm.run(words, said=folder.with_name(folder.name + ".said")).returncode


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_at_random_has_the_curve_and_the_weights_of_an_undisturbed_one(
    stage: str, world: World, snapshots: Snapshots, tmp_path: Path
) -> None:
    print(f"PODIUM_KILL_SEED={SEED}")  # noqa: T201  # pytest shows it when the test fails
    values, draw = config(stage, world, snapshots), random.Random(f"{SEED} {stage}")
    assert run(stage, values, tmp_path / "whole") == 0
    assert len(curve(tmp_path / "whole")) == 24
    kills = sorted((draw.randint(1, 21), draw.choice(PLACES)) for _ in range(NUM_KILLS))
    for step, place in kills:
        assert kill(stage, values, tmp_path / "run", place=place, step=step) == -signal.SIGKILL, kills
    assert run(stage, values, tmp_path / "run") == 0
    assert curve(tmp_path / "run") == curve(tmp_path / "whole"), kills
    weights = "outputs/model/model.safetensors"
    assert (tmp_path / "run" / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes(), kills
    assert not list((tmp_path / "run" / "checkpoints").glob(".tmp-*")), kills
