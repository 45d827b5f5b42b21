"""A conversation between rows and a stage that answers: carried once, whatever dies, and never in training's way."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from labeling.models import Model, PlaygroundReply, PlaygroundSession, Run, RunEvent
from labeling.services import playground, runs
from labeling.services.runs.states import Superseded
from labeling.services.runs.talking import YIELDED, Talking
from labeling.services.runs.workdir import prepare, run_dir_of
from tests.labeling.conftest import People
from tests.labeling.runs.talks import converse, said, say
from tests.labeling.runs.test_supervision import when
from training.contract.talk import Ask, Desk, Reply

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def talk(people: People, make_model: Any, fake_stage: Any) -> PlaygroundSession:
    return converse(people.project, people.manager, make_model)


def run_of(session: PlaygroundSession) -> Run:
    session.refresh_from_db()
    assert session.run is not None
    session.run.refresh_from_db()
    return session.run


def test_what_is_said_is_answered_by_both_with_rewards_and_no_model_is_registered(talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    runs.work(run_of(talk).pk)
    assert said(turn) == [(0, 0, "done", "A0 heard user Why?"), (1, 0, "done", "B0 heard user Why?")]
    assert list(turn.replies.values_list("reward", "num_tokens", "finish_reason")) == [(0, 4, "stop"), (1, 4, "stop")]
    run = run_of(talk)
    assert (run.state, run.stage, run.result["summary"]) == ("succeeded", "talk", {"ended": "idle"})
    assert set(turn.replies.values_list("run", flat=True)) == {run.pk}
    assert set(Model.objects.values_list("name", flat=True)) == {"a", "b", "judge"}
    assert playground.standing_of(talk).key == "asleep"


def test_what_was_said_is_not_left_in_the_run_directory(talk: PlaygroundSession) -> None:
    say(talk, "A secret")
    run = run_of(talk)
    runs.work(run.pk)
    files = [path for path in run_dir_of(run).path.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if b"A secret" in path.read_bytes()] == []


def test_a_second_turn_is_asked_while_the_stage_lives_and_carries_each_models_own_thread(
    talk: PlaygroundSession, fake_stage: Any
) -> None:
    fake_stage(idle_s=3.0)
    first = say(talk, "One?")
    thread = when(
        lambda: first.replies.filter(state="done").count() == 2, lambda: say(talk, "Two?", idempotency_key="two")
    )
    runs.work(run_of(talk).pk)
    thread.join()
    second = talk.turns.get(number=2)
    own = "user One?, assistant {0} heard user One?, user Two?"
    assert [text for *_, text in said(second)] == ["A0 heard " + own.format("A0"), "B0 heard " + own.format("B0")]
    assert talk.turns.count() == 2
    assert RunEvent.objects.filter(to_state="running").count() == 1, "one run answered both"


def test_an_answer_whose_stage_was_killed_in_the_middle_is_shown_once_and_whole(
    talk: PlaygroundSession, fake_stage: Any
) -> None:
    fake_stage(die_at=3)
    turn = say(talk, "Why do you think so?")
    run = run_of(talk)
    runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "queued"
    [half, _] = said(turn)
    assert half == (0, 0, "answering", "A0 heard"), "it must have died in the middle, and have been shown so far"

    runs.work(run.pk)
    assert said(turn) == [
        (0, 0, "done", "A0 heard user Why do you think so?"),
        (1, 0, "done", "B0 heard user Why do you think so?"),
    ]
    assert run_of(talk).attempt == 2


def test_what_a_killed_worker_had_shown_is_gone_while_the_next_one_begins_anew(
    talk: PlaygroundSession, fake_stage: Any
) -> None:
    fake_stage(die_at=3)
    turn = say(talk, "Why do you think so?")
    run = run_of(talk)
    runs.work(run.pk)
    turn.replies.filter(side=1).update(is_to_stop=True)
    claim = runs.claim(run.pk)
    assert claim is not None
    Talking(claim=claim, run_dir=prepare(run, claim)).begin()
    assert said(turn) == [(0, 0, "waiting", ""), (1, 0, "stopped", "")]


def test_a_stopped_answer_keeps_what_it_has_and_goes_on_into_the_next_turn(
    talk: PlaygroundSession, fake_stage: Any
) -> None:
    fake_stage(hold=True)
    turn = say(talk, "Why?")
    thread = when(
        lambda: turn.replies.filter(state="answering", text="one").count() == 2, lambda: playground.stop(session=talk)
    )
    runs.work(run_of(talk).pk)
    thread.join()
    assert said(turn) == [(0, 0, "stopped", "one"), (1, 0, "stopped", "one")]


def test_a_run_that_waits_gets_the_gpu_as_soon_as_no_answer_is_open(
    talk: PlaygroundSession, make_run: Any, fake_stage: Any
) -> None:
    fake_stage(idle_s=60, word_s=0.2)
    turn = say(talk, "Why?")
    training = make_run()
    Run.objects.filter(pk=training.pk).update(queued_at=Now() - timedelta(seconds=10))
    runs.work(run_of(talk).pk)
    assert [state for _, _, state, _ in said(turn)] == ["done", "done"], "what is open is answered first"
    assert run_of(talk).result["summary"] == {"ended": YIELDED}
    standing = playground.standing_of(talk)
    assert (standing.key, standing.can_wake) == ("asleep", True)
    assert "Another run needed the GPU" in standing.text


def test_a_run_that_was_queued_this_moment_ends_nothing(talk: PlaygroundSession, make_run: Any) -> None:
    """Another worker may be about to take it."""
    make_run()
    runs.work(run_of(talk).pk)
    assert run_of(talk).result["summary"] == {"ended": "idle"}


def test_a_worker_that_woke_up_late_writes_nothing(talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    run = run_of(talk)
    late = runs.claim(run.pk, owner="late")
    assert late is not None
    carrier = Talking(claim=late, run_dir=prepare(run, late))
    carrier.begin()
    carrier.tick()
    asked = [request.id for request in Desk(run_dir_of(run)).new_requests() if isinstance(request, Ask)]
    assert len(asked) == 2
    Run.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(seconds=1))
    assert runs.claim(run.pk, owner="other") is not None

    carrier.desk.put(asked[0], Reply(state="answering", text="too late", num_tokens=2))
    with pytest.raises(Superseded):
        carrier.tick()
    assert {text for *_, text in said(turn)} == {""}


def test_nothing_is_written_while_nothing_is_new(talk: PlaygroundSession, django_assert_max_num_queries: Any) -> None:
    say(talk, "Why?")
    run = run_of(talk)
    claim = runs.claim(run.pk)
    assert claim is not None
    carrier = Talking(claim=claim, run_dir=prepare(run, claim))
    carrier.begin()
    carrier.tick()
    asked = next(request.id for request in Desk(run_dir_of(run)).new_requests() if isinstance(request, Ask))
    carrier.desk.put(asked, Reply(state="answering", text="So", num_tokens=1))
    carrier.tick()
    with django_assert_max_num_queries(1):  # what is open; four times a second
        carrier.tick()


def test_a_question_in_the_moment_the_models_fell_asleep_wakes_them_again(talk: PlaygroundSession) -> None:
    run = run_of(talk)
    runs.work(run.pk)
    assert playground.settle() == 0
    turn = say(talk, "Why?")
    PlaygroundSession.objects.update(run=run, num_runs=1)  # as if it had still been running when this was said
    assert playground.settle() == 1
    assert run_of(talk).pk != run.pk
    runs.work(run_of(talk).pk)
    assert [state for _, _, state, _ in said(turn)] == ["done", "done"]
    assert playground.settle() == 0


def test_models_that_cannot_be_loaded_fail_the_answers_which_can_be_tried_again(
    talk: PlaygroundSession, fake_stage: Any
) -> None:
    fake_stage(fail="no model can be read")
    turn = say(talk, "Why?")
    runs.work(run_of(talk).pk)
    playground.settle()
    assert list(turn.replies.values_list("state", "error")) == [("failed", "ModelError: no model can be read")] * 2
    run_of(talk)
    assert playground.standing_of(talk).key == "failed"

    fake_stage()
    playground.try_again(turn=turn)
    runs.work(run_of(talk).pk)
    assert [state for _, _, state, _ in said(turn)] == ["done", "done"]


def test_a_failed_answer_is_asked_for_again_while_the_stage_lives(talk: PlaygroundSession, fake_stage: Any) -> None:
    """Its reply file of the first try still lies there."""
    fake_stage(idle_s=3.0)
    turn = say(talk, "Why?")

    def fail_and_try_again() -> None:
        turn.replies.update(state="failed", error="too long", finish_reason="", reward=None)
        playground.try_again(turn=turn)

    thread = when(lambda: turn.replies.filter(state="done").count() == 2, fail_and_try_again)
    runs.work(run_of(talk).pk)
    thread.join()
    assert list(turn.replies.values_list("state", "num_asked", "error")) == [("done", 2, "")] * 2


def test_a_cancelled_run_fails_what_it_left_open(talk: PlaygroundSession, people: People, fake_stage: Any) -> None:
    fake_stage(hold=True)
    turn = say(talk, "Why?")
    run = run_of(talk)
    thread = when(
        lambda: turn.replies.filter(state="answering", text="one").exists(),
        lambda: runs.cancel(Run.objects.get(pk=run.pk), user=people.manager),
    )
    runs.work(run.pk)
    thread.join()
    playground.settle()
    assert run_of(talk).state == "cancelled"
    assert set(turn.replies.values_list("state", "error")) == {("failed", "The run that answers was cancelled.")}


def test_the_run_of_a_deleted_conversation_ends(talk: PlaygroundSession, fake_stage: Any) -> None:
    fake_stage(idle_s=60)
    run = run_of(talk)
    playground.forget(session=talk)
    runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert PlaygroundReply.objects.count() == 0


def test_text_that_postgres_does_not_take_is_made_to_fit(talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    run = run_of(talk)
    claim = runs.claim(run.pk)
    assert claim is not None
    carrier = Talking(claim=claim, run_dir=prepare(run, claim))
    carrier.begin()
    carrier.tick()
    asked = [request.id for request in Desk(run_dir_of(run)).new_requests() if isinstance(request, Ask)]
    carrier.desk.put(asked[0], Reply(state="failed", text="a\0b", error="c\0d"))
    carrier.tick()
    assert turn.replies.filter(text="a\ufffdb", error="c\ufffdd", state="failed").count() == 1
