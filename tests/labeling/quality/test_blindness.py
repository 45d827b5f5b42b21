"""Work, known answers, repeats and qualification differ in nothing but content: page, JSON and addresses."""

import json
import re

import pytest
from django.urls import reverse

from labeling.models import Draft, QualificationSet, Slot, Task, TaskResponse
from labeling.services import assignments
from labeling.services import people as service
from labeling.services.quality import places, references
from tests.labeling.quality.conftest import rank

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
PASSING = re.compile(
    r"""name="csrfmiddlewaretoken" value="[^"]*"|"X-CSRFToken": "[^"]*"|(datetime|title|nonce)="[^"]*"|Answer \d"""
    r"""|\d+ (s|min) ago|in \d+ min|data-made-at="\d+\""""
)
WORDS = ("gold", "known answer", "repeat", "qualif", "reference", "purpose", "stream", "hidden_")


@pytest.fixture
def held(people, ask):
    """The four tasks of the same prompt and responses, each held by Lena."""
    (work,) = ask(k=4, wanted=2)
    gold = references.copy(task=work, purpose=Task.Purpose.GOLD, rate_first=False)
    references.give(task=gold, ranks=[1, 2, 3, 4], flags={}, note="", user=people.manager)
    repeat = references.copy(task=work, purpose=Task.Purpose.REPEAT, rate_first=False, repeats=work)
    found = QualificationSet.objects.create(project=people.project, kind="rank", name="First")
    qualification = references.copy(
        task=work, purpose=Task.Purpose.QUALIFICATION, rate_first=False, qualification_set=found
    )
    assignments.claim_task(task=work, labeler=people.labeler)
    for task in (gold, repeat, qualification):
        places.hand(task=task, labeler=people.labeler)
    return {"work": work, "gold": gold, "repeat": repeat, "qualification": qualification}


def plain(text: str) -> str:
    """Without what differs between any two pages: ids, tokens, times, and which response stands where."""
    return PASSING.sub("_", UUID.sub("_", text))


def test_the_pages_are_the_same(client, people, held):
    client.force_login(people.labeler)
    pages = {name: client.get(reverse("work_task", args=["tea", task.uid])) for name, task in held.items()}
    assert {answer.status_code for answer in pages.values()} == {200}
    texts = {name: plain(answer.content.decode()).splitlines() for name, answer in pages.items()}
    for name, lines in texts.items():
        assert [pair for pair in zip(texts["work"], lines, strict=True) if pair[0] != pair[1]] == [], name


def test_so_is_what_the_api_gives(client, people, held):
    client.force_login(people.labeler)
    seen = {}
    for name, task in held.items():
        others = [str(other.uid) for other in held.values() if other != task]
        body = json.dumps({"kinds": ["rank"], "besides": others})
        answer = client.post(reverse("api_next", args=["tea"]), body, content_type="application/json").json()
        assert answer["sheet"]["task"] == str(task.uid)
        answer["lease_until"] = answer["sheet"]["draft_saved_at"] = ""
        seen[name] = plain(json.dumps(answer))
    assert len(set(seen.values())) == 1


def test_no_word_tells(client, people, held):
    client.force_login(people.labeler)
    for task in held.values():
        html = client.get(reverse("work_task", args=["tea", task.uid])).content.decode().lower()
        assert [word for word in WORDS if word in html] == []


def test_answers_to_the_same_calls_are_the_same(client, people, held):
    """Draft, renew, submit, and asking again after it is done."""
    client.force_login(people.labeler)
    told = set()
    for task in held.values():
        at = {name: reverse(f"api_{name}", args=["tea", task.uid]) for name in ("draft", "renew", "submit", "release")}
        draft = json.dumps({"payload": {"note": "x"}, "version": 1})
        ranks = {"ranks": {"A": 1, "B": 2, "C": 3, "D": 4}, "idempotency_key": f"key of {task.pk}"}
        answers = [
            client.put(at["draft"], draft, content_type="application/json"),
            client.post(at["renew"], {}, content_type="application/json"),
            client.post(at["submit"], json.dumps(ranks), content_type="application/json"),
            client.post(at["renew"], {}, content_type="application/json"),
            client.post(at["release"], {}, content_type="application/json"),
            client.get(reverse("work_task", args=["tea", task.uid])),
        ]
        codes = tuple(answer.status_code for answer in answers)
        shapes = tuple(json.dumps(sorted(answer.json())) for answer in answers[:5])
        told.add((codes, shapes, answers[2].json()["is_surplus"], plain(answers[5].content.decode())))
    assert len(told) == 1


def test_a_lapsed_hold_comes_back_alike(people, held):
    """To whoever has a draft; the next in line would have taken the work otherwise."""
    found = set()
    for task in held.values():
        Draft.objects.create(task=task, labeler=people.labeler, payload={})
        assignments.release(task=task, labeler=people.labeler)
        found.add(assignments.renew(task=task, labeler=people.labeler) is not None)
    assert found == {True}
    assert Slot.objects.filter(state="held").count() == 4


def test_history_lists_them_alike(client, people, held):
    client.force_login(people.labeler)
    for task in held.values():
        rank(task, people.labeler, [1, 2, 3, 4])
    html = client.get(reverse("history", args=["tea"])).content.decode()
    rows = [plain(row) for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL)[1:]]
    assert len(rows) == 4
    assert len(set(rows)) == 1


def test_ones_own_counts_hold_the_hidden_ones_too(client, people, held):
    """A count without them would tell how many they were. The manager's count is of work."""
    client.force_login(people.labeler)
    for task in held.values():
        rank(task, people.labeler, [1, 2, 3, 4])
    assert "You have done 4 today" in client.get(reverse("work", args=["tea"])).content.decode()
    ((_, own),) = service.own_figures(user=people.labeler, projects=type(people.project).objects.filter(slug="tea"))
    assert own["num_rankings"] == 4
    assert service.figures(user=people.labeler, project=people.project)["num_rankings"] == 1
    member = service.members(project=people.project).get(user=people.labeler)
    assert member.num_rankings == 1


def test_copies_have_positions_of_their_own(people, ask):
    """Or the shown order could be undone across tasks."""
    (work,) = ask(k=9)
    orders = {
        tuple(
            TaskResponse.objects.filter(
                task=references.copy(task=work, purpose=Task.Purpose.REPEAT, rate_first=False, repeats=work)
            )
            .order_by("position")
            .values_list("response", flat=True)
        )
        for _ in range(3)
    }
    assert len(orders) == 3
