"""The history of rounds: how often people prefer each round's policy, by the evaluations that hold both models."""

from typing import Any

import pytest
from django.test import Client

from labeling.models import Model, Round
from labeling.services import evaluations, round_history
from labeling.services.round_history import Chart
from tests.labeling.conftest import People
from tests.labeling.evaluations.conftest import tasks_of
from tests.labeling.runs.test_round_history import a_round

pytestmark = pytest.mark.django_db


@pytest.fixture
def two_rounds(people: People, models: list[Model]) -> list[Round]:
    """The first made `ppo-model` from `sft-model`, the second `new-model` from that."""
    sft, first, second = models
    made = [a_round(people.project, number) for number in (1, 2)]
    for round, policy in zip(made, (first, second), strict=True):
        Model.objects.filter(pk=policy.pk).update(run=round.ppo_run)
    assert made[0].reward_run is not None
    Model.objects.filter(pk=sft.pk).update(run=made[0].reward_run)
    Round.objects.filter(pk=made[0].pk).update(sft_run=made[0].reward_run)
    Round.objects.filter(pk=made[1].pk).update(policy_before=first)
    return made


def lines(chart: Chart) -> dict[str, list[tuple[int, float]]]:
    return {line.name: [(point.number, round(point.value, 3)) for point in line.points] for line in chart.lines}


def judged(begun: Any, judge: Any, people: People, winners: list[Model], **asked: Any) -> Any:
    evaluation = begun(len(winners), **asked)
    for task, best in zip(tasks_of(evaluation), winners, strict=True):
        judge(task, people.labeler, best=best)
    return evaluation


def test_each_round_s_policy_is_compared_with_the_first_sft_and_with_the_policy_before(
    people: People, models: list[Model], two_rounds: list[Round], begun: Any, judge: Any
) -> None:
    sft, first, second = models
    assert round_history.human_win_rates(people.project).lines == ()
    judged(begun, judge, people, [first, first, sft, first], num_models=2, name="one")
    assert lines(round_history.human_win_rates(people.project)) == {"over the first SFT": [(1, 0.75)]}
    judged(begun, judge, people, [second, second, second, sft], num_models=3, kind="ranking", name="all")
    chart = round_history.human_win_rates(people.project)
    assert chart.is_share
    assert lines(chart) == {
        "over the first SFT": [(1, 0.375), (2, 0.75)],  # one is best of each three, and the other two are tied
        "over the policy before": [(2, 0.875)],
    }
    point = chart.lines[0].points[1]
    assert point.low is not None
    assert point.low <= point.value


def test_an_evaluation_that_nobody_has_judged_gives_way_to_an_older_one(
    people: People, models: list[Model], two_rounds: list[Round], begun: Any, judge: Any
) -> None:
    judged(begun, judge, people, [models[1], models[0]], name="old")
    begun(2, name="new")
    assert lines(round_history.human_win_rates(people.project)) == {"over the first SFT": [(1, 0.5)]}


def test_managers_see_who_wins_and_reviewers_do_not(
    people: People, models: list[Model], two_rounds: list[Round], begun: Any, judge: Any, client: Client
) -> None:
    judged(begun, judge, people, [models[1], models[0]], name="old")
    for person, sees in ((people.manager, True), (people.reviewer, False)):
        client.force_login(person)
        text = client.get(f"/p/{people.project.slug}/rounds/").content.decode()
        assert ("Human win rate" in text) is sees
        assert "Reward model" in text
    evaluation = people.project.evaluations.get()
    evaluation.round = two_rounds[0]
    evaluation.save()
    address = f"/p/{people.project.slug}/rounds/{two_rounds[0].uid}/"
    for person, sees in ((people.manager, True), (people.reviewer, False)):
        client.force_login(person)
        assert ("People compare the new policy" in client.get(address).content.decode()) is sees
    assert evaluations.results.of(evaluation).num_judgements == 2
