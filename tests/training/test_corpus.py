"""Plain text as a stream: conversations get the chat template's control tokens, everything else stays text."""

from pathlib import Path

from training.contract.records import Message, TextRow
from training.engine import corpus
from training.engine.demonstrations import piece_factors
from training.engine.text import byte_text

TEXT = byte_text()


def stream(tmp_path: Path, content: str) -> list[int]:
    file = tmp_path / "text.txt"
    file.write_text(content, encoding="utf-8")
    return corpus.shipped_stream(TEXT, path=file)


def test_a_conversation_is_what_sft_will_see(tmp_path: Path) -> None:
    found = stream(tmp_path, "User: Who?\nAssistant: Me.\nUser: Why?\nAssistant: So.")
    turns = [Message("user", "Who?"), Message("assistant", "Me."), Message("user", "Why?")]
    assert found == TEXT.prompt_ids(turns) + TEXT.response_ids("So.")


def test_other_pieces_are_text_with_an_end(tmp_path: Path) -> None:
    found = stream(tmp_path, "Once there was a cow.\n\n\nUser: no answer\n\n\nA Word: about this.\n")
    expected = ["Once there was a cow.", "User: no answer", "A Word: about this."]
    assert found == [token for piece in expected for token in [*TEXT.content_ids(piece), TEXT.end_id]]


def test_the_shipped_text_has_conversations_and_no_control_token_of_its_own() -> None:
    found = corpus.shipped_stream(TEXT)
    assert len(found) > 100_000
    assistant = TEXT.tokenizer.convert_tokens_to_ids("<|assistant|>")
    assert found.count(assistant) > 100
    assert TEXT.pad_id not in found


def test_a_snapshot_gives_one_split_alone() -> None:
    rows = [TextRow(text="ab", split="train"), TextRow(text="cd", split="valid")]
    assert corpus.snapshot_stream(rows, TEXT) == [*TEXT.content_ids("ab"), TEXT.end_id]
    assert corpus.snapshot_stream(rows, TEXT, split="valid") == [*TEXT.content_ids("cd"), TEXT.end_id]


def test_pieces_of_several_lengths_stay_in_the_context() -> None:
    assert piece_factors(128, 512) == [1, 1, 2, 4]
    assert piece_factors(128, 300) == [1, 1, 2, 2]
    assert piece_factors(64, 64) == [1, 1, 1, 1]
