"""The report of a project: which rankings it is about, what became of the others, which items are worst."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from labeling import jobs
from labeling.models import Prompt, Ranking, RankingVoid, Task
from labeling.services import agreement, kept
from labeling.services.agreement import Scope
from labeling.services.agreement.scope import Coverage
from tests.labeling.conftest import People

MakeTask = Callable[..., Task]
Rank = Callable[..., Ranking]


def test_every_ranking_is_in_one_count_and_only_shared_ones_are_compared(
    people: People, make_task: MakeTask, rank: Rank
) -> None:
    shared, alone, third = make_task(), make_task(), make_task()
    rank(shared, people.labeler, [1, 2, 3])
    rank(shared, people.labeler2, [1, 3, 2])
    rank(shared, people.manager, [3, 2, 1], slot=None)  # surplus
    late = rank(alone, people.manager, [3, 2, 1], slot=None)
    RankingVoid.objects.create(ranking=late, reason="asleep", voided_by=people.manager)
    rank(alone, people.labeler, [1, 2, 3])
    rank(third, people.labeler, [], outcome="none_acceptable")
    void = rank(third, people.labeler2, [1, 2, 3])
    RankingVoid.objects.create(ranking=void, reason="asleep", voided_by=people.manager)
    first = rank(third, people.reviewer, [3, 2, 1])
    edited = rank(third, people.reviewer, [1, 2, 3], revision=2, replaces=first, slot=first.slot)
    found = agreement.report(people.project, Scope())
    assert found.coverage == Coverage(
        num_shared=2,
        num_alone=2,
        num_without_order=1,
        num_surplus=1,
        num_void=2,
        num_replaced=1,
        num_tests=0,
        num_decisions=0,
        num_shared_tasks=1,
        num_labelers=2,
    )
    assert found.overall.agreement["drop"].value == pytest.approx(2 / 3)
    assert {line.key for line in found.labelers} == {people.labeler.pk, people.labeler2.pk}
    assert edited.pk


def test_known_answers_are_no_work_and_are_not_compared(people: People, make_task: MakeTask, rank: Rank) -> None:
    gold = make_task(purpose="gold")
    rank(gold, people.labeler, [1, 2, 3])
    rank(gold, people.labeler2, [1, 2, 3])
    found = agreement.report(people.project, Scope())
    assert found.overall.agreement["drop"].value is None
    assert (found.coverage.num_tests, found.coverage.num_shared) == (2, 0)


def test_a_scope_leaves_out_other_languages_and_older_weeks(people: People, make_task: MakeTask, rank: Rank) -> None:
    english, german = make_task(), make_task()
    Prompt.objects.filter(pk=german.prompt_id).update(language="de")
    five_weeks_ago = timezone.now() - timedelta(weeks=5)
    for task, other, when in ((english, [1, 2, 3], five_weeks_ago), (german, [3, 2, 1], timezone.now())):
        rank(task, people.labeler, [1, 2, 3], created_at=when)
        rank(task, people.labeler2, other, created_at=when)
    shares = {scope: agreement.report(people.project, scope).overall.agreement["drop"] for scope in SCOPES}
    assert [shares[scope].value for scope in SCOPES] == [0.5, 0.0, 0.0, 0.5]


SCOPES = [Scope(), Scope(language="de"), Scope(weeks=4), Scope(weeks=6)]


def test_groups_are_by_what_the_task_has_one_of(people: People, make_task: MakeTask, rank: Rank) -> None:
    small, large = make_task(k=2), make_task(k=4)
    Prompt.objects.filter(pk=large.prompt_id).update(use_case="chat", language="fr", dataset="forum")
    for task, other in ((small, [2, 1]), (large, [1, 2, 3, 4])):
        rank(task, people.labeler, list(range(1, task.num_responses + 1)))
        rank(task, people.labeler2, other)
    by = agreement.report(people.project, Scope()).by
    shares = {name: {line.key: line.agreement["drop"].value for line in lines} for name, lines in by.items()}
    assert shares["use_case"] == {"other": 0.0, "chat": 1.0}
    assert shares["language"] == {"": 0.0, "fr": 1.0}
    assert shares["dataset"] == {"": 0.0, "forum": 1.0}
    assert shares["num_responses"] == {2: 0.0, 4: 1.0}


def test_a_task_belongs_to_the_week_of_its_last_ranking(people: People, make_task: MakeTask, rank: Rank) -> None:
    task = make_task()
    rank(task, people.labeler, [1, 2, 3], created_at=datetime(2026, 3, 12, 12, tzinfo=UTC))
    rank(task, people.labeler2, [1, 2, 3], created_at=datetime(2026, 3, 4, 12, tzinfo=UTC))
    weeks = agreement.report(people.project, Scope()).by["week"]
    assert [str(line.key) for line in weeks] == ["2026-03-09"]


def test_the_worst_items_come_first_and_perfect_ones_not_at_all(
    people: People, make_task: MakeTask, rank: Rank
) -> None:
    tasks = {name: make_task() for name in ("one swap", "reversed", "same", "tied")}
    tasks["two of two"] = make_task(k=2)
    others = {"reversed": [3, 2, 1], "one swap": [1, 3, 2], "same": [1, 2, 3], "tied": [1, 1, 1]}
    for name, ranks in others.items():
        rank(tasks[name], people.labeler, [1, 2, 3])
        rank(tasks[name], people.labeler2, ranks)
    for labeler, ranks in ((people.labeler, [1, 2]), (people.labeler2, [2, 1])):
        rank(tasks["two of two"], labeler, ranks)
    worst = agreement.report(people.project, Scope()).worst
    named = {task.pk: name for name, task in tasks.items()}
    assert [named[item.task_id] for item in worst["drop"]] == ["reversed", "two of two", "one swap"]
    assert [named[item.task_id] for item in worst["half"]] == ["reversed", "two of two", "tied", "one swap"]
    assert [named[item.task_id] for item in worst["strict"]] == ["reversed", "tied", "two of two", "one swap"]


def test_a_report_is_kept_until_a_ranking_comes_or_goes(
    people: People, make_task: MakeTask, rank: Rank, django_assert_num_queries: Any
) -> None:
    def num_shared() -> int:
        found = kept.get("agreement", people.project, Scope())
        assert found
        return int(found.coverage.num_shared)

    task = make_task()
    rank(task, people.labeler, [1, 2, 3])
    assert num_shared() == 0
    other = rank(task, people.labeler2, [1, 2, 3])
    assert num_shared() == 2
    with django_assert_num_queries(2):  # only the two counts of the key
        assert num_shared() == 2
    RankingVoid.objects.create(ranking=other, reason="asleep", voided_by=people.manager)
    rank(make_task(), people.labeler, [1, 2, 3])  # as many as before, but others
    assert num_shared() == 0


def test_scopes_projects_and_reports_are_kept_apart(people: People) -> None:
    other = people.stranger.memberships.get().project
    scopes = [*SCOPES, Scope(use_case="chat"), Scope(language="chat")]
    asked = [(name, project, scope) for name in kept.MAKERS for project in (people.project, other) for scope in scopes]
    first = [kept.get(*one) for one in asked]
    assert [kept.get(*one).made_at for one in asked] == [one.made_at for one in first if one]  # type: ignore[union-attr]
    assert len({one.made_at for one in first if one}) == len(asked)


def test_in_a_huge_project_a_job_makes_what_a_page_asked_for(
    people: People, make_task: MakeTask, rank: Rank, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[tuple[str, int]] = []
    monkeypatch.setattr(kept, "MAX_AT_ONCE", 1)
    monkeypatch.setattr("labeling.services.bell.ring", lambda job, row_id: rung.append((job, row_id)))
    task = make_task()
    rank(task, people.labeler, [1, 2, 3])
    rank(task, people.labeler2, [1, 2, 3])
    for _ in range(2):
        assert kept.get("agreement", people.project, Scope()) is None
    assert kept.get("biases", people.project, Scope(weeks=4)) is None
    assert rung == [("make_reports", people.project.pk)] * 2  # once for each report
    jobs.make_reports(people.project.pk)
    found = kept.get("agreement", people.project, Scope())
    assert found
    assert found.coverage.num_shared == 2
    assert kept.get("biases", people.project, Scope(weeks=4))
    assert len(rung) == 2
