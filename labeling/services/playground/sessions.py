"""Conversations: opening one, saying something, stopping, waking the models, and what becomes of a run that ended."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db import transaction

from labeling.models import (
    MAX_RESPONSES_FOR_PEOPLE,
    Model,
    PlaygroundReply,
    PlaygroundSession,
    PlaygroundTurn,
    Project,
    Run,
    Stage,
    User,
)
from labeling.services import runs

State = PlaygroundReply.State
MAX_CHARS: Final = 60_000
CANCELLED: Final = "The run that answers was cancelled."


class PlaygroundError(Exception):
    """What was asked cannot be done; the text is for the person."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How answers are sampled."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 256
    seed: int = 0


def sampling_of(turn: PlaygroundTurn) -> Sampling:
    return Sampling(temperature=turn.temperature, top_p=turn.top_p, max_new_tokens=turn.max_new_tokens, seed=turn.seed)


@transaction.atomic
def start(
    *,
    project: Project,
    user: User,
    first_model: Model,
    second_model: Model | None = None,
    reward_model: Model | None = None,
) -> PlaygroundSession:
    """A conversation, and the run that answers in it: the models load while the person writes."""
    policies = [model for model in (first_model, second_model) if model]
    if any(model.kind != Model.Kind.POLICY or model.project_id != project.pk for model in policies):
        raise PlaygroundError("Only policies of this project can be talked to.")
    if reward_model and (reward_model.kind != Model.Kind.REWARD or reward_model.project_id != project.pk):
        raise PlaygroundError("Only a reward model of this project can score the answers.")
    if first_model == second_model:
        raise PlaygroundError("Choose two different models, or one.")
    session = PlaygroundSession.objects.create(
        project=project,
        opened_by=user,
        first_model=first_model,
        second_model=second_model,
        reward_model=reward_model,
    )
    wake(session)
    return session


@transaction.atomic
def say(
    *,
    session: PlaygroundSession,
    text: str,
    idempotency_key: str,
    sampling: Sampling,
    goes_on_from: str = PlaygroundTurn.GoesOnFrom.OWN,
) -> PlaygroundTurn:
    """One more turn, and an answer wanted of each model. The same key twice makes one turn."""
    locked = _lock(session)
    if earlier := locked.turns.filter(idempotency_key=idempotency_key).first():
        return earlier
    if not text.strip():
        raise PlaygroundError("Write something first.")
    if len(text) > MAX_CHARS:
        raise PlaygroundError(f"At most {MAX_CHARS:,} characters; this has {len(text):,}.")
    if _open(locked).exists():
        raise PlaygroundError("Wait for the answer, or stop it.")
    last = locked.turns.order_by("number").last()
    turn = PlaygroundTurn(
        session=locked,
        number=last.number + 1 if last else 1,
        text=text.replace("\r\n", "\n"),
        goes_on_from=goes_on_from if locked.second_model_id and last else PlaygroundTurn.GoesOnFrom.OWN,
        idempotency_key=idempotency_key,
        **asdict(sampling),
    )
    turn.full_clean(validate_constraints=False)
    turn.save(force_insert=True)
    PlaygroundReply.objects.bulk_create(_replies(locked, turn, [0]))
    wake(locked)
    return turn


@transaction.atomic
def sample_more(*, turn: PlaygroundTurn, num: int) -> None:
    """So many further answers of each model to this turn, to be looked at and ranked."""
    session = _lock(turn.session)
    if _open(session).exists():
        raise PlaygroundError("Wait for the answer, or stop it.")
    if turn.temperature == 0:
        raise PlaygroundError("At temperature 0 every sample is the same: send it again with a higher one.")
    first = max(turn.replies.values_list("sample_index", flat=True)) + 1
    indices = range(first, min(first + num, MAX_RESPONSES_FOR_PEOPLE))
    if num < 1 or not indices:
        raise PlaygroundError(f"{MAX_RESPONSES_FOR_PEOPLE} samples of a model are as many as there can be.")
    PlaygroundReply.objects.bulk_create(_replies(session, turn, indices))
    wake(session)


@transaction.atomic
def stop(*, session: PlaygroundSession) -> None:
    """Leave open answers as far as they are: at once when nobody is at them, else as soon as the worker sees it."""
    locked = _lock(session)
    if locked.run and locked.run.state == Run.State.RUNNING:
        _open(locked).update(is_to_stop=True)
    else:
        _open(locked).update(state=State.STOPPED)


@transaction.atomic
def try_again(*, turn: PlaygroundTurn) -> None:
    """Ask once more for what failed or was stopped in the last turn: what came after an earlier one rests on it."""
    session = _lock(turn.session)
    if session.turns.filter(number__gt=turn.number).exists():
        raise PlaygroundError("Only the last turn can be tried again.")
    broken = turn.replies.filter(state__in=[State.FAILED, State.STOPPED], response__isnull=True)
    for reply in broken:
        fresh: dict[str, Any] = {"text": "", "num_tokens": 0, "seconds": 0.0, "error": "", "note": ""}
        num_asked = reply.num_asked + 1
        broken.filter(pk=reply.pk).update(state=State.WAITING, is_to_stop=False, num_asked=num_asked, **fresh)
    wake(session)


@transaction.atomic
def wake(session: PlaygroundSession) -> None:
    """Queue a run that answers, unless one is under way."""
    locked = _lock(session)
    if locked.run and locked.run.is_live and locked.run.state != Run.State.CANCELLING:
        return
    inputs = {
        "first_model": locked.first_model,
        "second_model": locked.second_model,
        "reward_model": locked.reward_model,
    }
    locked.num_runs += 1
    locked.run = runs.create(
        project=locked.project,
        stage=Stage.TALK,
        config={},
        inputs={name: model for name, model in inputs.items() if model},
        user=locked.opened_by,
        idempotency_key=f"talk-{locked.uid.hex}-{locked.num_runs}",
    )
    locked.save(update_fields=["run", "num_runs"])
    session.run, session.num_runs = locked.run, locked.num_runs


def settle() -> int:
    """What a run leaves open when it ends: it slept in the moment of a question and is woken again; or it failed or
    was cancelled, and so do the answers. Called after each run, and by the sweeper. Returns how many conversations."""
    left = PlaygroundSession.objects.filter(run__state__in=Run.ENDED, turns__replies__state__in=PlaygroundReply.OPEN)
    for session in (found := list(left.distinct())):
        _settle(session)
    return len(found)


@transaction.atomic
def _settle(session: PlaygroundSession) -> None:
    locked = _lock(session)
    run = locked.run
    if run is None or run.is_live:
        return
    if run.state == Run.State.SUCCEEDED:
        wake(locked)
        return
    error = run.error if run.state == Run.State.FAILED else CANCELLED
    _open(locked).filter(is_to_stop=True).update(state=State.STOPPED)
    _open(locked).update(state=State.FAILED, error=error)


@transaction.atomic
def forget(*, session: PlaygroundSession) -> None:
    """The conversation is gone; what was sent on stays. Its run ends by itself once it sees that."""
    PlaygroundSession.objects.filter(pk=session.pk).delete()


def _open(session: PlaygroundSession) -> Any:
    return PlaygroundReply.objects.open().filter(turn__session=session)


def _lock(session: PlaygroundSession) -> PlaygroundSession:
    """One thing at a time happens in a conversation. Its run is read afresh."""
    PlaygroundSession.objects.select_for_update(no_key=True).get(pk=session.pk)
    related = ("project", "opened_by", "first_model", "second_model", "reward_model", "run")
    return PlaygroundSession.objects.select_related(*related).get(pk=session.pk)


def _replies(session: PlaygroundSession, turn: PlaygroundTurn, indices: Any) -> list[PlaygroundReply]:
    return [
        PlaygroundReply(turn=turn, model=model, side=side, sample_index=index)
        for side, model in enumerate(session.models)
        for index in indices
    ]
