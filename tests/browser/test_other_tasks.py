"""Writing prompts, labeling them and comparing two, in a real browser: keys, drafts, the next task at once."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from labeling.models import (
    Demonstration,
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
from labeling.services import asking, demo, keys, prompts, tasks
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


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 360)])
def test_axe_finds_nothing_serious_where_past_answers_are_changed(
    open_as: Any,
    people: Any,
    client: Any,
    ask_to_write: Any,
    ask_to_compare: Any,
    make_prompt: Any,
    scheme: str,
    width: int,
) -> None:
    ask_to_compare()
    asking.ask_for_annotations(project=people.project, prompts=[make_prompt("One", k=0)], user=people.manager)
    ask_to_write()
    tasks.make_demonstration_tasks(project=people.project, prompts=[make_prompt("Hi", k=0)], user=people.manager)
    client.force_login(people.labeler)
    said = {"verdict": "left", "is_none": "1", "instruction": "Tea?", "text": "Hello"}
    for task in Task.objects.all():
        client.post(f"/p/tea/work/task/{task.uid}/", {**said, "idempotency_key": str(task.uid)})
    paths = [
        f"ranking/{Ranking.objects.get().uid}/", f"labels/{PromptAnnotation.objects.get().uid}/",
        f"prompt/{WrittenPrompt.objects.get().uid}/", f"written/{Demonstration.objects.get().uid}/",
    ]  # fmt: skip
    page = open_as(people.labeler, "/p/tea/work/history/", color_scheme=scheme, width=width)
    origin, found = page.url, {}
    for path in paths:
        page.goto(origin + path)
        page.wait_for_selector("form.work--live")
        found[path] = findings(page)
        page.locator("h1").click()
        page.keyboard.press("?")
        expect(page.locator("#keys-sheet")).to_be_visible()
        found[f"{path} keys"] = findings(page)
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


def test_own_keys_answer_a_comparison_and_its_sheet_says_which(open_as: Any, people: Any, ask_to_compare: Any) -> None:
    (task,) = ask_to_compare()
    keys.save(user=people.labeler, keys={"left": "h", "right": "l", "tie": "x", "none": "b", "submit": "F2"})
    page = work(open_as, people, task)
    page.keyboard.press("ArrowRight")
    assert page.locator(".side.is-better").count() == 0  # it means nothing now
    page.keyboard.press("l")
    expect(page.locator(".side.is-better")).to_have_attribute("data-side", "B")
    page.keyboard.press("x")
    expect(page.locator("input[name=verdict]:checked")).to_have_value("tie")
    page.keyboard.press("?")
    expect(page.locator("#keys-sheet")).to_contain_text(re.compile(r"1\s+or\s+H\s+the left one is better"))
    expect(page.locator("#keys-sheet")).to_contain_text(re.compile(r"B\s+both are bad"))
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("F2")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    assert Ranking.objects.get().outcome == "none_acceptable"


def test_own_keys_work_where_prompts_are_labeled_and_written(
    open_as: Any, people: Any, make_prompt: Any, ask_to_write: Any
) -> None:
    asking.ask_for_annotations(project=people.project, prompts=[make_prompt("One", k=0)], user=people.manager)
    keys.save(user=people.labeler, keys={"none": "a", "skip": "x", "help": "h", "submit": "F2"})
    page = work(open_as, people, Task.objects.get(kind="annotate"))
    page.keyboard.press("h")
    expect(page.locator("#keys-sheet")).to_contain_text(re.compile(r"0\s+or\s+A\s+none of these holds"))
    page.keyboard.press("Escape")
    page.keyboard.press("b")  # the label's key, for A is taken
    page.keyboard.press("a")
    expect(page.locator("input[name=is_none]")).to_be_checked()
    page.keyboard.press("x")
    expect(page.locator("[data-skip]")).to_have_attribute("open", "")
    (task,) = ask_to_write()
    page = work(open_as, people, task)
    page.get_by_label("Your prompt").fill("x")
    page.keyboard.press("x")  # a letter in a field is a letter
    expect(page.get_by_label("Your prompt")).to_have_value("xx")
    page.locator("h1").click()
    page.keyboard.press("x")
    expect(page.locator("[data-skip]")).to_have_attribute("open", "")
    page.get_by_label("Your prompt").press("F2")  # which writes nothing, so it works in a field too
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    assert WrittenPrompt.objects.get().instruction == "xx"


def test_a_past_comparison_is_changed_by_one_key_on_the_comparison_page(
    open_as: Any, people: Any, ask_to_compare: Any
) -> None:
    page = work(open_as, people, ask_to_compare()[0])
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    page.goto(page.url.split("/p/")[0] + "/p/tea/work/history/")
    page.locator("a.row-link").click()
    page.wait_for_selector("form.work--live")
    expect(page.locator(".side.is-better")).to_have_attribute("data-side", "A")
    page.keyboard.press("=")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("Your change is saved")
    first, second = Ranking.objects.order_by("revision")
    assert (second.ranks, second.replaces, second.slot_id) == ([1, 1], first, first.slot_id)


def test_past_labels_prompts_and_answers_are_changed_with_the_same_keys(
    open_as: Any, people: Any, make_prompt: Any, ask_to_write: Any
) -> None:
    asking.ask_for_annotations(project=people.project, prompts=[make_prompt("One", k=0)], user=people.manager)
    page = work(open_as, people, Task.objects.get())
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    history = page.url.split("/p/")[0] + "/p/tea/work/history/"
    page.goto(history + "?kind=labels")
    page.locator("a.row-link").click()
    page.wait_for_selector("form.work--live")
    page.keyboard.press("2")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".toast")).to_contain_text("Your change is saved")
    assert PromptAnnotation.objects.get(revision=2).labels == people.project.prompt_labels[:2]

    page = work(open_as, people, ask_to_write(style="few_shot")[0])
    page.get_by_label("Instruction").fill("Good or bad?")
    for number, (query, response) in enumerate([("one", "good"), ("two", "bad")]):
        page.locator("[name=pair_query]").nth(number).fill(query)
        page.locator("[name=pair_response]").nth(number).fill(response)
    page.get_by_label("Last query").fill("four")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    page.goto(history + "?kind=prompts")
    page.locator("a.row-link").click()
    page.wait_for_selector("form.work--live")
    page.get_by_role("button", name="Add an example").click()
    page.locator("[name=pair_query]").nth(2).fill("three")
    page.locator("[name=pair_response]").nth(2).fill("good")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".toast")).to_contain_text("Your change is saved")
    assert len(WrittenPrompt.objects.get(revision=2).pairs) == 3

    tasks.make_demonstration_tasks(project=people.project, prompts=[make_prompt("Hi", k=0)], user=people.manager)
    page = work(open_as, people, Task.objects.get(kind="demonstrate"))
    page.get_by_label("Your answer").fill("Hello")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="All done here")).to_be_visible()
    page.goto(history + "?kind=written")
    page.locator("a.row-link").click()
    page.wait_for_selector("form.work--live")
    page.get_by_label("Your answer").fill("**Hello** you")
    expect(page.locator("[data-preview-body] strong")).to_have_text("Hello")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".toast")).to_contain_text("Your change is saved")
    assert Demonstration.objects.get(revision=2).text == "**Hello** you"
