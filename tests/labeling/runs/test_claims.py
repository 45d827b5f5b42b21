"""Two workers on one row, dead workers, a broker that forgets everything."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from config.celery import app
from labeling.models import Run, RunEvent
from labeling.services import runs
from labeling.services.runs import claims
from labeling.services.runs.states import Superseded


def lapse(run: Run) -> None:
    """The worker was not heard of for longer than its lease."""
    Run.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_a_claim_raises_the_fence_and_counts_the_attempt(make_run: Any) -> None:
    run = make_run()
    claim = runs.claim(run.pk, owner="one")
    run.refresh_from_db()
    assert claim is not None
    assert (claim.fence, run.fence, run.attempt, run.state, run.owner) == (1, 1, 1, "running", "one")
    assert run.lease_until is not None


@pytest.mark.django_db
def test_a_run_that_somebody_has_cannot_be_claimed(make_run: Any) -> None:
    run = make_run()
    assert runs.claim(run.pk, owner="one")
    assert runs.claim(run.pk, owner="two") is None
    assert RunEvent.objects.filter(run=run, to_state="running").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_claims_at_once_one_wins(make_run: Any) -> None:
    run = make_run()
    won: list[claims.Claim | None] = []
    start = threading.Barrier(6)

    def claim(name: str) -> None:
        start.wait()
        won.append(runs.claim(run.pk, owner=name))
        connection.close()

    threads = [threading.Thread(target=claim, args=(f"worker {number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([claim for claim in won if claim]) == 1
    run.refresh_from_db()
    assert (run.fence, run.attempt) == (1, 1)


@pytest.mark.django_db
def test_a_lapsed_run_can_be_claimed_and_then_the_first_claim_is_void(make_run: Any) -> None:
    run = make_run()
    first = runs.claim(run.pk, owner="one")
    lapse(run)
    second = runs.claim(run.pk, owner="two")
    assert first is not None
    assert second is not None
    assert second.fence == first.fence + 1

    with pytest.raises(Superseded):
        runs.keep(first, step=99)
    run.refresh_from_db()
    assert (run.step, run.owner) == (0, "two")
    assert runs.keep(second, step=3) == "running"


@pytest.mark.django_db
def test_a_worker_that_comes_back_in_time_keeps_its_run(make_run: Any) -> None:
    run = make_run()
    claim = runs.claim(run.pk)
    assert claim is not None
    lapse(run)
    assert runs.keep(claim) == "running"
    assert runs.sweep()["taken_back"] == 0


@pytest.mark.django_db
def test_the_sweeper_queues_a_run_whose_worker_is_gone(make_run: Any) -> None:
    run = make_run()
    claim = runs.claim(run.pk)
    assert claim is not None
    lapse(run)

    assert runs.sweep()["taken_back"] == 1

    run.refresh_from_db()
    assert (run.state, run.owner, run.attempt) == ("queued", "", 1)
    with pytest.raises(Superseded):
        runs.keep(claim)


@pytest.mark.django_db
def test_a_run_whose_worker_is_alive_is_left_alone(make_run: Any) -> None:
    run = make_run()
    runs.claim(run.pk)
    assert runs.sweep()["taken_back"] == 0
    run.refresh_from_db()
    assert run.state == "running"


@pytest.mark.django_db
def test_after_the_last_attempt_a_lapsed_run_has_crashed(make_run: Any) -> None:
    run = make_run()
    for _ in range(run.max_attempts):
        assert runs.claim(run.pk)
        lapse(run)
        assert runs.sweep()["taken_back"] == 1

    run.refresh_from_db()
    assert (run.state, run.failure_kind) == ("failed", "crashed")
    assert "Crashed 3 times" in run.error
    assert runs.claim(run.pk) is None


@pytest.mark.django_db
def test_a_run_that_is_cancelled_while_its_worker_dies_is_cancelled(make_run: Any, people: Any) -> None:
    run = make_run()
    runs.claim(run.pk)
    run.refresh_from_db()
    runs.cancel(run, user=people.manager)
    lapse(run)
    runs.sweep()
    run.refresh_from_db()
    assert run.state == "cancelled"


@pytest.mark.django_db
def test_handing_back_does_not_cost_an_attempt(make_run: Any) -> None:
    run = make_run()
    claim = runs.claim(run.pk)
    assert claim is not None
    claims.hand_back(claim, reason="stopped")
    run.refresh_from_db()
    assert (run.state, run.attempt, run.fence) == ("queued", 0, 1)


@pytest.mark.django_db(transaction=True)
def test_a_new_run_rings_once_its_row_is_committed(make_run: Any, broker: Any) -> None:
    run = make_run()
    assert broker.client.llen("gpu") == 1
    run.refresh_from_db()
    assert run.rung_at is not None


@pytest.mark.django_db(transaction=True)
def test_the_sweeper_rings_again_when_the_broker_has_lost_everything(make_run: Any, broker: Any) -> None:
    run = make_run()
    broker.client.flushdb()
    assert broker.client.llen("gpu") == 0
    runs.sweep()
    assert broker.client.llen("gpu") == 0, "it was rung a moment ago"

    Run.objects.filter(pk=run.pk).update(rung_at=Now() - timedelta(seconds=60))
    assert runs.sweep()["rung"] == 1
    assert broker.client.llen("gpu") == 1


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_does_not_lose_the_run(make_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ConnectionRefusedError("no broker")

    with monkeypatch.context() as patch:
        patch.setattr(app, "send_task", refuse)
        run = make_run()
    run.refresh_from_db()
    assert (run.state, run.rung_at) == ("queued", None)
    assert runs.sweep()["rung"] == 1
