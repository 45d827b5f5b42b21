"""TruthfulQA's own file through the evaluate stage, against each choice computed alone."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.real_data import real
from tests.training.tiny_world import run
from training.contract.questions import Question
from training.contract.records import Message
from training.engine import models, truthfulqa
from training.engine.text import Text, byte_text

pytestmark = pytest.mark.slow

CONTEXT = 256


def build(folder: Path, *, seed: int) -> Any:
    """A model with larger weights than usual, so that its choices differ from those by length alone."""
    text = byte_text()
    model = models.build_tiny(text, num_layers=1, width=16, num_heads=2, context=CONTEXT, seed=seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6)
    models.save_model(model, text, folder)
    return model


@torch.no_grad()
def alone(model: Any, text: Text, question: Question, answer: str) -> float:
    """The log-probability of one answer, token by token, by the model's own logits over one row of its own."""
    prompt = text.prompt_ids([Message(role="user", content=question.text)])
    ids = text.content_ids(answer)
    logprobs = torch.log_softmax(model(input_ids=torch.tensor([prompt + ids])).logits[0].double(), dim=-1)
    return sum(float(logprobs[len(prompt) + place - 1, token]) for place, token in enumerate(ids))


def choices(model: Any, text: Text, question: Question) -> tuple[bool, float]:
    """(is the best answer the likeliest of the multiple choice, the share of the correct ones)."""
    correct = np.array([alone(model, text, question, answer) for answer in question.correct])
    incorrect = np.array([alone(model, text, question, answer) for answer in question.incorrect])
    shares = np.exp(np.concatenate([correct, incorrect]) - max(correct.max(), incorrect.max()))
    mc1 = int(np.argmax([correct[0], *incorrect])) == 0
    return mc1, float(shares[: len(correct)].sum() / shares.sum())


def every_third(file: Path, written: Path) -> Path:
    with file.open(encoding="utf-8", newline="") as source, written.open("w", encoding="utf-8", newline="") as target:
        head, *rows = csv.reader(source)
        csv.writer(target).writerows([head, *rows[1::3]])
    return written


def fits(text: Text, question: Question) -> bool:
    prompt = len(text.prompt_ids([Message(role="user", content=question.text)]))
    return prompt + max(len(answer.encode()) for answer in question.answers) <= CONTEXT


@pytest.fixture(scope="module")
def asked() -> Sequence[Question]:
    return truthfulqa.read_questions(real("truthfulqa.csv"))


def test_the_real_file_is_read_whole(asked: Sequence[Question]) -> None:
    assert len(asked) == 431
    assert all(question.best == question.correct[0] for question in asked)
    assert all(answer.endswith(".") and answer == answer.strip() for item in asked for answer in item.answers)
    for question in asked:
        for side in (question.correct, question.incorrect):
            assert len(side) == len(set(side))
    both = [question for question in asked if set(question.correct) & set(question.incorrect)]
    assert [set(item.correct) & set(item.incorrect) for item in both] == [{"Unknown."}] * 2


def test_both_scores_are_those_of_each_choice_computed_alone(tmp_path: Path) -> None:
    """Of every third question: one too long is among them, and one with the same answer on both sides."""
    asked = truthfulqa.read_questions(every_third(real("truthfulqa.csv"), tmp_path / "third.csv"))
    assert len(asked) == 144
    policy, reference = build(tmp_path / "policy", seed=1), build(tmp_path / "reference", seed=2)
    config = {
        "model": str(tmp_path / "policy"),
        "reference_model": str(tmp_path / "reference"),
        "truthfulqa": str(tmp_path / "third.csv"),
        "bootstrap_samples": 100,
    }
    assert run("evaluate", config, tmp_path / "run") == 0
    report = json.loads((tmp_path / "run" / "outputs" / "report.json").read_text())["truthfulqa"]
    text = byte_text()
    measured = [question for question in asked if fits(text, question)]
    assert report["num_too_long"] == 1
    assert (report["num_questions"], report["num_too_long"]) == (len(measured), len(asked) - len(measured))
    for name, model in (("policy", policy), ("reference", reference)):
        found = [choices(model, text, question) for question in measured]
        assert report[name]["mc1"]["value"] == pytest.approx(np.mean([mc1 for mc1, _ in found]), abs=1e-12)
        assert report[name]["mc2"]["value"] == pytest.approx(np.mean([mc2 for _, mc2 in found]), abs=1e-5)
        assert 0.02 < report[name]["mc1"]["value"] < 0.98
    assert report["policy"]["mc2"]["value"] != pytest.approx(report["reference"]["mc2"]["value"], abs=1e-3)
