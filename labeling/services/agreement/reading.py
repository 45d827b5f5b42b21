"""Rankings out of the database as flat arrays: one statement and one row, however many there are.

A Python object for each ranking, with a list of its ranks, would cost more than all that is then counted.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from django.db import connection
from django.db.models.functions import TruncDate

from labeling.models.rankings import JudgementQuerySet
from labeling.services.agreement.judged import Columns, Ints

# The ORM's own statement goes inside; what comes out is numbers with spaces between, which numpy reads.
_AS_TEXT: Final = """
SELECT string_agg(task_id::text, ' ' ORDER BY id), string_agg(labeler_id::text, ' ' ORDER BY id),
       string_agg(cardinality(ranks)::text, ' ' ORDER BY id), string_agg(array_to_string(ranks, ' '), ' ' ORDER BY id),
       string_agg((day - DATE '1970-01-01')::text, ' ' ORDER BY id)
  FROM ({rankings}) r
"""


@dataclass(frozen=True)
class Dated:
    """`day_R` counts days since 1970-01-01, in the server's time zone."""

    columns: Columns
    day_R: Ints


def read(rankings: JudgementQuerySet) -> Dated:
    """In the order in which they were given. All must have an order."""
    dated = rankings.annotate(day=TruncDate("created_at")).values("id", "task_id", "labeler_id", "ranks", "day")
    sql, params = dated.order_by().query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_AS_TEXT.format(rankings=sql), params)
        task, labeler, num, ranks, day = (_numbers(text) for text in cursor.fetchone())
    return Dated(Columns(task, labeler, num, ranks), day)


def _numbers(text: str | None) -> Ints:
    return np.fromstring(text or "", dtype=np.int64, sep=" ")
