"""How far a project is, by hand-worked numbers."""

from datetime import date
from typing import Any

import pytest
from django.core.cache import cache

from labeling.services import annotations, asking, progress, prompt_tables, voids
from tests.labeling.conftest import People
from tests.labeling.people_data.conftest import as_, rank

TODAY = date(2026, 3, 2)


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


def test_at_a_steady_pace_the_date_is_certain() -> None:
    found = progress.forecast(num_left=100, days=[10] * 7, today=TODAY)
    assert found.per_day == 10
    assert found.expected == found.earliest == found.latest == date(2026, 3, 12)


def test_an_uneven_pace_gives_a_range_by_students_t() -> None:
    """Days 8 to 14: mean 11, standard deviation 2.160, half width 2.447 × 2.160 / √7 = 1.998."""
    found = progress.forecast(num_left=110, days=[8, 9, 10, 11, 12, 13, 14], today=TODAY)
    assert found.expected == date(2026, 3, 12)  # 10 days
    assert found.earliest == date(2026, 3, 11)  # 110 / 12.998 = 8.46
    assert found.latest == date(2026, 3, 15)  # 110 / 9.002 = 12.2


def test_a_pace_that_may_be_nothing_has_no_latest_date() -> None:
    found = progress.forecast(num_left=100, days=[0, 0, 0, 0, 0, 0, 70], today=TODAY)
    assert found.expected == date(2026, 3, 12)
    assert found.earliest is not None
    assert found.latest is None


def test_without_work_no_date_is_told_and_with_nothing_left_it_is_today() -> None:
    still = progress.forecast(num_left=5, days=[0] * 7, today=TODAY)
    assert (still.expected, still.earliest, still.latest) == (None, None, None)
    assert progress.forecast(num_left=0, days=[0] * 7, today=TODAY).expected == TODAY


def test_slots_people_and_time_are_counted_by_kind(people: People, ask: Any, make_prompt: Any) -> None:
    one, two, _ = ask(3)
    rank(one, people.labeler, seconds=60)
    rank(two, people.labeler2, seconds=120)
    asking.ask_for_annotations(project=people.project, prompts=[make_prompt("x", k=0)], user=people.manager)
    found = progress.of(people.project)
    by_kind = {kind.kind: kind for kind in found.kinds}
    assert (by_kind["rank"].num_done, by_kind["rank"].num_open, by_kind["rank"].median_seconds) == (2, 1, 90)
    assert (by_kind["annotate"].num_done, by_kind["annotate"].num_open) == (0, 1)
    assert found.num_active == 2
    assert [(row.person, row.share) for row in found.people] == [(people.labeler, 0.5), (people.labeler2, 0.5)]
    assert found.days[-1].num == 2


def test_a_void_ranking_is_not_done(people: People, ask: Any) -> None:
    ranking = rank(ask()[0], people.labeler)
    voids.void(ranking=ranking, reason="x", user=people.manager)
    assert progress.of(people.project).num_done == 0


def test_the_prompts_are_counted_as_in_the_paper(people: People, make_prompt: Any) -> None:
    make_prompt("aa", k=0, use_case="chat", language="en", customer="c1", source="customer")
    make_prompt("bbbb", k=0, use_case="chat", language="de", customer="c1", source="customer")
    make_prompt("cccccc", k=0, use_case="rewrite", split="test")
    make_prompt("retired", k=0, is_retired=True)
    found = prompt_tables.of(people.project)
    assert [(row["split"], row["source"], row["num"], row["chars"]) for row in found.splits] == [
        ("train", "customer", 2, 6),
        ("test", "import", 1, 6),
    ]
    assert found.use_cases == [
        ("Chat", 2, pytest.approx(66.667, abs=0.001)),
        ("Rewrite", 1, pytest.approx(33.333, abs=0.001)),
    ]
    assert found.customers == [{"split": "train", "num_customers": 1, "mean": 2, "median": 2, "most": 2}]
    assert (found.lengths[0]["count"], found.lengths[0]["mean"], found.lengths[0]["median"]) == (3, 4, 4)


def test_the_page_shows_it_all_without_inline_style(people: People, ask: Any) -> None:
    rank(ask(2)[0], people.labeler, seconds=60)
    page = as_(people.manager).get("/p/tea/progress/").content.decode()
    assert "Forecast" in page
    assert "day-bar" in page
    assert "style=" not in page


def test_an_empty_project_says_what_to_do(people: People) -> None:
    assert b"Nothing is asked for yet" in as_(people.manager).get("/p/tea/progress/").content
    assert annotations.shares(project=people.project)[0].num_asked == 0
