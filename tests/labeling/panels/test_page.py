"""The report as a page and as JSON: the same figures, each with its source, and nothing that could harm a reader."""

import re
from typing import Any

import pytest
from django.http import HttpRequest
from django.template.context import RequestContext
from django.test import Client
from django.urls import reverse

from labeling.services.agreement import Figure
from labeling.services.panels import Chart, Line, Printed
from labeling.templatetags.panels import WIDTH, panel_chart, said, scale_of
from tests.labeling.conftest import People
from tests.labeling.panels import world
from tests.labeling.panels.world import interval, reward_model

pytestmark = pytest.mark.django_db
KEYS = ["data", "reward", "tax", "length", "truth", "harm", "instructions"]


@pytest.fixture
def manager(client: Client, people: People) -> Client:
    client.force_login(people.manager)
    return client


def page(client: Client) -> str:
    response = client.get(reverse("report", args=["tea"]))
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


def test_an_empty_project_shows_every_panel_and_what_to_do(manager: Client) -> None:
    text = page(manager)
    assert [text.index(f'id="{key}"') for key in KEYS] == sorted(text.index(f'id="{key}"') for key in KEYS)
    assert text.count("Nothing is measured yet.") == len(KEYS)
    assert reverse("run_new_stage", args=["tea", "reward"]) in text


def test_a_figure_stands_with_its_interval_the_papers_value_and_its_source(manager: Client, people: People) -> None:
    model = reward_model(people.project, "rm", valid=interval(0.65, 0.034))
    text = page(manager)
    assert model.run
    row = re.search(r"<tr> <th scope=\"row\">Labelers that trained, held-out prompts.*?</tr>", text)
    assert row
    for words in ("65.0 %", "61.6 to 68.4 %", "72.4 ± 0.4 %"):
        assert words in row[0]
    address = reverse("run_report", args=["tea", model.run.uid])
    assert f'from <a href="{address}">run of rm</a>' in text
    assert "InstructGPT, Section 4.1" in text


def test_where_sources_differ_each_row_has_its_own(manager: Client, people: People, policy: Any, evaluate: Any) -> None:
    text = world.text(people.project)
    for name in ("sft-1", "sft-2"):
        run = evaluate({"text": {"policy": {"loss": 2.0}}}, model=policy(name), text=text)
    row = re.search(r"<tr> <th scope=\"row\">sft-2 \(SFT\).*?</tr>", page(manager))
    assert row
    assert reverse("run_report", args=["tea", run.uid]) in row[0]


def test_the_json_has_every_figure_of_the_page(manager: Client, people: People) -> None:
    model = reward_model(people.project, "rm", valid=interval(0.65), held_out_labelers=interval(0.6))
    answer = manager.get(reverse("report_json", args=["tea"]))
    assert answer["Content-Disposition"] == 'attachment; filename="tea-report.json"'
    found = answer.json()
    assert [panel["key"] for panel in found["panels"]] == KEYS
    figure = found["panels"][1]["charts"][0]["figures"][0]
    assert model.run
    assert figure == {
        "label": "Labelers that trained, held-out prompts", "value": 0.65, "low": 0.65 - 0.05, "high": 0.65 + 0.05,
        "num": None, "note": None,
        "source": {
            "label": "run of rm", "url": f"http://testserver{reverse('run_report', args=['tea', model.run.uid])}"
        },
        "paper": {"value": 0.724, "low": 0.72, "high": 0.728, "where": "Section 4.1"},
    }  # fmt: skip
    num = sum(len(chart["figures"]) for panel in found["panels"] for chart in panel["charts"])
    assert page(manager).count('class="num panel-value"') == num > 4


def test_names_are_shown_as_text(manager: Client, people: People, policy: Any, evaluate: Any) -> None:
    file = world.file(people.project, "truthfulqa", "<script>f</script>")
    values = {"mc1": interval(0.3), "mc2": interval(0.4)}
    evaluate(
        {"truthfulqa": {"num_questions": 3, "policy": values}}, model=policy("<script>m</script>"), truthfulqa=file
    )
    text = page(manager)
    assert "&lt;script&gt;m" in text
    assert "&lt;script&gt;f" in text
    assert "<script>m" not in text
    assert "<script>f" not in text


def test_old_and_broken_reports_are_left_out_and_hide_none(
    manager: Client, people: People, policy: Any, evaluate: Any
) -> None:
    evaluate({"text": {"policy": {"loss": 2.0}}}, model=policy("sft-whole"), text=world.text(people.project))
    for report in ({}, None, {"text": None}, {"text": {"policy": 3}}, {"harmful": {"policy": {}}}, []):
        evaluate(report, model=policy(f"sft-{report}"))
    text = page(manager)
    assert "Nothing is measured yet." in text
    assert re.findall(r"<th scope=\"row\">(sft-\S+) \(SFT\)", text) == ["sft-whole"]


def test_it_stands_in_the_managers_menu_alone(manager: Client, people: People) -> None:
    address = reverse("report", args=["tea"])
    assert f'href="{address}"' in manager.get(reverse("dashboard", args=["tea"])).content.decode()
    manager.force_login(people.reviewer)
    assert manager.get(address).status_code == 403
    assert f'href="{address}"' not in manager.get(reverse("dashboard", args=["tea"])).content.decode()


def a_chart(*values: float, **more: Any) -> Chart:
    return Chart("", [Line("", Figure(value)) for value in values], **more)


def test_shares_are_drawn_between_round_tenths_that_hold_the_papers_value_too() -> None:
    chart = a_chart(0.55, mark=0.5)
    assert (scale_of(chart).lowest, scale_of(chart).highest) == pytest.approx((0.4, 0.7))
    with_paper = Chart("", [Line("", Figure(0.65), paper=Printed(0.724, "here", 0.72, 0.728))])
    assert (scale_of(with_paper).lowest, scale_of(with_paper).highest) == pytest.approx((0.6, 0.8))
    assert scale_of(with_paper).x(0.7) == pytest.approx(WIDTH / 2)


def test_a_figure_its_interval_and_the_papers_value_stand_each_at_their_place(people: People) -> None:
    line = Line("", Figure(0.5, 0.4, 0.7), paper=Printed(0.6, "here", 0.55, 0.65))
    chart = Chart("", [line])
    (row,) = panel_chart(RequestContext(HttpRequest(), {"project": people.project}), chart)["rows"]
    places = ("low", "x", "paper_low", "paper_x", "paper_high", "high")
    scale = scale_of(chart)
    assert [row[name] for name in places] == [scale.x(value) for value in (0.4, 0.5, 0.55, 0.6, 0.65, 0.7)]
    assert row["paper_said"] == "60.0 ± 5.0 %"


def test_bars_begin_at_zero_and_the_papers_sizes_do_not_shrink_them() -> None:
    chart = Chart("", [Line("", Figure(20.0), paper=Printed(31_144, "Table 6"))], unit="count", is_bars=True)
    assert (scale_of(chart).lowest, scale_of(chart).highest) == (0.0, 20.0)


def test_one_value_alone_lies_within_its_scale() -> None:
    scale = scale_of(a_chart(2.5, unit="nats"))
    assert scale.lowest < 2.5 < scale.highest
    assert scale_of(a_chart(0.0, unit="count", is_bars=True)).highest == 1.0


def test_nothing_below_zero_is_drawn_where_nothing_is_negative() -> None:
    assert scale_of(a_chart(0.1, 9.0, unit="characters")).lowest == 0.0
    assert scale_of(a_chart(-1.0, 9.0, unit="characters")).lowest == 0.0  # where an interval of a mean began
    assert scale_of(a_chart(-1.0, 9.0, unit="nats")).lowest < -1.0


def test_figures_are_said_in_their_unit() -> None:
    for unit, words in (("share", "31.2 %"), ("nats", "0.312"), ("tokens", "0.3"), ("number", "0.31")):
        assert said(Figure(0.312), a_chart(0.312, unit=unit)) == words
