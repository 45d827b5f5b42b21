"""From making an evaluation to its results: the manager asks, two labelers compare, the page says who won."""

import contextlib
from typing import Any

import pytest
from playwright.sync_api import Error, Page, Route, expect

from labeling.models import Evaluation, Model, Prompt, Response, Task
from labeling.services import evaluations
from tests.browser.test_accessibility import by_finding, findings
from tests.labeling.conftest import People

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
GOOD, BAD = "The better answer.", "The worse answer."


@pytest.fixture
def answered(people: People, make_prompt: Any) -> list[Model]:
    """Two models by name, with their responses to three held-out prompts."""
    prompts: list[Prompt] = [make_prompt(f"Held out {n}?", k=0, split="valid") for n in range(3)]
    models = [
        Model.objects.create(project=people.project, name=name, kind="external") for name in ("old-lab", "new-lab")
    ]
    for prompt in prompts:
        for model, text in zip(models, (BAD, GOOD), strict=True):
            said = f"{text} {prompt.text}"
            Response.objects.create(prompt=prompt, model=model, text=said, num_chars=len(said))
    return models


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_from_making_an_evaluation_to_its_results(
    open_as: Any, people: People, answered: list[Model], scheme: str
) -> None:
    found: dict[str, list[str]] = {}
    page: Page = open_as(people.manager, "/p/tea/evaluations/", color_scheme=scheme)
    found["empty"] = findings(page)
    page.get_by_role("main").get_by_role("link", name="Compare models").click()
    page.get_by_label("Baseline", exact=True).select_option(label="old-lab")
    page.get_by_role("checkbox", name="new-lab").check()
    page.get_by_label("How many prompts").fill("3")
    page.get_by_label("Judgements per task").fill("2")
    page.get_by_label("Judgements per task").blur()
    expect(page.locator("#cost")).to_contain_text("0 generations · 3 tasks · 6 judgements")
    found["form"] = findings(page)
    page.get_by_role("button", name="Start the evaluation").click()
    expect(page.get_by_role("heading", name="Nobody has judged yet")).to_be_visible()
    found["waiting"] = findings(page)
    evaluation = Evaluation.objects.get()

    for person in (people.labeler, people.labeler2):
        for task in Task.objects.filter(evaluation=evaluation).order_by("pk"):
            compare(open_as(person, f"/p/tea/work/task/{task.uid}/"))
    evaluations.advance(evaluation.pk)

    page = open_as(people.manager, f"/p/tea/evaluations/{evaluation.uid}/", color_scheme=scheme)
    expect(page.get_by_text("6 of 6 judgements")).to_be_visible()
    row = page.get_by_role("row", name="new-lab 100.0 %")
    expect(row).to_contain_text("too few to tell")
    expect(page.get_by_role("link", name="Held out 0?")).to_be_visible()
    found["results"] = findings(page)
    page.get_by_role("main").get_by_role("link", name="Evaluations").click()
    expect(page.get_by_role("row", name="Evaluation 1")).to_contain_text("100.0 %")
    found["list"] = findings(page)
    assert by_finding(found) == {}


def test_the_cost_is_that_of_the_last_change_though_an_answer_comes_late(
    open_as: Any, people: People, answered: list[Model]
) -> None:
    page: Page = open_as(people.manager, "/p/tea/evaluations/new/")
    held: list[Route] = []
    page.route("**/evaluations/new/", lambda route: route.continue_() if held else held.append(route))
    page.get_by_label("Baseline", exact=True).select_option(label="old-lab")
    with page.expect_request("**/evaluations/new/"):  # it waits for its answer until all is filled in
        page.get_by_role("checkbox", name="new-lab").check()
    page.get_by_label("How many prompts").fill("3")
    page.get_by_label("Judgements per task").fill("2")
    page.get_by_label("Judgements per task").blur()
    page.wait_for_timeout(400)  # longer than the form waits for another change
    with contextlib.suppress(Error):  # given up meanwhile
        held[0].continue_()
    expect(page.locator("#cost")).to_contain_text("0 generations · 3 tasks · 6 judgements")


def compare(page: Page) -> None:
    """The better one, on whichever side it stands; no model is named anywhere."""
    assert [name for name in ("old-lab", "new-lab", "Evaluation 1") if name in page.content()] == []
    page.wait_for_selector("form.work--live")
    is_left = GOOD in page.locator(".side").first.inner_text()
    page.keyboard.press("ArrowLeft" if is_left else "ArrowRight")
    expect(page.locator(".side.is-better")).to_contain_text(GOOD)
    address = page.url
    page.keyboard.press("Enter")
    expect(page).not_to_have_url(address)
