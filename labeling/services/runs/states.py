"""A run's states, and the one way to change them."""

from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from labeling.models import Run, RunEvent

State = Run.State

#: From a state to those that may follow it. Whatever is not here is refused.
NEXT: Final[dict[str, frozenset[str]]] = {
    State.DRAFT: frozenset({State.QUEUED, State.CANCELLED}),
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    # Back to queued: its worker died, or was asked to stop. Into running again: claimed after its lease ran out.
    State.RUNNING: frozenset({State.RUNNING, State.QUEUED, State.CANCELLING, State.SUCCEEDED, State.FAILED}),
    State.CANCELLING: frozenset({State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
}

_ENDED: Final[dict[str, Any]] = {"lease_until": None, "finished_at": Now(), "eta_seconds": None}
_ON_ENTRY: Final[dict[str, dict[str, Any]]] = {
    State.QUEUED: {
        "queued_at": Now(),
        "rung_at": None,
        "owner": "",
        "lease_until": None,
        "finished_at": None,
        "failure_kind": "",
        "error": "",
        "eta_seconds": None,
    },
    State.CANCELLING: {},
    State.SUCCEEDED: _ENDED,
    State.FAILED: _ENDED,
    State.CANCELLED: _ENDED,
}


class IllegalTransition(Exception):  # noqa: N818 - an outcome
    """No run goes from the one state to the other."""


class Superseded(Exception):  # noqa: N818 - an outcome
    """The row is not as it was thought to be: somebody else has changed it or taken it over."""


def transition(
    run: Run, *, to: str, actor: str, message: str = "", fence: int | None = None, when: Q | None = None, **changes: Any
) -> None:
    """Change a run's state if it still is what `run` says, and note it in the events.

    A worker gives its `fence`; `when` adds conditions, judged by the database. Raises Superseded when no row matched.
    """
    if to not in NEXT[run.state]:
        raise IllegalTransition(
            f"A run that is {run.get_state_display().lower()} does not become {State(to).label.lower()}."
        )
    unchanged = Run.objects.filter(when or Q(), pk=run.pk, state=run.state)
    if fence is not None:
        unchanged = unchanged.filter(fence=fence)
    with transaction.atomic():
        if unchanged.update(state=to, **(_ON_ENTRY[to] | changes)) != 1:
            raise Superseded(f"Run {run.pk} is no longer {run.state}.")
        note(run_id=run.pk, from_state=run.state, to_state=to, fence=run.fence, actor=actor, message=message)
    run.refresh_from_db()


def note(*, run_id: int, from_state: str, to_state: str, fence: int, actor: str, message: str = "") -> None:
    """One line of the run's history."""
    RunEvent.objects.create(
        run_id=run_id, from_state=from_state, to_state=to_state, fence=fence, actor=actor[:120], message=message
    )


def lease(seconds: float) -> Any:
    """From now on by the database's clock: workers' clocks may be wrong."""
    return Now() + timedelta(seconds=seconds)
