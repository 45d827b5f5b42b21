"""The text that the tiny model is pretrained on, and its short demonstrations."""

import json
from pathlib import Path

from training.recipes import make_tiny_text

RECIPES = Path(make_tiny_text.__file__).parent


def shipped_text() -> str:
    return (RECIPES / "tiny_text.txt").read_text(encoding="utf-8")


def test_the_generator_writes_the_shipped_bytes() -> None:
    assert make_tiny_text.tiny_text() == shipped_text()


def test_the_text_is_plain_ascii_of_the_promised_size() -> None:
    text = shipped_text()
    assert text.isascii()
    assert 120_000 <= len(text) <= 200_000


def test_no_piece_occurs_twice_and_none_is_empty() -> None:
    pieces = shipped_text().strip("\n").split(make_tiny_text.SEPARATOR)
    assert len(set(pieces)) == len(pieces)
    assert all(piece.strip() == piece != "" for piece in pieces)


def test_every_hand_written_piece_is_in_the_text() -> None:
    prose = (RECIPES / "tiny_prose.txt").read_text(encoding="utf-8")
    assert len(prose) >= 40_000
    pieces = set(shipped_text().strip("\n").split(make_tiny_text.SEPARATOR))
    assert set(prose.strip("\n").split(make_tiny_text.SEPARATOR)) <= pieces


def test_sums_in_the_text_are_right() -> None:
    numbers = {word: value for value, word in enumerate(make_tiny_text.NUMBERS)}
    checked = 0
    for line in shipped_text().splitlines():
        match line.removeprefix("Assistant: ").removesuffix(".").lower().split():
            case [left, "plus" | "minus" as sign, right, "is", total]:
                step = numbers[right] if sign == "plus" else -numbers[right]
                assert numbers[left] + step == numbers[total], line
                checked += 1
    assert checked >= 2 * make_tiny_text.PIECES_PER_TEMPLATE


def test_short_demonstrations_fit_a_tiny_context_and_are_unique() -> None:
    lines = (RECIPES / "tiny_demonstrations.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) >= 200
    assert len({row["prompt"] for row in rows}) == len(rows)
    assert all(set(row) == {"id", "prompt", "response"} for row in rows)
    assert all(0 < len(row[side]) <= 60 for row in rows for side in ("prompt", "response"))
