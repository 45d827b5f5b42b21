"""The pages and the API of the other kinds of task, without JavaScript."""

import html
import json
import re
from typing import Any

import pytest

from labeling.models import Draft, Prompt, PromptAnnotation, PromptBrief, Slot, Task, WrittenPrompt
from tests.labeling.conftest import People
from tests.labeling.writing.conftest import as_, label, write


def page_of(task: Task) -> str:
    return f"/p/tea/work/task/{task.uid}/"


def test_the_start_page_shows_a_kind_only_while_something_of_it_is_open(people: People, ask: Any) -> None:
    client = as_(people.labeler)
    assert b">Write prompts</button>" not in client.get("/p/tea/work/").content
    ask()
    assert b">Write prompts</button>" in client.get("/p/tea/work/").content
    answer = client.post("/p/tea/work/next/", {"kind": "write_prompt"})
    assert answer["Location"] == page_of(Task.objects.get())


def test_a_plain_prompt_is_written_by_form(people: People, ask: Any) -> None:
    task = ask(use_case="", language="")[0]
    client = as_(people.labeler)
    assert b"Your prompt" in client.get(page_of(task)).content
    form = {"instruction": "Name a tree.\r\nOnly one.", "use_case": "open_qa", "language": "en", "idempotency_key": "k"}
    assert client.post(page_of(task), form).status_code == 200  # nothing more to hand out
    assert Prompt.objects.get().text == "Name a tree.\nOnly one."


def test_examples_come_and_go_without_javascript(people: People, ask: Any) -> None:
    task = ask(style="few_shot")[0]
    client = as_(people.labeler)
    form = {"instruction": "Do", "pair_query": ["a", "b"], "pair_response": ["1", "2"], "query": "c"}
    more = client.post(page_of(task), {**form, "action": "add_pair"}).content.decode()
    assert more.count("data-pair>") == 3
    less = client.post(page_of(task), {**form, "action": "remove_pair_0"}).content.decode()
    assert ">b</textarea>" in less
    assert ">a</textarea>" not in less
    assert not Prompt.objects.exists()
    client.post(page_of(task), {**form, "idempotency_key": "k"})
    assert WrittenPrompt.objects.get().pairs == [{"query": "a", "response": "1"}, {"query": "b", "response": "2"}]


def test_a_hint_is_shown_once_and_then_the_prompt_is_taken_as_it_is(people: People, ask: Any) -> None:
    task = ask()[0]
    client = as_(people.labeler)
    form = {"instruction": "Write to anna.b@corp.io", "idempotency_key": "k"}
    first = client.post(page_of(task), form)
    assert b"personal data: e-mail" in first.content
    assert b"Send it as it is" in first.content
    assert not Prompt.objects.exists()
    client.post(page_of(task), {**form, "seen_hints": seen_on(first)})
    assert Prompt.objects.get().personal_data == ["e-mail"]


def seen_on(answer: Any) -> str:
    """What the page's own hidden field would send."""
    found = re.search(r'name="seen_hints" value="([^"]*)"', answer.content.decode())
    assert found
    return html.unescape(found[1])


def test_several_hints_are_seen_together_and_new_ones_are_shown_again(people: People, ask: Any) -> None:
    one, two = ask(num_tasks=2)
    text = "Write to anna.b@corp.io about the heating that has been broken since Tuesday. " * 3
    write(one, people.labeler, text)
    client = as_(people.labeler)
    form = {"instruction": text + "Now.", "idempotency_key": "k"}
    first = client.post(page_of(two), form)
    assert len(first.context["hints"]) == 2
    changed = client.post(page_of(two), {**form, "instruction": "Call +49 30 1234567", "seen_hints": seen_on(first)})
    assert b"personal data: phone" in changed.content
    assert WrittenPrompt.objects.count() == 1
    client.post(page_of(two), {**form, "seen_hints": seen_on(first)})
    assert WrittenPrompt.objects.count() == 2


def test_errors_leave_what_was_typed_on_the_page(people: People, ask: Any) -> None:
    task = ask(style="few_shot")[0]
    form = {"instruction": "Do", "pair_query": ["a"], "pair_response": [""], "query": "c", "idempotency_key": "k"}
    answer = as_(people.labeler).post(page_of(task), form)
    assert answer.status_code == 422
    assert b"Example 1 has no response yet." in answer.content
    assert b">a</textarea>" in answer.content


def test_a_draft_of_a_prompt_comes_back(people: People, ask: Any) -> None:
    task = ask(style="few_shot")[0]
    client = as_(people.labeler)
    form = {"instruction": "Half", "pair_query": ["a"], "pair_response": ["b"], "query": "", "action": "draft"}
    client.post(page_of(task), form)
    assert Draft.objects.get().payload["pairs"] == [{"query": "a", "response": "b"}]
    assert b">Half</textarea>" in client.get(page_of(task)).content


def test_a_strange_draft_does_not_break_the_page(people: People, ask: Any, ask_labels: Any) -> None:
    client = as_(people.labeler)
    for task in (ask(style="few_shot")[0], ask_labels()):
        client.get(page_of(task))
        for payload in ({"pairs": "x", "labels": 7}, {"pairs": [1, {"query": None}], "labels": ["?"], "is_none": "x"}):
            Draft.objects.update_or_create(task=task, labeler=people.labeler, defaults={"payload": payload})
            assert client.get(page_of(task)).status_code == 200


def test_labels_are_ticked_by_form(people: People, ask_labels: Any) -> None:
    task = ask_labels()
    client = as_(people.labeler)
    assert b"Which of these hold?" in client.get(page_of(task)).content
    empty = client.post(page_of(task), {"idempotency_key": "k"})
    assert empty.status_code == 422
    client.post(page_of(task), {"labels": ["Ambiguous"], "idempotency_key": "k"})
    assert PromptAnnotation.objects.get().labels == ["Ambiguous"]


def test_the_api_hands_out_and_takes_in_the_new_kinds(people: People, ask: Any, ask_labels: Any) -> None:
    ask(text="Rivers")
    client = as_(people.labeler)

    def send(path: str, body: dict[str, Any]) -> Any:
        return client.post(f"/api/v1/projects/tea/{path}", json.dumps(body), content_type="application/json")

    sheet = send("next/", {"kinds": ["write_prompt"]}).json()["sheet"]
    assert sheet["brief"] == {"style": "plain", "use_case": "open_qa", "language": "en", "text": "Rivers"}
    assert sheet["prompt"] == sheet["cards"] == []
    body = {"idempotency_key": "k", "instruction": "Name a river."}
    assert send(f"tasks/{sheet['task']}/submit/", body).status_code == 201
    assert send(f"tasks/{sheet['task']}/submit/", body).json()["revision"] == 1
    assert Prompt.objects.count() == 1

    ask_labels()
    sheet = send("next/", {"kinds": ["annotate"]}).json()["sheet"]
    assert sheet["labels"] == ["Ambiguous", "Closed domain", "Requests advice"]
    refused = send(f"tasks/{sheet['task']}/submit/", {"idempotency_key": "l"})
    assert refused.status_code == 422
    assert send(f"tasks/{sheet['task']}/submit/", {"idempotency_key": "l", "is_none": True}).status_code == 201
    hints = send("hints/", {"instruction": "Mail anna.b@corp.io"}).json()
    assert "e-mail" in hints["hints"][0]


def test_history_shows_and_changes_what_was_given(people: People, ask: Any, ask_labels: Any) -> None:
    written, annotated = write(ask()[0], people.labeler), label(ask_labels(), people.labeler, "Ambiguous")
    client = as_(people.labeler)
    assert b"Name three rivers" in client.get("/p/tea/work/history/?kind=prompts").content
    assert b"Ambiguous" in client.get("/p/tea/work/history/?kind=labels").content
    changed = {"instruction": "Name four rivers of Asia.", "idempotency_key": "r1"}
    client.post(f"/p/tea/work/history/prompt/{written.uid}/", changed)
    assert set(Prompt.objects.filter(author=people.labeler, is_retired=False).values_list("text", flat=True)) == {
        "Name four rivers of Asia."
    }
    client.post(f"/p/tea/work/history/labels/{annotated.uid}/", {"is_none": "1", "idempotency_key": "r2"})
    assert PromptAnnotation.objects.get(revision=2).labels == []


def test_enter_in_a_field_of_a_past_answer_changes_nothing(people: People, ask: Any, ask_labels: Any) -> None:
    written, annotated = write(ask()[0], people.labeler), label(ask_labels(), people.labeler, "Ambiguous")
    client = as_(people.labeler)
    typed = {"action": "look", "idempotency_key": "r"}
    page = client.post(f"/p/tea/work/history/prompt/{written.uid}/", {**typed, "instruction": "Half a"})
    assert b"Half a" in page.content
    client.post(f"/p/tea/work/history/labels/{annotated.uid}/", {**typed, "is_none": "1"})
    assert (WrittenPrompt.objects.count(), PromptAnnotation.objects.count()) == (1, 1)


def test_somebody_elses_answers_are_not_found(people: People, ask: Any, ask_labels: Any) -> None:
    written, annotated = write(ask()[0], people.labeler), label(ask_labels(), people.labeler, "Ambiguous")
    client = as_(people.labeler2)
    assert client.get(f"/p/tea/work/history/prompt/{written.uid}/").status_code == 404
    assert client.get(f"/p/tea/work/history/labels/{annotated.uid}/").status_code == 404


def test_a_manager_asks_for_prompts(people: People) -> None:
    client = as_(people.manager)
    form = {"style": "user_based", "num_tasks": 3, "num_wanted": 2, "priority": 0}
    assert client.post("/p/tea/prompts/ask/", form).status_code == 422
    assert not PromptBrief.objects.exists()
    client.post("/p/tea/prompts/ask/", {**form, "text": "A baker asks for recipes."})
    assert PromptBrief.objects.get().created_by == people.manager
    assert Slot.objects.filter(kind="write_prompt").count() == 6
    assert b"A baker asks" in client.get("/p/tea/prompts/ask/").content


@pytest.mark.parametrize("action", ["annotate", "compare"])
def test_tasks_are_made_of_chosen_prompts(people: People, make_prompt: Any, action: str) -> None:
    prompt = make_prompt(k=2)
    client = as_(people.manager)
    chosen = {"action": action, "scope": "selected", "prompt": str(prompt.uid)}
    assert client.post("/p/tea/prompts/select/", chosen).status_code == 200
    client.post("/p/tea/prompts/select/", {**chosen, "done": "1", "num_wanted": 1, "priority": 0})
    assert Task.objects.get().kind == action
