"""How a conversation stands: what its models are doing, and what each turn shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from labeling.models import Model, PlaygroundReply, PlaygroundSession, PlaygroundTurn, Run
from labeling.services import workers
from labeling.services.conversations import Conversation
from labeling.services.runs.talking import YIELDED

COMMAND: Final = "celery -A config.celery:app worker -Q gpu -c 1"
LETTERS: Final = "AB"


@dataclass(frozen=True)
class Standing:
    """`tone` is the badge's; `command` is what starts what is missing."""

    key: str
    word: str
    text: str = ""
    tone: str = ""
    command: str = ""

    @property
    def can_wake(self) -> bool:
        return self.key in ("asleep", "failed")

    @property
    def is_moving(self) -> bool:
        """Will it change by itself soon?"""
        return self.key not in ("asleep", "failed")


@dataclass(frozen=True)
class Column:
    """One model's answers in a turn: the conversation's own, and further samples."""

    letter: str
    model: Model
    main: PlaygroundReply
    more: Sequence[PlaygroundReply]


@dataclass(frozen=True)
class TurnShown:
    """A turn as the page shows it. `highest` is the reply with the highest reward, if there are others."""

    turn: PlaygroundTurn
    columns: Sequence[Column]
    highest: PlaygroundReply | None
    is_last: bool

    @property
    def replies(self) -> list[PlaygroundReply]:
        return [reply for column in self.columns for reply in (column.main, *column.more)]

    @property
    def is_open(self) -> bool:
        return any(reply.is_open for reply in self.replies)

    @property
    def can_be_tried_again(self) -> bool:
        broken = (PlaygroundReply.State.FAILED, PlaygroundReply.State.STOPPED)
        return self.is_last and not self.is_open and any(reply.state in broken for reply in self.replies)

    @property
    def can_be_sent(self) -> bool:
        return not self.is_open and any(reply.text.strip() for reply in self.replies)


def shown_turns(session: PlaygroundSession) -> list[TurnShown]:
    conversation = Conversation(session)
    return [_shown(conversation, turn) for turn in conversation.turns]


def shown_turn(session: PlaygroundSession, number: int) -> TurnShown | None:
    return next((shown for shown in shown_turns(session) if shown.turn.number == number), None)


def standing_of(session: PlaygroundSession) -> Standing:
    run = session.run
    if run is None:
        return Standing("asleep", "Asleep", "The models wake when you send something.")
    if run.state == Run.State.QUEUED:
        return _waiting(run)
    if run.state == Run.State.RUNNING:
        return _running(session, run)
    if run.state == Run.State.CANCELLING:
        return Standing("stopping", "Stopping", tone="attention")
    if run.state == Run.State.FAILED:
        return Standing("failed", "Failed", run.error, tone="failed")
    return _asleep(run)


def _waiting(run: Run) -> Standing:
    seen = [one for one in workers.all_seen() if one.state == workers.HERE and "gpu" in one.worker.queues]
    if not seen:
        text = "No GPU worker is here. On a machine that has one, start it:"
        return Standing("waiting", "Waiting", text, tone="attention", command=COMMAND)
    busy = [other for one in seen for other in one.runs if other.pk != run.pk]
    if not busy:
        return Standing("waiting", "Waiting", "A worker is about to take it.", tone="running")
    at = ", ".join(other.name if other.project_id == run.project_id else "a run of another project" for other in busy)
    return Standing("waiting", "Waiting", f"Another run has the GPU: {at}.", tone="attention")


def _running(session: PlaygroundSession, run: Run) -> Standing:
    is_asked = PlaygroundReply.objects.open().filter(turn__session=session).exists()
    if run.phase != "talk":
        return Standing("loading", "Loading", "The models are being loaded.", tone="running")
    if is_asked:
        return Standing("answering", "Answering", tone="running")
    return Standing("ready", "Ready", tone="done")


def _asleep(run: Run) -> Standing:
    ended = run.result.get("summary", {}).get("ended", "")
    if ended == YIELDED:
        return Standing(
            "asleep", "Asleep", "Another run needed the GPU. The conversation stays: send something, or wake it."
        )
    if run.state == Run.State.CANCELLED:
        return Standing("asleep", "Asleep", "Its run was cancelled. The models wake when you send something.")
    return Standing("asleep", "Asleep", "Nobody wrote for a while. The models wake when you send something.")


def _shown(conversation: Conversation, turn: PlaygroundTurn) -> TurnShown:
    replies = list(turn.replies.all())
    columns = []
    for side, model in enumerate(conversation.session.models):
        main, *more = [reply for reply in replies if reply.side == side]
        columns.append(Column(LETTERS[side], model, main, more))
    return TurnShown(turn, columns, _highest(replies), is_last=turn.pk == conversation.turns[-1].pk)


def _highest(replies: Sequence[PlaygroundReply]) -> PlaygroundReply | None:
    """None while an answer is open, and when the highest two are equal."""
    if any(reply.is_open for reply in replies):
        return None
    scored = sorted((reply for reply in replies if reply.reward is not None), key=lambda reply: -(reply.reward or 0.0))
    return scored[0] if len(scored) > 1 and scored[0].reward != scored[1].reward else None
