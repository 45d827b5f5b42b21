"""Round by round: which figures are drawn, whose they are, and where."""

import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Project, Ranking, Round, Run, Task
from labeling.services import round_history, voids
from labeling.services.round_history import Chart, Line, Point
from labeling.templatetags.rounds import by_round
from tests.labeling.conftest import People

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_cache(settings: Any) -> None:
    """Nothing kept by another test, whose round may have the same number."""
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": str(uuid.uuid4())}
    settings.CACHES = {**settings.CACHES, "default": memory}


def a_round(project: Project, number: int, *, state: str = "succeeded", **summary: float) -> Round:
    ended = {"fence": 1, "attempt": 1, "started_at": "2026-01-01T00:00Z", "finished_at": "2026-01-02T00:00Z"}
    made = {
        stage: Run.objects.create(
            project=project, stage=stage, name=f"{stage}-{number}", state=state, idempotency_key=f"{stage}{number}",
            result=result, **ended,
        )
        for stage, result in (
            ("ppo", {"summary": summary}),
            ("reward", {"report": {"accuracy": {"valid": {"value": 0.6, "low": 0.5, "high": 0.7}}}}),
        )
    }  # fmt: skip
    return Round.objects.create(
        project=project, number=number, state="done", ppo_run=made["ppo"], reward_run=made["reward"],
        finished_at="2026-01-02T00:00Z",
    )  # fmt: skip


def titles(charts: list[Chart]) -> list[str]:
    return [chart.title for chart in charts]


def test_each_figure_is_that_of_its_round_and_the_oldest_is_first(people: People) -> None:
    for number, reward in ((2, 3.0), (1, 1.5)):
        a_round(people.project, number, valid_reward_after=reward, valid_reward_before=0.5, valid_kl_after=4.0)
    reward, kl, accuracy = round_history.of_project(people.project)
    assert [(line.name, [(p.number, p.value) for p in line.points]) for line in reward.lines] == [
        ("after PPO", [(1, 1.5), (2, 3.0)]),
        ("before", [(1, 0.5), (2, 0.5)]),
    ]
    assert [point.value for point in kl.lines[0].points] == [4.0, 4.0]
    assert accuracy.lines[0].points[0] == Point(1, 0.6, 0.5, 0.7)


def test_a_round_without_a_finished_policy_and_those_of_other_projects_are_left_out(people: People) -> None:
    a_round(people.project, 1, valid_kl_after=1.0)
    a_round(Project.objects.create(slug="other", name="Other"), 1, valid_kl_after=9.0)
    Round.objects.create(project=people.project, number=2)
    kl = next(chart for chart in round_history.of_project(people.project) if chart.title == "KL")
    assert [(point.number, point.value) for point in kl.lines[0].points] == [(1, 1.0)]


def test_what_nobody_knows_is_not_drawn(people: People) -> None:
    assert round_history.of_project(people.project) == []
    a_round(people.project, 1)
    assert titles(round_history.of_project(people.project)) == ["Reward model"]


def test_agreement_is_that_of_the_rounds_own_tasks(people: People, make_judged: Any) -> None:
    make_judged(2)  # by one labeler, best first
    round = a_round(people.project, 1)
    first, second = Task.objects.order_by("pk")
    Task.objects.filter(pk=first.pk).update(round=round)
    assert "Agreement of people" not in titles(round_history.of_project(people.project))
    rank(first, people.labeler2, [1, 2, 3])
    rank(second, people.labeler2, [3, 2, 1])
    (chart,) = [one for one in round_history.of_project(people.project) if one.title == "Agreement of people"]
    assert [(point.number, point.value) for point in chart.lines[0].points] == [(1, 1.0)]


def test_agreement_is_counted_anew_only_where_a_ranking_came_or_went(
    people: People, make_judged: Any, monkeypatch: Any
) -> None:
    make_judged(2)
    first, second = Task.objects.order_by("pk")
    for number, task in ((1, first), (2, second)):
        Task.objects.filter(pk=task.pk).update(round=a_round(people.project, number))
        rank(task, people.labeler2, [1, 2, 3])
    counted = []
    of_rankings = round_history.overall.of_rankings
    monkeypatch.setattr(round_history.overall, "of_rankings", lambda given: counted.append(1) or of_rankings(given))
    charts = round_history.of_project(people.project)
    assert round_history.of_project(people.project) == charts
    assert len(counted) == 2
    voids.void(ranking=Ranking.objects.latest("pk"), reason="wrong", user=people.manager)
    (agreement,) = [one for one in round_history.of_project(people.project) if one.title == "Agreement of people"]
    assert [point.number for point in agreement.lines[0].points] == [1]  # one alone agrees with nobody
    assert len(counted) == 3


def rank(task: Task, labeler: Any, ranks: list[int]) -> None:
    done = {"state": "done", "holder": labeler, "done_at": "2026-01-01T00:00Z"}
    slot = task.slots.create(number=2, project_id=task.project_id, kind="rank", **done)
    key = f"{task.pk}-{labeler.pk}"
    Ranking.objects.create(task=task, slot=slot, labeler=labeler, idempotency_key=key, displayed=[2, 0, 1], ranks=ranks)


def test_the_higher_figure_is_drawn_higher_and_later_rounds_further_right() -> None:
    drawn = by_round(Chart("KL", "", (Line("a", (Point(1, 2.0, 1.0, 3.0), Point(4, 5.0))),)))
    first, last = drawn["lines"][0]["dots"]
    assert first["x"] < last["x"]
    assert first["y"] > last["y"]
    assert first["low"] > first["y"] > first["high"]
    assert last["low"] is None


def test_shares_are_drawn_between_whole_tenths_and_never_past_nothing_or_all() -> None:
    def ends(*points: Point) -> list[str]:
        return [label for _, label in by_round(Chart("Won", "", (Line("a", points),), is_share=True))["rows"]]

    assert ends(Point(1, 0.97, 0.83, 1.0), Point(2, 0.9)) == ["80 %", "90 %", "100 %"]
    assert ends(Point(1, 0.0, 0.0, 0.05)) == ["0 %", "10 %", "20 %"]
    assert ends(Point(1, 0.5, 0.0, 1.0)) == ["0 %", "50 %", "100 %"]


def test_one_round_with_one_figure_is_drawn_too() -> None:
    drawn = by_round(Chart("KL", "", (Line("a", (Point(7, 0.0),)),)))
    (dot,) = drawn["lines"][0]["dots"]
    assert drawn["left"] < dot["x"] < drawn["right"]
    assert drawn["columns"] == [(dot["x"], 7)]


def test_the_page_draws_the_charts_and_says_the_numbers(client: Client, people: People) -> None:
    a_round(people.project, 1, valid_reward_after=1.25, valid_reward_before=0.5)
    client.force_login(people.manager)
    text = client.get(reverse("rounds", args=[people.project.slug])).content.decode()
    assert "Round by round" in text
    assert "1.250" in text
    assert text.count("<svg") >= 2
