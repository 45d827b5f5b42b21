"""Podium as its labelers use it: the two calls that count, and the page that shows a task."""

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

from .browser import Browser

KINDS = ["rank", "compare"]


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
        found = (await browser.post(f"/api/v1/projects/{self.slug}/next/", body)).json()
        sheet = found["sheet"]
        return Handed(sheet["task"], [card["letter"] for card in sheet["cards"]], found["url"]) if sheet else None

    async def page(self, browser: Browser, task: Handed) -> None:
        answer = await browser.get(task.url)
        assert answer.status == 200, f"{task.url} answered {answer.status}"

    def ranks(self, task: Handed) -> dict[str, int]:
        """Any ranking, ties among them."""
        return {letter: self.rng.randint(1, len(task.letters)) for letter in task.letters}

    async def submit(self, browser: Browser, task: Handed, ranks: dict[str, int], key: str) -> dict[str, Any]:
        body = {"idempotency_key": key, "outcome": "ranked", "ranks": ranks, "active_seconds": 42.0}
        answer = await browser.post(f"/api/v1/projects/{self.slug}/tasks/{task.id}/submit/", body)
        taken: dict[str, Any] = answer.json()
        return taken

    @staticmethod
    def new_key() -> str:
        return str(uuid.uuid4())
