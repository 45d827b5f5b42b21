"""What the database refuses of the playground's rows, by the name of the rule: see test_constraints.py."""

from collections.abc import Callable
from typing import Any, Final

from labeling.models import Model, PlaygroundReply, PlaygroundSession, PlaygroundTurn


def policy(world: Any) -> Model:
    found, _ = Model.objects.get_or_create(project=world.project, name="policy", kind="policy", storage_key="models/x")
    return found


def session(world: Any, **fields: Any) -> PlaygroundSession:
    defaults = {"project": world.project, "opened_by": world.manager, "first_model": policy(world)}
    return PlaygroundSession.objects.create(**(defaults | fields))


def turn(world: Any, **fields: Any) -> PlaygroundTurn:
    fields.setdefault("session", PlaygroundSession.objects.first() or session(world))
    defaults = {"number": 1, "text": "Why?", "idempotency_key": f"k{PlaygroundTurn.objects.count()}"}
    return PlaygroundTurn.objects.create(**(defaults | fields))


def reply(world: Any, **fields: Any) -> PlaygroundReply:
    fields.setdefault("turn", PlaygroundTurn.objects.first() or turn(world))
    return PlaygroundReply.objects.create(**({"model": policy(world), "side": 0} | fields))


def _twice(make: Callable[..., Any], world: Any, *, first: dict[str, Any], second: dict[str, Any]) -> None:
    make(world, **first)
    make(world, **second)


BREAKS: Final[dict[str, Callable[[Any], Any]]] = {
    "playground_models_differ": lambda w: session(w, second_model=policy(w)),
    "playground_turn_one_per_number": lambda w: _twice(turn, w, first={"number": 2}, second={"number": 2}),
    "playground_turn_one_per_key": lambda w: _twice(
        turn, w, first={"idempotency_key": "k"}, second={"idempotency_key": "k", "number": 2}
    ),
    "playground_turn_from_1": lambda w: turn(w, number=0),
    "playground_turn_says_something": lambda w: turn(w, text=""),
    "playground_turn_goes_on_known": lambda w: turn(w, goes_on_from="third"),
    "playground_turn_sampling_in_range": lambda w: turn(w, top_p=1.5),
    "playground_reply_one_per_sample": lambda w: _twice(reply, w, first={}, second={}),
    "playground_reply_side_known": lambda w: reply(w, side=2),
    "playground_reply_up_to_9": lambda w: reply(w, sample_index=9),
    "playground_reply_state_known": lambda w: reply(w, state="singing"),
    "playground_reply_failed_says_why": lambda w: reply(w, state="failed"),
    "playground_reply_done_says_how": lambda w: reply(w, state="done", text="So."),
    "playground_reply_waiting_is_empty": lambda w: reply(w, text="Half of it"),
}
