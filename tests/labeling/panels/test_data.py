"""Panel 1: prompts counted by hand, with the paper's shares beside them."""

from typing import Any

import pytest

from labeling.models import Demonstration, DemonstrationVoid, Ranking
from labeling.services import panels
from labeling.services.panels import Chart, Panel, data
from tests.labeling.conftest import People

pytestmark = pytest.mark.django_db


def charts(panel: Panel) -> dict[str, Chart]:
    return {chart.title: chart for chart in panel.charts}


def values(chart: Chart) -> dict[str, float | None]:
    return {line.label: line.figure.value for line in chart.lines}


@pytest.fixture
def panel(people: People, make_prompt: Any, make_task: Any, rank: Any) -> Panel:
    """Three prompts in use, one of them ranked and one demonstrated, and a retired one."""
    first = make_prompt("a" * 10, use_case="generation", source="customer", customer="x", language="en")
    second = make_prompt("b" * 30, use_case="generation", source="customer", customer="x", language="en")
    third = make_prompt("c" * 20, use_case="chat", source="labeler", split="valid", language="de")
    make_prompt("retired", use_case="extract", is_retired=True)
    rank(make_task(prompt=first, k=4), people.labeler, [1, 2, 3, 4])
    Demonstration.objects.create(prompt=third, labeler=people.labeler, idempotency_key="d", text="Because.")
    assert second
    return data.panel(people.project)


def test_shares_of_use_cases_stand_beside_table_1(panel: Panel) -> None:
    found = charts(panel)["Use cases"]
    assert values(found) == pytest.approx({"Generation": 2 / 3, "Chat": 1 / 3})
    printed = [(line.paper.value, line.paper.where) for line in found.lines if line.paper]
    assert printed == [(0.456, "Table 1"), (0.084, "Table 1")]


def test_sizes_are_by_what_a_prompt_serves_for_as_in_table_6(panel: Panel) -> None:
    found = charts(panel)["Sizes"]
    assert values(found) == {
        "SFT, validation, labeler": 1,
        "Reward model, train, customer": 1,
        "PPO, train, customer": 2,
        "PPO, validation, labeler": 1,
    }
    assert [line.paper.value if line.paper else None for line in found.lines] == [1_550, 26_584, 31_144, None]


def test_languages_customers_and_lengths_are_counted(panel: Panel) -> None:
    found = charts(panel)
    assert values(found["Languages"]) == pytest.approx({"en": 2 / 3, "de": 1 / 3})
    assert [line.paper.value if line.paper else None for line in found["Languages"].lines] == [0.96, None]
    assert values(found["Prompts per customer"]) == {"Train": 2.0}
    assert [line.paper.value for line in found["Prompts per customer"].lines if line.paper] == [6.01]
    assert values(found["Lengths"]) == {"All prompts": 20.0, "Generation": 20.0, "Chat": 20.0}
    assert found["Lengths"].lines[1].note == "median 20"


def test_it_says_what_is_most_frequent_and_furthest_from_the_paper(panel: Panel) -> None:
    assert panel.says[0].startswith("Generation is the most frequent use case: 66.7 % of 3 prompts")
    assert panel.says[1] == "Furthest from the paper is Chat: 33.3 % here, 8.4 % there."


def test_what_does_not_count_serves_for_nothing(people: People, make_prompt: Any, make_task: Any, rank: Any) -> None:
    task = make_task(k=3)
    rank(task, people.labeler, [1, 2, 3], slot=None)
    prompt = make_prompt("written for, and taken out")
    written = Demonstration.objects.create(prompt=prompt, labeler=people.labeler, idempotency_key="d", text="So.")
    DemonstrationVoid.objects.create(demonstration=written, reason="wrong", voided_by=people.manager)
    found = charts(data.panel(people.project))["Sizes"]
    assert list(values(found)) == ["PPO, train, import"]
    assert Ranking.objects.count() == 1


def test_a_project_without_prompts_is_told_where_to_bring_them(people: People) -> None:
    panel = panels.of_project(people.project).panels[0]
    assert (panel.charts, panel.says) == ([], [])
    assert [(one.page, one.label) for one in panel.missing] == [("imports", "Import prompts")]


def test_prompts_without_a_language_lead_to_suggestions(people: People, make_prompt: Any) -> None:
    make_prompt("one")
    assert [(one.text, one.page) for one in data.panel(people.project).missing] == [
        ("1 prompt has no language.", "prompts_look")
    ]
