"""Plain text as one stream of tokens: for pretraining the tiny model, for mixing into SFT, for PPO-ptx.

In the shipped text pieces are separated by two empty lines, and a piece that starts with "User:" is a conversation;
it is given in the chat template's own control tokens, so that the tiny model knows them before SFT.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from training.contract.records import Message, TextRow
from training.engine.text import Text

SHIPPED_TEXT = Path(__file__).parent.parent / "recipes" / "tiny_text.txt"
_TURN = re.compile(r"^(User|Assistant): ", re.MULTILINE)


def shipped_stream(text: Text, *, path: Path = SHIPPED_TEXT) -> list[int]:
    """The text that comes with Podium, as one stream."""
    pieces = [piece.strip() for piece in path.read_text(encoding="utf-8").split("\n\n\n")]
    return _join([_piece_ids(piece, text) for piece in pieces if piece])


def snapshot_stream(rows: Iterable[TextRow], text: Text, *, split: str = "train") -> list[int]:
    """The pieces of one split of a text snapshot, each followed by an end token, as one stream."""
    return _join([[*text.content_ids(row.text), text.end_id] for row in rows if row.split == split])


def _piece_ids(piece: str, text: Text) -> list[int]:
    messages = _conversation(piece)
    if not messages:
        return [*text.content_ids(piece), text.end_id]
    ids: list[int] = []
    for index in range(0, len(messages) - 1, 2):
        ids = text.prompt_ids(messages[: index + 1]) + text.response_ids(messages[index + 1].content)
    return ids


def _conversation(piece: str) -> list[Message]:
    """The turns of a piece, or none when it is not a conversation of user and assistant in turn."""
    marks = list(_TURN.finditer(piece))
    if not marks or marks[0].start() != 0:
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(piece)]
    turns = [
        Message(mark.group(1).lower(), piece[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)
    ]
    expected = ["user", "assistant"] * (len(turns) // 2)
    return turns if [turn.role for turn in turns] == expected else []


def _join(pieces: Sequence[list[int]]) -> list[int]:
    return [token for piece in pieces for token in piece]
