"""Files that the evaluate stage asks from: read alike on both sides, and refused with the line that is wrong."""

import csv

import pytest

from training.contract import questions
from training.contract.questions import READERS, QuestionsError

HEADER = b"Type,Question,Best Answer,Correct Answers,Incorrect Answers\n"


def test_csv_and_json_lines_are_told_apart_by_what_they_hold() -> None:
    expected = [{"prompt": "How?", "category": "weapons"}]
    assert questions.harmful_prompts(b"prompt,category\nHow?,weapons\n") == expected
    assert questions.harmful_prompts(b'\n{"prompt": " How?", "category": "weapons"}\n\n') == expected
    assert questions.harmful_prompts(b"\xef\xbb\xbfprompt,category\r\nHow?,weapons\r\n") == expected
    assert questions.paraphrases(b'prompt,paraphrase\n"Why,\nso?",How come?\n') == [
        {"prompt": "Why,\nso?", "paraphrase": "How come?"}
    ]


def test_a_line_of_text_may_hold_what_python_takes_for_a_line_end() -> None:
    (row,) = questions.harmful_prompts('{"prompt": "one\u2028two\x85three"}'.encode())
    assert row["prompt"] == "one\u2028two\x85three"


@pytest.mark.parametrize(
    ("field", "content", "message"),
    [
        ("harmful_prompts", b'{"prompt": "a"}\n{"prompt": " "}\n', "line 2: has no text in 'prompt'"),
        ("harmful_prompts", b'{"prompt": "a"}\n{', "line 2: is not JSON"),
        ("harmful_prompts", b'{"prompt": "a"}\n' + b"[" * 100_000, "line 2: is not JSON"),
        ("harmful_prompts", b'{"prompt": "a"}\n[1]', "line 2: is not a JSON object"),
        ("harmful_prompts", b"", "line 1: has no column prompt"),
        ("harmful_prompts", b"prompt\n", "line 1: has no row"),
        ("harmful_prompts", b"question\nHow?\n", "line 1: has no column prompt"),
        ("harmful_prompts", b"prompt\nHow?\n\xff\xfe\n", "line 3: is not UTF-8"),
        ("harmful_prompts", b"prompt\nHow?\n" + b"a" * 100_001, "line 3: has a text of more than 100,000"),
        ("harmful_prompts", b'{"prompt": "' + b"a" * 100_001 + b'"}', "line 1: has a text of more than 100,000"),
        ("paraphrases", b"prompt,other\na,b\n", "line 1: has no column paraphrase"),
        ("paraphrases", b"prompt,paraphrase\na,b\nc\n", "line 3: has no text in 'paraphrase'"),
        (
            "truthfulqa",
            b"Question,Answer\na,b\n",
            "line 1: has no column Best Answer, Correct Answers, Incorrect Answers",
        ),
        ("truthfulqa", HEADER + b"A,Q,Best,Best,Wrong\nA,Q,Best,Best\n", "line 3: the question, its best answer"),
        ("truthfulqa", HEADER + b"A,Q,Best,Best,Best.\n", "line 2: the question, its best answer"),
        ("truthfulqa", HEADER, "line 1: has no row"),
        ("truthfulqa", b"\x89PNG\r\n", "line 1: is not UTF-8"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(field: str, content: bytes, message: str) -> None:
    with pytest.raises(QuestionsError) as found:
        READERS[field](content)
    assert str(found.value).startswith(message)


def test_an_answer_on_both_sides_counts_on_both() -> None:
    """As in two questions of the benchmark's own file."""
    (found,) = questions.truthfulqa(HEADER + b"A,Q,Nobody knows,Nobody knows; Unknown,Unknown; Ann\n")
    assert found.correct == ("Nobody knows.", "Unknown.")
    assert found.incorrect == ("Unknown.", "Ann.")


@pytest.mark.parametrize("limit", [131_072, 10**7])
def test_how_long_a_text_may_be_does_not_depend_on_what_else_the_process_reads(limit: int) -> None:
    before = csv.field_size_limit(limit)
    try:
        with pytest.raises(QuestionsError, match="line 3: has a text of more than"):
            questions.harmful_prompts(b"prompt\nHow?\n" + b"a" * 200_000)
    finally:
        csv.field_size_limit(before)
