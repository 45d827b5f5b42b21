"""Writing prompts, labeling them and comparing two, in a real browser: keys, drafts, the next task at once."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from labeling.models import (
    Draft,
    Project,
    Prompt,
    PromptAnnotation,
    PromptBrief,
    Ranking,
    Response,
    Slot,
    Task,
    WrittenPrompt,
)
from labeling.services import asking, demo, prompts
from tests.browser.test_accessibility import by_finding, findings

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def ask_to_write(people: Any) -> Any:
    def make(num_tasks: int = 1, **fields: Any) -> list[Task]:
        brief = PromptBrief(
            project=people.project, **({"style": "plain", "use_case": "chat", "language": "en"} | fields)
        )
        return asking.ask_for_prompts(brief=brief, user=people.manager, num_tasks=num_tasks)

    return make


@pytest.fixture
def ask_to_compare(people: Any, make_prompt: Any) -> Any:
    def make(num: int = 1) -> list[Task]:
        asked = [make_prompt(f"Question {number}", k=1) for number in range(num)]
        new = people.project.models.create(name="new-lab", kind="external")
        for prompt in asked:
            Response.objects.create(prompt=prompt, model=new, sample_index=0, text="Quite another", num_chars=13)
        old = asked[0].responses.first().model
        asking.ask_for_comparisons(
            project=people.project, prompts=asked, user=people.manager, model=old, other=new, num_wanted=1
        )
        return list(Task.objects.filter(kind="compare").order_by("pk"))

    return make


def work(open_as: Any, people: Any, task: Task, **options: Any) -> Page:
    page: Page = open_as(people.labeler, f"/p/tea/work/task/{task.uid}/", **options)
    page.wait_for_selector("form.work--live")
    return page


def test_one_key_answers_a_comparison_and_enter_sends_it(open_as: Any, people: Any, ask_to_compare: Any) -> None:
    first, second = ask_to_compare(2)
    page = work(open_as, people, first)
    assert "new-lab" not in page.content()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".side.is-better")).to_have_attribute("data-side", "B")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{second.uid}/")
    ranking = Ranking.objects.get()
    assert [ranking.ranks[position] for position in ranking.displayed] == [2, 1]
    page.wait_for_selector("form.work--live")
    page.keyboard.press("n")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    assert Ranking.objects.get(task=second).outcome == "none_acceptable"


def test_without_a_verdict_a_comparison_stays(open_as: Any, people: Any, ask_to_compare: Any) -> None:
    page = work(open_as, people, ask_to_compare()[0])
    page.keyboard.press("Enter")
    expect(page.locator("[data-errors]")).to_contain_text("Say which is better")
    assert not Ranking.objects.exists()


def test_differences_are_marked_and_taken_away_again(open_as: Any, people: Any, ask_to_compare: Any) -> None:
    task = ask_to_compare()[0]
    Response.objects.filter(text="Quite another").update(text="Answer 0 to Question one")
    page = work(open_as, people, task)
    page.keyboard.press("c")
    assert page.locator(".side mark").count() >= 1
    page.keyboard.press("c")
    expect(page.locator(".side mark")).to_have_count(0)


def test_two_responses_stand_under_each_other_on_a_phone(open_as: Any, people: Any, ask_to_compare: Any) -> None:
    page = work(open_as, people, ask_to_compare()[0], width=360, height=740)
    first, second = (page.locator(f"[data-side={letter}]").bounding_box() for letter in "AB")
    assert second["y"] > first["y"] + first["height"] - 1
    page.get_by_label("Second is better").check()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    ranking = Ranking.objects.get()
    assert [ranking.ranks[position] for position in ranking.displayed] == [2, 1]


def test_keys_tick_labels_and_zero_says_none(open_as: Any, people: Any, make_prompt: Any) -> None:
    asked = [make_prompt(f"Prompt {number}", k=0) for number in range(2)]
    asking.ask_for_annotations(project=people.project, prompts=asked, user=people.manager)
    first, second = Task.objects.order_by("pk")
    page = work(open_as, people, first)
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-errors]")).to_contain_text("Tick what holds")
    for key in ("0", "1", "a", "2", "2"):
        page.keyboard.press(key)
    expect(page.locator("input[name=is_none]")).not_to_be_checked()
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"**/{second.uid}/")
    assert PromptAnnotation.objects.get().labels == [people.project.prompt_labels[0], people.project.prompt_labels[9]]
    page.wait_for_selector("form.work--live")
    page.keyboard.press("0")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    assert PromptAnnotation.objects.get(task=second).labels == []


def test_a_few_shot_prompt_with_an_example_more_is_kept_as_a_draft_and_sent(
    open_as: Any, people: Any, ask_to_write: Any
) -> None:
    task = ask_to_write(style="few_shot")[0]
    page = work(open_as, people, task)
    page.get_by_label("Instruction").fill("Good or bad?")
    page.get_by_role("button", name="Add an example").click()
    for number, (query, response) in enumerate([("one", "good"), ("two", "bad"), ("three", "good")]):
        page.locator("[name=pair_query]").nth(number).fill(query)
        page.locator("[name=pair_response]").nth(number).fill(response)
    page.get_by_role("button", name="Take away example 2").click()
    page.get_by_label("Last query").fill("four")
    expect(page.locator("[data-draft-state]")).to_contain_text("draft saved")
    assert [pair["query"] for pair in Draft.objects.get().payload["pairs"]] == ["one", "three"]
    page.reload()
    page.wait_for_selector("form.work--live")
    expect(page.locator("[name=pair_query]").nth(1)).to_have_value("three")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    assert WrittenPrompt.objects.get().query == "four"
    assert not Draft.objects.exists()


def test_hints_come_while_one_writes_and_stop_nobody(open_as: Any, people: Any, ask_to_write: Any) -> None:
    page = work(open_as, people, ask_to_write()[0])
    page.locator("#instruction").fill("Write to anna.b@corp.io")
    expect(page.locator("[data-hints]")).to_contain_text("personal data: e-mail")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    assert Prompt.objects.get().personal_data == ["e-mail"]


def test_an_exact_duplicate_is_named_and_the_words_stay(open_as: Any, people: Any, ask_to_write: Any) -> None:
    prompts.add(project=people.project, messages=[{"role": "user", "content": "Here already"}], author=None)
    page = work(open_as, people, ask_to_write()[0])
    page.locator("#instruction").fill("Here already")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-errors]")).to_contain_text("exactly this prompt")
    expect(page.locator("#instruction")).to_have_value("Here already")
    assert not WrittenPrompt.objects.exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_axe_finds_nothing_serious_on_the_labelers_pages(
    open_as: Any, people: Any, ask_to_write: Any, ask_to_compare: Any, make_prompt: Any, scheme: str, width: int
) -> None:
    plain, few, user = (
        ask_to_write(style=style, text="A baker asks.", use_case="", language="")[0]
        for style in ("plain", "few_shot", "user_based")
    )
    comparison = ask_to_compare()[0]
    prompt = make_prompt("To be labeled", k=0)
    asking.ask_for_annotations(project=people.project, prompts=[prompt], user=people.manager)
    annotated = Task.objects.get(kind="annotate")
    page = open_as(people.labeler, "/p/tea/work/", color_scheme=scheme, width=width)
    origin = page.url.split("/p/")[0]
    found = {"start": findings(page)}
    tasks = [f"/p/tea/work/task/{task.uid}/" for task in (plain, few, user, comparison, annotated)]
    for path in (*tasks, "/p/tea/work/statistics/", "/p/tea/work/survey/", "/p/tea/work/history/?kind=prompts"):
        Slot.objects.filter(state="held").update(state="open", holder=None, lease_until=None, claimed_at=None)
        page.goto(origin + path)
        found[path] = findings(page)
    assert by_finding(found) == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_the_managers_pages(open_as: Any, db: Any, scheme: str) -> None:
    demo.seed()
    project = Project.objects.get()
    manager = project.memberships.get(role="manager").user
    labeler = project.memberships.filter(role="labeler").first().user  # type: ignore[union-attr]
    text = "Write a polite letter to the landlord about the heating, which has been broken since Tuesday. " * 2
    for tail in ("Thank you.", "Make it short."):
        prompts.add(project=project, messages=[{"role": "user", "content": text + tail}], author=manager)
    page = open_as(manager, "/projects/", color_scheme=scheme)
    origin = page.url.removesuffix("/projects/")
    found: dict[str, list[str]] = {}
    for path in (
        "progress/", "prompts/ask/", "prompts/similar/", "people/hours/", "people/survey/",
        f"people/{labeler.uid}/withdraw/",
    ):  # fmt: skip
        page.goto(f"{origin}/p/{project.slug}/{path}")
        found[path] = findings(page)
    assert by_finding(found) == {}
