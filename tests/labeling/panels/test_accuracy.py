"""Panel 2: accuracies as the reports have them, beside agreement counted by hand."""

from typing import Any

import pytest

from labeling.models import Model
from labeling.services import kept
from labeling.services.panels import Chart, Panel, accuracy, evaluations
from tests.labeling.conftest import People
from tests.labeling.panels import world
from tests.labeling.panels.world import interval, reward_model

pytestmark = pytest.mark.django_db


def panel(people: People) -> Panel:
    runs = evaluations.of_project(people.project)
    return accuracy.panel(people.project, accuracy.judges(people.project, runs))


def figures(chart: Chart) -> dict[str, Any]:
    return {line.label: (line.figure.value, line.figure.low, line.figure.high) for line in chart.lines}


def test_each_group_has_its_interval_its_run_and_the_papers_value(people: People) -> None:
    model = reward_model(people.project, "rm", valid=interval(0.65), held_out_labelers=interval(0.6, 0.1))
    (chart,) = panel(people).charts
    found = figures(chart)
    assert found["Labelers that trained, held-out prompts"] == (0.65, 0.65 - 0.05, 0.65 + 0.05)
    assert found["Held-out labelers, all prompts"] == (0.6, 0.5, 0.6 + 0.1)
    assert found["Two labelers agree, on the same rankings"][0] == 0.7
    assert "Labelers that trained, training prompts" not in found
    assert chart.mark == 0.7
    printed = {line.label: line.paper.value for line in chart.lines if line.paper}
    assert printed == {"Labelers that trained, held-out prompts": 0.724, "Held-out labelers, all prompts": 0.696}
    assert {line.source.uid for line in chart.lines if line.source} == {model.run.uid if model.run else None}


def test_it_says_how_far_the_model_is_from_people_and_what_held_out_labelers_cost(people: People) -> None:
    reward_model(people.project, "rm", valid=interval(0.65), held_out_labelers=interval(0.6))
    said = panel(people).says
    assert said[0] == "rm puts 65.0 % (60.0 to 70.0) of the pairs of held-out prompts in people's order."
    assert "it is 5.0 points below them. Their intervals overlap: it may be chance." in said[1]
    assert "60.0 % (55.0 to 65.0): 5.0 points fewer (InstructGPT: 2.8 fewer)." in said[2]


def test_training_and_held_out_labelers_are_counted_apart(people: People, make_task: Any, rank: Any) -> None:
    people.reviewer.is_held_out = people.manager.is_held_out = True
    people.reviewer.save()
    people.manager.save()
    for ranks, others in (([1, 2, 3], [1, 2, 3]), ([1, 2, 3], [2, 1, 3])):
        task = make_task(k=3)
        rank(task, people.labeler, [1, 2, 3])
        rank(task, people.labeler2, ranks)
        rank(task, people.reviewer, [1, 2, 3])
        rank(task, people.manager, others)
    (chart,) = panel(people).charts
    found = figures(chart)
    assert found["Two training labelers agree, all rankings"][0] == 1.0
    assert found["Two held-out labelers agree"][0] == pytest.approx(5 / 6)
    assert [line.paper.value for line in chart.lines if line.paper] == [0.726, 0.773]


def test_reward_models_stand_in_time_newest_first(people: People) -> None:
    for name, value in (("older", 0.6), ("newer", 0.68)):
        reward_model(people.project, name, valid=interval(value))
    chart = next(one for one in panel(people).charts if one.title == "Reward models in time")
    assert [(line.label, line.figure.value) for line in chart.lines] == [("newer", 0.68), ("older", 0.6)]


def test_one_from_elsewhere_is_measured_by_its_newest_evaluation(people: People, evaluate: Any) -> None:
    model = Model.objects.create(project=people.project, name="theirs", kind="reward", storage_key="x")
    for value in (0.5, 0.62):
        run = evaluate({"reward_model": {"accuracy": {"valid": interval(value)}}}, reward_model=model)
    (chart,) = panel(people).charts
    line = chart.lines[0]
    assert (line.figure.value, line.source and line.source.uid) == (0.62, run.uid)


def test_an_evaluation_of_another_reward_model_is_not_taken_for_its_own(people: People, evaluate: Any) -> None:
    theirs, other = (
        Model.objects.create(project=people.project, name=name, kind="reward", storage_key=name)
        for name in ("theirs", "other")
    )
    for model, value in ((theirs, 0.62), (other, 0.51)):
        evaluate({"reward_model": {"accuracy": {"valid": interval(value)}}}, reward_model=model)
    chart = next(one for one in panel(people).charts if one.title == "Reward models in time")
    assert [(line.label, line.figure.value) for line in chart.lines] == [("other", 0.51), ("theirs", 0.62)]


def test_a_newer_one_without_a_report_hides_no_older_one(people: People) -> None:
    reward_model(people.project, "rm", valid=interval(0.65))
    world.model(people.project, "broken", "reward", {}, report=None)
    assert [chart.title for chart in panel(people).charts] == ["The newest: rm"]


def test_only_the_newest_eight_stand_in_time(people: People) -> None:
    for number in range(9):
        reward_model(people.project, f"rm-{number}", valid=interval(0.6))
    chart = next(one for one in panel(people).charts if one.title == "Reward models in time")
    assert [line.label for line in chart.lines] == [f"rm-{number}" for number in range(8, 0, -1)]


def test_nothing_yet_leads_to_training_one_and_to_shared_tasks(people: People) -> None:
    found = panel(people)
    assert found.charts == []
    assert [(one.page, one.args) for one in found.missing] == [("run_new_stage", ("reward",)), ("tasks", ())]


def test_without_held_out_labelers_it_says_how_to_get_them(people: People) -> None:
    reward_model(people.project, "rm", valid=interval(0.65))
    assert [one.page for one in panel(people).missing] == ["people", "tasks"]


def test_while_agreement_is_counted_by_a_job_it_says_so(people: People, monkeypatch: Any) -> None:
    monkeypatch.setattr(kept, "get", lambda *_: None)
    assert "being counted" in panel(people).missing[-1].text
