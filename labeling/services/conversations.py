"""What each model of a conversation in the playground was asked: the thread that leads to each of its answers."""

from collections.abc import Sequence
from typing import Any, Final

from django.db.models import Prefetch

from labeling.models import PlaygroundReply, PlaygroundSession, PlaygroundTurn

Messages = list[dict[str, str]]
GoesOnFrom = PlaygroundTurn.GoesOnFrom
_SIDES: Final = {GoesOnFrom.FIRST: 0, GoesOnFrom.SECOND: 1}


class Conversation:
    """All turns of a session with their replies, read at once."""

    def __init__(self, session: PlaygroundSession) -> None:
        replies: Any = PlaygroundReply.objects.select_related("model", "demonstration__prompt")
        turns = session.turns.select_related("task").prefetch_related(Prefetch("replies", queryset=replies))
        self.session = session
        self.turns: Sequence[PlaygroundTurn] = list(turns)

    def messages(self, turn: PlaygroundTurn, side: int) -> Messages:
        """What this side is asked in this turn: its thread so far, and what the person says now."""
        return [*self._before(turn, side), _message("user", turn.text)]

    def has_one_thread(self, turn: PlaygroundTurn) -> bool:
        """Were all models asked the same in this turn?"""
        sides = range(len(self.session.models))
        return all(self.messages(turn, side) == self.messages(turn, 0) for side in sides)

    def _before(self, turn: PlaygroundTurn, side: int) -> Messages:
        """An answer that is not there (failed, stopped at once) is left out with what it would have answered."""
        found: Messages = []
        for earlier in reversed(self.turns[: self._place(turn)]):
            side = _SIDES.get(GoesOnFrom(turn.goes_on_from), side)
            text = _said(earlier, side)
            if text.strip():
                found = [_message("user", earlier.text), _message("assistant", text), *found]
            turn = earlier
        return found

    def _place(self, turn: PlaygroundTurn) -> int:
        return next(index for index, one in enumerate(self.turns) if one.pk == turn.pk)


def _said(turn: PlaygroundTurn, side: int) -> str:
    over = (PlaygroundReply.State.DONE, PlaygroundReply.State.STOPPED)
    found = (reply for reply in turn.replies.all() if reply.side == side and reply.sample_index == 0)
    return next((reply.text for reply in found if reply.state in over), "")


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
