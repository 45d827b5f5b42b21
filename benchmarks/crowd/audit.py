"""What the database says afterwards, compared with what the labelers were told; how many queries a request takes."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .podium import Given
from .seed import Labeler, Seeded


@dataclass(frozen=True)
class Audit:
    acknowledged: int
    lost: int  # acknowledged, but there is no such row, or it says something else
    duplicates: int  # more than one row of a person for a task
    over_collected: int  # tasks with more counted judgements, or more filled slots, than are wanted
    surplus: int  # kept and not counted
    never_acknowledged: int  # rows whose labeler never heard of them: their answers were on the way at the end

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def look(given: Mapping[str, Given], projects: Iterable[Seeded]) -> Audit:
    from labeling.models import Ranking

    rows = Ranking.objects.filter(task__project__in=[seeded.pk for seeded in projects])
    stored = {
        key: (str(uid), str(task), email, displayed, ranks)
        for key, uid, task, email, displayed, ranks in rows.values_list(
            "idempotency_key", "uid", "task__uid", "labeler__email", "displayed", "ranks"
        )
    }
    return Audit(
        acknowledged=len(given),
        lost=sum(not _is_there(answer, stored.get(key)) for key, answer in given.items()),
        duplicates=rows.count() - rows.values("task", "labeler").distinct().count(),
        over_collected=_over_collected([seeded.pk for seeded in projects]),
        surplus=rows.filter(slot__isnull=True).count(),
        never_acknowledged=len(stored.keys() - given.keys()),
    )


def _is_there(answer: Given, row: tuple[str, str, str, list[int], list[int]] | None) -> bool:
    if row is None:
        return False
    uid, task, email, displayed, ranks = row
    sent = [answer.ranks[letter] for letter in sorted(answer.ranks)]
    order = {rank: number for number, rank in enumerate(sorted(set(sent)), start=1)}
    seen = [ranks[position] for position in displayed]
    return (uid, task, email, seen) == (answer.uid, answer.task, answer.labeler, [order[rank] for rank in sent])


def _over_collected(project_ids: list[int]) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM labeling_task t
              JOIN (SELECT task_id, count(*) FILTER (WHERE state = 'done') AS num_done FROM labeling_slot
                     WHERE project_id = ANY (%s) AND state <> 'open' GROUP BY 1) s ON s.task_id = t.id
              LEFT JOIN (SELECT task_id, count(DISTINCT labeler_id) AS num_counted FROM labeling_ranking
                          WHERE slot_id IS NOT NULL GROUP BY 1) r ON r.task_id = t.id
             WHERE s.num_done > t.num_wanted OR coalesce(r.num_counted, 0) > t.num_wanted
            """,
            [project_ids],
        )
        return int(cursor.fetchone()[0])


def count_queries(seeded: Seeded, labeler: Labeler, held_by_others: Iterable[int]) -> dict[str, dict[str, int]]:
    """Queries of one `next` and one `submit` while others hold so many tasks: {"next": {"10": 9, …}, …}."""
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from labeling.models import RenderedResponse

    settings.ALLOWED_HOSTS = ["*"]
    browser = Client()
    for name, value in labeler.cookies.items():
        browser.cookies[name] = value
    counts: dict[str, dict[str, int]] = {"next": {}, "submit": {}}

    def post(step: str, path: str, body: dict[str, Any], held: int) -> Any:
        with CaptureQueriesContext(connection) as queries:
            answer = browser.post(f"/api/v1/projects/{seeded.slug}/{path}", body, "application/json")
        assert answer.status_code < 300, answer.content
        counts[step][str(held)] = len(queries)
        return answer.json()

    for held in held_by_others:
        hold(seeded, held, besides=labeler)
        # Each task is shown for the first time, which is one query more, and not only those that nobody reached before.
        RenderedResponse.objects.filter(response__prompt__project=seeded.pk).delete()
        sheet = post("next", "next/", {"kinds": ["rank", "compare"]}, held)["sheet"]
        body = {
            "idempotency_key": f"count-{seeded.slug}-{held}",
            "ranks": {card["letter"]: 1 for card in sheet["cards"]},
        }
        post("submit", f"tasks/{sheet['task']}/submit/", body, held)
    return counts


def hold(seeded: Seeded, num_tasks: int, besides: Labeler) -> None:
    """Let other people hold so many of the tasks that come first."""
    from django.db import connection

    from labeling.models import User

    other, _ = User.objects.get_or_create(email="holder@bench.example")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE labeling_slot SET state = 'held', holder_id = %s, claimed_at = now(), lease_until = now() + '1 hour'
             WHERE id IN (SELECT DISTINCT ON (task_id) id FROM labeling_slot s
                           WHERE project_id = %s AND state = 'open' AND NOT EXISTS (
                                 SELECT 1 FROM labeling_slot o WHERE o.task_id = s.task_id AND o.holder_id = %s)
                           ORDER BY task_id, number LIMIT %s)
            """,
            [other.pk, seeded.pk, other.pk, num_tasks],
        )
