"""Rankings out of the database as flat arrays: one statement and one row, however many there are.

A Python object for each ranking, with a list of its ranks, would cost more than all that is then counted.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import TruncDate

from labeling.models.rankings import JudgementQuerySet
from labeling.services.agreement.judged import Columns, Ints


@dataclass(frozen=True)
class Dated:
    """`day_R` counts days since 1970-01-01, in the server's time zone."""

    columns: Columns
    day_R: Ints


def read(rankings: JudgementQuerySet) -> Dated:
    """In the order in which they were given. All must have an order."""
    dated = rankings.annotate(day=TruncDate("created_at")).values("id", "task_id", "labeler_id", "ranks", "day")
    task, labeler, num, ranks, day = as_arrays(
        dated, "task_id", "labeler_id", "cardinality(ranks)", "array_to_string(ranks, ' ')", "day - DATE '1970-01-01'"
    )
    return Dated(Columns(task, labeler, num, ranks), day)


def as_arrays(rows: QuerySet[Any, Any], *expressions: str, by: str = "id") -> list[Ints]:
    """An array of whole numbers for each SQL expression over the columns of `rows`, sorted `by`.

    The ORM's own statement goes inside; what comes out is text, numbers with spaces between, which numpy reads. An
    expression may be several numbers already: they follow each other.
    """
    sql, params = rows.order_by().query.sql_with_params()
    texts = ", ".join(f"string_agg(({expression})::text, ' ' ORDER BY {by})" for expression in expressions)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {texts} FROM ({sql}) rows", params)  # noqa: S608  # of our own expressions
        found: tuple[str | None, ...] = cursor.fetchone()
    return [np.fromstring(text or "", dtype=np.int64, sep=" ") for text in found]
