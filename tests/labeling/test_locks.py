"""Locks, seen from two connections."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from labeling.services import locks
from labeling.services.locks import Kind

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other() -> Iterator[Any]:
    found = connection.copy()
    yield found
    found.close()


def ask(other: Any, sql: str, *values: int) -> bool:
    with other.cursor() as cursor:
        cursor.execute(sql, values)
        return bool(cursor.fetchone()[0])


def test_one_is_alone_until_the_block_ends(other: Any) -> None:
    with locks.alone(Kind.LOOK, 7) as is_alone:
        assert is_alone
        assert not ask(other, "SELECT pg_try_advisory_lock(%s, %s)", Kind.LOOK, 7)
        assert ask(other, "SELECT pg_try_advisory_lock(%s, %s)", Kind.LOOK, 8)
        assert ask(other, "SELECT pg_try_advisory_lock(%s, %s)", Kind.IMPORT, 7)
    assert ask(other, "SELECT pg_try_advisory_lock(%s, %s)", Kind.LOOK, 7)


def test_who_comes_second_is_told_and_takes_nothing_away(other: Any) -> None:
    assert ask(other, "SELECT pg_try_advisory_lock(%s, %s)", Kind.SNAPSHOT, 3)
    assert locks.is_held(Kind.SNAPSHOT, 3)
    assert not locks.is_held(Kind.SNAPSHOT, 4)
    with locks.alone(Kind.SNAPSHOT, 3) as is_alone:
        assert not is_alone
    assert locks.is_held(Kind.SNAPSHOT, 3)


def test_a_block_that_fails_lets_go(other: Any) -> None:
    with pytest.raises(RuntimeError), locks.alone(Kind.LOOK, 7):
        raise RuntimeError
    assert ask(other, "SELECT pg_try_advisory_lock(%s, %s)", Kind.LOOK, 7)


def test_a_turn_lasts_as_long_as_the_transaction(other: Any) -> None:
    with transaction.atomic():
        locks.wait_turn(Kind.PROMPTS, 1)
        assert not ask(other, "SELECT pg_try_advisory_lock(%s, %s)", Kind.PROMPTS, 1)
    assert ask(other, "SELECT pg_try_advisory_lock(%s, %s)", Kind.PROMPTS, 1)
