"""The labeler's pages as plain HTML forms."""

import pytest
from django.urls import reverse

from labeling.models import Demonstration, Draft, Prompt, Ranking, Response, Skip, Slot, Task
from labeling.services import answers, assignments, rankings, tasks
from labeling.services.answers import Answer


@pytest.fixture
def task(people, make_prompt):
    make_prompt(k=3, language="en", use_case="chat")
    tasks.make_ranking_tasks(
        project=people.project, prompts=Prompt.objects.all(), num_responses=3, num_wanted=1, user=people.manager
    )
    return Task.objects.get()


@pytest.fixture
def page(client, people, task):
    client.force_login(people.labeler)
    return reverse("work_task", args=["tea", task.uid])


FORM = {"rank_A": "2", "rank_B": "1", "rank_C": "2", "idempotency_key": "k", "guideline_version": "1"}


def test_the_start_page_says_what_is_open(client, people, task):
    client.force_login(people.labeler)
    html = client.get(reverse("work", args=["tea"])).content.decode()
    assert "1 open for you" in html
    assert "0 open for you" in html
    assert "Nothing done yet today" in html


def test_start_hands_out_the_next_task(client, people, task, page):
    answer = client.post(reverse("work_next", args=["tea"]), {"kind": "rank"})
    assert answer.url == page
    assert Slot.objects.get().holder == people.labeler


def test_the_page_shows_the_prompt_and_letters_and_no_origin(client, page):
    html = client.get(page).content.decode()
    assert "Why is the sky blue?" in html
    for index in range(3):
        assert f"Answer {index} to Why is the sky blue?" in html
    assert "other-lab" not in html
    for response in Response.objects.all():
        assert str(response.uid) not in html
    assert [html.index(f'id="card-{letter}"') for letter in "ABC"] == sorted(
        html.index(f'id="card-{letter}"') for letter in "ABC"
    )


def test_a_submit_stores_the_ranking_and_goes_on(client, people, task, page):
    answer = client.post(page, FORM)
    assert answer.status_code == 200  # nothing more to do
    assert "All done here" in answer.content.decode()
    ranking = Ranking.objects.get()
    assert answers.from_ranking(ranking).ranks == [2, 1, 2]
    assert ranking.guideline.version == 1


def test_what_is_missing_is_said_and_what_was_filled_stays(client, page):
    answer = client.post(page, FORM | {"rank_C": "", "note": "Keep me"})
    html = answer.content.decode()
    assert answer.status_code == 422
    assert "C has no rank yet." in html
    assert "Keep me" in html
    assert html.count('<option value="2" selected>') == 1
    assert not Ranking.objects.exists()


def test_a_form_sent_twice_is_one_ranking(client, page):
    client.post(page, FORM)
    client.post(page, FORM)
    assert Ranking.objects.count() == 1


def test_a_draft_is_kept_and_shown_again(client, people, page):
    assert client.post(page, {"rank_B": "3", "action": "draft", "draft_version": "0"}).status_code == 302
    assert Draft.objects.get().payload["ranks"] == {"B": 3}
    assert '<option value="3" selected>' in client.get(page).content.decode()


@pytest.mark.parametrize("payload", [{"ranks": "x"}, {"ranks": {"A": "<b>"}}, {"flags": {"A": None}}, {"notes": [1]}])
def test_a_draft_that_makes_no_sense_does_not_break_the_page(client, people, task, page, payload):
    Draft.objects.create(task=task, labeler=people.labeler, payload=payload)
    assert client.get(page).status_code == 200


def test_skip_and_give_back(client, people, task, page):
    client.get(page)
    client.post(page, {"action": "release"})
    assert Slot.objects.get().state == "open"
    client.post(page, {"action": "skip", "skip_reason": "distressing", "skip_note": "no"})
    assert (Skip.objects.get().reason, Skip.objects.get().note) == ("distressing", "no")
    assert "You skipped this one" in client.get(page).content.decode()


def test_a_link_to_a_task_that_somebody_holds_shows_nothing_of_it(client, people, task, page):
    assignments.claim_task(task=task, labeler=people.labeler2)
    answer = client.get(page)
    assert answer.status_code == 409
    assert "Somebody else has this one" in answer.content.decode()
    assert "Why is the sky blue?" not in answer.content.decode()
    assert Slot.objects.get().holder == people.labeler2


def test_merely_held_is_said_with_a_time(client, people, task):
    assignments.claim_task(task=task, labeler=people.labeler2)
    client.force_login(people.labeler)
    html = client.post(reverse("work_next", args=["tea"]), {"kind": "rank"}).content.decode()
    assert "1 task that you could do is with other people" in html
    assert "comes back" in html
    assert "All done" not in html


def test_who_lost_the_hold_but_has_a_draft_still_sees_it(client, people, task, page):
    Draft.objects.create(task=task, labeler=people.labeler, payload={"ranks": {"A": 1}})
    assignments.claim_task(task=task, labeler=people.labeler2)
    html = client.get(page).content.decode()
    assert "it is kept as an extra" in html
    assert "Why is the sky blue?" in html


def test_a_draft_left_behind_does_not_reopen_what_was_sent(client, people, task, page):
    client.post(page, FORM)
    Draft.objects.create(task=task, labeler=people.labeler, payload={"ranks": {"A": 1}})
    html = client.get(page).content.decode()
    assert "You have answered this one" in html
    assert "it is kept as an extra" not in html


def test_a_stranger_finds_nothing(client, people, task, page):
    client.force_login(people.stranger)
    for path in (page, reverse("work", args=["tea"]), reverse("history", args=["tea"])):
        assert client.get(path).status_code == 404
    assert client.post(page, FORM).status_code == 404
    assert not Ranking.objects.exists()


def test_the_history_shows_ones_own_only(client, people, task):
    mine = rankings.submit(task=task, labeler=people.labeler, idempotency_key="k", answer=Answer(ranks=[1, 2, 3]))
    client.force_login(people.labeler)
    assert "Why is the sky blue?" in client.get(reverse("history", args=["tea"])).content.decode()
    one = reverse("history_ranking", args=["tea", mine.uid])
    assert client.get(one).status_code == 200
    client.force_login(people.labeler2)
    assert "Why is the sky blue?" not in client.get(reverse("history", args=["tea"])).content.decode()
    assert client.get(one).status_code == 404
    assert client.post(one, FORM).status_code == 404
    assert Ranking.objects.count() == 1


def test_a_change_is_kept_beside_what_was_said_before(client, people, task):
    mine = rankings.submit(task=task, labeler=people.labeler, idempotency_key="k", answer=Answer(ranks=[1, 2, 3]))
    client.force_login(people.labeler)
    client.post(reverse("history_ranking", args=["tea", mine.uid]), FORM | {"idempotency_key": "again"})
    old, new = Ranking.objects.order_by("revision")
    assert (answers.from_ranking(old).ranks, answers.from_ranking(new).ranks) == ([1, 2, 3], [2, 1, 2])


def test_an_old_ranking_can_only_be_looked_at(client, people, task, monkeypatch):
    mine = rankings.submit(task=task, labeler=people.labeler, idempotency_key="k", answer=Answer(ranks=[1, 2, 3]))
    monkeypatch.setattr(rankings, "NUM_EDITABLE", 0)
    client.force_login(people.labeler)
    path = reverse("history_ranking", args=["tea", mine.uid])
    assert "can only be looked at" in client.get(path).content.decode()
    assert client.post(path, FORM | {"idempotency_key": "again"}).status_code == 422
    assert Ranking.objects.count() == 1


def test_writing_previewing_and_changing_an_answer(client, people, make_prompt):
    prompt = make_prompt("Say hello", k=0)
    tasks.make_demonstration_tasks(project=people.project, prompts=[prompt], user=people.manager)
    client.force_login(people.labeler)
    page = client.post(reverse("work_next", args=["tea"]), {"kind": "write"}).url
    assert "<strong>x</strong>" in client.post(page, {"action": "preview", "text": "**x**"}).content.decode()
    assert client.post(page, {"text": " ", "idempotency_key": "k"}).status_code == 422
    client.post(page, {"text": "Hello.", "idempotency_key": "k"})
    written = Demonstration.objects.get()
    assert (written.text, written.slot.state) == ("Hello.", "done")
    change = reverse("history_demonstration", args=["tea", written.uid])
    client.post(change, {"text": "Hello there.", "idempotency_key": "again"})
    assert list(Demonstration.objects.order_by("revision").values_list("text", flat=True)) == ["Hello.", "Hello there."]


def test_changing_an_answer_shows_and_keeps_its_note_and_looking_changes_nothing(client, people, make_prompt):
    prompt = make_prompt("Say hello", k=0)
    tasks.make_demonstration_tasks(project=people.project, prompts=[prompt], user=people.manager)
    client.force_login(people.labeler)
    page = client.post(reverse("work_next", args=["tea"]), {"kind": "write"}).url
    client.post(page, {"text": "Hello.", "note": "Too easy", "idempotency_key": "k"})
    change = reverse("history_demonstration", args=["tea", Demonstration.objects.get().uid])
    assert "Too easy" in client.get(change).content.decode()
    seen = client.post(change, {"action": "preview", "text": "**Hi**", "note": "Easy", "idempotency_key": "again"})
    assert "<strong>Hi</strong>" in seen.content.decode()
    client.post(change, {"action": "look", "text": "Hi.", "note": "Easy", "idempotency_key": "again"})
    assert Demonstration.objects.count() == 1
    client.post(change, {"text": "Hi.", "note": "Easy", "idempotency_key": "again"})
    assert Demonstration.objects.get(revision=2).note == "Easy"


def test_a_conversation_is_shown_turn_by_turn(client, people, make_prompt):
    prompt = make_prompt("several turns", k=2)
    turns = [("system", "Be brief"), ("user", "First **q**"), ("assistant", "First a"), ("user", "Second q")]
    prompt.messages = [{"role": role, "content": text} for role, text in turns]
    prompt.save()
    tasks.make_ranking_tasks(
        project=people.project, prompts=[prompt], num_responses=2, num_wanted=1, user=people.manager
    )
    client.force_login(people.labeler)
    html = client.get(reverse("work_task", args=["tea", Task.objects.get().uid])).content.decode()
    assert [html.index(text) for text in ("Be brief", "First <strong>q</strong>", "First a", "Second q")] == sorted(
        html.index(text) for text in ("Be brief", "First <strong>q</strong>", "First a", "Second q")
    )
    assert html.count('class="bubble bubble--user"') == 2


def test_the_start_page_shows_what_one_left_off_at_and_counts_what_was_only_fetched_ahead(
    client, people, make_prompt, monkeypatch
):
    monkeypatch.setattr(assignments, "ENOUGH_OPEN", 1)
    prompts = [make_prompt(f"prompt {number}", k=2) for number in range(5)]
    tasks.make_ranking_tasks(
        project=people.project, prompts=prompts, num_responses=2, num_wanted=1, user=people.manager
    )
    held = []
    for _ in range(4):
        held.append(assignments.claim(project=people.project, labeler=people.labeler, besides=held).task)
    Draft.objects.create(task=held[2], labeler=people.labeler, payload={})
    client.force_login(people.labeler)
    page = client.get("/p/tea/work/").content.decode()
    assert [f"/p/tea/work/task/{task.uid}/" in page for task in held] == [True, False, True, False]
    assert "2 more are held ahead for you" in page
    client.post(f"/p/tea/work/task/{held[0].uid}/", {"action": "release"})
    assert not Slot.objects.filter(state="held").exists()
    assert Draft.objects.exists()


def test_what_one_left_off_at_has_the_name_that_labelers_know(client, people, make_prompt):
    prompt = make_prompt("Write to me", k=0)
    tasks.make_demonstration_tasks(project=people.project, prompts=[prompt], user=people.manager)
    assignments.claim(project=people.project, labeler=people.labeler, kinds=("demonstrate",))
    client.force_login(people.labeler)
    page = client.get("/p/tea/work/").content.decode()
    assert "Write an answer · yours for now" in page
    assert "demonstration" not in page.lower()
