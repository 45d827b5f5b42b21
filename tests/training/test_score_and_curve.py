"""The stages score and curve as they are run: what they leave, how they stop and go on, what they refuse."""

import hashlib
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import preference_world, tiny_world
from tests.training.preference_world import LENGTHS, Snapshots
from tests.training.tiny_world import World, curve, run, run_until
from training.contract.configs import CurveConfig
from training.contract.records import AnsweredRow, Message
from training.contract.rundir import RunDir
from training.engine import batches, data, device, models
from training.engine.batches import Cuts
from training.engine.reward_learner import fit, trainable
from training.engine.rewards import rows_scores
from training.engine.text import load_text

pytestmark = pytest.mark.slow

CUTS = {"max_prompt_tokens": 24, "max_response_tokens": 24}
RECIPE = CUTS | {"num_epochs": 2, "batch_size": 4, "learning_rate": 5e-3, "seed": 3}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    return preference_world.build(tmp_path_factory.mktemp("snapshots"), num_prompts=25)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answered") / "responses"
    rows = [
        AnsweredRow(
            prompt_id=f"p{number}",
            prompt=[Message("user", f"Say {number}!")],
            responses=[f"So {number}.", "No.", ""][: 1 + number % 3],
            split="valid" if number == 4 else "train",
        )
        for number in range(7)
    ]
    rows[6] = AnsweredRow(
        prompt_id="p6", prompt=[Message("user", "x" * 40)], responses=["y" * 40, "short"], split="train"
    )
    data.write_snapshot(folder, "responses", rows)
    return folder


@pytest.fixture(scope="module")
def other(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second reward model, with a bias."""
    folder = tmp_path_factory.mktemp("other") / "reward"
    text = load_text(str(world.policy))
    model = models.reward_from_policy(str(world.policy), text, seed=9)
    models.set_reward_bias(model, 1.5)
    models.save_model(model, text, folder)
    return folder


def score_config(world: World, answered: Path, **changes: Any) -> dict[str, Any]:
    return {"responses": str(answered), "reward_model": str(world.reward), "batch_size": 2} | CUTS | changes


def scores_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "outputs" / "scores.jsonl").read_text().splitlines()]


def test_each_response_gets_a_score_by_each_model_with_its_bias(
    world: World, other: Path, answered: Path, tmp_path: Path
) -> None:
    config = score_config(world, answered, reward_model_3=str(other))
    assert run("score", config, tmp_path / "run") == 0, (tmp_path / "run" / "log.txt").read_text()
    rows = data.read_responses(answered).rows
    found = scores_of(tmp_path / "run")
    named = [(row.prompt_id, hashlib.sha256(text.encode()).hexdigest()) for row in rows for text in row.responses]
    assert [(line["prompt_id"], line["response_sha256"]) for line in found] == named
    for place, folder in enumerate((world.reward, other)):
        text = load_text(str(folder))
        elements = batches.to_score(rows, text, cuts=Cuts(), **CUTS)
        with torch.no_grad():
            expected = rows_scores(models.load_reward(str(folder), text), elements, pad_id=text.pad_id)
        assert [line["scores"][place] for line in found] == pytest.approx(expected.tolist(), abs=1e-5)
    summary = (RunDir(tmp_path / "run").verify_manifest())["summary"]
    assert summary["reward_models"] == ["reward_model", "reward_model_3"]
    assert summary["num_cut_prompts"] == {"reward_model": 1, "reward_model_3": 1}
    assert summary["num_cut_responses"] == {"reward_model": 1, "reward_model_3": 1}
    assert len(curve(tmp_path / "run")) == 8  # four parts of two prompts, by two models


def test_only_the_split_that_is_wanted_is_scored(world: World, answered: Path, tmp_path: Path) -> None:
    assert run("score", score_config(world, answered, split="valid"), tmp_path / "run") == 0
    assert {line["prompt_id"] for line in scores_of(tmp_path / "run")} == {"p4"}
    assert run("score", score_config(world, answered, split="test"), tmp_path / "none") == 1
    assert "leaves nothing to score" in (tmp_path / "none" / "log.txt").read_text()


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_goes_on_behind_its_last_part_and_leaves_the_same(
    world: World, other: Path, answered: Path, tmp_path: Path, kill: signal.Signals
) -> None:
    config = score_config(world, answered, reward_model_2=str(other))
    assert run("score", config, tmp_path / "whole") == 0
    assert run_until("score", config, tmp_path / "run", step=5, kill=kill) == (3 if kill == signal.SIGTERM else -9)
    with (tmp_path / "run" / "checkpoints" / "reward_model_2.jsonl").open("ab") as file:
        file.write(b'{"scores": [[')  # a line that was being written
    assert run("score", config, tmp_path / "run") == 0
    assert (tmp_path / "run/outputs/scores.jsonl").read_bytes() == (
        tmp_path / "whole/outputs/scores.jsonl"
    ).read_bytes()
    assert curve(tmp_path / "run") == curve(tmp_path / "whole")


def test_the_reward_stage_leaves_what_its_published_model_says_of_each_ranked_response(
    snapshots: Snapshots, world: World, tmp_path: Path
) -> None:
    config = {"init_model": str(world.policy), "dataset": str(snapshots.reward)} | LENGTHS | {"num_epochs": 1}
    assert run("reward", config, tmp_path / "run") == 0
    found = {(line["prompt_id"], line["response_sha256"]): line["scores"] for line in scores_of(tmp_path / "run")}
    rows = data.read_reward(snapshots.reward).rows
    text = load_text(str(tmp_path / "run/outputs/model"))
    model = models.load_reward(str(tmp_path / "run/outputs/model"), text)
    elements = batches.elements(rows, text, cuts=Cuts(), **CUTS)
    with torch.no_grad():
        expected = rows_scores(model, elements, pad_id=text.pad_id).tolist()
    texts = [response for responses in batches.texts(rows) for response in responses]
    names = [element.prompt_id for element in elements for _ in element.responses]
    assert len(found) == len(expected)
    for name, response, score in zip(names, texts, expected, strict=True):
        key = (name, hashlib.sha256(response.encode()).hexdigest())
        assert found[key] == pytest.approx([score], abs=1e-4)


def curve_config(snapshots: Snapshots, world: World, **changes: Any) -> dict[str, Any]:
    streams = {"chosen": str(snapshots.reward), "control": str(snapshots.reward)}
    rest = {"init_model": str(world.policy), "num_points": 2, "num_seeds": 2, "bootstrap_samples": 100}
    return streams | rest | RECIPE | changes


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "outputs" / "report.json").read_text())["curve"]
    return found


def test_a_fit_gives_the_weights_that_the_reward_stage_ends_with(
    snapshots: Snapshots, world: World, tmp_path: Path
) -> None:
    """So the curve is of the recipe that makes the project's reward models, and not of one of its own."""
    options = {"init_model": str(world.policy)} | RECIPE
    staged = options | {"dataset": str(snapshots.reward), "select": "last", "bootstrap_samples": 100}
    assert run("reward", staged, tmp_path / "run") == 0
    config = CurveConfig(chosen="-", control="-", device="cpu", **options)
    text = load_text(str(world.policy))
    everything = batches.elements(data.read_reward(snapshots.reward).rows, text, cuts=Cuts(), **CUTS)
    torch.set_num_threads(1)
    setup = fit(config, text, trainable(everything, "train"), compute=device.choose(config))
    published = models.load_reward(str(tmp_path / "run/outputs/model"), text).state_dict()
    fitted = setup.model.state_dict()
    assert set(published) - set(fitted) == {"score.bias"}
    assert all(torch.equal(fitted[name], published[name]) for name in fitted)


def test_both_streams_are_measured_at_each_number_on_the_controls_held_out_prompts(
    snapshots: Snapshots, world: World, tmp_path: Path
) -> None:
    assert run("curve", curve_config(snapshots, world), tmp_path / "run") == 0, (tmp_path / "run/log.txt").read_text()
    found = report(tmp_path / "run")
    assert found["num_rankings"] == {"chosen": 30, "control": 30}  # 15 training prompts, labeler "c" is held out
    assert found["num_held_out_prompts"] == 10
    assert [point["num_rankings"] for point in found["points"]] == [15, 30]
    for point in found["points"]:
        assert point["chosen"]["low"] <= point["chosen"]["value"] <= point["chosen"]["high"]
        # both streams are the same rankings here, drawn by the same seeds
        assert point["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    logged = curve(tmp_path / "run")
    assert [values["curve/rankings"] for _, values in logged] == [15, 30, 15, 30]
    last = [values["curve/chosen_accuracy"] or 0.0 for _, values in logged if values["curve/rankings"] == 30]
    assert found["points"][-1]["chosen"]["value"] == pytest.approx(sum(last) / 2)
    assert not (tmp_path / "run/outputs/model").exists()


def test_a_curve_that_was_stopped_goes_on_to_the_same_report(
    snapshots: Snapshots, world: World, tmp_path: Path
) -> None:
    config = curve_config(snapshots, world, num_epochs=1)
    assert run("curve", config, tmp_path / "whole") == 0
    assert run_until("curve", config, tmp_path / "run", step=2, kill=signal.SIGTERM) == 3
    assert run("curve", config, tmp_path / "run") == 0
    assert report(tmp_path / "run") == report(tmp_path / "whole")
    assert curve(tmp_path / "run") == curve(tmp_path / "whole")


def test_a_control_that_holds_nothing_out_has_nothing_to_measure_on(
    snapshots: Snapshots, world: World, tmp_path: Path
) -> None:
    rows = [row for row in data.read_reward(snapshots.reward).rows if row.split == "train"]
    data.write_snapshot(tmp_path / "control", "reward", rows)
    config = curve_config(snapshots, world, control=str(tmp_path / "control"))
    assert run("curve", config, tmp_path / "run") == 1
    assert "control: has no pair outside its train split" in (tmp_path / "run/log.txt").read_text()
