"""Rankings: taking them in, and changing one's own last ones. Rows are only ever added."""

from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from labeling.models import Ranking, Task, User
from labeling.models.statements import Statement, columns, insert, made
from labeling.services import answers, assignments
from labeling.services.answers import Answer, AnswerError
from labeling.services.quality import qualification, reviews

NUM_EDITABLE: Final = 20  # a labeler may change their own last 20
WHAT_WAS_JUDGED: Final = ("outcome", "ranks", "ratings", "flags", "notes", "note")


class AlreadyRanked(Exception):  # noqa: N818  # reads as what happened
    """Another ranking of this task by the same labeler is in, and says something else."""

    def __init__(self, ranking: Ranking) -> None:
        self.ranking = ranking
        super().__init__("You have ranked this task already. History lets you change it.")


@transaction.atomic
def submit(*, task: Task, labeler: User, idempotency_key: str, answer: Answer) -> Ranking:
    """Take a ranking in. The same key twice gives the same row; `slot` is None when it is surplus."""
    locked = assignments.lock(task)
    earlier, latest = _earlier(idempotency_key, locked, labeler)
    if earlier:
        return earlier
    columns = _columns(locked, labeler, answer)
    if latest:
        if _says_the_same(latest, columns):
            return latest
        raise AlreadyRanked(latest)
    slot = assignments.fill(task=locked, labeler=labeler)
    ranking = Ranking(task=locked, slot=slot, labeler=labeler, idempotency_key=idempotency_key, **columns)
    insert(ranking)
    _judged(locked, labeler)
    return ranking


@transaction.atomic
def revise(*, ranking: Ranking, labeler: User, idempotency_key: str, answer: Answer) -> Ranking:
    """Change one of one's own last rankings: a new revision in the same slot; the old row stays as it was."""
    locked = assignments.lock(ranking.task)
    earlier, latest = _earlier(idempotency_key, locked, labeler)
    if earlier:
        return earlier
    if latest is None or not can_edit(ranking=latest, labeler=labeler):
        raise AnswerError({"ranking": f"Only your own last {NUM_EDITABLE} rankings can be changed."})
    if latest.pk != ranking.pk:
        raise AlreadyRanked(latest)
    revision = Ranking(
        task=locked,
        slot_id=latest.slot_id,
        labeler=labeler,
        idempotency_key=idempotency_key,
        revision=latest.revision + 1,
        replaces=latest,
        **_columns(locked, labeler, answer),
    )
    insert(revision)
    assignments.forget_unsent(task=locked, labeler=labeler)
    _judged(locked, labeler)
    return revision


def own(*, labeler: User) -> QuerySet[Ranking]:
    """A labeler's rankings as they stand now, newest first."""
    mine = Ranking.objects.current().given_as_labeler().filter(labeler=labeler)
    return mine.select_related("task", "task__prompt", "task__project").order_by("-created_at", "-pk")


def can_edit(*, ranking: Ranking, labeler: User) -> bool:
    """Is it one of the labeler's last N? Imported ones were never given here."""
    mine = Ranking.objects.current().given_as_labeler().filter(labeler=labeler, batch__isnull=True)
    mine = mine.order_by("-created_at", "-pk")
    return ranking.pk in mine.values_list("pk", flat=True)[:NUM_EDITABLE]


_EARLIER: Final = Statement(
    "earlier_rankings",
    f"""
SELECT {columns(Ranking, "r")} FROM labeling_ranking r WHERE r.idempotency_key = %(key)s
UNION ALL
SELECT {columns(Ranking, "r")} FROM labeling_ranking r WHERE r.task_id = %(task)s AND r.labeler_id = %(labeler)s
""",  # noqa: S608  # names of ours
    key="text",
    task="bigint",
    labeler="bigint",
)


def _earlier(key: str, task: Task, labeler: User) -> tuple[Ranking | None, Ranking | None]:
    """The row that this key has made, and this labeler's newest ranking of the task."""
    if not 1 <= len(key) <= 64:
        raise AnswerError({"idempotency_key": "A key of 1 to 64 characters is needed."})
    found = _EARLIER.rows(key=key, task=task.pk, labeler=labeler.pk)
    rows = [made(Ranking, row) for row in found]
    with_key = next((row for row in rows if row.idempotency_key == key), None)
    mine = [row for row in rows if (row.task_id, row.labeler_id) == (task.pk, labeler.pk)]
    if with_key and with_key not in mine:
        raise AnswerError({"idempotency_key": "This key belongs to another submission."})
    return with_key, max(mine, key=lambda row: row.revision, default=None)


def _judged(locked: Task, labeler: User) -> None:
    """What an answer sets going: the end of a qualification, a review of what labelers disagree on."""
    if locked.purpose == Task.Purpose.QUALIFICATION:
        qualification.answered(task=locked, labeler=labeler)
    elif locked.purpose == Task.Purpose.WORK:
        reviews.consider(task=locked)


def _columns(task: Task, labeler: User, answer: Answer) -> dict[str, Any]:
    displayed = assignments.shown_order(task=task, labeler=labeler)
    return answers.to_columns(task=task, displayed=displayed, answer=answer)


def _says_the_same(ranking: Ranking, columns: Mapping[str, Any]) -> bool:
    """Compares what was judged, not when or how long it took."""
    return all(getattr(ranking, name) == columns[name] for name in WHAT_WAS_JUDGED)
