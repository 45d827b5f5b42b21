"""The pages: what they say, what they say where there is nothing, and what a reviewer never learns from them."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling import jobs
from labeling.models import Membership, Model, Prompt, Ranking, RankingVoid, Response, Role, Task, User
from tests.labeling.conftest import People

MakeTask = Callable[..., Task]
Rank = Callable[..., Ranking]


@pytest.fixture
def ranked(people: People, make_task: MakeTask, rank: Rank) -> list[Task]:
    """Three tasks by two labelers: same order, one swap, one tie."""
    tasks = [make_task(f"What is tea number {number}?") for number in range(3)]
    for task, other in zip(tasks, ([1, 2, 3], [2, 1, 3], [1, 1, 2]), strict=True):
        rank(task, people.labeler, [1, 2, 3])
        rank(task, people.labeler2, other, displayed=[2, 0, 1])
    rival = Model.objects.create(project=people.project, name="rival-7b", kind="external")
    Response.objects.filter(prompt__tasks__in=tasks, sample_index=0).update(model=rival)
    return tasks


def as_(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def page(person: User, name: str, query: str = "", slug: str = "tea") -> str:
    answer = as_(person).get(f"{reverse(name, args=[slug])}{query}")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


@pytest.mark.usefixtures("ranked")
def test_the_tie_rule_is_named_and_changes_the_figure(people: People) -> None:
    found = {ties: page(people.manager, "agreement", f"?ties={ties}") for ties in ("drop", "half", "strict")}
    assert "87.5 %" in found["drop"]  # 7 of 8
    assert "83.3 %" in found["half"]  # 7.5 of 9
    assert "77.8 %" in found["strict"]  # 7 of 9
    assert "a pair that either of the two tied is not counted" in found["drop"]
    assert "a tie agrees only with a tie" in found["strict"]
    assert "72.6 %" in found["drop"]


@pytest.mark.usefixtures("ranked")
def test_the_page_says_what_it_covers_and_what_not(people: People, make_task: MakeTask, rank: Rank) -> None:
    rank(make_task(), people.labeler, [1, 2, 3])
    rank(make_task(), people.labeler, [], outcome="none_acceptable")
    found = page(people.manager, "agreement")
    assert "6 rankings by 2 people of 3 tasks" in found
    assert "9 comparisons" in found
    assert "Rankings not in it: 1 of tasks that only one person ranked, 1 “none is acceptable”." in found
    assert "surplus" not in found


def test_worst_items_are_one_click_from_the_item(people: People, ranked: list[Task]) -> None:
    found = page(people.manager, "agreement")
    worst = re.findall(r'href="/p/tea/tasks/([0-9a-f-]{36})/"', found)
    assert worst == [str(ranked[1].uid)]
    assert reverse("task_review", args=["tea", ranked[1].uid]) in found


def test_filters_that_are_not_known_show_everything_and_say_so(people: People, ranked: list[Task]) -> None:
    Prompt.objects.filter(pk=ranked[1].prompt_id).update(language="de")
    assert "66.7 %" in page(people.manager, "agreement", "?language=de")
    odd = page(people.manager, "agreement", "?language=klingon&ties=odd")
    assert "87.5 %" in odd
    assert "not known here" in odd


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("agreement", "Nothing to compare yet"),
        ("biases", "No ranking to count"),
        ("leaderboard", "No two models have met"),
    ],
)
def test_where_there_is_nothing_the_page_says_what_to_do(people: People, name: str, words: str) -> None:
    assert words in page(people.manager, name)


@pytest.mark.usefixtures("ranked")
def test_a_reviewer_reads_agreement_and_biases_and_never_learns_a_model(people: People) -> None:
    for name in ("agreement", "biases"):
        found = page(people.reviewer, name)
        assert "rival-7b" not in found
        assert "other-lab" not in found
        assert reverse("leaderboard", args=["tea"]) not in found
        assert reverse("rankings", args=["tea"]) + '"' not in found
        assert "/p/tea/tasks/" not in found
    assert as_(people.reviewer).get(reverse("leaderboard", args=["tea"])).status_code == 403
    assert "rival-7b" in page(people.manager, "leaderboard")


@pytest.mark.usefixtures("ranked")
def test_the_way_to_agreement_is_in_the_navigation_of_managers_and_reviewers(people: People) -> None:
    address = reverse("agreement", args=["tea"])
    assert f'href="{address}"' in page(people.manager, "rankings")
    assert f'href="{address}"' in page(people.reviewer, "guidelines")
    assert f'href="{address}"' not in page(people.labeler, "guidelines")


@pytest.mark.usefixtures("ranked")
def test_the_verdicts_are_sentences(people: People) -> None:
    found = page(people.manager, "biases")
    assert "the first shown wins" in found.lower()
    assert "points" in found
    assert "The order shown is known of 6" in found


@pytest.mark.usefixtures("ranked")
def test_the_leaderboard_lists_models_and_its_methods(people: People) -> None:
    for query, words in (("", "Plackett–Luce reads"), ("?method=bradley_terry", "Bradley–Terry reads")):
        found = page(people.manager, "leaderboard", query)
        assert found.index(">rival-7b<") < found.index(">other-lab<")
        assert words in found


def test_models_of_another_project_are_not_on_the_board(people: People, ranked: list[Task]) -> None:
    assert ranked
    Membership.objects.create(project=people.stranger.memberships.get().project, user=people.manager, role=Role.MANAGER)
    assert "rival-7b" not in page(people.manager, "leaderboard", slug="coffee")


@pytest.mark.parametrize("name", ["agreement", "biases", "leaderboard"])
def test_counted_anew_is_counted_anew(people: People, ranked: list[Task], name: str) -> None:
    """A language edited after the report was made is not in it until somebody asks."""
    client, address = as_(people.manager), reverse(name, args=["tea"])
    before = client.get(f"{address}?use_case=chat").content.decode()
    assert "Nothing to compare yet" in before or "No ranking" in before or "No two models" in before
    Prompt.objects.filter(pk=ranked[1].prompt_id).update(use_case="chat")
    assert "empty" in client.get(f"{address}?use_case=chat").content.decode()
    answer = client.post(f"{reverse(f'{name}_anew', args=['tea'])}?use_case=chat")
    assert answer["Location"] == f"{address}?use_case=chat"
    assert 'class="empty"' not in client.get(f"{address}?use_case=chat").content.decode()


@pytest.mark.usefixtures("ranked")
def test_a_void_ranking_is_gone_at_once(people: People) -> None:
    assert "6 rankings by 2 people" in page(people.manager, "agreement")
    RankingVoid.objects.create(ranking=Ranking.objects.latest("pk"), reason="asleep", voided_by=people.manager)
    assert "4 rankings by 2 people" in page(people.manager, "agreement")


def test_a_kept_report_costs_a_few_queries_however_many_rankings(
    people: People, make_task: MakeTask, rank: Rank, django_assert_max_num_queries: Any
) -> None:
    for _ in range(12):
        task = make_task()
        rank(task, people.labeler, [1, 2, 3])
        rank(task, people.labeler2, [3, 2, 1])
    client = as_(people.manager)
    client.get(reverse("agreement", args=["tea"]))
    with django_assert_max_num_queries(16):
        client.get(reverse("agreement", args=["tea"]))


@pytest.mark.parametrize("name", ["agreement", "biases", "leaderboard"])
def test_while_a_job_counts_the_page_says_so_and_asks_again(
    people: People, ranked: list[Task], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert ranked
    monkeypatch.setattr("labeling.services.kept.MAX_AT_ONCE", 1)
    monkeypatch.setattr("labeling.services.bell.ring", lambda job, row_id: None)
    address = reverse(name, args=["tea"])
    client, part = as_(people.manager), {"HX-Request": "true"}
    page = client.get(address, {"weeks": "4"})
    assert page.status_code == 202
    assert f'hx-get="{address}?weeks=4"' in page.content.decode()
    assert 'http-equiv="refresh"' in page.content.decode()  # without scripts
    waiting = client.get(address, {"weeks": "4"}, headers=part)
    assert (waiting.status_code, b"<html" in waiting.content, waiting.headers.get("HX-Refresh")) == (202, False, None)
    jobs.make_reports(people.project.pk)
    assert client.get(address, {"weeks": "4"}, headers=part).headers["HX-Refresh"] == "true"
    ready = client.get(address, {"weeks": "4"})
    assert (ready.status_code, b'id="counting"' in ready.content) == (200, False)
