"""The playground's pages: for managers, each their own conversations; all of it by plain forms."""

import re
from typing import Any

import pytest
from django.test import Client

from labeling.models import (
    Demonstration,
    Membership,
    Model,
    PlaygroundReply,
    PlaygroundSession,
    Role,
    Run,
    Task,
    User,
)
from tests.labeling.conftest import People
from tests.labeling.runs.talks import answer, converse, said, say


@pytest.fixture
def manager(client: Client, people: People) -> Client:
    client.force_login(people.manager)
    return client


@pytest.fixture
def talk(people: People, make_model: Any) -> PlaygroundSession:
    return converse(people.project, people.manager, make_model)


def page(session: PlaygroundSession, rest: str = "") -> str:
    return f"/p/tea/playground/{session.uid}/{rest}"


def text_of(response: Any) -> str:
    """What a reader sees, in one line."""
    bare = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", response.content.decode(), flags=re.S)
    return " ".join(bare.split())


def form_of(client: Client, address: str) -> dict[str, str]:
    """The fields of the page's forms as they come."""
    html = client.get(address).content.decode()
    inputs = re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', html)
    return {name: value for name, value in inputs if name != "csrfmiddlewaretoken"}


def test_a_conversation_is_opened_with_the_current_policy_and_a_reward_model_chosen(
    manager: Client, make_model: Any
) -> None:
    policy, judge = make_model("policy", is_current=True), make_model("judge", kind="reward")
    make_model("newer")
    html = manager.get("/p/tea/playground/").content.decode()
    assert f'<option value="{policy.uid}" selected>' in html
    assert f'<option value="{judge.uid}" selected>' in html
    sent = manager.post("/p/tea/playground/", {"first_model": policy.uid, "reward_model": judge.uid})
    session = PlaygroundSession.objects.get()
    assert sent["Location"] == page(session)
    assert (session.first_model, session.second_model, session.reward_model) == (policy, None, judge)


def test_a_models_page_leads_to_a_conversation_with_it(manager: Client, make_model: Any) -> None:
    make_model("policy", is_current=True)
    other, judge = make_model("other"), make_model("judge", kind="reward")
    link = f"/p/tea/playground/?model={other.uid}"
    assert link in manager.get(f"/p/tea/models/{other.uid}/").content.decode()
    assert "Talk to it" not in text_of(manager.get(f"/p/tea/models/{judge.uid}/"))
    assert f'<option value="{other.uid}" selected>' in manager.get(link).content.decode()


@pytest.mark.parametrize("wrong", ["same", "reward", "retired", "foreign"])
def test_whom_one_cannot_talk_to_is_refused(manager: Client, people: People, make_model: Any, wrong: str) -> None:
    from labeling.models import Project

    policy = make_model("policy")
    second = {
        "same": lambda: policy,
        "reward": lambda: make_model("x", kind="reward"),
        "retired": lambda: make_model("x", is_retired=True),
        "foreign": lambda: make_model("x", project=Project.objects.get(slug="coffee")),
    }[wrong]()
    sent = manager.post("/p/tea/playground/", {"first_model": policy.uid, "second_model": second.uid})
    assert sent.status_code == 422
    assert not PlaygroundSession.objects.exists()


def test_without_a_policy_the_page_says_what_to_do(manager: Client) -> None:
    assert "There is nobody to talk to yet" in text_of(manager.get("/p/tea/playground/"))


def test_everybody_sees_their_own_conversations_alone(client: Client, people: People, talk: PlaygroundSession) -> None:
    turn = say(talk, "A secret of mine")
    [reply, _] = answer(turn, "So.", "Because.")
    other = User.objects.create_user("otto@example.org", "a long password", name="Otto")
    Membership.objects.create(project=people.project, user=other, role=Role.MANAGER)
    client.force_login(other)
    assert "A secret of mine" not in text_of(client.get("/p/tea/playground/"))
    addresses = [page(talk), page(talk, "live/"), page(talk, "1/ranking/"), f"/p/tea/playground/answers/{reply.uid}/"]
    assert [client.get(address).status_code for address in addresses] == [404] * 4
    actions = [page(talk, action) for action in ("stop/", "wake/", "again/", "forget/", "1/more/")]
    assert [client.post(address).status_code for address in actions] == [404] * 5
    client.force_login(people.manager)
    assert "A secret of mine" in text_of(client.get("/p/tea/playground/"))


def test_a_conversation_is_not_found_in_another_project(
    manager: Client, people: People, talk: PlaygroundSession
) -> None:
    coffee = people.stranger.memberships.get().project
    Membership.objects.create(project=coffee, user=people.manager, role=Role.MANAGER)
    say(talk, "Of tea alone")
    assert manager.get(page(talk).replace("/tea/", "/coffee/")).status_code == 404
    assert "Of tea alone" not in text_of(manager.get("/p/coffee/playground/"))


def test_the_newest_conversation_stands_first(manager: Client, people: People, make_model: Any) -> None:
    for text in ("the older", "the newer"):
        say(converse(people.project, people.manager, make_model), text)
    shown = text_of(manager.get("/p/tea/playground/"))
    assert shown.index("the newer") < shown.index("the older")


def test_something_is_said_by_a_plain_form_and_twice_it_is_one(manager: Client, talk: PlaygroundSession) -> None:
    sent = form_of(manager, page(talk)) | {"text": "Why?\r\nSay!", "temperature": "0.5", "seed": "7"}
    assert manager.post(page(talk), sent).status_code == 302
    assert manager.post(page(talk), sent).status_code == 302
    turn = talk.turns.get()
    assert (turn.text, turn.temperature, turn.top_p, turn.seed) == ("Why?\nSay!", 0.5, 1.0, 7)
    answer(turn, "So.", "Because.")
    assert form_of(manager, page(talk))["temperature"] == "0.5", "the next turn begins with the settings of the last"


def test_whose_answer_to_go_on_from_is_asked_only_of_two_models_that_have_answered(
    manager: Client, people: People, make_model: Any, talk: PlaygroundSession
) -> None:
    field = 'name="goes_on_from"'
    assert field not in manager.get(page(talk)).content.decode()
    answer(say(talk, "Why?"), "So.", "Because.")
    assert field in manager.get(page(talk)).content.decode()
    alone = converse(people.project, people.manager, make_model, num_models=1)
    answer(say(alone, "Why?"), "So.")
    assert field not in manager.get(page(alone)).content.decode()


def test_a_wrong_setting_is_said_and_what_was_written_stays(manager: Client, talk: PlaygroundSession) -> None:
    sent = form_of(manager, page(talk)) | {"text": "Why, then?", "top_p": "1.5"}
    response = manager.post(page(talk), sent)
    assert response.status_code == 422
    assert "Why, then?" in response.content.decode()
    assert '<details class="sampling" open>' in response.content.decode()
    assert not talk.turns.exists()


def test_while_an_answer_is_open_the_next_question_waits(manager: Client, talk: PlaygroundSession) -> None:
    say(talk, "Why?")
    response = manager.post(page(talk), form_of(manager, page(talk)) | {"text": "And?"})
    assert response.status_code == 422
    assert "Wait for the answer" in text_of(response)


def test_answers_stand_side_by_side_rendered_safely_with_their_rewards(
    manager: Client, talk: PlaygroundSession
) -> None:
    turn = say(talk, "Why **so**?")
    answer(turn, "So <script>alert(1)</script> **it** is.", "Because.", reward=1.25)
    PlaygroundReply.objects.filter(side=1).update(reward=-0.5, finish_reason="length")
    response = manager.get(page(talk))
    html, text = response.content.decode(), text_of(response)
    assert "<strong>so</strong>" in html
    assert "<strong>it</strong>" in html
    assert "<script>alert" not in html
    assert "reward 1.25 ▲ higher" in text
    assert "reward −0.50 3 tokens, 6 per second cut by length" in text
    assert html.count("reward--highest") == 1


def test_an_open_turn_asks_for_itself_and_a_closed_one_does_not(manager: Client, talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    live = page(talk, "live/?turn=1")
    opened = manager.get(live).content.decode()
    assert f'hx-get="{live}"' in opened
    assert "hx-swap-oob" in opened
    assert "data-open" in opened
    PlaygroundReply.objects.filter(side=0).update(state="answering", text="So far", num_tokens=2, seconds=0.1)
    assert "So far" in text_of(manager.get(live))
    PlaygroundReply.objects.update(state="done", text="So.", finish_reason="stop")
    closed = manager.get(live).content.decode()
    assert f'hx-get="{live}"' not in closed
    assert "data-open" not in closed
    assert "A done" in closed
    assert turn.text in closed


def test_how_the_conversation_stands_is_asked_for_apart_only_while_no_turn_asks(
    manager: Client, talk: PlaygroundSession
) -> None:
    def standing() -> str:
        found = re.search(r'<div id="standing"[^>]*>', manager.get(page(talk)).content.decode())
        assert found
        return found[0]

    assert "hx-get" in standing()
    turn = say(talk, "Why?")
    assert "hx-get" not in standing()
    answer(turn, "So.", "Because.")
    assert "hx-get" in standing()


@pytest.mark.parametrize("turn", ["", "0", "2", "x", "-1", "1" * 5000, "²"])
def test_a_turn_that_is_none_shows_how_the_conversation_stands(
    manager: Client, talk: PlaygroundSession, turn: str
) -> None:
    response = manager.get(page(talk, "live/"), {"turn": turn})
    assert response.status_code == 200
    assert 'id="standing"' in response.content.decode()
    assert "talk-turn" not in response.content.decode()


def test_without_javascript_a_page_that_waits_loads_itself_again(manager: Client, talk: PlaygroundSession) -> None:
    assert '<noscript><meta http-equiv="refresh"' in manager.get(page(talk)).content.decode()
    Run.objects.update(state="succeeded", finished_at="2026-01-01T00:00Z")
    assert "noscript" not in manager.get(page(talk)).content.decode()


def test_stop_wake_and_try_again_are_buttons(manager: Client, talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    assert 'form="stop"' in manager.get(page(talk)).content.decode()
    manager.post(page(talk, "stop/"))
    assert {state for _, _, state, _ in said(turn)} == {"stopped"}
    assert 'form="again"' in manager.get(page(talk)).content.decode()
    manager.post(page(talk, "again/"))
    assert {state for _, _, state, _ in said(turn)} == {"waiting"}

    PlaygroundReply.objects.update(state="stopped")
    Run.objects.update(state="succeeded", finished_at="2026-01-01T00:00Z", result={"summary": {"ended": "idle"}})
    response = manager.get(page(talk))
    assert 'form="wake"' in response.content.decode()
    assert "Nobody wrote for a while" in text_of(response)
    manager.post(page(talk, "wake/"))
    assert Run.objects.filter(state="queued").count() == 1


def test_without_a_worker_the_page_says_how_to_start_one(manager: Client, talk: PlaygroundSession) -> None:
    assert "No GPU worker is here." in text_of(manager.get(page(talk)))
    assert "celery -A config.celery:app worker -Q gpu" in text_of(manager.get(page(talk)))


def test_answers_are_sent_to_ranking_and_the_page_says_where_they_are(
    manager: Client, people: People, talk: PlaygroundSession
) -> None:
    turn = say(talk, "Why?")
    replies = answer(turn, "So.", "Because.")
    address = page(talk, "1/ranking/")
    html = manager.get(address).content.decode()
    assert html.count(" checked") == 2
    sent: dict[str, Any] = {"num_wanted": 3, "use_case": "open_qa", "language": "", "replies": [r.uid for r in replies]}
    first = manager.post(address, sent, follow=True)
    task = Task.objects.get()
    assert (task.num_wanted, task.prompt.use_case) == (3, "open_qa")  # type: ignore[union-attr]
    assert f'<a href="/p/tea/tasks/{task.uid}/">see the task</a>' in first.content.decode()
    again = manager.post(address, sent, follow=True)
    assert "in a ranking task already" in text_of(again)
    assert Task.objects.count() == 1
    assert f'sent: <a href="/p/tea/tasks/{task.uid}/">' in manager.get(page(talk)).content.decode()
    prompt = manager.get(f"/p/tea/prompts/{task.prompt.uid}/")  # type: ignore[union-attr]
    assert text_of(prompt).count("from the playground, temperature 1, top-p 1, at most 256 tokens, seed 0") == 2


def test_the_ranking_form_begins_with_the_projects_overlap_and_warns_where_threads_differ(
    manager: Client, people: People, talk: PlaygroundSession
) -> None:
    people.project.overlap = 3
    people.project.save()
    for text in ("1?", "2?"):
        answer(say(talk, text), f"a says {text}", f"b says {text}")
    first, second = (manager.get(page(talk, f"{number}/ranking/")) for number in (1, 2))
    assert re.search(r'name="num_wanted" value="3"', first.content.decode())
    warning = "A and B each went on from their own answers here"
    assert warning not in text_of(first)
    assert warning in text_of(second)


def test_a_ranking_of_too_few_says_so_and_keeps_the_choice(manager: Client, talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    [one, _] = answer(turn, "So.", "Because.")
    address = page(talk, "1/ranking/")
    for chosen, reason in (([], "Choose 2 to 9 answers."), ([one.uid], "People rank 2 to 9")):
        response = manager.post(address, {"num_wanted": 1, "use_case": "chat", "replies": chosen})
        assert response.status_code == 422
        assert reason in text_of(response)
    assert response.content.decode().count(" checked") == 1
    assert not Task.objects.exists()


def test_an_answer_of_another_turn_is_not_taken(manager: Client, talk: PlaygroundSession) -> None:
    first = answer(say(talk, "1?"), "a1", "b1")
    answer(say(talk, "2?"), "a2", "b2")
    sent = {"num_wanted": 1, "use_case": "chat", "replies": [reply.uid for reply in first]}
    assert manager.post(page(talk, "2/ranking/"), sent).status_code == 422
    assert not Task.objects.exists()


def test_further_samples_are_asked_for_and_waited_for(manager: Client, talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    answer(turn, "So.", "Because.")
    sent = manager.post(page(talk, "1/more/"), {"num": 2})
    assert sent["Location"] == page(talk, "1/ranking/")
    assert turn.replies.count() == 6
    waiting = manager.get(sent["Location"]).content.decode()
    assert 'hx-trigger="every 1s"' in waiting
    assert "checkbox" not in waiting
    answer(turn, "c", "d", "e", "f")
    assert manager.get(sent["Location"]).content.decode().count(" checked") == 6
    assert "2 further samples" in text_of(manager.get(page(talk)))


@pytest.mark.parametrize("num", ["0", "9", "x", ""])
def test_a_wrong_number_of_further_samples_asks_for_none(manager: Client, talk: PlaygroundSession, num: str) -> None:
    turn = say(talk, "Why?")
    answer(turn, "So.", "Because.")
    manager.post(page(talk, "1/more/"), {"num": num})
    assert turn.replies.count() == 2


def test_an_answer_is_edited_and_saved_as_a_demonstration(manager: Client, talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    [reply, _] = answer(turn, "Becuase.", "So.")
    address = f"/p/tea/playground/answers/{reply.uid}/"
    assert ">\nBecuase.</textarea>" in manager.get(address).content.decode()
    sent = form_of(manager, address) | {"text": "Because\r\nit is.", "use_case": "chat"}
    saved = manager.post(address, sent, follow=True)
    demonstration = Demonstration.objects.get()
    assert demonstration.text == "Because\nit is."
    assert f'<a href="/p/tea/prompts/{demonstration.prompt.uid}/">see its prompt</a>' in saved.content.decode()
    manager.post(address, sent)
    assert Demonstration.objects.count() == 1
    assert "saved as demonstration" in text_of(manager.get(page(talk)))
    assert "Because it is." in text_of(manager.get(f"/p/tea/prompts/{demonstration.prompt.uid}/"))


def test_an_empty_demonstration_is_refused(manager: Client, talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    [reply, _] = answer(turn, "So.", "Because.")
    address = f"/p/tea/playground/answers/{reply.uid}/"
    response = manager.post(address, form_of(manager, address) | {"text": "  ", "use_case": "chat"})
    assert response.status_code == 422
    assert not Demonstration.objects.exists()


def test_a_conversation_is_deleted(manager: Client, talk: PlaygroundSession) -> None:
    say(talk, "Why?")
    assert manager.get(page(talk, "forget/")).status_code == 405
    manager.post(page(talk, "forget/"))
    assert manager.get(page(talk)).status_code == 404
    assert not PlaygroundSession.objects.exists()


def test_runs_of_conversations_are_not_in_the_list_of_runs_until_asked_for(
    manager: Client, talk: PlaygroundSession, make_run: Any
) -> None:
    trained = make_run()
    run = talk.run
    assert run is not None
    shown = text_of(manager.get("/p/tea/runs/"))
    assert trained.name in shown
    assert run.name not in shown
    assert "1 run of the playground is not in this list" in shown
    asked = text_of(manager.get("/p/tea/runs/?stage=talk"))
    assert run.name in asked
    assert trained.name not in asked
    assert page(talk) in manager.get(f"/p/tea/runs/{run.uid}/").content.decode()
    assert manager.get("/p/tea/runs/new/talk/")["Location"] == "/p/tea/playground/"


@pytest.mark.parametrize("tab", ["", "curves/", "log/", "files/", "config/", "report/"])
def test_a_talk_runs_own_pages_open(manager: Client, talk: PlaygroundSession, tab: str) -> None:
    run = talk.run
    assert run is not None
    assert manager.get(f"/p/tea/runs/{run.uid}/{tab}").status_code == 200


def test_a_page_asks_the_same_number_of_questions_for_more_turns(
    manager: Client, people: People, make_model: Any, django_assert_max_num_queries: Any
) -> None:
    talk = converse(people.project, people.manager, make_model)
    for number in range(3):
        answer(say(talk, f"{number}?"), "So.", "Because.")
    with django_assert_max_num_queries(14):  # session, person and place; the conversation 3; standing; the form 1
        manager.get(page(talk))
    for number in range(3, 8):
        answer(say(talk, f"{number}?"), "So.", "Because.")
    with django_assert_max_num_queries(14):
        manager.get(page(talk))


def test_the_menu_of_a_project_leads_there_for_managers_alone(client: Client, people: People) -> None:
    for person, is_there in ((people.manager, True), (people.reviewer, False)):
        client.force_login(person)
        assert ('href="/p/tea/playground/"' in client.get("/p/tea/").content.decode()) is is_there


def test_no_labeler_sees_where_a_task_came_from(client: Client, people: People, talk: PlaygroundSession) -> None:
    turn = say(talk, "Why?")
    replies = answer(turn, "So.", "Because.")
    client.force_login(people.manager)
    sent = {"num_wanted": 1, "use_case": "chat", "replies": [reply.uid for reply in replies]}
    client.post(page(talk, "1/ranking/"), sent)
    Model.objects.filter(name="a").update(name="a-telling-name")
    client.force_login(people.labeler)
    html = client.get(f"/p/tea/work/task/{Task.objects.get().uid}/", follow=True).content.decode()
    assert "Because." in html
    for telling in ("playground", "a-telling-name", *(str(reply.uid) for reply in replies)):
        assert telling not in html.lower()
