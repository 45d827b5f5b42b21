"""Podium as its labelers use it: the two calls that count, and the page that shows a task."""

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

from . import seed
from .browser import Browser

KINDS = ["rank", "compare"]
WITH_SHEET = {"kinds": KINDS}  # as a client of the API asks, which reads no page
AHEAD = {"kinds": KINDS, "with_sheet": False, "ahead": True}  # as the page asks


@dataclass(frozen=True)
class Handed:
    """A task in a labeler's hands."""

    id: str
    letters: list[str]
    url: str


@dataclass
class Given:
    """An answer that the app has acknowledged."""

    task: str
    labeler: str
    ranks: dict[str, int]
    uid: str
    is_surplus: bool


@dataclass
class Podium:
    slug: str
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    async def next(self, browser: Browser, *, besides: Handed | None = None) -> Handed | None:
        body: dict[str, Any] = {"kinds": KINDS} | ({"besides": [besides.id]} if besides else {})
        return _handed((await browser.post(f"/api/v1/projects/{self.slug}/next/", body)).json())

    async def ahead(self, browser: Browser) -> list[Handed]:
        """What a page asks once it is open: all that is held, topped up."""
        found = (await browser.post(f"/api/v1/projects/{self.slug}/next/", AHEAD)).json()
        return [_of_page(one) for one in found["held"]]

    async def page(self, browser: Browser, task: Handed) -> None:
        answer = await browser.get(task.url)
        assert answer.status == 200, f"{task.url} answered {answer.status}"

    def ranks(self, task: Handed) -> dict[str, int]:
        """Any ranking, ties among them."""
        return {letter: self.rng.randint(1, len(task.letters)) for letter in task.letters}

    async def submit(
        self, browser: Browser, task: Handed, ranks: dict[str, int], key: str, then: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """`then`: what is asked for with it. It comes back as `handed`, a list."""
        body = {"idempotency_key": key, "outcome": "ranked", "ranks": ranks, "active_seconds": 42.0}
        body |= {"next": then} if then else {}
        answer = await browser.post(f"/api/v1/projects/{self.slug}/tasks/{task.id}/submit/", body)
        taken: dict[str, Any] = answer.json()
        found = taken.pop("next", None) or {}
        one = _handed(found) if found.get("sheet") else None
        taken["handed"] = [one] if one else [_of_page(each) for each in found.get("held") or []]
        return taken

    @staticmethod
    def new_key() -> str:
        return str(uuid.uuid4())


def _handed(found: dict[str, Any]) -> Handed | None:
    sheet = found["sheet"]
    return Handed(sheet["task"], [card["letter"] for card in sheet["cards"]], found["url"]) if sheet else None


def _of_page(one: dict[str, Any]) -> Handed:
    """Its page names the cards; here all tasks have as many."""
    return Handed(one["task"], list("ABCDEFGHI"[: seed.NUM_RESPONSES]), one["url"])
