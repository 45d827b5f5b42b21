"""Who works on a run: ring, claim, keep, take back. The database's clock decides, and the fence proves a claim."""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from labeling.models import Run
from labeling.services import bell
from labeling.services.runs.states import State, Superseded, lease, note, transition

logger = logging.getLogger(__name__)
RING_AGAIN_SECONDS = 15
SWEEPER = "sweeper"

_CLAIM = """
WITH before AS (
  SELECT id, state FROM labeling_run
  WHERE id = %(id)s AND attempt < max_attempts
    AND (state = 'queued' OR (state = 'running' AND lease_until < statement_timestamp()))
  FOR UPDATE
)
UPDATE labeling_run AS run
SET state = 'running', owner = %(owner)s, fence = run.fence + 1, attempt = run.attempt + 1,
    started_at = coalesce(run.started_at, statement_timestamp()), heartbeat_at = statement_timestamp(),
    lease_until = statement_timestamp() + make_interval(secs => %(seconds)s)
FROM before WHERE run.id = before.id
RETURNING before.state, run.fence, run.attempt, run.max_attempts
"""


@dataclass(frozen=True)
class Claim:
    """A worker's right to write to a run, until somebody else's fence is higher."""

    run_id: int
    fence: int
    owner: str


def ring(run_id: int) -> None:
    if bell.ring("run_stage", run_id):
        Run.objects.filter(pk=run_id, state=State.QUEUED).update(rung_at=Now())


def claim(run_id: int, *, owner: str | None = None) -> Claim | None:
    """Take a run that is queued, or whose worker's lease has run out. None: somebody else has it, or it is over."""
    owner = owner or worker_name()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"id": run_id, "owner": owner, "seconds": settings.RUN_LEASE_SECONDS})
        row = cursor.fetchone()
        if row is None:
            return None
        before, fence, attempt, max_attempts = row
        message = f"attempt {attempt} of {max_attempts}"
        note(run_id=run_id, from_state=before, to_state=State.RUNNING, fence=fence, actor=owner, message=message)
    return Claim(run_id=run_id, fence=fence, owner=owner)


def keep(claim: Claim, **changes: Any) -> str:
    """Renew the lease, write `changes`, and return the state. Raises Superseded when the claim is void.

    Inside a transaction the row stays locked until its end: what is written after it is covered by the fence too.
    """
    mine = Run.objects.filter(pk=claim.run_id, fence=claim.fence, state__in=[State.RUNNING, State.CANCELLING])
    if mine.update(heartbeat_at=Now(), lease_until=lease(settings.RUN_LEASE_SECONDS), **changes) != 1:
        raise Superseded(f"Run {claim.run_id} went on to somebody else, or was taken back.")
    return Run.objects.values_list("state", flat=True).get(pk=claim.run_id)


@contextmanager
def kept_alive(claim: Claim) -> Iterator[None]:
    """Renew the lease from a thread while something long goes on that cannot do it itself, e.g. copying files."""
    done = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(done, claim), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def sweep() -> dict[str, int]:
    """Ring for queued runs that nobody has come for, and take back those whose worker is gone."""
    return {"taken_back": _take_back_expired(), "rung": _ring_again()}


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _renew_until(done: threading.Event, claim: Claim) -> None:
    try:
        while not done.wait(settings.RUN_LEASE_SECONDS / 3):
            _renew_once(claim)
    except Superseded:
        return  # the next write with this fence finds out too
    finally:
        connection.close()


def _renew_once(claim: Claim) -> None:
    try:
        keep(claim)
    except DatabaseError as error:
        logger.warning("run %s: could not renew the lease (%s)", claim.run_id, error)
        connection.close()


def _ring_again() -> int:
    long_ago = Q(rung_at__isnull=True) | Q(rung_at__lt=lease(-RING_AGAIN_SECONDS))
    waiting = Run.objects.filter(long_ago, state=State.QUEUED).order_by("queued_at").values_list("pk", flat=True)
    for run_id in (found := list(waiting)):
        ring(run_id)
    return len(found)


def _take_back_expired() -> int:
    expired = Q(lease_until__lt=Now())
    runs = list(Run.objects.filter(expired, state__in=[State.RUNNING, State.CANCELLING]))
    return sum(_take_back(run, when=expired) for run in runs)


def _take_back(run: Run, *, when: Q) -> bool:
    message = f"{run.owner} was last heard of at {run.heartbeat_at:%H:%M:%S} UTC"
    try:
        if run.state == State.CANCELLING:
            transition(run, to=State.CANCELLED, actor=SWEEPER, message=message, fence=run.fence, when=when)
        else:
            requeue_or_fail(run, actor=SWEEPER, reason=message, fence=run.fence, when=when)
    except Superseded:
        return False  # it came back to life, or another sweeper was faster
    return True


def requeue_or_fail(run: Run, *, actor: str, reason: str, fence: int, when: Q | None = None) -> None:
    """A run that crashed goes back into the queue until its attempts are used up."""
    if run.attempt < run.max_attempts:
        transition(
            run,
            to=State.QUEUED,
            actor=actor,
            message=f"{reason}; it goes on from its last checkpoint",
            fence=fence,
            when=when,
        )
        transaction.on_commit(lambda: ring(run.pk))
        return
    error = f"Crashed {run.attempt} times. The last time: {reason}"
    transition(
        run,
        to=State.FAILED,
        actor=actor,
        message=reason,
        fence=fence,
        when=when,
        failure_kind=Run.FailureKind.CRASHED,
        error=error,
    )


def hand_back(claim: Claim, *, reason: str) -> None:
    """The worker is asked to go: queue the run again without counting the attempt."""
    run = Run.objects.get(pk=claim.run_id)
    transition(run, to=State.QUEUED, actor=claim.owner, message=reason, fence=claim.fence, attempt=F("attempt") - 1)
    transaction.on_commit(lambda: ring(claim.run_id))
