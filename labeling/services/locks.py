"""Advisory locks of Postgres: one worker at a thing, one writer at a time.

A lock is a kind of thing and its number. It goes with its connection, so a process that is killed never keeps one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from django.db import connection


class Kind(IntEnum):
    """What is locked. Every number is used once, also by releases that still run beside this one."""

    SNAPSHOT = 0x504F44
    PROMPTS = 7_350_112
    IMPORT = 7_350_113
    SURVEY = 7_350_114
    LOOK = 7_350_115


@contextmanager
def alone(kind: Kind, number: int) -> Iterator[bool]:
    """Whether nobody else is at it; nobody will be until the block ends, or this process does."""
    is_alone = _ask("SELECT pg_try_advisory_lock(%s, %s)", kind, number)
    try:
        yield is_alone
    finally:
        if is_alone:
            _ask("SELECT pg_advisory_unlock(%s, %s)", kind, number)


def is_held(kind: Kind, number: int) -> bool:
    """Is anybody at it now?"""
    return _ask(
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        kind,
        number,
    )


def wait_turn(kind: Kind, number: int) -> None:
    """Wait until nobody else is at it; nobody will be until the transaction ends."""
    _ask("SELECT pg_advisory_xact_lock(%s, %s)", kind, number)


def _ask(sql: str, kind: Kind, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, [int(kind), number])
        return bool(cursor.fetchone()[0])
