"""The evaluate stage: each part when its data is given, with figures that can be checked."""

import json
import math
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import tiny_world
from tests.training.tiny_world import World, curve, run, run_until
from training.contract.records import Message, RewardRow
from training.contract.rundir import RunDir
from training.engine import data, models
from training.engine.text import load_text

pytestmark = pytest.mark.slow

QUESTIONS = (
    "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"
    "A,B,Is it so?,Yes,Yes; Surely,No; Never,url\n"
    "A,B,Is it not?,No,No; Hardly,Yes; Always,url\n"
)
LENGTHS = {"max_prompt_tokens": 40, "max_new_tokens": 8, "max_response_tokens": 20}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def rankings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        RewardRow(
            prompt_id=f"q{n}",
            prompt=[Message(role="user", content=f"question {n}")],
            responses=[f"good {n}", f"fair {n}", f"bad {n}"],
            ranks=ranks,
            labeler=labeler,
            weight=1.0,
            split="valid" if n % 2 else "train",
            held_out=labeler == "held-out",
            category="chat",
        )
        for n in range(8)
        for labeler, ranks in (("ann", [1, 2, 3]), ("held-out", [1, 2, 2]))
    ]
    folder = tmp_path_factory.mktemp("rankings")
    data.write_snapshot(folder, "reward", rows)
    return folder


def evaluated(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    assert run("evaluate", config, folder) == 0
    RunDir(folder).verify_manifest()
    report: dict[str, Any] = json.loads((folder / "outputs" / "report.json").read_text())
    return report


def moved_policy(world: World, folder: Path) -> Path:
    """A copy of the policy whose weights are a little off."""
    text = load_text(str(world.policy))
    model = models.load_policy(str(world.policy), text)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    models.save_model(model, text, folder)
    return folder


def test_a_reward_model_is_measured_on_the_chosen_split_by_both_kinds_of_labelers(
    world: World, rankings: Path, tmp_path: Path
) -> None:
    config = {"reward_model": str(world.reward), "dataset": str(rankings), **LENGTHS}
    report = evaluated(config, tmp_path / "run")["reward_model"]
    assert report["accuracy"]["train"] is None
    assert report["accuracy"]["valid"]["num_pairs"] == 4 * 3
    assert report["accuracy"]["held_out_labelers"]["num_pairs"] == 4 * 2
    assert set(report["by_rank_distance"]) == {"1", "2"}
    assert report["human_agreement"]["value"] == 1.0
    assert curve(tmp_path / "run") == [(1, {"evaluate/pair_accuracy": report["accuracy"]["valid"]["value"]})]
    everything = evaluated(config | {"split": "all"}, tmp_path / "all")["reward_model"]
    assert everything["accuracy"]["train"]["num_pairs"] == 12


def test_a_policy_that_is_its_reference_has_no_kl_no_gain_and_no_tax(world: World, tmp_path: Path) -> None:
    config = {
        "model": str(world.policy),
        "reference_model": str(world.policy),
        "reward_model": str(world.reward),
        "prompts": str(world.prompts),
        "text": str(world.text),
        "num_responses": 2,
        "text_piece_tokens": 16,
        **LENGTHS,
    }
    report = evaluated(config, tmp_path / "run")
    assert report["policy"]["policy"]["kl"]["value"] == 0.0
    assert report["policy"]["reward_gain"]["value"] == 0.0
    assert report["policy"]["win_rate"]["value"] == 0.5
    assert report["policy"]["policy"]["reward"]["num_responses"] == 4
    assert report["policy"]["policy"]["reward"]["num_prompts"] == 2
    assert report["text"]["alignment_tax"] == 0.0
    assert report["text"]["alignment_tax_interval"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert 4.0 < report["text"]["policy"]["loss"] < 8.0
    # bytes are tokens; the end token is the one that no byte stands for
    expected = report["text"]["policy"]["loss"] / math.log(2)
    assert report["text"]["policy"]["bits_per_byte"] == pytest.approx(expected, rel=0.05)


def test_a_policy_that_moved_away_has_kl_and_a_tax(world: World, tmp_path: Path) -> None:
    config = {
        "model": str(moved_policy(world, tmp_path / "moved")),
        "reference_model": str(world.policy),
        "prompts": str(world.prompts),
        "text": str(world.text),
        "text_piece_tokens": 16,
        "split": "all",
        "num_responses": 8,
        **LENGTHS,
    }
    report = evaluated(config, tmp_path / "run")
    assert report["policy"]["policy"]["kl"]["value"] > 0.05
    tax, loss = report["text"]["alignment_tax_interval"], report["text"]["policy"]["loss_interval"]
    assert tax["value"] == pytest.approx(report["text"]["alignment_tax"], rel=1e-9)
    assert tax["value"] != 0.0
    assert tax["low"] < tax["value"] < tax["high"]
    assert loss["low"] < report["text"]["policy"]["loss"] == loss["value"] < loss["high"]
    assert tax["high"] - tax["low"] < loss["high"] - loss["low"]  # both are measured on the same pieces
    assert "reward" not in report["policy"]["policy"]


def test_truthfulqa_gives_both_scores_for_policy_and_reference(world: World, tmp_path: Path) -> None:
    file = tmp_path / "truthfulqa.csv"
    file.write_text(QUESTIONS)
    config = {"model": str(world.policy), "reference_model": str(world.policy), "truthfulqa": str(file)}
    report = evaluated(config, tmp_path / "run")["truthfulqa"]
    assert report["num_questions"] == 2
    assert report["num_too_long"] == 0
    assert report["policy"]["mc1"]["value"] in (0.0, 0.5, 1.0)
    assert 0.0 < report["policy"]["mc2"]["value"] < 1.0
    assert report["policy"] == report["reference"]


def test_questions_that_do_not_fit_the_model_are_counted(world: World, tmp_path: Path) -> None:
    file = tmp_path / "truthfulqa.csv"
    file.write_text(QUESTIONS + f"A,B,{'long ' * 20},Yes,Yes,No,url\n")
    report = evaluated({"model": str(world.policy), "truthfulqa": str(file)}, tmp_path / "run")["truthfulqa"]
    assert (report["num_questions"], report["num_too_long"]) == (2, 1)


def test_a_stopped_run_goes_on_with_the_parts_that_are_missing(world: World, rankings: Path, tmp_path: Path) -> None:
    config = {
        "model": str(world.policy),
        "reward_model": str(world.reward),
        "dataset": str(rankings),
        "prompts": str(world.prompts),
        **LENGTHS,
    }
    whole = evaluated(config, tmp_path / "whole")
    assert run_until("evaluate", config, tmp_path / "stopped", step=1, kill=signal.SIGTERM) == 3
    assert set(json.loads((tmp_path / "stopped" / "checkpoints" / "parts.json").read_text())) == {"reward_model"}
    assert evaluated(config, tmp_path / "stopped") == whole
    assert curve(tmp_path / "stopped") == curve(tmp_path / "whole")


def test_an_empty_split_and_a_foreign_tokenizer_are_refused_by_name(world: World, tmp_path: Path) -> None:
    config = {"model": str(world.policy), "prompts": str(world.prompts), **LENGTHS}
    assert _failed_field(config | {"split": "test"}, tmp_path / "split") == "prompts"
    shutil.copytree(world.reward, tmp_path / "reward")
    tokenizer = json.loads((tmp_path / "reward" / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    (tmp_path / "reward" / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert _failed_field(config | {"reward_model": str(tmp_path / "reward")}, tmp_path / "foreign") == "reward_model"


def _failed_field(config: dict[str, Any], folder: Path) -> str:
    assert run("evaluate", config, folder) == 1
    status = RunDir(folder).read_status()
    assert status is not None
    assert status.error is not None
    return status.error["field"]
