"""Pages of long lists, newest first: by the last row seen, so that page 20,000 costs what page 1 does."""

import uuid
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest

T = TypeVar("T", bound=Model)
COUNT_UP_TO = 100_000  # a count beyond is not worth its wait


@dataclass
class Page(Generic[T]):
    rows: list[T]
    older: uuid.UUID | None  # the row after which the next page starts
    newer: uuid.UUID | None  # the row before which the previous page ends


def page_of(rows: QuerySet[T], request: HttpRequest, *, size: int = 50) -> Page[T]:
    """The page that `?after=` or `?before=` (a row's public id) asks for; the first one otherwise."""
    before, after = _row(rows, request.GET.get("before")), _row(rows, request.GET.get("after"))
    if before:
        found = list(rows.filter(pk__gt=before).order_by("pk")[: size + 1])
        more = len(found) > size
        found = found[:size][::-1]
        return Page(found, older=_uid(found[-1:]), newer=_uid(found[:1]) if more else None)
    found = list((rows.filter(pk__lt=after) if after else rows).order_by("-pk")[: size + 1])
    more = len(found) > size
    found = found[:size]
    return Page(found, older=_uid(found[-1:]) if more else None, newer=_uid(found[:1]) if after else None)


def count(rows: QuerySet[Any]) -> int:
    """Exact up to the limit, the limit plus one beyond it."""
    return rows.order_by()[: COUNT_UP_TO + 1].count()


def count_words(num: int) -> str:
    return f"more than {COUNT_UP_TO:,}" if num > COUNT_UP_TO else f"{num:,}"


def _row(rows: QuerySet[T], given: str | None) -> Any:
    """The key of the row with this public id, if the list's model has one; filters do not matter for a place."""
    if not given:
        return None
    try:
        uid = uuid.UUID(given)
    except ValueError:
        return None
    return rows.model._default_manager.filter(uid=uid).values_list("pk", flat=True).first()


def _uid(rows: list[Any]) -> uuid.UUID | None:
    return rows[0].uid if rows else None
