"""Two processes under accelerate's launcher train what one trains, stop together, and go on together."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

from tests.training import preference_world, tiny_world, warm
from tests.training.preference_world import Snapshots
from tests.training.tiny_world import ROOT, World, curve, run
from training.contract.rundir import RunDir
from training.engine import rollout
from training.engine.processes import ALONE, Processes

pytestmark = pytest.mark.slow

NEEDED = {"score": ("responses", "reward_model"), "curve": ("init_model", "chosen", "control")}

LAUNCH = [
    *(sys.executable, "-m", "accelerate.commands.launch"),
    *("--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"),
    *("--mixed_precision", "no", "--dynamo_backend", "no"),
]
LOSSES = {"sft": "sft/loss", "reward": "reward/loss", "ppo": "ppo/value_loss"}
DRIFTING = {"reward/score_mean"}  # no pair sees a shift of all scores: rounding alone decides it, and Adam enlarges it
STOP_AT = """
import os, signal
from training import cli, sft
from training.engine.runlog import RunLog

log_metrics = RunLog.metrics

def metrics(self, step, values):
    log_metrics(self, step, values)
    if step == 3 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)

RunLog.metrics = metrics
raise SystemExit(cli.run_stage("sft", sft.main))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    return preference_world.build(tmp_path_factory.mktemp("snapshots"), num_prompts=20)


def config(stage: str, world: World, snapshots: Snapshots) -> dict[str, Any]:
    """A few steps, with batches that two processes cannot share evenly."""
    lengths = {"max_prompt_tokens": 32, "max_response_tokens": 32}
    common = {"init_model": str(world.policy), "max_steps": 5, "batch_size": 5, "checkpoint_every": 2} | lengths
    ptx = {"ptx_coef": 1.0, "ptx_examples_per_episode": 1, "ptx_sequence_tokens": 16, "num_inner_epochs": 2}
    return {
        "sft": common | {"dataset": str(snapshots.sft)},
        "reward": common | {"dataset": str(snapshots.reward), "learning_rate": 1e-3},
        "ppo": world.ppo | ptx | {"pretraining_text": str(world.text), "num_episodes": 24},
    }[stage]


def launch(
    what: list[str], values: dict[str, Any], folder: Path, *, launcher: list[str] = LAUNCH
) -> "subprocess.CompletedProcess[str]":
    file = folder.with_name(folder.name + ".json")
    file.write_text(json.dumps(values))
    return subprocess.run(
        [*launcher, *what, "--config", str(file), "--run-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=300,
        text=True,
    )


def as_launched(
    what: list[str], values: dict[str, Any], folder: Path, *, launcher: list[str] = LAUNCH
) -> "subprocess.CompletedProcess[str]":
    """As `launch`, without its seconds: two processes that are there at once, under the variables of the launcher."""
    file = folder.with_name(folder.name + ".json")
    file.write_text(json.dumps(values))
    words = [*what, "--config", str(file), "--run-dir", str(folder)]
    shared = launchers_variables(launcher)
    own = [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    return warm.run_together([words] * 2, variables=own, said=folder.with_name(folder.name + ".said"))


def launchers_variables(launcher: list[str]) -> dict[str, str]:
    """What accelerate's launcher says to the processes by their environment, and torch's below it."""
    words = launcher[launcher.index("accelerate.commands.launch") + 1 :]
    arguments, *_ = _validate_launch_command(launch_command_parser().parse_args([*words, "stage.py"]))
    found = prepare_multi_gpu_env(arguments)
    of_torch = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": arguments.master_port, "WORLD_SIZE": "2"}
    return found | of_torch | {"LOCAL_WORLD_SIZE": "2"}


@pytest.mark.parametrize("stage", ["sft", "reward", "ppo"])
def test_two_processes_have_the_curve_of_one(stage: str, world: World, snapshots: Snapshots, tmp_path: Path) -> None:
    values = config(stage, world, snapshots)
    start = launch if stage == "sft" else as_launched
    done = start(["-m", f"training.{stage}"], values, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert run(stage, values, tmp_path / "one") == 0
    assert "2 processes" in (tmp_path / "two" / "log.txt").read_text()
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert [step for step, _ in two] == [step for step, _ in one]
    for (_, alone), (_, shared) in zip(one, two, strict=True):
        assert shared.keys() == alone.keys()
        assert shared[LOSSES[stage]] == pytest.approx(alone[LOSSES[stage]], rel=2e-6)
        for name in alone.keys() - DRIFTING:
            assert shared[name] == pytest.approx(alone[name], rel=1e-4, abs=2e-5), name
    manifests = [RunDir(tmp_path / name).verify_manifest() for name in ("one", "two")]
    assert manifests[0]["files"].keys() == manifests[1]["files"].keys()


def test_two_processes_stop_together_and_go_on_to_the_last_digit(
    world: World, snapshots: Snapshots, tmp_path: Path
) -> None:
    values = config("sft", world, snapshots) | {"dropout": 0.2}
    assert as_launched(["-m", "training.sft"], values, tmp_path / "whole").returncode == 0
    script = tmp_path / "stop.py"
    script.write_text(STOP_AT)
    assert launch([str(script)], values, tmp_path / "run").returncode != 0
    status = RunDir(tmp_path / "run").read_status()
    assert status is not None
    assert (status.state, status.step) == ("cancelled", 3)
    assert as_launched(["-m", "training.sft"], values, tmp_path / "run").returncode == 0
    assert curve(tmp_path / "run") == curve(tmp_path / "whole")


@pytest.mark.parametrize("stage", ["generate", "evaluate", "score", "curve"])
def test_stages_that_train_nothing_refuse_several_processes(
    stage: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    values = {"model": str(world.policy), "prompts": str(world.prompts)}
    if stage in ("score", "curve"):  # refused before they read: any folder will do
        values = {name: str(world.policy) for name in NEEDED[stage]}
    assert run(stage, values, tmp_path / "run") == 1
    assert "one process" in (tmp_path / "run" / "log.txt").read_text()


def test_minibatches_that_processes_cannot_share_are_refused() -> None:
    from training.contract.configs import ConfigError, PPOConfig
    from training.ppo import _check_shares

    values: dict[str, Any] = {"policy_model": "m", "reward_model": "r", "prompts": "p"}
    _check_shares(PPOConfig(**values, minibatch_size=8), Processes(0, 4))
    with pytest.raises(ConfigError, match="minibatch_size"):
        _check_shares(PPOConfig(**values, minibatch_size=8), Processes(0, 3))


def test_shares_are_disjoint_and_a_lone_process_has_everything() -> None:
    items = list("abcdefg")
    shares = [Processes(index, 3).share(items) for index in range(3)]
    assert shares == [["a", "d", "g"], ["b", "e"], ["c", "f"]]
    assert ALONE.whole(ALONE.share(items)) == items
    assert ALONE.sum_figures({"a": 1.0}) == {"a": 1.0}


def test_responses_of_several_processes_become_one_batch() -> None:
    def part(tokens: list[list[int]], lengths: list[int]) -> rollout.Responses:
        return rollout.Responses(
            tokens_BR=torch.tensor(tokens),
            logprobs_BR=-torch.tensor(tokens).float(),
            lengths_B=torch.tensor(lengths),
            has_end_B=torch.tensor(lengths) == 1,
        )

    parts = [([0, 2], part([[5, 6], [7, 0]], [2, 1])), ([1], part([[8, 9, 9]], [3]))]
    whole = rollout.together(parts, pad_token_id=0, device="cpu")
    assert whole.tokens_BR.tolist() == [[5, 6, 0], [8, 9, 9], [7, 0, 0]]
    assert whole.logprobs_BR[1].tolist() == [-8, -9, -9]
    assert (whole.lengths_B.tolist(), whole.has_end_B.tolist()) == ([2, 3, 1], [False, False, True])
