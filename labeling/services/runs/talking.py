"""Carries a conversation between its rows and the desk in the run directory of its talk run, while a worker has it."""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models.functions import Now

from labeling.models import PlaygroundReply, PlaygroundSession, Run
from labeling.services import prompts, responses
from labeling.services.conversations import Conversation
from labeling.services.runs.claims import Claim, keep
from training.contract.records import Message
from training.contract.rundir import RunDir
from training.contract.talk import Ask, Desk, End, Reply, Stop

CARRY_SECONDS: Final = 0.25
YIELD_EVERY_SECONDS: Final = 1.0
YIELD_AFTER: Final = timedelta(seconds=2)  # a run that another worker is about to take is no reason to end
YIELDED, GONE = "another run waits", "the conversation went on elsewhere"
State = PlaygroundReply.State


@dataclass
class Carried:
    """A reply that the stage was asked for."""

    id: str
    shown: Reply | None = None
    is_told_to_stop: bool = False


class Talking:
    """One claim's view of a conversation. Rows are written under the claim's fence, and only when something is new."""

    def __init__(self, *, claim: Claim, run_dir: RunDir) -> None:
        self.claim, self.desk = claim, Desk(run_dir)
        self._carried: dict[int, Carried] = {}
        self._looked_at = 0.0
        self._ends = False

    def begin(self) -> None:
        """Before the stage starts: an empty desk. What an earlier claim had begun is answered anew, and shown once."""
        self.desk.clear()
        with transaction.atomic():
            keep(self.claim)
            self._open().filter(is_to_stop=True).update(state=State.STOPPED)
            self._open().update(state=State.WAITING, text="", num_tokens=0, seconds=0.0)

    def tick(self) -> None:
        """Hand over what is asked, copy what is answered. Raises Superseded when the claim is void."""
        wanted = list(self._open().order_by("turn__number", "side", "sample_index"))
        news = [(reply, found) for reply in wanted if (found := self._news_of(reply))]
        if news:
            self._show(news)
        self._ask([reply for reply in wanted if reply.pk not in self._carried])
        self._tell_to_stop([reply for reply in wanted if reply.is_to_stop])
        if not wanted:
            self._end_if_others_wait()

    def end(self) -> None:
        """After the stage, while the claim still holds: what people said is kept in rows alone."""
        self.desk.clear()

    def _open(self) -> Any:
        return PlaygroundReply.objects.open().filter(turn__session__run=self.claim.run_id)

    def _news_of(self, reply: PlaygroundReply) -> Reply | None:
        """What the stage has said that its row does not have yet."""
        if (carried := self._carried.get(reply.pk)) is None or carried.id != _id(reply):
            self._carried.pop(reply.pk, None)  # it is tried again
            return None
        found = self.desk.reply(carried.id)
        return None if found == carried.shown else found

    def _show(self, news: list[tuple[PlaygroundReply, Reply]]) -> None:
        with transaction.atomic():
            keep(self.claim)
            for reply, found in news:
                self._open().filter(pk=reply.pk, num_asked=reply.num_asked).update(
                    run=self.claim.run_id, **_columns(found)
                )
        for reply, found in news:  # not before it is committed
            self._carried[reply.pk].shown = found

    def _ask(self, new: list[PlaygroundReply]) -> None:
        session = PlaygroundSession.objects.filter(run=self.claim.run_id).first() if new else None
        if session is None:  # nothing to ask, or it was deleted this moment
            return
        conversation = Conversation(session)
        turns = {turn.pk: turn for turn in conversation.turns}
        for reply in new:
            turn = turns[reply.turn_id]
            messages = conversation.messages(turn, reply.side)
            self.desk.hand_over(
                Ask(
                    id=_id(reply),
                    model=reply.side,
                    prompt_id=prompts.content_hash(messages),
                    sample_index=reply.sample_index,
                    messages=tuple(Message(**message) for message in messages),
                    temperature=turn.temperature,
                    top_p=turn.top_p,
                    max_new_tokens=turn.max_new_tokens,
                    seed=turn.seed,
                )
            )
            self._carried[reply.pk] = Carried(_id(reply))
        self._ends = False

    def _tell_to_stop(self, replies: list[PlaygroundReply]) -> None:
        for reply in replies:
            carried = self._carried.get(reply.pk)
            if carried and not carried.is_told_to_stop:
                self.desk.hand_over(Stop(id=carried.id))
                carried.is_told_to_stop = True

    def _end_if_others_wait(self) -> None:
        """Training comes first: with no answer open, the GPU goes to whoever waits for it."""
        if self._ends or time.monotonic() - self._looked_at < YIELD_EVERY_SECONDS:
            return
        self._looked_at = time.monotonic()
        waiting = Run.objects.filter(state=Run.State.QUEUED, queued_at__lt=Now() - YIELD_AFTER)
        if not PlaygroundSession.objects.filter(run=self.claim.run_id).exists():
            self._end(GONE)
        elif waiting.exists():
            self._end(YIELDED)

    def _end(self, reason: str) -> None:
        self.desk.hand_over(End(reason=reason))
        self._ends = True


def _columns(reply: Reply) -> dict[str, Any]:
    return {
        "state": reply.state,
        "text": responses.storable(reply.text),
        "num_tokens": reply.num_tokens,
        "seconds": reply.seconds,
        "finish_reason": reply.finish_reason,
        "reward": reply.reward,
        "note": responses.storable(reply.note)[:300],
        "error": responses.storable(reply.error),
    }


def _id(reply: PlaygroundReply) -> str:
    """Another one for each try: the file of the one before may still lie there."""
    return f"{reply.uid}-{reply.num_asked}"
