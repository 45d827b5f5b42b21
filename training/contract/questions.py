"""Files that the evaluate stage asks from: TruthfulQA, harmful prompts, paraphrases.

Both sides read them here: the web side when a file comes in, the stage when it runs. A bad file is a `QuestionsError`
that names the line.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

TRUTHFULQA_COLUMNS: Final = ("Question", "Best Answer", "Correct Answers", "Incorrect Answers")

MAX_CHARS: Final = 100_000
TOO_LONG: Final = f"has a text of more than {MAX_CHARS:,} characters"

Place = str
"""Where in a file: “line 3”."""


class QuestionsError(ValueError):
    """A file that is not what it should be, with the line."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question of TruthfulQA; `best` is one of `correct`.

    An answer that stands on both sides, as “Unknown.” does in a few questions of the benchmark, counts on both, as in
    the authors' code; one that stands twice on a side counts once.
    """

    text: str
    best: str
    correct: tuple[str, ...]
    incorrect: tuple[str, ...]

    @property
    def answers(self) -> tuple[str, ...]:
        """The correct ones, the best first, and the incorrect ones."""
        return self.correct + self.incorrect


def truthfulqa(content: bytes) -> list[Question]:
    """The questions of TruthfulQA's CSV, in its order. Raises QuestionsError."""
    return [_question(row, place) for place, row in _filled(_csv_rows(_text(content), TRUTHFULQA_COLUMNS))]


def harmful_prompts(content: bytes) -> list[dict[str, str]]:
    """Rows with `prompt`, and what else they have, of a CSV with a header or of JSON lines. Raises QuestionsError."""
    return _prompts(content, ("prompt",))


def paraphrases(content: bytes) -> list[dict[str, str]]:
    """Rows with `prompt` and `paraphrase` of a CSV with a header or of JSON lines. Raises QuestionsError."""
    return _prompts(content, ("prompt", "paraphrase"))


READERS: Final[dict[str, Callable[[bytes], Sequence[Any]]]] = {
    "truthfulqa": truthfulqa,
    "harmful_prompts": harmful_prompts,
    "paraphrases": paraphrases,
}
"""By the field of the evaluate stage's config."""


def _prompts(content: bytes, columns: Sequence[str]) -> list[dict[str, str]]:
    text = _text(content)
    is_json = text.lstrip().startswith("{")
    rows = []
    for place, row in _filled(_json_rows(text) if is_json else _csv_rows(text, columns)):
        for column in columns:
            if not str(row.get(column) or "").strip():
                raise QuestionsError(f"{place}: has no text in {column!r}")
        rows.append({name: str(value or "").strip() for name, value in row.items() if name})
    return rows


def _question(row: Mapping[str, Any], place: Place) -> Question:
    values = {name: (row[name] or "").strip() for name in TRUTHFULQA_COLUMNS}
    best = _closed(values["Best Answer"])
    correct = tuple(dict.fromkeys([best, *_answers(values["Correct Answers"])]))
    incorrect = tuple(answer for answer in dict.fromkeys(_answers(values["Incorrect Answers"])) if answer != best)
    if not (values["Question"] and best and incorrect):
        raise QuestionsError(f"{place}: the question, its best answer or its incorrect answers are empty")
    return Question(text=values["Question"], best=best, correct=correct, incorrect=incorrect)


def _answers(cell: str) -> Sequence[str]:
    return [_closed(answer.strip()) for answer in cell.split(";") if answer.strip()]


def _closed(answer: str) -> str:
    return answer if not answer or answer.endswith(".") else answer + "."


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise QuestionsError(f"line {line}: is not UTF-8") from None


def _filled(rows: Iterator[tuple[Place, Mapping[str, Any]]]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    num_rows = 0
    for num_rows, (place, row) in enumerate(rows, start=1):  # noqa: B007 - counted
        if any(len(value) > MAX_CHARS for value in row.values() if isinstance(value, str)):
            raise QuestionsError(f"{place}: {TOO_LONG}")
        yield place, row
    if not num_rows:
        raise QuestionsError("line 1: has no row below it")


def _csv_rows(text: str, columns: Sequence[str]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise QuestionsError(f"line 1: has no column {', '.join(missing)}")
        for row in reader:
            yield f"line {reader.line_num}", row
    except csv.Error as error:
        # Python's own limit on a cell is more than ours, and another part of the program may have raised it.
        what = TOO_LONG if "field larger" in str(error) else f"is not CSV: {error}"
        raise QuestionsError(f"line {reader.line_num + 1}: {what}") from None


def _json_rows(text: str) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise QuestionsError(f"line {number}: is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise QuestionsError(f"line {number}: is not a JSON object")
        yield f"line {number}", row
