"""Statements that Postgres plans once per connection, for what every request of a labeler asks.

Each of them takes longer to plan than to run, and longer still to be composed and read through the ORM. A row becomes
an instance of its model all the same: `columns` and `made` belong together.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import JSONField, Model
from django.db.models.base import ModelState

M = TypeVar("M", bound=Model)
PARAMETER: Final = re.compile(r"%\((\w+)\)s")
LENGTH: Final = re.compile(r"\(\d+\)")  # a cast to varchar(64) would cut a longer text off instead of refusing it

_prepared: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()  # names, by psycopg2's own connection
_texts: dict[str, str] = {}


class Statement:
    """`text` names its parameters as %(name)s; `types` says what each is, in Postgres' words.

    Where a pooler hands out another connection per transaction nothing can be kept there: PODIUM_PREPARED_STATEMENTS
    says so, and the text is sent each time.
    """

    def __init__(self, name: str, text: str, /, **types: str) -> None:
        wanted = list(dict.fromkeys(PARAMETER.findall(text)))
        if set(wanted) != set(types):
            raise TypeError(f"{name}: the text asks for {sorted(wanted)}, types are given for {sorted(types)}.")
        if _texts.setdefault(name, text) != text:
            raise TypeError(f"There are two statements named {name}.")
        self.name = f"podium_{name}"
        self.text = PARAMETER.sub(lambda found: f"%({found[1]})s::{types[found[1]]}", text)
        numbered = PARAMETER.sub(lambda found: f"${wanted.index(found[1]) + 1}", text)
        listed = f"({', '.join(types[each] for each in wanted)})" if wanted else ""
        self.prepare = f"PREPARE {self.name} {listed} AS {numbered}"
        given = f"({', '.join(f'%({each})s' for each in wanted)})" if wanted else ""
        self.execute = f"EXECUTE {self.name} {given}"

    def rows(self, **values: Any) -> list[tuple[Any, ...]]:
        return list(self._ask(values).fetchall())

    def first(self, **values: Any) -> tuple[Any, ...] | None:
        """The first row, or None; what more there is is not looked at."""
        row: tuple[Any, ...] | None = self._ask(values).fetchone()
        return row

    def run(self, **values: Any) -> int:
        """For a statement that returns no rows: how many it has written."""
        return int(self._ask(values).rowcount)

    def _ask(self, values: dict[str, Any]) -> Any:
        """A cursor with the answer: psycopg2's own, since Django's layers around it take longer than the question.

        What those look after is looked after here; whoever watches them (tests, DEBUG) gets them.
        """
        database = connections[DEFAULT_DB_ALIAS]
        if database.execute_wrappers or database.queries_logged:
            watched = database.cursor()
            watched.execute(self._ready(database), values)
            return watched
        database.close_if_health_check_failed()
        database.ensure_connection()
        database.validate_thread_sharing()
        database.validate_no_broken_transaction()
        text = self._ready(database)
        with database.wrap_database_errors:
            cursor = database.create_cursor()
            cursor.execute(text, values)
        return cursor

    def _ready(self, database: BaseDatabaseWrapper) -> str:
        """What to send, once this connection knows the statement: which it does even if the transaction is undone."""
        if not settings.PREPARED_STATEMENTS:
            return self.text
        database.ensure_connection()
        raw = database.connection
        known = _prepared.setdefault(raw, set())
        if self.name not in known:
            with database.wrap_database_errors, raw.cursor() as cursor:
                cursor.execute(self.prepare)
            known.add(self.name)
        return self.execute


def columns(model: type[Model], of: str) -> str:
    """All columns of a table's alias, in the order that `made` takes them. Named, so that a new one changes no plan."""
    return ", ".join(f"{of}.{name}" for name in _shape(model)[1])


def width(model: type[Model]) -> int:
    return len(_shape(model)[0])


def made(model: type[M], row: Sequence[Any], at: int = 0) -> M:
    """The instance whose columns begin in the row at `at`."""
    names, _, converters = _shape(model)
    instance = model.__new__(model)  # what Model.__init__ adds to this are signals that nobody here listens to
    instance.__dict__.update(zip(names, row[at : at + len(names)], strict=True))
    for name, convert in converters:
        instance.__dict__[name] = convert(instance.__dict__[name])
    instance._state = ModelState()
    instance._state.adding = False
    instance._state.db = DEFAULT_DB_ALIAS
    return instance


def insert(instance: Model) -> None:
    """Write a new row as it stands, and read back what the database has set: its id and its own times."""
    statement, given, adapters, set_by_database = _insertion(type(instance))
    values = {name: getattr(instance, name) for name in given}
    for name, adapt in adapters:
        values[name] = adapt(values[name], connection)
    row = statement.first(**values)
    assert row is not None  # noqa: S101  # RETURNING of one row
    for name, value in zip(set_by_database, row, strict=True):
        setattr(instance, name, value)
    instance._state.adding = False
    instance._state.db = DEFAULT_DB_ALIAS


@cache
def _shape(model: type[Model]) -> tuple[list[str], list[str], list[tuple[str, Callable[[Any], Any]]]]:
    fields = model._meta.concrete_fields
    converters = [(field.attname, _reader(field)) for field in fields if hasattr(field, "from_db_value")]
    return [field.attname for field in fields], [f'"{field.column}"' for field in fields], converters


def _reader(field: Any) -> Callable[[Any], Any]:
    return lambda value: field.from_db_value(value, None, connection)


@cache
def _insertion(model: type[Model]) -> tuple[Statement, list[str], list[tuple[str, Callable[..., Any]]], list[str]]:
    """The statement, the fields it takes, those that go in another form, and those that come back."""
    fields = model._meta.concrete_fields
    set_by_database = [field for field in fields if field.primary_key or field.has_db_default()]
    given = [field for field in fields if field not in set_by_database]
    names = ", ".join(f'"{field.column}"' for field in given)
    values = ", ".join(f"%({field.attname})s" for field in given)
    returned = ", ".join(f'"{field.column}"' for field in set_by_database)
    text = f"INSERT INTO {model._meta.db_table} ({names}) VALUES ({values}) RETURNING {returned}"  # noqa: S608  # names of ours
    types = {field.attname: LENGTH.sub("", str(field.db_type(connection))) for field in given}
    statement = Statement(f"insert_{model._meta.model_name}", text, **types)
    adapters = [(field.attname, field.get_db_prep_save) for field in given if isinstance(field, JSONField)]
    return statement, [field.attname for field in given], adapters, [field.attname for field in set_by_database]
