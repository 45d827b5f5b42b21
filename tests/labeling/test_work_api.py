"""The labeling API: who gets in, what comes out (and what never does), and what a wrong request hears."""

import json
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from rest_framework.renderers import JSONRenderer

from labeling.api import serializers
from labeling.models import Draft, Project, Prompt, PromptBrief, Ranking, Response, Skip, Slot, Task
from labeling.services import answers, assignments, sheets, tasks

VERBS = ["api_draft", "api_submit", "api_skip", "api_release", "api_renew"]


@pytest.fixture
def task(people, make_prompt):
    make_prompt(k=3)
    tasks.make_ranking_tasks(
        project=people.project, prompts=Prompt.objects.all(), num_responses=3, num_wanted=2, user=people.manager
    )
    return Task.objects.get()


@pytest.fixture
def ask(client, people, task):
    """`ask("api_submit", {...})` as the labeler → (status, answer)."""
    client.force_login(people.labeler)

    def send(name, body=None, method="post", uid=None):
        where = ["tea"] if name in ("api_next", "api_preview") else ["tea", uid or task.uid]
        content = {} if method == "get" else {"data": json.dumps(body or {}), "content_type": "application/json"}
        answer = getattr(client, method)(reverse(name, args=where), **content)
        return answer.status_code, answer.json()

    return send


RANKED = {"idempotency_key": "k", "ranks": {"A": 2, "B": 1, "C": 2}}


def test_next_hands_out_a_sheet_with_letters_only(ask, people, task):
    status, answer = ask("api_next")
    assert status == 200
    assert [card["letter"] for card in answer["sheet"]["cards"]] == ["A", "B", "C"]
    assert answer["url"] == f"/p/tea/work/task/{task.uid}/"
    assert answer["nothing"] is None
    assert Slot.objects.get(state="held").holder == people.labeler


def test_the_sheet_holds_nothing_that_tells_whose_text_it_is(ask):
    text = json.dumps(ask("api_next")[1])
    assert "other-lab" not in text
    for response in Response.objects.all():
        assert str(response.uid) not in text
    assert set(ask("api_next")[1]["sheet"]) == {
        "task", "kind", "rate_first", "use_case", "language", "prompt", "cards", "flags", "guideline_version",
        "draft", "draft_version", "num_today", "brief", "labels",
    }  # fmt: skip


def test_next_says_when_to_come_back(ask, people, task):
    for labeler in (people.labeler2, people.reviewer):
        assignments.claim_task(task=task, labeler=labeler)
    _, answer = ask("api_next")
    assert answer["sheet"] is None
    assert answer["nothing"]["num_held"] == 1
    assert answer["nothing"]["back_at"]


def test_a_submit_is_a_ranking_by_position(ask, people, task):
    status, answer = ask("api_submit", RANKED | {"active_seconds": 3.5, "client_time": "2026-01-02T03:04:05Z"})
    ranking = Ranking.objects.get()
    assert (status, answer) == (
        201,
        {"uid": str(ranking.uid), "revision": 1, "is_surplus": False, "next": None},
    )
    assert answers.from_ranking(ranking).ranks == [2, 1, 2]
    assert (ranking.active_seconds, ranking.client_time.year) == (3.5, 2026)


def test_the_same_submit_twice_is_one_row(ask):
    assert ask("api_submit", RANKED) == ask("api_submit", RANKED)
    assert Ranking.objects.count() == 1


def test_another_answer_to_the_same_task_is_a_conflict(ask):
    ask("api_submit", RANKED)
    status, answer = ask("api_submit", {"idempotency_key": "other", "ranks": {"A": 1, "B": 1, "C": 1}})
    assert status == 409
    assert "History" in answer["detail"]
    assert Ranking.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "status", "place"),
    [
        ({"ranks": {"A": 1}}, 422, "B"),
        ({"ranks": {"A": 1, "B": 1, "Z": 2}}, 422, "Z"),
        ({"ranks": {"A": 1, "B": 9, "C": 1}}, 422, "B"),
        ({"ratings": {"A": 8}}, 422, "A"),
        ({"flags": {"A": ["Boring"]}}, 422, "A"),
        ({"guideline_version": 9}, 422, "guideline_version"),
        ({"ranks": {"A": "one"}}, 400, "ranks"),
        ({"active_seconds": -1}, 400, "active_seconds"),
        ({"idempotency_key": ""}, 400, "idempotency_key"),
        ({"idempotency_key": "x" * 65}, 400, "idempotency_key"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(ask, change, status, place):
    got, answer = ask("api_submit", RANKED | change)
    assert got == status
    assert place in (answer.get("errors") or answer)
    assert not Ranking.objects.exists()


def test_nobody_can_choose_the_order_shown_the_slot_or_the_labeler(ask, people, task):
    ask("api_submit", RANKED | {"displayed": [0, 1, 2], "slot": 1, "labeler": people.manager.pk, "revision": 5})
    ranking = Ranking.objects.get()
    assert ranking.displayed == assignments.shown_order(task=task, labeler=people.labeler)
    assert (ranking.labeler, ranking.revision) == (people.labeler, 1)


def test_a_draft_comes_back_as_it_was_and_an_older_one_does_not_win(ask):
    payload = {"ranks": {"A": 1}}
    assert ask("api_draft", {"payload": payload, "version": 3}, "put")[1]["is_saved"]
    status, late = ask("api_draft", {"payload": {}, "version": 2}, "put")
    assert (status, late["is_saved"], late["version"]) == (200, False, 3)
    assert ask("api_draft", None, "get")[1]["payload"] == payload


def test_skip_release_and_renew(ask, people, task):
    ask("api_next")
    assert ask("api_renew")[1]["lease_until"]
    assert ask("api_release")[1] == {"is_released": True}
    assert ask("api_release")[1] == {"is_released": False}
    assert ask("api_skip", {"reason": "bored"})[0] == 400
    assert ask("api_skip", {"reason": "other"})[0] == 200
    assert Skip.objects.get().task == task
    assert ask("api_next")[1]["sheet"] is None


def test_a_change_from_the_history_is_a_revision(ask):
    _, first = ask("api_submit", RANKED)
    body = {"idempotency_key": "again", "ranks": {"A": 1, "B": 2, "C": 3}}
    status, answer = ask("api_revise", body, uid=first["uid"])
    assert (status, answer["revision"]) == (201, 2)
    assert Ranking.objects.count() == 2


def test_nobody_revises_anothers_ranking(ask, client, people):
    _, first = ask("api_submit", RANKED)
    client.force_login(people.labeler2)
    assert ask("api_revise", RANKED | {"idempotency_key": "x"}, uid=first["uid"])[0] == 404
    assert Ranking.objects.count() == 1


def test_a_written_answer_goes_the_same_way(ask, people, make_prompt):
    prompt = make_prompt("Say hello", k=0)
    tasks.make_demonstration_tasks(project=people.project, prompts=[prompt], user=people.manager)
    uid = Task.objects.get(kind="demonstrate").uid
    assert ask("api_submit", {"idempotency_key": "d", "text": "  "}, uid=uid)[0] == 422
    assert ask("api_submit", {"idempotency_key": "d", "text": "Hello."}, uid=uid)[0] == 201
    assert prompt.demonstrations.get().text == "Hello."


def test_the_preview_is_clean(ask):
    assert "<script" not in ask("api_preview", {"text": "<script>alert(1)</script> **x**"})[1]["html"]


@pytest.mark.parametrize("name", VERBS)
def test_a_stranger_finds_no_task(client, people, task, name):
    client.force_login(people.stranger)
    answer = client.post(reverse(name, args=["tea", task.uid]), "{}", "application/json")
    assert answer.status_code == 404
    assert not Draft.objects.exists()
    assert not Slot.objects.filter(state="held").exists()


def test_nobody_gets_in_without_logging_in(client, task):
    assert client.post(reverse("api_next", args=["tea"]), "{}", "application/json").status_code == 403


def test_a_request_from_another_site_is_refused(people, task):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(people.labeler)
    assert strict.post(reverse("api_next", args=["tea"]), "{}", "application/json").status_code == 403
    assert not Slot.objects.filter(state="held").exists()


def test_a_task_of_another_project_is_not_found_under_this_one(client, people, task):
    client.force_login(people.stranger)
    answer = client.post(reverse("api_submit", args=["coffee", task.uid]), json.dumps(RANKED), "application/json")
    assert answer.status_code == 404
    assert not Ranking.objects.exists()


def hold_by_others(people, make_prompt, num):
    """So many tasks that come first, each held by somebody else."""
    made = [make_prompt(f"held {number}", k=2) for number in range(num)]
    counts = tasks.make_ranking_tasks(
        project=people.project, prompts=made, num_responses=2, num_wanted=1, user=people.manager, priority=5
    )
    lease = {"lease_until": Now() + timedelta(hours=1), "claimed_at": Now()}
    Slot.objects.filter(task__in=counts.task_ids).update(state="held", holder=people.labeler2, **lease)


@pytest.mark.parametrize("num_held", [10, 1_000])
def test_next_and_submit_cost_a_fixed_number_of_queries(ask, make_prompt, people, django_assert_num_queries, num_held):
    """The same whatever others hold. The session comes from the cache."""
    hold_by_others(people, make_prompt, num_held)
    # user, project with role; savepoint ×2, lock with standing, held already, the claim with its task and prompt; all
    # else that the sheet shows; and, as nobody has seen these responses before, what they were rendered to
    with django_assert_num_queries(9):
        ask("api_next")
    # user, project with role, task; then as in test_rankings: savepoint ×2, lock, what came before, guideline, the
    # slot with what was unsent, insert
    with django_assert_num_queries(10):
        ask("api_submit", RANKED)


@pytest.mark.parametrize("kind", ["rank", "demonstrate", "annotate", "write_prompt"])
def test_a_sheet_written_by_hand_is_what_its_serializer_says(people, make_prompt, kind):
    Project.objects.update(flags=["Opinion"], prompt_labels=["Ambiguous"])
    project = Project.objects.get(slug="tea")
    prompt = make_prompt("Rate *this*.", k=3, language="en", use_case="chat")
    about = {} if kind == "write_prompt" else {"prompt": prompt}
    if kind == "write_prompt":
        style = {"style": "few_shot", "use_case": "rewrite", "language": "de", "text": "Two pairs."}
        about["brief"] = PromptBrief.objects.create(project=project, created_by=people.manager, **style)
    if kind == "rank":
        counts = tasks.make_ranking_tasks(
            project=project, prompts=[prompt], num_responses=3, num_wanted=1, user=people.manager
        )
        made = Task.objects.get(pk__in=counts.task_ids)
    else:
        made = Task.objects.create(project=project, kind=kind, **about)
    Draft.objects.create(task=made, labeler=people.labeler, payload={"note": "so far"}, version=3)
    sheet = sheets.lay_out(task=made, labeler=people.labeler)
    by_hand = json.loads(JSONRenderer().render(serializers.write_sheet(sheet)))
    assert by_hand == json.loads(JSONRenderer().render(serializers.SheetSerializer(sheet).data))


def test_every_answer_is_what_the_schema_says(ask, make_prompt, people, task):
    more_work(people, make_prompt, 5)
    asked = {"kinds": ["rank"], "ahead": True}
    answers = [ask("api_next")[1], ask("api_next", asked)[1], ask("api_next", {"kinds": ["demonstrate"]})[1]]
    for answer in answers:
        assert set(answer) == set(serializers.NextResponseSerializer().fields)
    submitted = ask("api_submit", {**RANKED, "next": asked})[1]
    assert set(submitted) == set(serializers.SubmittedSerializer().fields)
    assert set(submitted["next"]["held"][0]) == set(serializers.HeldSerializer().fields)


def test_a_guideline_of_any_number_that_does_not_exist_is_an_error_at_its_place(ask, task):
    for version in (99, 2**31, 2**63, -1):
        status, answer = ask("api_submit", {**RANKED, "guideline_version": version})
        assert (status, list(answer["errors"])) == (422, ["guideline_version"]), version


def test_an_answer_can_ask_for_the_next_task_at_once(ask, make_prompt, people, task):
    ask("api_next")
    other = more_work(people, make_prompt, 1)[0]
    status, answer = ask("api_submit", {**RANKED, "next": {"kinds": ["rank"]}})
    assert status == 201
    assert Ranking.objects.filter(task=task, slot__state="done").count() == 1
    assert answer["next"]["sheet"]["task"] == str(other.uid)
    assert Slot.objects.get(task=other).holder == people.labeler
    assert ask("api_submit", {**RANKED, "idempotency_key": "j"}, uid=other.uid)[1]["next"] is None


def test_the_same_answer_sent_twice_with_next_hands_out_one_task(ask, make_prompt, people, task):
    ask("api_next")
    more_work(people, make_prompt, 3)
    answers = [ask("api_submit", {**RANKED, "next": {"kinds": ["rank"]}})[1] for _ in range(2)]
    assert answers[0]["uid"] == answers[1]["uid"]
    assert answers[0]["next"]["task"] == answers[1]["next"]["task"]
    assert Slot.objects.filter(state="held").count() == 1


def test_a_refused_answer_hands_out_nothing(ask, make_prompt, people, task):
    ask("api_next")
    more_work(people, make_prompt, 1)
    status, _ = ask("api_submit", {**RANKED, "ranks": {"A": 1}, "next": {"kinds": ["rank"]}})
    assert status == 422
    assert Slot.objects.filter(state="held").count() == 1


def test_ahead_tops_up_what_is_held_and_lists_all_of_it(ask, make_prompt, people, task):
    more_work(people, make_prompt, 60)
    asked = {"kinds": ["rank"], "with_sheet": False, "ahead": True}
    held = ask("api_next", asked)[1]["held"]
    assert len({one["task"] for one in held}) == 1 + people.project.tasks_ahead
    assert held[0] == {
        "task": str(task.uid),
        "url": f"/p/tea/work/task/{task.uid}/",
        "lease_until": held[0]["lease_until"],
    }
    assert [one["task"] for one in ask("api_next", asked)[1]["held"]] == [one["task"] for one in held]
    answer = ask("api_submit", {**RANKED, "next": asked})[1]
    assert [one["task"] for one in answer["next"]["held"]][:4] == [one["task"] for one in held[1:]]
    assert len(answer["next"]["held"]) == 1 + people.project.tasks_ahead
    assert Slot.objects.filter(state="held").count() == 1 + people.project.tasks_ahead


def test_ahead_leaves_the_end_of_the_queue_to_others(ask, make_prompt, people, task):
    more_work(people, make_prompt, 10)
    held = ask("api_next", {"kinds": ["rank"], "ahead": True})[1]["held"]
    assert len(held) == 2


def test_what_is_on_its_way_is_not_listed_but_counts_until_it_is_in(ask, make_prompt, people, task):
    more_work(people, make_prompt, 60)
    held = ask("api_next", {"kinds": ["rank"], "ahead": True})[1]["held"]
    again = ask("api_next", {"kinds": ["rank"], "ahead": True, "besides": [held[0]["task"]]})[1]["held"]
    assert [one["task"] for one in again] == [one["task"] for one in held[1:]]
    assert Slot.objects.filter(state="held").count() == 1 + people.project.tasks_ahead


def test_who_must_read_the_guidelines_holds_nothing_ahead(ask, people, task):
    Project.objects.update(must_read_guidelines=True)
    assert ask("api_next", {"kinds": ["rank"], "ahead": True})[1]["held"] == []
    assert not Slot.objects.filter(state="held").exists()


def more_work(people, make_prompt, num):
    made = [make_prompt(f"more {n}", k=3) for n in range(num)]
    counts = tasks.make_ranking_tasks(
        project=people.project, prompts=made, num_responses=3, num_wanted=1, user=people.manager
    )
    return list(Task.objects.filter(pk__in=counts.task_ids).order_by("pk"))


def test_the_schema_names_every_verb(client, people):
    client.force_login(people.labeler)
    schema = client.get(reverse("api_schema"), {"format": "json"}).json()
    ends = {path.rsplit("/", 2)[-2] for path in schema["paths"]}
    assert ends == {"next", "preview", "draft", "submit", "skip", "release", "renew", "revise", "hints"}
    assert {"RankingAnswer", "DemonstrationAnswer"} <= set(schema["components"]["schemas"])


def test_data_carries_a_policy_under_which_nothing_of_it_could_run(client, people, task):
    client.force_login(people.labeler)
    answer = client.post(reverse("api_next", args=["tea"]), "{}", "application/json")
    assert answer["Content-Type"] == "application/json"
    assert answer["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_whatever_a_client_says_it_reads_the_answer_is_json(client, people, task):
    client.force_login(people.labeler)
    address = reverse("api_next", args=["tea"])
    answer = client.post(address, "{}", "application/json", headers={"Accept": "text/html"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
