"""Prompts from before are looked through: what is found, what is left alone, and going on where it was."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from labeling import jobs
from labeling.models import Prompt, PromptLook, UseCase
from labeling.services import looks, prompts
from tests.labeling.conftest import People

ALL = list(looks.PARTS)


@pytest.fixture
def old(make_prompt: Any) -> dict[str, Prompt]:
    """As they lie in a database from before: no kinds, no language, no use case."""
    texts = {
        "mail": "Write to anna.berg@corp.io about tea",
        "greek": "Πες μου για το τσάι",
        "plain": "Summarize this: tea is hot.",
    }
    return {name: make_prompt(text, k=0) for name, text in texts.items()}


def look(people: People, *parts: str) -> PromptLook:
    begun = looks.start(project=people.project, parts=parts or ALL, by=people.manager)
    assert begun
    return looks.run(begun.pk)


def test_what_is_missing_is_filled_in_and_counted_by_kind(people: People, old: dict[str, Prompt]) -> None:
    done = look(people)
    assert (done.state, done.num_looked) == ("done", 3)
    assert done.counts == {
        "personal_data": {"e-mail": 1},
        "language": {"el": 1},
        "use_case": {"generation": 1, "summarization": 1},
    }
    found = {name: Prompt.objects.get(pk=prompt.pk) for name, prompt in old.items()}
    assert found["mail"].personal_data == ["e-mail"]
    assert found["greek"].language == "el"
    assert found["plain"].use_case == UseCase.SUMMARIZATION


def test_what_is_there_already_stays(people: People, old: dict[str, Prompt]) -> None:
    Prompt.objects.update(language="xx", use_case=UseCase.CHAT)
    assert look(people).counts == {"personal_data": {"e-mail": 1}}
    assert set(Prompt.objects.values_list("language", "use_case")) == {("xx", "chat")}


def test_a_second_look_has_nothing_to_do_and_another_part_has(people: People, old: dict[str, Prompt]) -> None:
    assert look(people, "personal_data").num_looked == 3
    assert set(Prompt.objects.values_list("language", "use_case")) == {("", "other")}  # only what was asked for
    assert look(people, "personal_data").num_looked == 0
    assert look(people, "language").num_looked == 3


def test_another_detector_looks_again(people: People, old: dict[str, Prompt], settings: Any) -> None:
    look(people)
    settings.LANGUAGE_DETECTION = "lingua"
    assert looks.lacking(project=people.project, parts=["language"]).count() == 3
    assert looks.lacking(project=people.project, parts=["personal_data"]).count() == 0


def test_a_new_prompt_was_looked_through_when_it_came(people: People) -> None:
    prompts.add(
        project=people.project, messages=[{"role": "user", "content": "Hi a.b@corp.io"}], author=None, split="train"
    )
    assert not looks.lacking(project=people.project, parts=["personal_data"]).exists()


def test_other_projects_are_left_alone(people: People, old: dict[str, Prompt]) -> None:
    elsewhere = people.stranger.memberships.get().project
    begun = looks.start(project=elsewhere, parts=ALL, by=None)
    assert begun
    assert looks.run(begun.pk).num_looked == 0
    assert not Prompt.objects.exclude(personal_data=[]).exists()


def test_a_look_that_was_cut_short_goes_on_behind_its_last_batch(
    people: People, old: dict[str, Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "BATCH", 1)
    begun = looks.start(project=people.project, parts=ALL, by=people.manager)
    assert begun
    find = looks.personal_data.find
    monkeypatch.setattr(looks.personal_data, "find", lambda text: find(text) if "anna" in text else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        looks.run(begun.pk)
    begun.refresh_from_db()
    assert (begun.state, begun.num_looked, begun.counts["personal_data"]) == ("running", 1, {"e-mail": 1})
    monkeypatch.setattr(looks.personal_data, "find", find)
    rung: list[tuple[str, int]] = []
    monkeypatch.setattr("labeling.services.bell.ring", lambda job, row_id: rung.append((job, row_id)))
    jobs.sweep_looks()
    assert rung == [("look_through_prompts", begun.pk)]
    jobs.look_through_prompts(begun.pk)
    begun.refresh_from_db()
    assert (begun.state, begun.num_looked, begun.counts["personal_data"]) == ("done", 3, {"e-mail": 1})


def test_one_at_a_time_per_project(people: People, old: dict[str, Prompt]) -> None:
    assert looks.start(project=people.project, parts=ALL, by=people.manager)
    assert looks.start(project=people.project, parts=ALL, by=people.manager) is None


def test_the_command_says_what_it_found(people: People, old: dict[str, Prompt]) -> None:
    told = io.StringIO()
    call_command("look_through_prompts", "--project", "tea", "--for", "personal_data", stdout=told)
    assert told.getvalue().splitlines() == ["3 prompts looked through.", "Personal data: e-mail: 1"]
    with pytest.raises(CommandError, match="no project"):
        call_command("look_through_prompts", "--project", "none")


def test_the_command_goes_on_with_what_was_begun(people: People, old: dict[str, Prompt]) -> None:
    looks.start(project=people.project, parts=["language"], by=people.manager)
    told = io.StringIO()
    call_command("look_through_prompts", "--project", "tea", stdout=told)
    assert "Going on with the look for language" in told.getvalue()
    assert PromptLook.objects.get().state == "done"


def test_a_manager_starts_it_and_sees_how_far_it_is(people: People, old: dict[str, Prompt], client: Client) -> None:
    client.force_login(people.manager)
    address = reverse("prompts_look", args=["tea"])
    assert b"3 prompts were not looked through for this" in client.get(address).content
    assert client.post(address).status_code == 422
    assert client.post(address, {"part": ["personal_data", "dance"]}).url == address
    begun = PromptLook.objects.get()
    assert (begun.parts, begun.asked_by) == (["personal_data"], people.manager)
    part = client.get(address, headers={"HX-Request": "true"})
    assert b"hx-get" in part.content
    assert "HX-Refresh" not in part.headers
    assert "already" in client.post(address, {"part": "language"}, follow=True).content.decode()
    looks.run(begun.pk)
    assert client.get(address, headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"
    page = client.get(address).content.decode()
    assert "3 prompts looked through" in page
    assert "<td>e-mail</td>" in page
    assert "All prompts were looked through for this" in page
