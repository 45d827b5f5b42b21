"""docs/metrics.md explains every metric that the stages log, and none that they do not."""

import re
from pathlib import Path

import pytest

from tests.training import tiny_world
from tests.training.tiny_world import ROOT, World, run
from training.contract.records import AnsweredRow, DemonstrationRow, Message, RewardRow
from training.contract.rundir import RunDir
from training.engine import data

pytestmark = pytest.mark.slow

ROW = re.compile(r"^\| `([a-z]+/[a-z0-9_]+)` \|", re.MULTILINE)
#: tests/training/test_usage.py says when these are logged.
ON_A_GPU = {"system/gpu_memory_gib", "system/gpu_own_memory_gib", "system/gpu_percent"}
QUESTIONS = "Question,Best Answer,Correct Answers,Incorrect Answers\nIs it so?,Yes,Yes,No\n"


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names that one small run of each stage logs, every optional part switched on."""
    folder = tmp_path_factory.mktemp("all")
    world = tiny_world.build(folder)
    names: set[str] = set()
    for number, (stage, config) in enumerate(_runs(world, folder)):
        assert run(stage, config, folder / str(number)) == 0, (folder / str(number) / "log.txt").read_text()
        run_dir = RunDir(folder / str(number))
        names |= {name for row in [*run_dir.read_metrics()[0], *run_dir.read_usage()] for name in row.values}
    return names


def test_the_page_explains_every_metric_and_no_other(logged: set[str]) -> None:
    explained = ROW.findall((ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"))
    assert len(explained) == len(set(explained))
    assert logged - set(explained) == set()
    assert set(explained) - logged == ON_A_GPU


def _runs(world: World, folder: Path) -> list[tuple[str, dict[str, object]]]:
    demonstrations, rankings, questions = folder / "demonstrations", folder / "rankings", folder / "questions.csv"
    prompt = [Message(role="user", content="Hm?")]
    data.write_snapshot(
        demonstrations,
        "sft",
        [DemonstrationRow(prompt_id=s, prompt=prompt, response="So.", split=s) for s in ("train", "valid")],
    )
    data.write_snapshot(
        rankings,
        "reward",
        [
            RewardRow(
                prompt_id=split,
                prompt=prompt,
                responses=["So.", "No."],
                ranks=[1, 2],
                labeler="ann",
                weight=1.0,
                split=split,
                held_out=False,
            )
            for split in ("train", "valid")
        ],
    )
    answered = folder / "answered"
    data.write_snapshot(
        answered, "responses", [AnsweredRow(prompt_id="p", prompt=prompt, responses=["So."], split="train")]
    )
    questions.write_text(QUESTIONS)
    harmful, pairs = folder / "harmful.csv", folder / "pairs.csv"
    harmful.write_text("prompt\nHow?\n")
    pairs.write_text("prompt,paraphrase\nWhy?,For what?\n")
    lengths = {"max_prompt_tokens": 24, "max_response_tokens": 16}
    sampling = {"max_prompt_tokens": 24, "max_new_tokens": 8}
    tiny = {"tiny_layers": 1, "tiny_width": 16, "tiny_heads": 1, "tiny_context": 64, "num_epochs": 1}
    pretraining = {"pretrain_steps": 1, "pretrain_batch_size": 2, "pretrain_sequence_tokens": 16}
    reward_selects = {"reward_model": str(world.reward), "validation_prompts": str(world.prompts)}
    mix = {"pretraining_fraction": 0.5}
    sft = {"init_model": "tiny", "dataset": str(demonstrations), **tiny, **pretraining, **lengths, **mix}
    ptx = {"pretraining_text": str(world.text), "ptx_coef": 1.0, "ptx_sequence_tokens": 16, "num_episodes": 8}
    judged = {"model": str(world.policy), "reference_model": str(world.policy), "reward_model": str(world.reward)}
    measured = {"dataset": str(rankings), "prompts": str(world.prompts), "text": str(world.text)}
    return [
        ("sft", sft),
        (
            "sft",
            {"init_model": str(world.policy), "dataset": str(demonstrations), "num_epochs": 1}
            | lengths
            | reward_selects,
        ),
        ("reward", {"init_model": str(world.policy), "dataset": str(rankings)} | lengths),
        ("ppo", world.ppo | ptx),
        ("generate", {"model": str(world.policy), "prompts": str(world.prompts)} | sampling),
        (
            "evaluate",
            judged
            | measured
            | {"truthfulqa": str(questions), "harmful_prompts": str(harmful), "paraphrases": str(pairs)}
            | lengths
            | sampling,
        ),
        ("score", {"responses": str(answered), "reward_model": str(world.reward)} | lengths),
        (
            "curve",
            {"init_model": str(world.policy), "chosen": str(rankings), "control": str(rankings), "num_epochs": 1}
            | lengths,
        ),
    ]
