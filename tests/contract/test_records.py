"""Rows check themselves, name the field at fault, and hash the same on any machine."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from training.contract.records import (
    COLUMNS,
    ROW_TYPES,
    AnsweredRow,
    DemonstrationRow,
    PromptRow,
    RecordError,
    ResponseRow,
    RewardRow,
    ScoreRow,
    SnapshotManifest,
    TextRow,
    content_sha256,
    read_snapshot_manifest,
)

PROMPT = [{"role": "user", "content": "Warum ist der Himmel blau? 🌍"}]


def reward(**changes: Any) -> dict[str, Any]:
    row = {
        "prompt_id": "p1",
        "prompt": PROMPT,
        "responses": ["a", "b", ""],
        "ranks": [1, 2, 2],
        "labeler": "l1",
        "weight": 0.5,
        "split": "train",
        "held_out": False,
        "category": "open_qa",
        "language": "de",
        "source": "demo",
    }
    return row | changes


def test_a_reward_row_survives_the_way_to_a_dict_and_back() -> None:
    assert RewardRow.from_dict(reward()).to_dict() == reward()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt_id", ""),
        ("prompt_id", 7),
        ("prompt", []),
        ("prompt", "text"),
        ("prompt", [{"role": "user"}]),
        ("prompt", [{"role": "user", "content": "x", "name": "y"}]),
        ("role", [{"role": "robot", "content": "x"}]),
        ("content", [{"role": "user", "content": None}]),
        ("responses", ["alone"]),
        ("responses", ["a", "b", 3]),
        ("responses", ["x"] * 33),
        ("ranks", [1, 2]),
        ("ranks", [0, 1, 2]),
        ("ranks", [1, 2, True]),
        ("ranks", [1.0, 2.0, 3.0]),
        ("labeler", None),
        ("weight", 0.0),
        ("weight", float("nan")),
        ("weight", "1"),
        ("split", "dev"),
        ("held_out", 0),
        ("category", None),
    ],
)
def test_a_wrong_reward_row_names_its_field(field: str, value: Any) -> None:
    column = "prompt" if field in ("role", "content") else field
    with pytest.raises(RecordError) as caught:
        RewardRow.from_dict(reward(**{column: value}))
    assert caught.value.field == field


def test_a_missing_and_an_unknown_field_are_named() -> None:
    row = reward()
    del row["labeler"]
    with pytest.raises(RecordError, match="labeler: is missing"):
        RewardRow.from_dict(row)
    with pytest.raises(RecordError, match="model: is not a field of RewardRow"):
        RewardRow.from_dict(reward(model="secret"))


def test_optional_origin_may_be_left_out_and_stays_empty() -> None:
    row = reward()
    for name in ("category", "language", "source"):
        del row[name]
    assert RewardRow.from_dict(row).category == ""


def test_a_whole_number_weight_hashes_as_the_float_does() -> None:
    one = RewardRow.from_dict(reward(weight=1)).to_dict()
    assert content_sha256([one]) == content_sha256([reward(weight=1.0)])


def test_a_failed_response_says_why_and_a_good_one_does_not() -> None:
    good = {"prompt_id": "p", "sample_index": 0, "text": "hi", "finish_reason": "stop", "num_tokens": 2, "error": ""}
    assert ResponseRow.from_dict(good).to_dict() == good
    for changes in ({"finish_reason": "error"}, {"error": "out of memory"}):
        with pytest.raises(RecordError) as caught:
            ResponseRow.from_dict(good | changes)
        assert caught.value.field == "error"


def test_the_columns_of_each_kind_are_the_fields_of_its_row_in_order() -> None:
    rows = {
        "reward": RewardRow.from_dict(reward()),
        "sft": DemonstrationRow.from_dict({"prompt_id": "p", "prompt": PROMPT, "response": "r", "split": "valid"}),
        "prompts": PromptRow.from_dict({"prompt_id": "p", "prompt": PROMPT, "split": "test"}),
        "text": TextRow(text="once", split="train"),
        "responses": AnsweredRow.from_dict(answered()),
    }
    assert set(rows) == set(ROW_TYPES) == set(COLUMNS)
    for kind, row in rows.items():
        assert list(row.to_dict()) == list(COLUMNS[kind])


def test_the_content_hash_is_sha256_of_canonical_lines_in_file_order() -> None:
    rows = [{"b": 1, "a": "ü"}, {"a": "2\n", "b": 0.5}]
    expected = hashlib.sha256('{"a":"ü","b":1}\n{"a":"2\\n","b":0.5}\n'.encode()).hexdigest()
    assert content_sha256(rows) == expected
    assert content_sha256(rows[::-1]) != expected
    assert content_sha256([]) == hashlib.sha256().hexdigest()


def manifest(**changes: Any) -> dict[str, Any]:
    return {"kind": "sft", "sha256": "0" * 64, "num_rows": 3, "schema_version": 1, "stats": {"x": 1}} | changes


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest()))
    assert read_snapshot_manifest(tmp_path) == SnapshotManifest(**manifest())


@pytest.mark.parametrize(
    "changes", [{"kind": "rows"}, {"sha256": "abc"}, {"num_rows": -1}, {"schema_version": 2}, {"extra": 1}]
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest(**changes)))
    with pytest.raises(RecordError):
        read_snapshot_manifest(tmp_path)


def test_a_missing_or_broken_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not found"):
        read_snapshot_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(RecordError, match="not a snapshot manifest"):
        read_snapshot_manifest(tmp_path)


def answered(**changes: Any) -> dict[str, Any]:
    row = {"prompt_id": "p", "prompt": PROMPT, "responses": ["one", ""], "split": "train"}
    return row | {"category": "", "language": "", "source": ""} | changes


@pytest.mark.parametrize("responses", [[], ["a", "a"], "text", ["a", 3]])
def test_an_answered_prompt_has_each_text_once(responses: Any) -> None:
    assert AnsweredRow.from_dict(answered()).to_dict() == answered()
    with pytest.raises(RecordError) as caught:
        AnsweredRow.from_dict(answered(responses=responses))
    assert caught.value.field == "responses"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt_id", ""),
        ("response_sha256", "A" * 64),
        ("response_sha256", "a" * 63),
        ("scores", []),
        ("scores", [1]),
        ("scores", [float("nan")]),
        ("scores", [0.5, float("inf")]),
    ],
)
def test_a_score_names_its_response_by_hash_and_is_a_finite_number_of_each_model(field: str, value: Any) -> None:
    row = ScoreRow.of("p", "Grüße", [0.5, -1.0])
    assert row.response_sha256 == hashlib.sha256("Grüße".encode()).hexdigest()
    assert ScoreRow.from_dict(row.to_dict()) == row
    with pytest.raises(RecordError) as caught:
        ScoreRow.from_dict(row.to_dict() | {field: value})
    assert caught.value.field == field
