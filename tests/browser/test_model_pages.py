"""People beside a reward model, and whether choosing pays, in a real browser: sent to review by mouse, and as axe-core
sees the pages in light and dark."""

from typing import Any

import pytest
from playwright.sync_api import expect

from labeling.models import Review
from labeling.services.quality import reviews
from tests.browser.test_accessibility import by_finding, findings
from tests.labeling.quality.conftest import rank
from tests.labeling.quality.test_reviews import decide
from tests.labeling.scores.conftest import judge, score  # noqa: F401  # the same reward models
from tests.labeling.scores.test_payoff import measured

pytestmark = pytest.mark.browser


@pytest.fixture
def differing(people: Any, ask_to_rank: Any, judge: Any) -> Any:  # noqa: F811
    """Two ranked tasks that the model has the other way round, and one that a reviewer has decided."""
    made = ask_to_rank(k=3, num=3)
    model = judge()
    for task in made:
        score(model, task, [3.0, 2.0, 1.0])
        rank(task, people.labeler, [3, 2, 1])
    reviews.open_many(project=people.project, task_ids=[made[2].pk], reason="model_disagrees")
    decide(people, Review.objects.get(), ranks=(3, 1, 2))
    return made


def test_tasks_that_differ_are_looked_at_and_sent_to_review(open_as: Any, people: Any, differing: Any) -> None:
    page = open_as(people.manager, "/p/tea/quality/differences/")
    page.locator("tbody .row-link").first.click()
    expect(page.locator("h1")).to_have_text("Both orders")
    expect(page.locator(".both-orders li")).to_have_count(6)
    page.go_back()
    page.locator("input[name=task]").first.check()
    page.get_by_role("button", name="Send to review").click()
    expect(page.get_by_text("1 task goes to review.")).to_be_visible()
    expect(page.locator("input[name=task]")).to_have_count(1)
    page.get_by_label("Also what is in review").check()
    page.get_by_role("button", name="Show").click()
    expect(page.locator("input[name=task]:disabled")).to_have_count(2)
    assert Review.objects.filter(state="open", reason="model_disagrees").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_the_pages_of_reward_models_have_no_serious_findings(
    open_as: Any, people: Any, differing: Any, scheme: str, width: int
) -> None:
    page = open_as(people.manager, "/p/tea/quality/payoff/", color_scheme=scheme, width=width)
    origin = page.url.split("/p/")[0]
    found = {"nothing measured": findings(page)}
    measured(people, (0.02, -0.02, 0.06), (0.031, 0.004, 0.06))
    measured(people, (-0.02, -0.04, -0.001))
    for path in ("payoff/", "differences/", f"differences/{differing[0].uid}/", "differences/?also_taken=on"):
        page.goto(f"{origin}/p/tea/quality/{path}")
        found[path] = findings(page)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
    assert by_finding(found) == {}
