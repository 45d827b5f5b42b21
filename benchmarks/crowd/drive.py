"""The labelers at work: without a pause, at human pace, or one task in each project in turn."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .browser import AppError, Browser
from .measure import Tally
from .podium import AHEAD, Given, Handed, Podium

AHEAD_SECONDS = 2.5  # the page fetches the pages ahead when this one has been open for so long
TURN_SECONDS = 0.2  # at least, for each task in turn: faster would be more than 900 requests a minute from one person
NUM_TRIES = 4  # the page's outbox sends again what met no answer
T = TypeVar("T")


@dataclass
class Crowd:
    """Labelers at their browsers, and all that the app has acknowledged to them, by idempotency key."""

    browsers: dict[str, Browser]  # by e-mail address
    double_share: float = 0.2
    seed: int = 1
    given: dict[str, Given] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    # --- one labeler's steps -------------------------------------------------------------------------------------

    async def take(self, podium: Podium, who: str, tally: Tally, besides: Handed | None = None) -> Handed | None:
        found = await timed(tally, "next", lambda: podium.next(self.browsers[who], besides=besides))
        if found is None and not tally.errors:
            tally.num_empty += 1
        return found

    async def give(
        self, podium: Podium, who: str, task: Handed, tally: Tally, then: dict[str, Any] | None = None
    ) -> list[Handed]:
        """Send an answer; some of them twice, at once or one after the other, as impatient hands and networks do.

        `then`: what is asked for with it; what was handed out comes back.
        """
        key, ranks = podium.new_key(), podium.ranks(task)
        is_doubled = self.rng.random() < self.double_share
        is_at_once = is_doubled and self.rng.random() < 0.5
        calls = [self._send(podium, self.browsers[who], task, ranks, key, tally, then)]
        if is_at_once:
            twin = self.browsers[who].twin()
            calls.append(self._send(podium, twin, task, ranks, key, tally, then))
        taken = [answer for answer in await asyncio.gather(*calls) if answer]
        if is_at_once:
            await twin.close()
        elif is_doubled:
            again = await self._send(podium, self.browsers[who], task, ranks, key, tally, then)
            taken += [again] if again else []
        if not taken:
            return []
        tally.num_submitted += 1
        tally.num_doubled += is_doubled
        tally.num_differing += len({answer["uid"] for answer in taken}) > 1
        tally.num_surplus += taken[0]["is_surplus"]
        self.given[key] = Given(task.id, who, ranks, taken[0]["uid"], taken[0]["is_surplus"])
        return list(taken[0].get("handed", []))

    async def _send(
        self,
        podium: Podium,
        browser: Browser,
        task: Handed,
        ranks: dict[str, int],
        key: str,
        tally: Tally,
        then: dict[str, Any] | None,
    ) -> dict[str, Any] | None:
        more = {"then": then} if then else {}  # Label Studio knows nothing like it
        for _ in range(NUM_TRIES):
            taken = await timed(tally, "submit", lambda: podium.submit(browser, task, ranks, key, **more))
            if taken:
                if then:
                    tally.seconds["next"].append(tally.seconds["submit"][-1])  # one request does both
                return taken
            await asyncio.sleep(0.2)
        return None

    # --- phases --------------------------------------------------------------------------------------------------

    async def without_pause(
        self, podium: Podium, num_labelers: int, seconds: float, most: int, then: dict[str, Any] | None = None
    ) -> Tally:
        """Each labeler takes and gives, one after the other, for `seconds` or until `most` answers are in.

        `then`: the next task is asked for with each answer, instead of by a request of its own.
        """
        tally, deadline = Tally(), time.monotonic() + seconds

        async def work(who: str) -> None:
            handed: list[Handed] = []
            while time.monotonic() < deadline and tally.num_submitted < most:
                task = handed[0] if handed else await self.take(podium, who, tally)
                if task is None:
                    return
                handed = await self.give(podium, who, task, tally, then)

        await asyncio.gather(*(work(who) for who in list(self.browsers)[:num_labelers]))
        return tally

    async def at_human_pace(
        self, podium: Podium, at_hand: dict[str, list[Handed]], seconds: float, think: tuple[float, float]
    ) -> Tally:
        """As the page does it: an answer asks for the tasks ahead, and the pages that are new among them are fetched
        while the labeler reads the next one.

        When the clock starts everybody is somewhere in a task, with others at hand.
        """
        tally, deadline = Tally(), time.monotonic() + seconds

        async def sleep(pause: float) -> bool:
            await asyncio.sleep(max(0.0, min(pause, deadline - time.monotonic())))
            return time.monotonic() < deadline

        async def work(who: str) -> None:
            held, known = at_hand[who], {task.id for task in at_hand[who]}
            pause = self.rng.uniform(0, think[1])
            while held and await sleep(pause):
                held = await self.give(podium, who, held[0], tally, AHEAD)
                pause = self.rng.uniform(*think)
                if not await sleep(min(AHEAD_SECONDS, pause)):
                    return
                for new in [task for task in held if task.id not in known]:
                    await timed(tally, "page", lambda new=new: podium.page(self.browsers[who], new))
                    known.add(new.id)
                pause = max(0.0, pause - AHEAD_SECONDS)

        await asyncio.gather(*(work(who) for who in at_hand))
        return tally

    async def settle(self, podium: Podium, num_labelers: int) -> dict[str, list[Handed]]:
        """A task on each screen and those ahead, a few people at a time; not timed."""
        crowd, at_hand, door = list(self.browsers)[:num_labelers], {}, asyncio.Semaphore(4)

        async def sit_down(who: str) -> None:
            async with door:
                at_hand[who] = await podium.ahead(self.browsers[who])

        await asyncio.gather(*(sit_down(who) for who in crowd))
        return at_hand

    async def in_turn(self, podiums: Sequence[Podium], num_labelers: int, num_rounds: int) -> list[Tally]:
        """A task in each project in turn, in an order drawn anew each time: what disturbs one disturbs all."""
        tallies = [Tally() for _ in podiums]

        async def work(who: str) -> None:
            for _ in range(num_rounds):
                for number in self.rng.sample(range(len(podiums)), len(podiums)):
                    rest = asyncio.create_task(asyncio.sleep(TURN_SECONDS))
                    task = await self.take(podiums[number], who, tallies[number])
                    if task:
                        await self.give(podiums[number], who, task, tallies[number])
                    await rest

        await asyncio.gather(*(work(who) for who in list(self.browsers)[:num_labelers]))
        return tallies


async def timed(tally: Tally, step: str, call: Callable[[], Awaitable[T]]) -> T | None:
    """The call's answer and its time; an error is counted instead, and its time is not."""
    started = time.perf_counter()
    try:
        answer = await call()
    except (AppError, OSError, asyncio.IncompleteReadError, TimeoutError, AssertionError) as error:
        tally.failed(step, error)
        return None
    tally.seconds[step].append(time.perf_counter() - started)
    return answer
