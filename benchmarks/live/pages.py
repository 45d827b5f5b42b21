"""Open run pages, as static/js/runs/live.js asks for what curves, log and head show while one is in sight."""

import asyncio
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from crowd.browser import Browser

POLL_SECONDS = 1.0  # POLL_MS of live.js


@dataclass
class Seen:
    """What all pages together saw while it counted."""

    lags: list[float] = field(default_factory=list)  # from the moment a row was logged until a page had it
    answers: list[float] = field(default_factory=list)  # how long an answer took
    num_bytes: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    first_error: str = ""
    counts: bool = False

    def failed(self, what: str, error: Exception) -> None:
        self.errors[what] += 1
        self.first_error = self.first_error or f"{what}: {error}"


@dataclass
class Page:
    """The overview of one run in one browser. `steps` are those that its curves have."""

    address: str
    browser: Browser
    seen: Seen
    until: float
    steps: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    fence: int | None = None
    after: int = 0
    log_after: int = 0

    async def follow(self, opens_at: float) -> None:
        await asyncio.sleep(max(0.0, opens_at - time.monotonic()))
        html = (await self.browser.get(self.address)).body.decode()
        found = re.search(r'data-log data-after="(\d+)"', html)
        self.log_after = int(found[1]) if found else 0
        while time.monotonic() < self.until:
            try:
                more = await self._ask()
            except Exception as error:  # the page asks again, and so does this; the tally says what happened
                self.seen.failed(type(error).__name__, error)
                more = False
            await asyncio.sleep(0 if more else POLL_SECONDS)
        await self.browser.close()

    async def _ask(self) -> bool:
        """Whether there is more at once."""
        started = time.monotonic()
        query = f"metrics={self.after}&log={self.log_after}&head=1"
        answer = await self.browser.get(f"{self.address}live.json?{query}")
        if self.seen.counts:
            self.seen.answers.append(time.monotonic() - started)
            self.seen.num_bytes += len(answer.body)
        found = answer.json()
        self._take(found)
        self.log_after = max([self.log_after, *(row["id"] for row in found["log"]["rows"])])
        return bool(found["metrics"]["more"] or found["log"]["more"])

    def _take(self, found: dict[str, Any]) -> None:
        now = time.time()
        if self.fence not in (None, found["fence"]):
            raise AssertionError("the run was begun again")
        self.fence = found["fence"]
        is_first = self.after == 0
        for row in found["metrics"]["rows"]:
            self.steps.append(row["step"])
            self.times.append(row["time"])
            self.after = row["id"]
            if self.seen.counts and not is_first:  # what was there before the page is not late
                self.seen.lags.append(now - row["time"])


def opening_times(num: int, *, begin: float, seconds: float, rng: random.Random) -> list[float]:
    """People do not open their pages in step."""
    return [begin + rng.uniform(0, seconds) for _ in range(num)]
