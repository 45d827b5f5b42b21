"""Two models against each other: one response of each, on a side drawn by lot, blind."""

from typing import Any

import pytest

from labeling.models import Ranking, Response, Task
from labeling.services import asking, rankings
from tests.labeling.conftest import People
from tests.labeling.writing.conftest import as_


@pytest.fixture
def two_models(people: People, make_prompt: Any) -> Any:
    prompt = make_prompt(k=2)
    old = prompt.responses.first().model
    new = people.project.models.create(name="new-lab", kind="external")
    Response.objects.create(prompt=prompt, model=new, sample_index=0, text="Better", num_chars=6)
    people.prompt, people.old, people.new = prompt, old, new  # type: ignore[attr-defined]
    return people


def compare(people: Any, **fields: Any) -> Any:
    return asking.ask_for_comparisons(
        project=people.project,
        prompts=[people.prompt],
        user=people.manager,
        model=people.old,
        other=people.new,
        **fields,
    )


def test_a_comparison_takes_one_response_of_each_model(two_models: Any) -> None:
    assert compare(two_models).num_made == 1
    task = Task.objects.get(kind="compare")
    assert {place.response.model.name for place in task.task_responses.all()} == {"other-lab", "new-lab"}
    assert (task.num_responses, task.rate_first) == (2, False)


def test_the_same_pair_is_not_asked_twice_and_a_missing_side_is_said(two_models: Any, make_prompt: Any) -> None:
    compare(two_models)
    assert compare(two_models).by_reason == {"already a task with the same responses": 1}
    two_models.prompt = make_prompt("Only one side", k=1)
    assert compare(two_models).by_reason == {"one of the two models has no response": 1}


def test_responses_that_say_the_same_or_name_their_model_are_not_compared(two_models: Any) -> None:
    Response.objects.filter(model=two_models.new).update(text="Answer 0 to Why is the sky blue?")
    compare(two_models)
    places = Task.objects.get(kind="compare").task_responses
    assert places.filter(response__text="Answer 1 to Why is the sky blue?").exists()
    Response.objects.filter(model=two_models.new).update(names_itself=True)
    Task.objects.all().delete()
    assert compare(two_models).num_made == 0


def test_without_models_any_two_responses_are_compared(two_models: Any) -> None:
    counts = asking.ask_for_comparisons(
        project=two_models.project, prompts=[two_models.prompt], user=two_models.manager
    )
    assert counts.num_made == 1
    assert Task.objects.get().kind == "compare"


@pytest.mark.parametrize(
    ("verdict", "outcome", "by_side"),
    [
        ("left", "ranked", [1, 2]),
        ("right", "ranked", [2, 1]),
        ("tie", "ranked", [1, 1]),
        ("both_bad", "none_acceptable", []),
    ],
)
def test_the_plain_form_takes_one_verdict(two_models: Any, verdict: str, outcome: str, by_side: list[int]) -> None:
    compare(two_models)
    task = Task.objects.get()
    client = as_(two_models.labeler)
    page = client.get(f"/p/tea/work/task/{task.uid}/")
    assert b"Left is better" in page.content
    assert b"new-lab" not in page.content
    answer = client.post(f"/p/tea/work/task/{task.uid}/", {"verdict": verdict, "idempotency_key": "k"})
    assert answer.status_code in (200, 302)
    ranking = Ranking.objects.get()
    assert ranking.outcome == outcome
    assert [ranking.ranks[position] for position in ranking.displayed if ranking.ranks] == by_side


def test_without_a_verdict_nothing_is_taken(two_models: Any) -> None:
    compare(two_models)
    task = Task.objects.get()
    answer = as_(two_models.labeler).post(f"/p/tea/work/task/{task.uid}/", {"idempotency_key": "k"})
    assert answer.status_code == 422
    assert b"Say which is better" in answer.content
    assert not Ranking.objects.exists()


def compared(people: Any, verdict: str = "left", **fields: str) -> Ranking:
    compare(people)
    path = f"/p/tea/work/task/{Task.objects.get().uid}/"
    as_(people.labeler).post(path, {"verdict": verdict, "idempotency_key": "k", **fields})
    return Ranking.objects.get()


def test_a_comparison_is_changed_on_its_own_page_with_the_earlier_answer_filled_in(two_models: Any) -> None:
    given = compared(two_models, "right", note="Close.", note_B="Clearer.")
    client, path = as_(two_models.labeler), f"/p/tea/work/history/ranking/{given.uid}/"
    page = client.get(path).content.decode()
    assert 'data-side="A"' in page
    assert 'name="rank_A"' not in page
    assert 'value="right" autocomplete="off" checked' in page
    assert "Clearer." in page
    assert "new-lab" not in page
    client.post(path, {"verdict": "tie", "note": "Equal.", "idempotency_key": "again"})
    revised = Ranking.objects.get(revision=2)
    assert (revised.ranks, revised.note, revised.slot_id) == ([1, 1], "Equal.", given.slot_id)
    assert revised.displayed == given.displayed
    client.post(f"/p/tea/work/history/ranking/{revised.uid}/", {"verdict": "both_bad", "idempotency_key": "third"})
    assert Ranking.objects.get(revision=3).outcome == "none_acceptable"


def test_a_change_without_a_verdict_is_refused_and_keeps_what_was_typed(two_models: Any) -> None:
    given = compared(two_models)
    path = f"/p/tea/work/history/ranking/{given.uid}/"
    answer = as_(two_models.labeler).post(path, {"note": "Hm.", "idempotency_key": "again"})
    assert answer.status_code == 422
    assert b"Say which is better" in answer.content
    assert b"Hm." in answer.content
    assert Ranking.objects.count() == 1


def test_a_comparison_that_is_not_among_the_last_ones_can_only_be_looked_at(
    two_models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = compared(two_models)
    monkeypatch.setattr(rankings, "NUM_EDITABLE", 0)
    client, path = as_(two_models.labeler), f"/p/tea/work/history/ranking/{given.uid}/"
    page = client.get(path).content.decode()
    assert "Save the change" not in page
    assert "data-verdict disabled" in page
    assert client.post(path, {"verdict": "right", "idempotency_key": "again"}).status_code == 422
    assert Ranking.objects.count() == 1
