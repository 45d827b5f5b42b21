"""Near duplicates, suggestions, and filters by personal data and label: for the manager who keeps prompts in order."""

import uuid
from typing import Any

import pytest
from django.test import Client, override_settings

from labeling import checks
from labeling.models import Prompt, User
from labeling.services import near_duplicates, prompts, suggestions
from tests.labeling.conftest import People

LETTER = "Write a polite letter to the landlord about the heating, which has been broken since Tuesday morning. " * 2


def as_(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def add(people: People, text: str, **fields: Any) -> Prompt:
    return prompts.add(project=people.project, messages=[{"role": "user", "content": text}], author=None, **fields)


# --- near duplicates -------------------------------------------------------------------------------------------------


def test_prompts_with_a_long_common_beginning_are_a_group_the_oldest_first(people: People) -> None:
    first, second = add(people, LETTER), add(people, LETTER + "Thank you.")
    add(people, "Something else entirely. " * 10)
    (group,) = near_duplicates.groups(project=people.project)
    assert group.prompts == [first, second]
    assert group.prompts[1].ending.endswith("Thank you.")  # type: ignore[attr-defined]


def test_one_beginning_can_hold_two_groups(people: People) -> None:
    """The first 100 characters are the same for all four; 80 % of the longer one only for each two."""
    start = "Translate the following text into German, keep the tone, and leave out not a single word of it, please: "
    for tail in ("a " * 200, "a " * 200 + "!", "b " * 200, "b " * 200 + "!"):
        add(people, start + tail)
    assert [group.num for group in near_duplicates.groups(project=people.project)] == [2, 2]


def test_retired_and_short_prompts_and_those_of_other_projects_are_no_duplicates(people: People) -> None:
    add(people, "Short"), add(people, "Short!")
    add(people, LETTER)
    retired = add(people, LETTER + "Old.")
    Prompt.objects.filter(pk=retired.pk).update(is_retired=True)
    other = people.stranger.memberships.get().project  # type: ignore[attr-defined]
    prompts.add(project=other, messages=[{"role": "user", "content": LETTER + "x"}], author=None)
    assert near_duplicates.groups(project=people.project) == []


def test_the_ticked_ones_are_retired_and_no_others(people: People) -> None:
    first, second, third = add(people, LETTER), add(people, LETTER + "A"), add(people, LETTER + "B")
    client = as_(people.manager)
    page = client.get("/p/tea/prompts/similar/").content.decode()
    assert page.count(" checked") == 2
    client.post("/p/tea/prompts/similar/", {"prompt": [str(second.uid), "nonsense", str(uuid.uuid4())]})
    assert set(Prompt.objects.filter(is_retired=True)) == {second}
    assert {first, third} <= set(Prompt.objects.filter(is_retired=False))


# --- suggestions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "use_case"),
    [
        ("Summarize this for a child: …", "summarization"),
        ("In two sentences: why did the bridge fall?", "summarization"),
        ("Translate to French: good morning", "rewrite"),
        ("Make this sound less angry: stop it.", "rewrite"),
        ("Urgent or not urgent? The printer burns.", "classification"),
        ("Which cities are named here? We flew from Oslo.", "extract"),
        ("Give me ten names for a boat.", "brainstorming"),
        ("Text: Dogs are welcome. May I bring my dog?", "closed_qa"),
        ("Write a poem about rain.", "generation"),
        ("Why is the sky blue?", "open_qa"),
        ("Hmm.", ""),
    ],
)
def test_a_use_case_is_told_by_the_first_words(text: str, use_case: str) -> None:
    assert suggestions.use_case_of([{"role": "user", "content": text}]) == use_case


def test_several_turns_are_a_chat_and_a_long_text_with_a_question_is_closed() -> None:
    turns = [{"role": role, "content": "Why?"} for role in ("user", "assistant", "user")]
    assert suggestions.use_case_of(turns) == "chat"
    assert suggestions.use_case_of([{"role": "user", "content": "Who left?\n" + "word " * 100}]) == "closed_qa"


def test_a_language_is_told_by_script_and_otherwise_not() -> None:
    assert suggestions.language_of("なぜ空は青いのですか") == "ja"
    assert suggestions.language_of("Why is the sky blue?") == ""


def test_only_prompts_that_lack_something_are_offered(people: People) -> None:
    add(people, "Why is the sky blue?", use_case="chat", language="en")
    lacking = add(people, "Why is the sea blue?", language="en")
    add(people, "Hmm.", language="en")
    (offered,) = suggestions.offer(Prompt.objects.filter(project=people.project))
    assert (offered.prompt, offered.use_case, offered.language) == (lacking, "open_qa", "")


def test_suggestions_are_taken_where_ticked_and_never_over_what_is_set(people: People) -> None:
    one, two, three = (add(people, f"Why {word}?") for word in ("one", "two", "three"))
    client = as_(people.manager)
    chosen = {"action": "suggest", "scope": "filtered", "filters": ""}
    page = client.post("/p/tea/prompts/select/", chosen).content.decode()
    assert page.count('name="take"') == 3
    Prompt.objects.filter(pk=two.pk).update(use_case="chat")  # somebody set it meanwhile
    form = {
        "take": [str(one.uid), str(two.uid)],
        **{f"use_case_{prompt.uid}": "open_qa" for prompt in (one, two, three)},
        f"language_{one.uid}": "EN",
    }
    client.post("/p/tea/prompts/suggest/", form)
    found = {prompt.pk: (prompt.use_case, prompt.language) for prompt in Prompt.objects.all()}
    assert found == {one.pk: ("open_qa", "en"), two.pk: ("chat", ""), three.pk: ("other", "")}


def test_suggestions_of_another_project_are_not_taken(people: People) -> None:
    prompt = add(people, "Why?")
    form = {"take": [str(prompt.uid)], f"use_case_{prompt.uid}": "open_qa"}
    as_(people.stranger).post("/p/coffee/prompts/suggest/", form)
    prompt.refresh_from_db()
    assert prompt.use_case == "other"


# --- filters and settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "found"), [("any", 2), ("none", 1), ("e-mail", 1), ("IBAN", 0), ("strange", 0)])
def test_prompts_are_found_by_personal_data(people: People, asked: str, found: int) -> None:
    add(people, "Nothing here")
    add(people, "Write to anna.b@corp.io")
    add(people, "Call +49 30 1234567")
    page = as_(people.manager).get(f"/p/tea/prompts/?personal_data={asked}")
    assert len(page.context["page"].rows) == found


@pytest.mark.parametrize(("who", "found"), [("acme", ["One"]), ("lena", ["Two"]), ("@example.org", [])])
def test_prompts_are_found_by_customer_or_author_and_never_by_address(
    people: People, who: str, found: list[str]
) -> None:
    add(people, "One", customer="ACME Inc.")
    prompts.add(project=people.project, messages=[{"role": "user", "content": "Two"}], author=people.labeler)
    page = as_(people.manager).get("/p/tea/prompts/", {"who": who})
    assert [prompt.beginning for prompt in page.context["page"].rows] == found


def test_kinds_of_personal_data_stand_beside_the_prompt(people: People) -> None:
    prompt = add(people, "Write to anna.b@corp.io")
    assert prompt.personal_data == ["e-mail"]
    client = as_(people.manager)
    for address in ("/p/tea/prompts/", f"/p/tea/prompts/{prompt.uid}/"):
        assert b"Looks like personal data" in client.get(address).content


def test_a_setting_for_a_missing_extra_is_an_error_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.optional_parts_are_installed(None) == []
    with override_settings(PERSONAL_DATA="guess"):
        assert [error.id for error in checks.optional_parts_are_installed(None)] == ["podium.E001"]
    with override_settings(PERSONAL_DATA="presidio", PERSONAL_DATA_MODEL="no_such_model"):
        assert "podium.E003" in [error.id for error in checks.optional_parts_are_installed(None)]
    monkeypatch.setattr(checks, "OPTIONAL", {"LANGUAGE_DETECTION": {"script": ("no_such_module", "languages")}})
    (error,) = checks.optional_parts_are_installed(None)
    assert (error.id, error.hint) == ("podium.E002", "Install it with: pip install 'podium[languages]'.")
