"""Active time and tasks done: for the person alone, and by week for the manager."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from labeling.models import Ranking
from labeling.services import own_statistics, rankings, work_done
from labeling.services.answers import Answer
from tests.labeling.conftest import People
from tests.labeling.people_data.conftest import as_, rank


def given(ranking: Ranking, days_ago: int) -> None:
    """Move a ranking into the past; the trigger that forbids it is put aside for that."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # or what is still to be checked keeps the table
        cursor.execute("ALTER TABLE labeling_ranking DISABLE TRIGGER ranking_append_only")
        Ranking.objects.filter(pk=ranking.pk).update(created_at=timezone.now() - timedelta(days=days_ago))
        cursor.execute("ALTER TABLE labeling_ranking ENABLE TRIGGER ranking_append_only")


def test_days_count_tasks_and_not_changes(people: People, ask: Any) -> None:
    one, two = ask(2)
    ranking = rank(one, people.labeler, seconds=60)
    given(rank(two, people.labeler, seconds=60), days_ago=2)
    rankings.revise(
        ranking=ranking, labeler=people.labeler, idempotency_key="r", answer=Answer(ranks=[2, 1], active_seconds=30)
    )
    days = work_done.by_day(people.project, days=4, labeler=people.labeler)
    assert [day.num for day in days] == [0, 1, 0, 1]
    assert work_done.by_day(people.project, days=4, labeler=people.labeler2)[-1].num == 0


def test_the_rate_counts_measured_answers_and_all_active_time(people: People, ask: Any) -> None:
    timed, untimed = ask(2)
    ranking = rank(timed, people.labeler, seconds=90)
    rank(untimed, people.labeler)
    rankings.revise(
        ranking=ranking, labeler=people.labeler, idempotency_key="r", answer=Answer(ranks=[2, 1], active_seconds=30)
    )
    hours = work_done.hours(people.project, labeler=people.labeler)
    assert (hours.num_done, hours.num_timed, hours.seconds) == (2, 1, 120)
    assert hours.per_hour == pytest.approx(30)


def test_hours_lie_in_the_week_they_were_worked(people: People, ask: Any) -> None:
    one, two = ask(2)
    rank(one, people.labeler, seconds=60)
    given(rank(two, people.labeler, seconds=120), days_ago=14)
    found = work_done.hours_by_week(people.project, weeks=3)
    today = timezone.localdate()
    monday = today - timedelta(days=today.weekday())
    assert {week: hours.seconds for (_, week), hours in found.items()} == {
        monday: 60,
        monday - timedelta(weeks=2): 120,
    }
    assert len(work_done.hours_by_week(people.project, weeks=2)) == 1


def test_own_statistics_are_of_oneself_alone(people: People, ask: Any) -> None:
    rank(ask()[0], people.labeler, seconds=60)
    assert own_statistics.of(user=people.labeler, project=people.project).today.num_done == 1
    assert own_statistics.of(user=people.labeler2, project=people.project).all_time.num_done == 0
    page = as_(people.labeler).get("/p/tea/work/statistics/").content.decode()
    assert "For you alone" in page
    assert "style=" not in page


def test_agreement_with_oneself_is_not_told_from_few_repeats(people: People) -> None:
    assert own_statistics.of(user=people.labeler, project=people.project).agreement_with_self is None


def test_the_file_has_no_addresses_unless_asked_and_no_formulas(people: People, ask: Any) -> None:
    people.labeler.name = "=HYPERLINK(1)"
    people.labeler.save()
    rank(ask()[0], people.labeler, seconds=1800)
    client = as_(people.manager)

    def lines(query: str) -> list[dict[str, str]]:
        answer = client.get(f"/p/tea/people/hours.csv{query}")
        text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
        return list(csv.DictReader(io.StringIO(text)))

    (line,) = lines("")
    assert line["name"] == "'=HYPERLINK(1)"
    assert (line["tasks"], line["active hours"], line["tasks per hour"]) == ("1", "0.50", "2.00")
    assert "e-mail" not in line
    assert lines("?emails=1")[0]["e-mail"] == "lena@example.org"


def test_the_page_of_hours_names_each_person_and_week(people: People, ask: Any) -> None:
    rank(ask()[0], people.labeler, seconds=1800)
    page = as_(people.manager).get("/p/tea/people/hours/?weeks=4").content.decode()
    assert "Lena" in page
    assert "30 min 00 s" in page
    assert "lena@example.org" not in page
