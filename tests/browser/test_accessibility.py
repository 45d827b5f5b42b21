"""Pages as axe-core sees them, in light and dark: nothing serious and nothing critical on any of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page

from labeling.models import Model, Prompt, Ranking, Response, Slot, Task
from labeling.services import demo, tasks
from labeling.services.answers import Answer
from labeling.services.rankings import submit
from tests.browser.test_ranking_page import address, press

pytestmark = pytest.mark.browser

AXE = Path(settings.BASE_DIR) / "node_modules/axe-core/axe.min.js"
RUN = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .filter(({ impact }) => impact === "serious" || impact === "critical")
  .map(({ id, nodes }) => `${id}: ` + nodes.slice(0, 3).map((node) => `${node.target.join(" ")} (${node.any[0]?.message ?? node.failureSummary})`).join("; "))"""  # noqa: E501  # one expression
TEXTS = [
    "# A heading\n\nSome **words** with `code`, a [link](https://example.org) and\n\n> a quotation.\n\n- one\n- two",
    "```python\ndef f(x):\n    return [x for _ in range(3)]  # three\n```\n\n| a | b |\n|--|--:|\n| 1 | 2 |",
    "So $x^2$ and\n\n$$\\begin{aligned} a &= b \\\\ &= c \\end{aligned}$$\n\nمرحبا بالعالم",
]


def findings(page: Page) -> list[str]:
    if not AXE.exists():
        pytest.fail("axe-core is not installed: make installed-dev")
    page.evaluate("Promise.allSettled(document.getAnimations().map((one) => one.finished)).then(() => null)")
    page.evaluate(AXE.read_text())
    found: list[str] = page.evaluate(RUN)
    return found


def by_finding(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """Each finding once, with the places that have it."""
    every = dict.fromkeys(text for texts in found.values() for text in texts)
    return {text: [place for place, texts in found.items() if text in texts] for text in every}


@pytest.fixture
def ask_to_read(people: Any, make_prompt: Any) -> Callable[..., Task]:
    """A ranking task of texts with everything that a text can have."""

    def make(k: int, **more: Any) -> Task:
        prompt: Prompt = make_prompt(f"Explain **{k}** things", k=0)
        model, _ = Model.objects.get_or_create(project=people.project, name="lab", kind="external")
        for index in range(k):
            text = TEXTS[index % len(TEXTS)] + f"\n\nAnswer {index}"
            Response.objects.create(prompt=prompt, model=model, sample_index=index, text=text, num_chars=len(text))
        counts = tasks.make_ranking_tasks(
            project=people.project, prompts=[prompt], num_responses=k, num_wanted=1, user=people.manager, **more
        )
        return Task.objects.get(pk=counts.task_ids[0])

    return make


def show(page: Page, *keys: str) -> list[str]:
    """What is found after these keys, then after Esc has closed what they opened."""
    press(page, *keys)
    found = findings(page)
    press(page, "Escape")
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_the_ranking_page_with_all_that_opens_on_it(
    open_as: Any, people: Any, ask_to_read: Any, scheme: str, width: int
) -> None:
    found: dict[str, list[str]] = {}
    task = ask_to_read(5)
    page = open_as(people.labeler, address(task), color_scheme=scheme, width=width)
    found["untouched"] = findings(page)
    found["flags"] = show(page, "f")
    found["skip"] = show(page, "s")
    found["compare"] = show(page, "c")
    found["guided"] = show(page, "t")
    found["guidelines"] = show(page, "g")
    found["keys"] = show(page, "?")
    found["placed"] = show(page, "1", "1", "3", "2")
    found["refused"] = show(page, "Control+Enter")
    page.evaluate("dispatchEvent(new Event('offline'))")
    found["offline"] = findings(page)
    assert by_finding(found) == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_labelers_other_pages(open_as: Any, people: Any, ask_to_read: Any, make_prompt: Any, scheme: str) -> None:
    done, nine, rated, two = ask_to_read(3), ask_to_read(9), ask_to_read(4, rate_first=True), ask_to_read(2)
    submit(task=done, labeler=people.labeler, idempotency_key="k", answer=Answer(ranks=[1, 1, 2], note="So it is."))
    written = make_prompt("Write something", k=0)
    tasks.make_demonstration_tasks(project=people.project, prompts=[written], user=people.manager)
    demonstration = Task.objects.get(kind=Task.Kind.DEMONSTRATE)
    page = open_as(people.labeler, "/p/tea/work/", color_scheme=scheme)
    origin = page.url.split("/p/")[0]
    found = {"start": findings(page)}
    pages = [
        "/p/tea/work/history/", f"/p/tea/work/history/ranking/{Ranking.objects.get().uid}/",
        "/p/tea/work/history/?kind=written", "/p/tea/guidelines/", "/me/", "/me/keys/", "/offline/",
        *(address(task) for task in (nine, rated, two, done, demonstration)),
    ]  # fmt: skip
    for path in pages:
        Slot.objects.filter(state="held").update(state="open", holder=None, lease_until=None, claimed_at=None)
        page.goto(origin + path)
        found[path] = findings(page)
    assert by_finding(found) == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_managers_main_pages(open_as: Any, db: Any, scheme: str) -> None:
    demo.seed()
    task = Task.objects.filter(kind=Task.Kind.RANK, slots__state="done").select_related("project").first()
    assert task
    manager = task.project.memberships.get(role="manager").user
    ranking = Ranking.objects.first()
    assert ranking
    page = open_as(manager, "/projects/", color_scheme=scheme)
    origin = page.url.removesuffix("/projects/")
    found = {"projects": findings(page)}
    for path in (
        "", "prompts/", "prompts/look/", f"prompts/{task.prompt.uid}/", "tasks/", f"tasks/{task.uid}/", "rankings/",  # type: ignore[union-attr]
        f"rankings/{ranking.uid}/", "data/", "runs/", "runs/new/", "runs/new/reward/", "runs/new/evaluate/",
        "models/", "rounds/", "people/", "people/invite/", "people/survey/", "settings/", "guidelines/",
    ):  # fmt: skip
        page.goto(f"{origin}/p/{task.project.slug}/{path}")
        found[path] = findings(page)
    assert by_finding(found) == {}
