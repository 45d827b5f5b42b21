"""A run's page in a browser: curves and log come in by themselves, the pointer reads all charts, the end reloads it."""

from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from labeling.models import Model, Run, RunLog, RunMetric, RunUsage
from tests.browser.test_accessibility import findings
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
    RunLog.objects.create(run=run, text=f"step {step}\n", first_line=step, end=step * 7)


def legends(page: Page) -> str:
    return " ".join(page.locator(".curve .u-legend").all_inner_texts())


def test_curves_and_log_come_in_while_the_run_goes_on(open_as: Any, people: People, run: Run) -> None:
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/")
    expect(page.locator(".curve canvas")).to_have_count(2)
    expect(page.locator(".curve .u-legend").first).to_contain_text("0.2")

    log_step(run, 10)
    Run.objects.filter(pk=run.pk).update(step=10)
    expect(page.locator(".curve .u-legend").first).to_contain_text("0.1")
    expect(page.locator("[data-log]")).to_contain_text("step 10")
    expect(page.locator("#run-head")).to_contain_text("step 10 of 20")


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
    expect(page.locator(".curve .u-legend").first).to_contain_text("0.5")


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
    "path",
    [
        "",
        "runs/",
        "runs/new/",
        "runs/new/ppo/",
        "runs/new/evaluate/",
        "runs/workers/",
        "models/",
        "models/import/",
        "rounds/",
    ],
)  # fmt: skip
def test_nothing_is_wider_than_a_phone(open_as: Any, people: People, run: Run, path: str) -> None:
    page = open_as(people.manager, f"/p/tea/{path}", width=360)
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def curve(page: Page, key: str) -> Any:
    return page.locator(f'.curve[data-key="{key}"]')


def values(page: Page, key: str) -> Any:
    """What the legend says: of the step (or minute) first, then of each line."""
    return curve(page, key).locator(".u-legend .u-value")


def is_at_its_end(page: Page) -> bool:
    found: bool = page.locator("[data-log]").evaluate(
        "(log) => log.scrollHeight - log.scrollTop - log.clientHeight < 40"
    )
    return found


def read_at(page: Page, key: str, share: float) -> None:
    """Put the pointer over a chart, at this share of its width."""
    over = curve(page, key).locator(".u-over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)


def drag(page: Page, key: str, start: float, end: float) -> None:
    read_at(page, key, start)
    page.mouse.down()
    read_at(page, key, (start + end) / 2)
    read_at(page, key, end)
    page.mouse.up()


def pixels(page: Page, key: str) -> str:
    """What a chart shows, so that one can tell whether it was drawn anew."""
    found: str = curve(page, key).locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
    return found


def controls(page: Page) -> Any:
    return page.locator("[data-curve-controls]")


@pytest.fixture
def curves(open_as: Any, people: People, run: Run) -> Page:
    for step in range(6, 21):
        log_step(run, step)
    page: Page = open_as(people.manager, f"/p/tea/runs/{run.uid}/curves/")
    expect(page.locator(".curve canvas")).to_have_count(3)
    return page


def test_there_is_no_half_step(open_as: Any, people: People, run: Run) -> None:
    RunMetric.objects.filter(step__gt=3).delete()
    page = open_as(people.manager, "/p/tea/runs/")
    page.add_init_script("""window.written = [];
      const write = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        window.written.push([text, y > 0.885 * this.canvas.height]);
        write.call(this, text, x, y);
      };""")
    page.goto(page.url.split("/p/")[0] + f"/p/tea/runs/{run.uid}/curves/")
    expect(page.locator(".curve canvas")).to_have_count(3)
    read_at(page, "perf/step_s", 0.5)  # drawn by now
    below = {text for text, is_below in page.evaluate("window.written") if is_below and text.strip()}
    assert below == {"1", "2", "3"}


def test_a_drag_zooms_all_charts_and_a_double_click_shows_all_again(curves: Page, run: Run) -> None:
    whole = pixels(curves, "reward/accuracy")
    drag(curves, "reward/loss", 0.4, 0.6)
    expect(curves.get_by_role("button", name="Show the whole range")).to_be_visible()
    assert pixels(curves, "reward/accuracy") != whole
    read_at(curves, "reward/loss", 0.02)
    expect(values(curves, "reward/loss").first).to_have_text("9")

    log_step(run, 21)  # new numbers come in, and the zoom stays
    curves.wait_for_timeout(2500)
    read_at(curves, "reward/loss", 0.03)
    expect(values(curves, "reward/loss").first).to_have_text("9")

    curve(curves, "reward/loss").locator(".u-over").dblclick()
    expect(curves.get_by_role("button", name="Show the whole range")).to_be_hidden()
    read_at(curves, "reward/loss", 0.001)
    expect(curve(curves, "reward/accuracy").locator(".u-legend")).to_contain_text("0.51")


def test_a_log_scale_draws_anew_and_says_what_has_no_place_on_it(open_as: Any, people: People, run: Run) -> None:
    for step in range(6, 9):
        values = {"reward/loss": 0.0, "reward/score_mean": -1.0}
        RunMetric.objects.create(run=run, step=step, time=step, values=values)
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/curves/")
    expect(page.locator(".curve canvas")).to_have_count(4)
    before = pixels(page, "reward/loss")
    controls(page).get_by_label("Log scale").check()
    expect(curve(page, "reward/loss")).to_contain_text("3 values at or below 0")
    expect(curve(page, "reward/score_mean")).to_contain_text("so the scale is linear")
    assert pixels(page, "reward/loss") != before
    page.reload()
    expect(controls(page).get_by_label("Log scale")).to_be_checked()


def test_smoothing_shows_the_logged_value_in_brackets(curves: Page) -> None:
    controls(curves).get_by_label("Smoothing").fill("0.5")
    read_at(curves, "reward/loss", 0.001)
    expect(curve(curves, "reward/loss").locator(".u-legend")).to_contain_text("1 (1)")
    read_at(curves, "reward/loss", 0.999)
    # Weights 1/2, 1/4, … over 1/20, 1/19, …: a little above the last value.
    expect(values(curves, "reward/loss").last).to_contain_text("(0.05)")
    assert 0.0501 < float(values(curves, "reward/loss").last.inner_text().split(" ")[0]) < 0.0560


def test_curves_are_found_by_name_and_drawn_over_minutes(curves: Page) -> None:
    controls(curves).get_by_label("Find").fill("ACC")
    expect(curves.locator(".curve canvas")).to_have_count(1)
    controls(curves).get_by_label("Across").select_option("time")
    read_at(curves, "reward/accuracy", 0.999)
    expect(curve(curves, "reward/accuracy").locator(".u-legend")).to_contain_text("minutes")
    expect(curve(curves, "reward/accuracy").locator(".u-legend")).to_contain_text("0.32")


def test_a_chart_is_saved_as_its_numbers_and_as_a_picture(curves: Page) -> None:
    chart = curve(curves, "reward/loss")
    with curves.expect_download() as csv:
        chart.get_by_role("button", name="Save reward/loss as CSV").click()
    assert csv.value.suggested_filename == "reward-1-reward-loss.csv"
    lines = csv.value.path().read_text().splitlines()
    assert lines[:3] == ['"step","loss"', "1,1", "2,0.5"]
    assert len(lines) == 21

    with curves.expect_download() as png:
        chart.get_by_role("button", name="Save reward/loss as PNG").click()
    assert png.value.suggested_filename == "reward-1-reward-loss.png"
    data = png.value.path().read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(data[place : place + 4]) for place in (16, 20))
    assert width > 400
    assert height > 250
    assert len(data) > 3000, "a picture of nothing is smaller"


def test_the_arrow_keys_read_a_chart_and_zoom_it(curves: Page) -> None:
    curve(curves, "reward/loss").locator(".u-over").focus()
    curves.keyboard.press("ArrowLeft")
    expect(curve(curves, "reward/accuracy").locator(".u-legend")).to_contain_text("0.69")
    curves.keyboard.press("+")
    expect(curves.get_by_role("button", name="Show the whole range")).to_be_visible()
    curves.keyboard.press("0")
    expect(curves.get_by_role("button", name="Show the whole range")).to_be_hidden()


def test_use_of_the_machine_has_a_group_of_its_own(open_as: Any, people: People, run: Run) -> None:
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/curves/")
    expect(page.locator("#usage-empty")).to_be_visible()
    for number in range(3):
        values = {"system/cpu_percent": 90 + number, "system/memory_gib": 1.5}
        RunUsage.objects.create(run=run, time=60 * number, values=values)
    expect(curve(page, "system/cpu_percent").locator(".u-legend")).to_contain_text("92")
    expect(page.locator("#usage-empty")).to_be_hidden()
    read_at(page, "system/cpu_percent", 0.5)
    expect(curve(page, "system/cpu_percent").locator(".u-legend")).to_contain_text("91")
    expect(curve(page, "reward/loss").locator(".u-legend")).to_contain_text("0.2")


def test_compared_runs_share_charts_and_the_pointer_reads_them_all(open_as: Any, people: People, run: Run) -> None:
    other = Run.objects.create(project=people.project, stage="reward", name="reward-2", idempotency_key="two")
    for step in (1, 3, 5):  # logged less often: between its steps the last known value is read
        RunMetric.objects.create(run=other, step=step, time=step, values={"reward/loss": 2 / step})
    page = open_as(people.manager, f"/p/tea/runs/compare/?run={run.uid}&run={other.uid}")
    legend = curve(page, "reward/loss").locator(".u-legend")
    expect(legend).to_contain_text("reward-1 loss")
    expect(legend).to_contain_text("reward-2 loss")  # the second line to arrive draws the chart anew
    read_at(page, "reward/loss", 0.75)
    expect(legend).to_contain_text("0.25")
    expect(legend).to_contain_text("0.6667")


def test_the_log_is_searched_and_a_hit_leads_to_its_line(open_as: Any, people: People, run: Run) -> None:
    for step in range(6, 300):
        log_step(run, step)
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/log/")
    expect(page.locator(".log-line").first).to_have_attribute("data-line", "1")
    assert is_at_its_end(page)
    page.keyboard.press("/")
    page.keyboard.type("STEP 123")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("1 line holds")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".log-line--here")).to_have_text("step 123\n")
    expect(page.locator(".log-line--here")).to_be_in_viewport()


def test_a_live_log_grows_by_numbered_lines_and_stays_where_the_reader_is(
    open_as: Any, people: People, run: Run
) -> None:
    for step in range(6, 100):
        log_step(run, step)
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/log/")
    log_step(run, 100)
    RunLog.objects.create(run=run, text="half", first_line=101, end=1000)
    expect(page.locator('.log-line[data-line="101"]')).to_have_text("half")
    assert page.locator(".log-line").count() == 101
    assert is_at_its_end(page)
    page.locator("[data-log]").evaluate("(log) => { log.scrollTop = 0; }")
    RunLog.objects.create(run=run, text=" a line\nnext\n", first_line=101, end=1010)
    expect(page.locator('.log-line[data-line="102"]')).to_have_text("next\n")
    expect(page.locator('.log-line[data-line="101"]')).to_have_text("half a line\n")
    assert page.locator("[data-log]").evaluate("(log) => log.scrollTop") == 0


def test_runs_are_ticked_and_compared_by_keys_alone(open_as: Any, people: People, run: Run) -> None:
    Run.objects.create(project=people.project, stage="reward", name="reward-2", idempotency_key="two")
    page = open_as(people.manager, "/p/tea/runs/")
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    assert page.locator("input[name=run]:checked").count() == 2
    page.wait_for_timeout(3500)  # the list has been asked for anew
    assert page.evaluate("document.activeElement.textContent") == "reward-1"
    page.get_by_role("button", name="Compare the ticked runs").click()
    expect(page.locator("h1")).to_have_text("2 runs side by side")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_a_runs_and_a_models_pages(open_as: Any, people: People, run: Run, scheme: str) -> None:
    other = Run.objects.create(project=people.project, stage="sft", name="sft-1", idempotency_key="two")
    policy = Model.objects.create(
        project=people.project, name="sft-1", kind="policy", run=other, storage_key="m", sha256="a" * 64
    )
    RunUsage.objects.create(run=run, time=1, values={"system/cpu_percent": 90})
    page = open_as(people.manager, f"/p/tea/runs/{run.uid}/", color_scheme=scheme)
    origin = page.url.split("/p/")[0]
    found = {}
    for path in (
        f"runs/{run.uid}/curves/", f"runs/{run.uid}/log/", f"runs/{run.uid}/log/?q=step", f"runs/{run.uid}/log/?line=2",
        f"runs/{run.uid}/files/", f"runs/compare/?run={run.uid}&run={other.uid}", "models/", f"models/{policy.uid}/",
        f"models/{policy.uid}/card/", "models/import/",
    ):  # fmt: skip
        page.goto(f"{origin}/p/tea/{path}")
        page.wait_for_timeout(300)
        found[path] = findings(page)
    assert {path: texts for path, texts in found.items() if texts} == {}
