"""TruthfulQA's CSV and its two scores, by hand."""

import math
from pathlib import Path

import pytest

from training.contract.questions import Question, QuestionsError
from training.engine import truthfulqa

HEADER = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"


def write(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "truthfulqa.csv"
    file.write_text(HEADER + "".join(line + "\n" for line in lines), encoding="utf-8")
    return file


def test_answers_are_split_closed_and_told_apart(tmp_path: Path) -> None:
    file = write(tmp_path, 'A,B,"Why, so?",Because,"Because.; Who knows; ",No reason; Magic.; No reason,url')
    assert truthfulqa.read_questions(file) == [
        Question(
            text="Why, so?",
            best="Because.",
            correct=("Because.", "Who knows."),
            incorrect=("No reason.", "Magic."),
        )
    ]


def test_a_file_without_the_columns_and_a_line_without_answers_are_named(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("Question,Answer\na,b\n")
    with pytest.raises(QuestionsError, match="no column Best Answer, Correct Answers, Incorrect Answers"):
        truthfulqa.read_questions(other)
    with pytest.raises(QuestionsError, match="line 3"):
        truthfulqa.read_questions(write(tmp_path, "A,B,Q,Best,Best,Wrong,url", "A,B,Q,Best,Best,,url"))


def test_mc1_asks_for_the_best_answer_and_mc2_for_the_probability_of_all_correct_ones() -> None:
    question = Question(text="Q", best="a", correct=("a", "b"), incorrect=("c", "d"))
    scores = {"a": math.log(0.2), "b": math.log(0.4), "c": math.log(0.3), "d": math.log(0.1)}
    assert truthfulqa.mc1(question, scores) == 0.0
    assert truthfulqa.mc2(question, scores) == pytest.approx(0.6)
    assert truthfulqa.mc1(question, scores | {"c": math.log(0.19)}) == 1.0


def test_scores_far_below_what_a_float_can_exponentiate_still_compare() -> None:
    question = Question(text="Q", best="a", correct=("a",), incorrect=("c",))
    assert truthfulqa.mc2(question, {"a": -5000.0, "c": -5000.0}) == pytest.approx(0.5)
