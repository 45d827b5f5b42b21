"""The shipped demo: what pages, tests and the tiny loop rely on being true of it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from labeling.models import UseCase

DEMO = Path(__file__).parents[2] / "labeling" / "demo"
RIGHT_TO_LEFT = {"ar", "he"}


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DEMO / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def prompts() -> list[dict[str, Any]]:
    return rows("prompts.jsonl")


@pytest.fixture(scope="module")
def demonstrations() -> list[dict[str, Any]]:
    return rows("demonstrations.jsonl")


@pytest.fixture(scope="module")
def unranked() -> list[dict[str, Any]]:
    return rows("prompts_unranked.jsonl")


def test_the_counts_are_as_promised(prompts, demonstrations, unranked) -> None:
    assert (len(prompts), len(demonstrations), len(unranked)) == (44, 24, 16)


def test_every_prompt_has_exactly_the_agreed_fields(prompts, unranked) -> None:
    shared = {"id", "prompt", "use_case", "language", "author"}
    assert all(set(row) == shared | {"responses"} for row in prompts)
    assert all(set(row) == shared for row in unranked)


def test_ids_and_prompt_texts_are_unique_across_both_files(prompts, unranked) -> None:
    everything = prompts + unranked
    ids = Counter(row["id"] for row in everything)
    texts = Counter(json.dumps(row["prompt"], ensure_ascii=False) for row in everything)
    assert max(ids.values()) == 1
    assert max(texts.values()) == 1


def test_each_use_case_is_present_and_none_is_unknown(prompts) -> None:
    assert {row["use_case"] for row in prompts} == set(UseCase.values)


def test_there_are_ten_authors_so_that_the_split_by_user_has_something_to_split(prompts) -> None:
    assert {row["author"] for row in prompts} == {f"customer_{number:02d}" for number in range(1, 11)}


def test_several_languages_are_there_and_one_runs_right_to_left(prompts) -> None:
    languages = {row["language"] for row in prompts}
    assert {"en", "de", "es", "fr"} <= languages
    assert languages & RIGHT_TO_LEFT


def test_right_to_left_prompts_really_hold_right_to_left_letters(prompts) -> None:
    texts = [row["prompt"] for row in prompts if row["language"] in RIGHT_TO_LEFT]
    assert all(any("\u0590" <= letter <= "\u06ff" for letter in text) for text in texts)


def test_tasks_for_people_have_four_to_nine_responses_and_some_have_nine(prompts) -> None:
    sizes = Counter(len(row["responses"]) for row in prompts)
    assert set(sizes) <= set(range(4, 10))
    assert sizes[9] >= 2


def test_responses_of_a_prompt_differ_in_text_and_model(prompts) -> None:
    for row in prompts:
        texts = [response["text"].strip() for response in row["responses"]]
        models = [response["model"] for response in row["responses"]]
        assert len(set(texts)) == len(texts), row["id"]
        assert len(set(models)) == len(models), row["id"]
        assert all(texts), row["id"]


def test_qualities_are_whole_numbers_from_one_to_seven_and_clearly_differ(prompts) -> None:
    for row in prompts:
        qualities = [response["quality"] for response in row["responses"]]
        assert set(qualities) <= set(range(1, 8)), row["id"]
        assert max(qualities) - min(qualities) >= 3, row["id"]


def test_a_tie_occurs_so_that_its_handling_is_seen(prompts) -> None:
    assert any(len({r["quality"] for r in row["responses"]}) < len(row["responses"]) for row in prompts)


def test_neither_the_stored_order_nor_the_model_name_gives_the_best_response_away(prompts) -> None:
    best = [max(row["responses"], key=lambda response: response["quality"]) for row in prompts]
    places = Counter(row["responses"].index(top) for row, top in zip(prompts, best, strict=True))
    models = Counter(top["model"] for top in best)
    assert max(places.values()) < len(prompts) * 0.5
    assert max(models.values()) < len(prompts) * 0.75


def test_conversations_alternate_and_end_with_the_user(prompts) -> None:
    conversations = [row["prompt"] for row in prompts if isinstance(row["prompt"], list)]
    assert len(conversations) >= 3
    for messages in conversations:
        roles = [message["role"] for message in messages if message["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert all(message["content"].strip() for message in messages)


@pytest.mark.parametrize("mark", ["```", "|---", "$$", "- ", "**"])
def test_the_responses_exercise_the_renderer(prompts, mark: str) -> None:
    assert any(mark in response["text"] for row in prompts for response in row["responses"])


def test_every_demonstration_answers_a_known_prompt_or_brings_its_own(prompts, demonstrations) -> None:
    known = {row["id"] for row in prompts}
    for row in demonstrations:
        assert row["demonstration"].strip(), row["id"]
        assert row["labeler"].startswith("labeler_"), row["id"]
        assert (row.get("prompt_id") in known) != ("prompt" in row), row["id"]
        assert row.get("use_case", UseCase.OTHER) in UseCase.values, row["id"]


def test_a_demonstration_is_not_a_copy_of_a_response(prompts, demonstrations) -> None:
    responses = {response["text"].strip() for row in prompts for response in row["responses"]}
    assert not responses & {row["demonstration"].strip() for row in demonstrations}


def test_the_guideline_is_short_enough_to_be_read_before_the_first_task() -> None:
    words = (DEMO / "guideline.md").read_text(encoding="utf-8").split()
    assert 450 <= len(words) <= 850
