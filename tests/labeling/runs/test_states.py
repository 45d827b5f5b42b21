"""Which state may follow which, and that only one of two who change a run wins."""

import itertools
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from labeling.models import Run, RunEvent
from labeling.services import runs
from labeling.services.runs.states import NEXT, IllegalTransition, Superseded, transition

pytestmark = pytest.mark.django_db

AT = {
    "draft": {"queued_at": None},
    "queued": {},
    "running": {"owner": "w", "started_at": "2026-01-01T00:00Z", "lease_until": "2026-01-01T00:00Z"},
    "cancelling": {"owner": "w", "started_at": "2026-01-01T00:00Z", "lease_until": "2026-01-01T00:00Z"},
    "succeeded": {"finished_at": "2026-01-01T00:00Z"},
    "failed": {"finished_at": "2026-01-01T00:00Z", "failure_kind": "failed"},
    "cancelled": {"finished_at": "2026-01-01T00:00Z"},
}
ILLEGAL = [pair for pair in itertools.product(AT, AT) if pair[1] not in NEXT[pair[0]]]


@pytest.fixture
def run_at(make_run: Any) -> Any:
    def make(state: str) -> Run:
        run = make_run()
        Run.objects.filter(pk=run.pk).update(state=state, **AT[state])
        run.refresh_from_db()
        return run

    return make


@pytest.mark.parametrize(("before", "after"), ILLEGAL)
def test_an_illegal_change_is_refused_and_leaves_no_trace(run_at: Any, before: str, after: str) -> None:
    run = run_at(before)
    num_events = RunEvent.objects.filter(run=run).count()

    with pytest.raises(IllegalTransition):
        transition(run, to=after, actor="test")

    run.refresh_from_db()
    assert run.state == before
    assert RunEvent.objects.filter(run=run).count() == num_events


def test_an_ended_run_never_becomes_another_ended_run() -> None:
    for ended in Run.ENDED:
        assert not NEXT[ended] & set(Run.ENDED)


def test_the_database_refuses_to_end_a_run_twice(run_at: Any) -> None:
    run = run_at("succeeded")
    with pytest.raises(IntegrityError, match="has ended as succeeded"), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(state="failed", failure_kind="failed")


def test_a_change_notes_who_made_it_and_why(run_at: Any) -> None:
    run = run_at("queued")
    transition(run, to="cancelled", actor="person 7", message="not needed")

    event = RunEvent.objects.filter(run=run).last()
    assert event is not None
    assert (event.from_state, event.to_state, event.actor, event.message) == (
        "queued",
        "cancelled",
        "person 7",
        "not needed",
    )
    assert run.finished_at is not None


def test_of_two_changes_from_one_reading_the_second_is_void(run_at: Any) -> None:
    run = run_at("queued")
    stale = Run.objects.get(pk=run.pk)
    transition(run, to="cancelled", actor="first")

    with pytest.raises(Superseded):
        transition(stale, to="cancelled", actor="second")
    assert not RunEvent.objects.filter(run=run, actor="second").exists()


def test_a_write_with_an_older_fence_is_void(run_at: Any) -> None:
    run = run_at("running")
    Run.objects.filter(pk=run.pk).update(fence=5)
    run.refresh_from_db()

    with pytest.raises(Superseded):
        transition(run, to="succeeded", actor="stale worker", fence=4)
    run.refresh_from_db()
    assert run.state == "running"


def test_cancel_of_a_queued_run_is_immediate_and_of_a_running_one_is_a_request(run_at: Any, people: Any) -> None:
    waiting, busy = run_at("queued"), run_at("running")
    runs.cancel(waiting, user=people.manager)
    runs.cancel(busy, user=people.manager)
    assert (waiting.state, busy.state) == ("cancelled", "cancelling")


def test_a_failed_run_that_is_resumed_has_all_its_attempts_again(run_at: Any, people: Any) -> None:
    run = run_at("failed")
    Run.objects.filter(pk=run.pk).update(attempt=3, error="out of memory")
    run.refresh_from_db()

    runs.resume(run, user=people.manager)

    assert (run.state, run.attempt, run.error, run.failure_kind, run.finished_at) == ("queued", 0, "", "", None)
