"""A run's page in a browser: curves and log come in by themselves, the pointer reads all charts, the end reloads it."""

from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from labeling.models import Run, RunLog, RunMetric
from tests.labeling.conftest import People

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def run(people: People) -> Run:
    """A run that some worker is at."""
    now = timezone.now()
    found = Run.objects.create(
        project=people.project,
        stage="reward",
        name="reward-1",
        preset="tiny-cpu",
        idempotency_key="one",
        state="running",
        owner="a worker",
        fence=1,
        attempt=1,
        queued_at=now,
        started_at=now,
        lease_until=now,
        heartbeat_at=now,
        phase="train",
        step=5,
        num_steps=20,
        eta_seconds=30,
    )
    for step in range(1, 6):
        log_step(found, step)
    return found


def log_step(run: Run, step: int) -> None:
    values = {"reward/loss": 1 / step, "reward/accuracy": 0.5 + step / 100, "perf/step_s": 0.25}
    RunMetric.objects.create(run=run, step=step, time=step, values=values)
    RunLog.objects.create(run=run, text=f"step {step}\n", end=step * 7)


def legends(page: Page) -> str:
    return " ".join(page.locator(".curve .u-legend").all_inner_texts())


def test_curves_and_log_come_in_while_the_run_goes_on(open_as: Any, people: People, run: Run) -> None:
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/")
    expect(page.locator(".curve canvas")).to_have_count(2)
    expect(page.locator(".curve .u-legend").first).to_contain_text("0.2")

    log_step(run, 10)
    Run.objects.filter(pk=run.pk).update(step=10)
    expect(page.locator(".curve .u-legend").first).to_contain_text("0.1", timeout=15_000)
    expect(page.locator("[data-log]")).to_contain_text("step 10", timeout=15_000)
    expect(page.locator("#run-head")).to_contain_text("step 10 of 20", timeout=15_000)


def test_the_pointer_reads_every_chart_at_its_step(open_as: Any, people: People, run: Run) -> None:
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/curves/")
    charts = page.locator(".curve .u-over")
    expect(charts).to_have_count(3)
    box = charts.first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".curve .u-legend").first).to_contain_text("0.3333")
    expect(page.locator(".curve .u-legend").nth(1)).to_contain_text("0.53")


def test_a_resumed_run_redraws_its_curve_from_the_beginning(open_as: Any, people: People, run: Run) -> None:
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/")
    expect(page.locator(".curve .u-legend").first).to_contain_text("0.2")
    RunMetric.objects.filter(run=run, step__gt=2).delete()
    Run.objects.filter(pk=run.pk).update(fence=2)
    expect(page.locator(".curve .u-legend").first).to_contain_text("0.5", timeout=15_000)


def test_the_page_loads_once_more_when_the_run_has_ended(open_as: Any, people: People, run: Run) -> None:
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/")
    ended = {"lease_until": None, "finished_at": timezone.now(), "failure_kind": "failed", "error": "the loss is NaN"}
    Run.objects.filter(pk=run.pk).update(state="failed", **ended)
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=15_000)
    expect(page.locator("#run-head")).to_contain_text("the loss is NaN")


def test_without_scripts_the_steps_are_a_table_and_the_log_is_there(open_as: Any, people: People, run: Run) -> None:
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/curves/", java_script_enabled=False)
    expect(page.locator("table")).to_contain_text("reward/loss")
    expect(page.locator("table tbody tr")).to_have_count(5)
    page.goto(page.url.replace("curves", "log"))
    expect(page.locator("[data-log]")).to_contain_text("step 5")


@pytest.mark.parametrize(
    "path", ["", "runs/", "runs/new/", "runs/new/ppo/", "runs/new/evaluate/", "models/", "rounds/"]
)
def test_nothing_is_wider_than_a_phone(open_as: Any, people: People, run: Run, path: str) -> None:
    page = open_as(people.manager, f"/p/tea/{path}", width=360)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
