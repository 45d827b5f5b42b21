"""Unsent work, as the page last saved it."""

import json
from typing import Any, Final

from django.db import connection

from labeling.models import Draft, Task, User
from labeling.models.statements import Statement, columns, made

MAX_DRAFT_BYTES: Final = 200_000


class DraftError(Exception):
    """The draft cannot be kept; the text is for the labeler."""


_LOAD: Final = Statement(
    "draft",
    f"SELECT {columns(Draft, 'd')} FROM labeling_draft d WHERE d.task_id = %(task)s AND d.labeler_id = %(labeler)s",  # noqa: S608  # names of ours
    task="bigint",
    labeler="bigint",
)


def load(*, task: Task, labeler: User) -> Draft | None:
    row = _LOAD.first(task=task.pk, labeler=labeler.pk)
    return made(Draft, row) if row else None


def forget(*, task: Task, labeler: User) -> None:
    Draft.objects.filter(task=task, labeler=labeler).delete()


# One statement: an older save that arrives late never overwrites a newer one.
_SAVE = """
INSERT INTO labeling_draft (task_id, labeler_id, payload, version, saved_at)
VALUES (%s, %s, %s, %s, statement_timestamp())
ON CONFLICT (task_id, labeler_id) DO UPDATE
   SET payload = excluded.payload, version = excluded.version, saved_at = excluded.saved_at
 WHERE labeling_draft.version < excluded.version
RETURNING id
"""


def save(*, task: Task, labeler: User, payload: dict[str, Any], version: int) -> bool:
    """Keep the payload if `version` is newer than what is kept. False: something newer is there already."""
    text = json.dumps(payload)
    if len(text) > MAX_DRAFT_BYTES:
        raise DraftError("This draft is too long to be kept.")
    if not 1 <= version <= 2**31 - 1:
        raise DraftError("The version must be a positive number.")
    with connection.cursor() as cursor:
        cursor.execute(_SAVE, [task.pk, labeler.pk, text, version])
        return cursor.fetchone() is not None
