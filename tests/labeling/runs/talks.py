"""Conversations for tests: how one is opened, what was answered, and answers that need no worker."""

from collections.abc import Callable
from typing import Any

from labeling.models import Model, PlaygroundReply, PlaygroundSession, PlaygroundTurn, Project, User
from labeling.services import playground
from labeling.services.playground import Sampling


def converse(
    project: Project, user: User, make_model: Callable[..., Model], *, num_models: int = 2, scored: bool = True
) -> PlaygroundSession:
    """A conversation with so many policies, `a` and `b`, scored by `judge`."""
    names = ("a", "b")[:num_models]
    policies = [_model(make_model, name, "policy") for name in names]
    judge = _model(make_model, "judge", "reward") if scored else None
    second = policies[1] if num_models == 2 else None
    return playground.start(
        project=project, user=user, first_model=policies[0], second_model=second, reward_model=judge
    )


def say(session: PlaygroundSession, text: str, **fields: Any) -> PlaygroundTurn:
    sampling = fields.pop("sampling", Sampling())
    key = fields.pop("idempotency_key", f"key-{PlaygroundTurn.objects.count()}")
    return playground.say(session=session, text=text, idempotency_key=key, sampling=sampling, **fields)


def said(turn: PlaygroundTurn) -> list[tuple[int, int, str, str]]:
    """(side, sample, state, text) of every reply."""
    return list(turn.replies.values_list("side", "sample_index", "state", "text"))


def answer(turn: PlaygroundTurn, *texts: str, **fields: Any) -> list[PlaygroundReply]:
    """As if the models had said so, in the order of sides and samples."""
    replies = list(turn.replies.filter(state="waiting"))
    for reply, text in zip(replies, texts, strict=True):
        done = {"state": "done", "text": text, "finish_reason": "stop", "num_tokens": 3, "seconds": 0.5}
        PlaygroundReply.objects.filter(pk=reply.pk).update(**(done | fields))
    return list(turn.replies.all())


def _model(make_model: Callable[..., Model], name: str, kind: str) -> Model:
    return Model.objects.filter(name=name).first() or make_model(name, kind=kind)
