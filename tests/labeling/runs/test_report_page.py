"""The report of a run as a page: what it shows, what it leaves out, and that nothing in it can harm a reader."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Run
from tests.labeling.conftest import People
from tests.labeling.runs import reports

pytestmark = pytest.mark.django_db


def page(client: Client, run: Run, report: Any, *, stage: str = "evaluate") -> str:
    Run.objects.filter(pk=run.pk).update(stage=stage, result={"report": report, "summary": {}})
    response = client.get(reverse("run_report", args=["tea", run.uid]))
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


@pytest.fixture
def reader(client: Client, people: People) -> Client:
    client.force_login(people.reviewer)
    return client


@pytest.fixture
def run(make_run: Any) -> Run:
    found: Run = make_run()
    return found


def test_a_reward_run_shows_accuracy_beside_people_and_its_calibration(reader: Client, run: Run) -> None:
    report = reports.of_reward_model()
    found = page(reader, run, report, stage="reward")
    for share in (report["accuracy"]["held_out_labelers_new_prompts"], report["human_agreement"]):
        assert f"{100 * share['value']:.1f} %" in found
        assert f"{100 * share['low']:.1f} to {100 * share['high']:.1f} %" in found
    assert found.count('class="calibration-dot"') == len(report["calibration"]["curve"]) > 1
    assert f"{100 * report['calibration']['error']:.1f} % away" in found
    assert f"{report['length']['correlation_within_prompts']:,.2f}".replace("-", "−") in found.replace("-", "−")
    for heading in ("By use case", "By distance in rank", "The better one is shorter"):
        assert heading in found


def test_the_dots_of_the_curve_stand_where_their_numbers_are(reader: Client, run: Run) -> None:
    curve = [
        {"predicted": 0.5, "observed": 0.5, "num_pairs": 1},
        {"predicted": 1.0, "observed": 1.0, "num_pairs": 100},
        {"predicted": 0.75, "observed": 0.2, "num_pairs": 25},
    ]
    report = reports.of_reward_model() | {"calibration": {"curve": curve, "error": 0.1, "num_pairs": 126}}
    found = page(reader, run, report, stage="reward")
    dots = re.findall(r'calibration-dot" cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', found)
    (low_x, low_y, small), (high_x, high_y, large), (mid_x, under_y, _) = [tuple(map(float, dot)) for dot in dots]
    assert mid_x == pytest.approx((low_x + high_x) / 2, abs=0.1)
    assert high_y < low_y < under_y  # the drawing's y grows downwards, and it reaches down to the lowest share
    assert (low_y - high_y) / (under_y - high_y) == pytest.approx(0.5 / 0.8, abs=0.01)
    assert large > small


def test_groups_stand_in_the_order_of_the_flow_and_not_of_the_database(reader: Client, run: Run) -> None:
    found = page(reader, run, reports.of_reward_model(), stage="reward")
    names = ["Training prompts", "Validation prompts", "Test prompts", "Held-out labelers, all prompts"]
    places = [found.index(name) for name in names]
    assert places == sorted(places)
    apart = [found.index(f"{number} ranks apart") for number in (2, 3)]
    assert found.index("1 rank apart") < apart[0] < apart[1]


def test_an_evaluation_shows_policy_and_reference_side_by_side(reader: Client, run: Run) -> None:
    found = page(reader, run, reports.EVALUATION | {"reward_model": reports.of_reward_model()})
    for words in (
        "Pair accuracy beside people",
        "KL to the reference",
        "0.060 nats per token above its reference",
        "429 questions; 2 too long",
        "MC1",
        "cannot 20",
        "Tea: what is it?",
    ):
        assert words in found
    assert re.search(r"MC2: .*?44\.0 %.*?41\.0 %", found)


def test_the_tax_stands_with_its_interval_where_the_run_measured_one(reader: Client, run: Run) -> None:
    text = reports.EVALUATION["text"] | {"alignment_tax_interval": {"value": 0.06, "low": 0.041, "high": 0.079}}
    assert "above its reference's, 95 % interval 0.041 to 0.079" in page(reader, run, {"text": text})
    assert "above its reference's. PPO-ptx" in page(reader, run, {"text": reports.EVALUATION["text"]})


def test_answers_are_shown_as_text_and_never_run(reader: Client, run: Run) -> None:
    found = page(reader, run, reports.EVALUATION)
    assert "&lt;script&gt;alert(1)" in found
    assert "<script>alert(1)" not in found


@pytest.mark.parametrize("part", sorted(reports.EVALUATION))
def test_each_part_stands_alone_and_without_a_reference(reader: Client, run: Run, part: str) -> None:
    alone = {key: value for key, value in reports.EVALUATION[part].items() if key != "reference"}
    found = page(reader, run, {part: alone})
    assert "No report" not in found


def test_a_run_without_a_report_has_no_such_tab_and_says_so(reader: Client, run: Run) -> None:
    overview, tab = (reverse(name, args=["tea", run.uid]) for name in ("run", "run_report"))
    assert "No report" in page(reader, run, {"num_demonstrations": 3}, stage="sft")
    assert tab not in reader.get(overview).content.decode()
    page(reader, run, reports.of_reward_model(), stage="reward")
    assert tab in reader.get(overview).content.decode()


def test_two_people_who_never_met_leave_no_ceiling_and_the_page_says_so(reader: Client, run: Run) -> None:
    found = page(reader, run, reports.of_reward_model() | {"human_agreement": None}, stage="reward")
    assert "there is no human agreement to compare with" in found
