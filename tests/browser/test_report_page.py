"""A run's report in a browser, wide and on a phone, light and dark: nothing runs over the edge, axe-core is content."""

from typing import Any

import pytest
from django.utils import timezone

from labeling.models import Run
from tests.browser.test_accessibility import findings
from tests.labeling.conftest import People
from tests.labeling.runs import reports

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def run(people: People) -> Run:
    now = timezone.now()
    return Run.objects.create(
        project=people.project,
        stage="evaluate",
        name="evaluate-1",
        preset="tiny-cpu",
        idempotency_key="one",
        state="succeeded",
        queued_at=now,
        started_at=now,
        finished_at=now,
        result={"report": reports.EVALUATION | {"reward_model": reports.of_reward_model()}, "summary": {}},
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_the_report_fits_its_page(open_as: Any, people: People, run: Run, scheme: str, width: int) -> None:
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/report/", color_scheme=scheme, width=width)
    page.locator("details.numbers").evaluate_all("all => all.forEach((one) => { one.open = true })")
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".calibration-dot").count() > 1
