"""Open run pages, as static/js/runs/source.js, log.js and the head's `hx-trigger` ask while one is in sight."""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from crowd.browser import Browser

POLL_SECONDS = 1.5  # POLL_MS of source.js and log.js
HEAD_SECONDS = 2.0  # hx-trigger of runs/parts/head.html


@dataclass
class Seen:
    """What all pages together saw while it counted."""

    lags: list[float] = field(default_factory=list)  # from the moment a row was logged until a page had it
    answers: list[float] = field(default_factory=list)  # how long an answer took
    requests: Counter[str] = field(default_factory=Counter)
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

    async def follow(self, opens_at: float) -> None:
        await asyncio.sleep(max(0.0, opens_at - time.monotonic()))
        html = (await self.browser.get(self.address)).body.decode()
        found = re.search(r'data-log [^>]*data-after="(\d+)"', html)
        self.log_after = int(found[1]) if found else 0
        self.after = 0
        await asyncio.gather(
            self._again(self._metrics, POLL_SECONDS, self.browser.twin()),
            self._again(self._log, POLL_SECONDS, self.browser.twin()),
            self._again(self._head, HEAD_SECONDS, self.browser.twin()),
        )

    async def _again(self, ask: Callable[[Browser], Awaitable[bool]], wait: float, browser: Browser) -> None:
        """The next question comes `wait` seconds after the answer, or at once where there is more."""
        while time.monotonic() < self.until:
            try:
                more = await ask(browser)
            except Exception as error:  # the page asks again, and so does this; the tally says what happened
                self.seen.failed(ask.__name__, error)
                more = False
            await asyncio.sleep(0 if more else wait)
        await browser.close()

    async def _metrics(self, browser: Browser) -> bool:
        found = await self._get(browser, "metrics", f"metrics.json?after={self.after}")
        now = time.time()
        if self.fence not in (None, found["fence"]):
            raise AssertionError("the run was begun again")
        self.fence = found["fence"]
        is_first = self.after == 0
        for row in found["rows"]:
            self.steps.append(row["step"])
            self.times.append(row["time"])
            self.after = row["id"]
            if self.seen.counts and not is_first:  # what was there before the page is not late
                self.seen.lags.append(now - row["time"])
        return bool(found["more"])

    async def _log(self, browser: Browser) -> bool:
        found = await self._get(browser, "log", f"log.json?after={self.log_after}")
        for piece in found["pieces"]:
            self.log_after = piece["id"]
        return False

    async def _head(self, browser: Browser) -> bool:
        await self._get(browser, "head", "head/")
        return False

    async def _get(self, browser: Browser, kind: str, path: str) -> Any:
        started = time.monotonic()
        answer = await browser.get(self.address + path)
        if self.seen.counts:
            self.seen.answers.append(time.monotonic() - started)
            self.seen.requests[kind] += 1
            self.seen.num_bytes += len(answer.body)
        return answer.json() if kind != "head" else None


def opening_times(num: int, *, begin: float, seconds: float, rng: random.Random) -> list[float]:
    """People do not open their pages in step."""
    return [begin + rng.uniform(0, seconds) for _ in range(num)]
