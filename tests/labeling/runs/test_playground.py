"""The playground's rules: turns, threads, further samples, and what is sent on, once."""

import uuid
from typing import Any

import pytest

from labeling.models import Demonstration, PlaygroundReply, PlaygroundSession, Prompt, Response, Run, Slot, Task, User
from labeling.services import playground, prompts, tasks, workers
from labeling.services.conversations import Conversation
from labeling.services.playground import Kind, PlaygroundError, Sampling, SendError
from tests.labeling.conftest import People
from tests.labeling.runs.talks import answer, converse, said, say


@pytest.fixture
def talk(people: People, make_model: Any) -> PlaygroundSession:
    return converse(people.project, people.manager, make_model)


@pytest.fixture
def tester(people: People) -> User:
    """The manager, whose writings all lie in the test split, as few people's do."""
    uids = (uuid.UUID(int=number) for number in range(1000))
    people.manager.uid = next(uid for uid in uids if prompts.split_of_author(User(uid=uid)) == "test")
    people.manager.save()
    return people.manager


@pytest.fixture
def alone(people: People, make_model: Any) -> PlaygroundSession:
    return converse(people.project, people.manager, make_model, num_models=1)


def thread(session: PlaygroundSession, number: int, side: int) -> list[str]:
    conversation = Conversation(session)
    turn = conversation.turns[number - 1]
    return [message["content"] for message in conversation.messages(turn, side)]


def rank(turn: Any, people: People, replies: Any = None, **kind: str) -> tuple[Task, bool]:
    chosen = playground.proposed(turn) if replies is None else replies
    return playground.to_ranking(turn=turn, replies=chosen, num_wanted=2, kind=Kind(**kind), user=people.manager)


def keep(reply: PlaygroundReply, text: str, people: People, key: str = "k") -> Demonstration:
    return playground.as_demonstration(reply=reply, text=text, kind=Kind(), user=people.manager, idempotency_key=key)


def test_opening_a_conversation_queues_the_run_that_answers(talk: PlaygroundSession) -> None:
    run = talk.run
    assert run is not None
    assert (run.stage, run.state, run.config["idle_seconds"]) == ("talk", "queued", 600)
    inputs = dict(run.inputs.values_list("name", "model__name"))
    assert inputs == {"first_model": "a", "second_model": "b", "reward_model": "judge"}


@pytest.mark.parametrize("wrong", ["kind", "project"])
def test_only_a_reward_model_of_the_project_can_score(people: People, make_model: Any, wrong: str) -> None:
    from labeling.models import Project

    coffee = Project.objects.get(slug="coffee")
    judge = make_model("c") if wrong == "kind" else make_model("d", kind="reward", project=coffee)
    with pytest.raises(PlaygroundError, match="Only a reward model of this project"):
        playground.start(project=people.project, user=people.manager, first_model=make_model("a"), reward_model=judge)
    assert not PlaygroundSession.objects.exists()


@pytest.mark.parametrize("wrong", ["kind", "same", "project"])
def test_only_two_different_policies_of_the_project_can_be_talked_to(
    people: People, make_model: Any, wrong: str
) -> None:
    from labeling.models import Project

    first = make_model("a")
    other = {
        "kind": lambda: make_model("c", kind="reward"),
        "same": lambda: first,
        "project": lambda: make_model("d", project=Project.objects.get(slug="coffee")),
    }[wrong]()
    with pytest.raises(PlaygroundError):
        playground.start(project=people.project, user=people.manager, first_model=first, second_model=other)
    assert not PlaygroundSession.objects.exists()
    assert not Run.objects.exists()


def test_a_turn_sent_twice_is_one(talk: PlaygroundSession) -> None:
    assert say(talk, "Why?", idempotency_key="k") == say(talk, "Why?", idempotency_key="k")
    assert said(talk.turns.get()) == [(0, 0, "waiting", ""), (1, 0, "waiting", "")]


def test_nothing_is_said_while_an_answer_is_open_and_nothing_empty(talk: PlaygroundSession) -> None:
    with pytest.raises(PlaygroundError, match="Write something"):
        say(talk, " \n ")
    say(talk, "Why?")
    with pytest.raises(PlaygroundError, match="Wait for the answer"):
        say(talk, "And?")
    assert talk.turns.count() == 1


def test_each_model_goes_on_from_its_own_answers_unless_both_go_on_from_one(talk: PlaygroundSession) -> None:
    answer(say(talk, "1?"), "a1", "b1")
    answer(say(talk, "2?"), "a2", "b2")
    answer(say(talk, "3?", goes_on_from="second"), "a3", "b3")
    say(talk, "4?")
    assert thread(talk, 2, 0) == ["1?", "a1", "2?"]
    assert thread(talk, 2, 1) == ["1?", "b1", "2?"]
    assert thread(talk, 3, 0) == thread(talk, 3, 1) == ["1?", "b1", "2?", "b2", "3?"]
    assert thread(talk, 4, 0) == ["1?", "b1", "2?", "b2", "3?", "a3", "4?"]
    assert thread(talk, 4, 1) == ["1?", "b1", "2?", "b2", "3?", "b3", "4?"]


def test_a_thread_never_goes_on_from_a_further_sample(alone: PlaygroundSession) -> None:
    turn = say(alone, "1?")
    turn.replies.update(state="failed", error="too long")
    playground.sample_more(turn=turn, num=1)
    answer(turn, "a further sample")
    say(alone, "2?")
    assert thread(alone, 2, 0) == ["2?"]


def test_a_thread_goes_on_from_what_a_stopped_answer_had_and_not_from_what_a_failed_one_had(
    talk: PlaygroundSession,
) -> None:
    turn = say(talk, "1?")
    turn.replies.filter(side=0).update(state="stopped", text="So far")
    turn.replies.filter(side=1).update(state="failed", text="half of", error="out of memory")
    say(talk, "2?")
    assert thread(talk, 2, 0) == ["1?", "So far", "2?"]
    assert thread(talk, 2, 1) == ["2?"]


def test_a_first_turn_and_a_conversation_with_one_model_go_on_from_nobody_else(
    talk: PlaygroundSession, alone: PlaygroundSession
) -> None:
    assert say(talk, "1?", goes_on_from="second").goes_on_from == "own"
    answer(say(alone, "1?"), "So.")
    assert say(alone, "2?", goes_on_from="second").goes_on_from == "own"


def test_more_than_can_be_kept_is_not_said(alone: PlaygroundSession) -> None:
    with pytest.raises(PlaygroundError, match="At most 60,000 characters; this has 60,001"):
        say(alone, "x" * 60_001)
    assert not alone.turns.exists()


def test_an_answer_that_is_being_written_is_left_to_the_worker_to_stop(talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    now = "2026-01-01T00:00Z"
    live = {"state": "running", "started_at": now, "lease_until": now, "heartbeat_at": now, "owner": "host:7"}
    Run.objects.filter(pk=talk.run_id).update(**live)
    playground.stop(session=talk)
    assert set(turn.replies.values_list("state", "is_to_stop")) == {("waiting", True)}


def test_what_was_sent_to_ranking_is_not_asked_for_again(talk: PlaygroundSession, people: People) -> None:
    turn = say(talk, "Why?")
    replies = answer(turn, "So.", "Because.")
    PlaygroundReply.objects.filter(pk=replies[0].pk).update(state="stopped", finish_reason="")
    rank(turn, people, list(turn.replies.all()))
    playground.try_again(turn=turn)
    assert [text for *_, text in said(turn)] == ["So.", "Because."]


def test_a_stopped_answer_can_be_ranked_and_an_open_one_or_another_turns_cannot(
    talk: PlaygroundSession, people: People
) -> None:
    first = say(talk, "1?")
    earlier = answer(first, "So.", "Because.")
    turn = say(talk, "2?")
    with pytest.raises(SendError, match="Wait for the answers"):
        rank(turn, people, list(turn.replies.all()))
    answer(turn, "a", "b")
    with pytest.raises(SendError, match="Wait for the answers"):
        rank(turn, people, earlier)
    assert not Task.objects.exists()
    first.replies.update(state="stopped", finish_reason="")
    assert [reply.text for reply in playground.proposed(first)] == ["So.", "Because."]
    task, _ = rank(first, people)
    assert task.num_responses == 2


def test_the_same_answer_twice_and_an_empty_one_are_not_proposed(talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    answer(turn, "So.", "So.")
    playground.sample_more(turn=turn, num=1)
    answer(turn, " ", "Because.")
    assert [reply.text for reply in playground.proposed(turn)] == ["So.", "Because."]


def test_how_an_answer_ended_and_which_run_gave_it_stay_with_the_response(
    talk: PlaygroundSession, people: People
) -> None:
    turn = say(talk, "Why?")
    answer(turn, "So.", "Because.", finish_reason="length")
    turn.replies.update(run=talk.run)
    rank(turn, people)
    found = Response.objects.values_list("finish_reason", "run", "num_chars").order_by("num_chars")
    assert list(found) == [("length", talk.run_id, 3), ("length", talk.run_id, 8)]


def test_a_demonstration_that_postgres_would_not_take_is_made_to_fit(alone: PlaygroundSession, people: People) -> None:
    [reply] = answer(say(alone, "Why?"), "So.")
    assert keep(reply, "a\0b", people).text == "a\ufffdb"


def test_an_answer_that_is_not_there_is_left_out_with_its_question(alone: PlaygroundSession) -> None:
    turn = say(alone, "1?")
    turn.replies.update(state="failed", error="too long")
    say(alone, "2?")
    assert thread(alone, 2, 0) == ["2?"]


def test_a_question_to_sleeping_models_wakes_them_and_only_once(talk: PlaygroundSession) -> None:
    Run.objects.update(state="succeeded", finished_at="2026-01-01T00:00Z")
    say(talk, "Why?")
    playground.wake(talk)
    assert Run.objects.filter(stage="talk").count() == 2
    talk.refresh_from_db()
    assert (talk.run.state, talk.num_runs) == ("queued", 2)  # type: ignore[union-attr]


def test_what_nobody_is_at_stops_at_once(talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    playground.stop(session=talk)
    assert {state for _, _, state, _ in said(turn)} == {"stopped"}


def test_further_samples_are_asked_of_each_model_up_to_nine(talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    with pytest.raises(PlaygroundError, match="Wait"):
        playground.sample_more(turn=turn, num=1)
    answer(turn, "a", "b")
    playground.sample_more(turn=turn, num=2)
    assert [(side, index) for side, index, *_ in said(turn)] == [(s, i) for s in (0, 1) for i in (0, 1, 2)]
    answer(turn, *"cdef")
    playground.sample_more(turn=turn, num=8)
    assert turn.replies.count() == 18
    PlaygroundReply.objects.filter(state="waiting").update(state="stopped")
    with pytest.raises(PlaygroundError, match="as many"):
        playground.sample_more(turn=turn, num=1)


def test_at_temperature_0_there_are_no_further_samples(alone: PlaygroundSession) -> None:
    turn = say(alone, "Why?", sampling=Sampling(temperature=0.0))
    answer(turn, "So.")
    with pytest.raises(PlaygroundError, match="temperature 0"):
        playground.sample_more(turn=turn, num=1)


def test_only_the_last_turn_can_be_tried_again(alone: PlaygroundSession) -> None:
    first = say(alone, "1?")
    first.replies.update(state="failed", error="too long")
    say(alone, "2?")
    with pytest.raises(PlaygroundError, match="last turn"):
        playground.try_again(turn=first)


def test_answers_become_a_ranking_task_of_a_multi_turn_prompt(
    talk: PlaygroundSession, people: People, tester: User
) -> None:
    answer(say(talk, "Wie heißt du?"), "a1", "b1")
    turn = say(talk, "Und warum?", goes_on_from="first")
    answer(turn, "a2", "b2")
    task, is_new = rank(turn, people, language="de")
    assert is_new
    prompt = task.prompt
    assert prompt is not None
    assert [message["content"] for message in prompt.messages] == ["Wie heißt du?", "a1", "Und warum?"]
    assert (prompt.author, prompt.language, prompt.use_case, prompt.split) == (tester, "de", "chat", "test")
    assert (task.kind, task.num_responses, task.num_wanted) == ("rank", 2, 2)
    assert Slot.objects.filter(task=task, state="open").count() == 2
    ranked = Response.objects.filter(task_responses__task=task).order_by("text")
    assert [(one.text, one.model.name, one.finish_reason) for one in ranked] == [
        ("a2", "a", "stop"),
        ("b2", "b", "stop"),
    ]
    turn.refresh_from_db()
    assert turn.task == task
    sent = [one.playground_replies.get().turn for one in ranked]
    assert sent == [turn, turn], "from a response one finds how it was sampled"


def test_sent_twice_it_is_one_task_and_the_other_way_round_too(talk: PlaygroundSession, people: People) -> None:
    turn = say(talk, "Why?")
    replies = answer(turn, "So.", "Because.")
    first, _ = rank(turn, people)
    again, is_new = rank(turn, people, replies[::-1])
    assert (again, is_new) == (first, False)
    assert (Task.objects.count(), Response.objects.count(), Prompt.objects.count()) == (1, 2, 1)


def test_the_same_conversation_held_again_is_no_second_task(
    talk: PlaygroundSession, people: People, make_model: Any
) -> None:
    turn = say(talk, "Why?")
    answer(turn, "So.", "Because.")
    first, _ = rank(turn, people)
    other = say(converse(people.project, people.manager, make_model), "Why?")
    answer(other, "So.", "Because.")
    assert rank(other, people) == (first, False)
    assert Response.objects.count() == 2


def test_a_prompt_that_the_project_has_is_used_as_it_is(
    talk: PlaygroundSession, people: People, make_model: Any
) -> None:
    known = prompts.add(
        project=people.project, messages=[{"role": "user", "content": "Why?"}], author=people.labeler, split="valid"
    )
    turn = say(talk, "Why?")
    answer(turn, "So.", "Because.")
    Response.objects.create(prompt=known, model=talk.first_model, sample_index=3, text="Earlier.", num_chars=8)
    task, _ = rank(turn, people)
    assert task.prompt == known
    assert known.responses.get(text="So.").sample_index == 4
    known.refresh_from_db()
    assert known.split == "valid"


def test_answers_to_different_threads_are_not_ranked_together(talk: PlaygroundSession, people: People) -> None:
    answer(say(talk, "1?"), "a1", "b1")
    turn = say(talk, "2?")
    replies = answer(turn, "a2", "b2")
    with pytest.raises(SendError, match="asked different things"):
        rank(turn, people, replies)
    assert not Prompt.objects.exists()
    playground.sample_more(turn=turn, num=2)
    answer(turn, "a3", "a4", "b2", "b2")
    assert [reply.text for reply in playground.proposed(turn)] == ["a2", "a3", "a4"]
    task, _ = rank(turn, people)
    assert task.num_responses == 3


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (("So.", "So."), "exactly the same"),
        (("So.", "As ChatGPT I say so."), "which model wrote it"),
        (("So.", " "), "empty answer"),
    ],
)
def test_what_cannot_be_ranked_blind_or_at_all_leaves_nothing_behind(
    talk: PlaygroundSession, people: People, texts: tuple[str, str], reason: str
) -> None:
    turn = say(talk, "Why?")
    replies = answer(turn, *texts)
    with pytest.raises(SendError, match=reason):
        rank(turn, people, replies)
    assert not Prompt.objects.exists()
    assert not Response.objects.exists()
    assert not Task.objects.exists()


def test_one_answer_or_ten_are_no_ranking(talk: PlaygroundSession, people: People) -> None:
    turn = say(talk, "Why?")
    replies = answer(turn, "So.", "Because.")
    with pytest.raises(SendError, match="2 to 9"):
        rank(turn, people, replies[:1])
    playground.sample_more(turn=turn, num=4)
    replies = answer(turn, *"abcdefgh")
    with pytest.raises(SendError, match="2 to 9"):
        rank(turn, people, replies)
    assert len(playground.proposed(turn)) == 9


def test_a_prompt_that_is_too_long_for_the_project_is_said(talk: PlaygroundSession, people: People) -> None:
    people.project.max_prompt_chars = 3
    people.project.save()
    talk.project.refresh_from_db()
    turn = say(PlaygroundSession.objects.get(pk=talk.pk), "Why?")
    answer(turn, "So.", "Because.")
    with pytest.raises(SendError, match="this project takes 3"):
        rank(turn, people)


def test_an_edited_answer_becomes_ones_own_demonstration_and_saved_twice_it_is_one(
    alone: PlaygroundSession, people: People
) -> None:
    [reply] = answer(say(alone, "Why?"), "Becuase.")
    first = keep(reply, "Because.", people)
    assert keep(reply, "Because.", people) == first, "the same form"
    assert keep(reply, "Because.", people, key="another") == first, "the same text"
    assert (first.labeler, first.text, first.task, first.revision) == (people.manager, "Because.", None, 1)
    reply.refresh_from_db()
    assert (reply.demonstration, reply.text) == (first, "Becuase.")

    better = keep(reply, "Because of the air.", people, key="third")
    assert list(Demonstration.objects.counted()) == [better]
    assert (better.revision, better.replaces) == (2, first)


def test_who_was_asked_for_the_demonstration_writes_it_there(alone: PlaygroundSession, people: People) -> None:
    [reply] = answer(say(alone, "Why?"), "So.")
    known = prompts.add(project=people.project, messages=[{"role": "user", "content": "Why?"}], author=people.labeler)
    tasks.make_demonstration_tasks(project=people.project, prompts=[known], user=people.manager)
    Demonstration.objects.create(
        prompt=known, task=Task.objects.get(), labeler=people.manager, idempotency_key="asked", text="Asked for."
    )
    with pytest.raises(SendError, match="already"):
        keep(reply, "So.", people)
    assert Demonstration.objects.count() == 1


@pytest.mark.parametrize("text", ["", "  ", "x" * 60_001])
def test_a_demonstration_is_neither_empty_nor_endless(alone: PlaygroundSession, people: People, text: str) -> None:
    [reply] = answer(say(alone, "Why?"), "So.")
    with pytest.raises(SendError):
        keep(reply, text, people)
    assert not Demonstration.objects.exists()
    assert not Prompt.objects.exists()


def test_what_was_sent_on_stays_when_the_conversation_is_deleted(talk: PlaygroundSession, people: People) -> None:
    turn = say(talk, "Why?")
    replies = answer(turn, "So.", "Because.")
    rank(turn, people)
    keep(replies[0], "So it is.", people)
    playground.forget(session=talk)
    assert not PlaygroundReply.objects.exists()
    assert (Task.objects.count(), Response.objects.count(), Demonstration.objects.count()) == (1, 2, 1)


def gpu_worker(process: int = 7) -> None:
    from labeling.models import Worker

    Worker.objects.create(name="gpu@host", queues=["gpu"], num_processes=1, process_ids=[process])


def standing(talk: PlaygroundSession) -> playground.Standing:
    return playground.standing_of(PlaygroundSession.objects.select_related("run").get(pk=talk.pk))


def test_the_standing_says_what_is_missing_or_who_has_the_gpu(talk: PlaygroundSession, make_run: Any) -> None:
    assert "celery" in standing(talk).command
    gpu_worker()
    assert (standing(talk).key, standing(talk).command) == ("waiting", "")
    other = make_run()
    now = "2026-01-01T00:00Z"
    live = {"state": "running", "started_at": now, "lease_until": now, "heartbeat_at": now}
    Run.objects.filter(pk=other.pk).update(owner="host:7", **live)
    assert standing(talk).text == f"Another run has the GPU: {other.name}."
    assert [seen.state for seen in workers.all_seen()] == ["here"]

    for phase, key in (("load", "loading"), ("talk", "ready")):
        Run.objects.filter(pk=talk.run_id).update(owner="host:8", phase=phase, **live)
        assert standing(talk).key == key
    say(talk, "Why?")
    assert standing(talk).key == "answering"


def test_only_a_worker_that_is_here_and_has_a_gpu_queue_will_take_it(talk: PlaygroundSession, people: People) -> None:
    from datetime import timedelta

    from django.db.models.functions import Now

    from labeling.models import Worker

    Worker.objects.create(name="short@host", queues=["default"], num_processes=1, process_ids=[5])
    gpu_worker()
    Worker.objects.filter(name="gpu@host").update(seen_at=Now() - timedelta(minutes=5))
    assert "No GPU worker is here." in standing(talk).text
    Worker.objects.filter(name="gpu@host").update(seen_at=Now())
    assert standing(talk).text == "A worker is about to take it."


def test_a_run_of_another_project_that_has_the_gpu_is_not_named(talk: PlaygroundSession, people: People) -> None:
    gpu_worker()
    coffee = people.stranger.memberships.get().project
    now = "2026-01-01T00:00Z"
    live = {"state": "running", "started_at": now, "lease_until": now, "heartbeat_at": now, "owner": "host:7"}
    Run.objects.create(project=coffee, stage="sft", name="a secret", idempotency_key="k", fence=1, **live)
    assert standing(talk).text == "Another run has the GPU: a run of another project."


@pytest.mark.parametrize(
    ("ended", "said_of_it"),
    [
        ({"state": "cancelled"}, "Its run was cancelled. The models wake when you send something."),
        ({"state": "failed", "error": "no model can be read", "failure_kind": "failed"}, "no model can be read"),
    ],
)
def test_a_run_that_ended_says_how_and_can_be_woken(
    talk: PlaygroundSession, ended: dict[str, str], said_of_it: str
) -> None:
    Run.objects.filter(pk=talk.run_id).update(**ended, finished_at="2026-01-01T00:00Z")
    assert (standing(talk).text, standing(talk).can_wake) == (said_of_it, True)


def test_only_the_last_turn_offers_to_try_again(alone: PlaygroundSession) -> None:
    for text in ("1?", "2?"):
        say(alone, text).replies.update(state="stopped")
    assert [shown.can_be_tried_again for shown in playground.shown_turns(alone)] == [False, True]


def test_the_highest_reward_is_pointed_out_once_all_are_there(talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    replies = answer(turn, "So.", "Because.", reward=1.0)
    shown = playground.shown_turn(talk, 1)
    assert shown is not None
    assert shown.highest is None, "equal ones"
    PlaygroundReply.objects.filter(pk=replies[1].pk).update(reward=2.0)
    shown = playground.shown_turn(talk, 1)
    assert shown is not None
    assert shown.highest == replies[1]
    playground.sample_more(turn=turn, num=1)
    shown = playground.shown_turn(talk, 1)
    assert shown is not None
    assert (shown.highest, shown.is_open, shown.can_be_sent) == (None, True, False)
