"""The report in a browser, wide and on a phone, light and dark, full and empty, and as it is printed."""

from typing import Any

import pytest

from labeling.models import Ranking
from labeling.services import demo
from tests.browser.test_accessibility import findings
from tests.labeling.conftest import People
from tests.labeling.panels import world

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def manager(db: Any) -> Any:
    """Of the demo project, with models that were measured in everything."""
    demo.seed()
    ranking = Ranking.objects.select_related("task__project").first()
    assert ranking
    world.full(ranking.task.project)
    return ranking.task.project.memberships.get(role="manager").user


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_the_full_report_fits_its_page(open_as: Any, manager: Any, scheme: str, width: int) -> None:
    page = open_as(manager, "/p/demo/report/", color_scheme=scheme, width=width)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".panel-nothing").count() == 0
    assert page.locator(".panel-dot").count() > 30
    first, last = (page.locator("#reward .panel-dot").nth(place).bounding_box() for place in (0, -1))
    assert first["y"] < last["y"]


def test_an_empty_report_fits_a_phone(open_as: Any, people: People) -> None:
    page = open_as(people.manager, "/p/tea/report/", width=360)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator(".panel-missing a").count() >= 7


def test_the_index_leads_to_its_panel_and_print_prints(open_as: Any, manager: Any) -> None:
    page = open_as(manager, "/p/demo/report/")
    page.get_by_role("navigation", name="Panels").get_by_role("link", name="Harmlessness").click()
    box = page.locator("#harm").bounding_box()
    assert 0 <= box["y"] < 300
    page.evaluate("window.print = () => { window.printed = true }")
    page.get_by_role("button", name="Print").click()
    assert page.evaluate("window.printed") is True


def test_on_paper_there_is_the_document_alone(open_as: Any, manager: Any) -> None:
    page = open_as(manager, "/p/demo/report/", color_scheme="dark")
    page.emulate_media(media="print")
    for gone in (".topbar", ".panels-index", ".panel-missing", ".actions"):
        assert not page.locator(gone).first.is_visible(), gone
    assert page.locator("#tax .panel-table").first.is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(28, 28, 34)"
