"""The pages of prompts, tasks and rankings: what they show, to whom, at which cost."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Prompt, Ranking, RankingVoid, Response, Slot, Task
from labeling.services import tasks

from ..conftest import People


@pytest.fixture
def manager(client: Client, people: People) -> Client:
    client.force_login(people.manager)
    return client


def address(name: str, people: People, *args: Any) -> str:
    return reverse(name, args=[people.project.slug, *args])


LISTS = ["prompts", "imports", "tasks", "rankings", "prompt_add"]


@pytest.mark.parametrize("name", LISTS)
def test_managers_see_lists_and_others_do_not(client: Client, people: People, name: str) -> None:
    url = address(name, people)
    assert client.get(url).status_code == 302, "anonymous: to the log-in"
    for who, status in [
        (people.labeler, 403),
        (people.reviewer, 403),
        (people.stranger, 404),
        (people.manager, 200),
    ]:
        client.force_login(who)
        assert client.get(url).status_code == status, who


def test_an_empty_project_says_what_to_do(manager: Client, people: People) -> None:
    assert "No prompts yet" in manager.get(address("prompts", people)).content.decode()
    assert "No tasks yet" in manager.get(address("tasks", people)).content.decode()
    page = manager.get(address("rankings", people)).content.decode()
    assert "Nobody has ranked anything yet" in page
    assert "no task was ranked by two people" in page
    assert "Nothing was imported yet" in manager.get(address("imports", people)).content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"first one", "second two"}),
        ("q=SECOND", {"second two"}),
        ("q=100%25", set()),
        ("use_case=chat", {"second two"}),
        ("language=de", {"first one"}),
        ("language=-", {"second two"}),
        ("split=test", {"second two"}),
        ("dataset=blue", {"first one"}),
        ("responses=with", {"first one"}),
        ("responses=without", {"second two"}),
        ("state=retired", {"third three"}),
        ("state=all", {"first one", "second two", "third three"}),
        ("source=labeler", set()),
        ("use_case=nonsense", set()),
        ("user__password__startswith=a", {"first one", "second two"}),
    ],
)
def test_prompts_are_filtered(manager: Client, people: People, make_prompt: Any, query: str, found: set[str]) -> None:
    make_prompt("first one", k=2, language="de", dataset="blue", use_case="open_qa")
    make_prompt("second two", k=0, split="test", use_case="chat")
    make_prompt("third three", k=0, is_retired=True)
    page = manager.get(f"{address('prompts', people)}?{query}")
    assert {prompt.text for prompt in page.context["page"].rows} == found


def test_a_list_of_prompts_costs_the_same_for_one_and_for_fifty(
    manager: Client, people: People, make_prompt: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(50):
        make_prompt(f"prompt number {number}", k=2)
    with django_assert_max_num_queries(16):  # session and person, project and role, filters, page, count, two counts
        assert manager.get(address("prompts", people)).status_code == 200


def test_long_lists_are_paged_by_the_last_row_seen(manager: Client, people: People, make_prompt: Any) -> None:
    for number in range(120):
        make_prompt(f"prompt number {number}", k=0)
    url = address("prompts", people)
    first = manager.get(url).context["page"]
    second = manager.get(f"{url}?after={first.older}").context["page"]
    third = manager.get(f"{url}?after={second.older}").context["page"]
    back = manager.get(f"{url}?before={third.newer}").context["page"]
    seen = [prompt.text for page in (first, second, third) for prompt in page.rows]
    assert seen == [f"prompt number {number}" for number in reversed(range(120))]
    assert [prompt.pk for prompt in back.rows] == [prompt.pk for prompt in second.rows]
    assert (back.newer, back.older) == (second.rows[0].uid, second.rows[-1].uid)
    assert third.older is None
    assert first.newer is None
    assert manager.get(f"{url}?after=nonsense").context["page"].rows == first.rows


def test_a_prompt_page_shows_its_conversation_and_models(manager: Client, people: People, make_prompt: Any) -> None:
    prompt = make_prompt("Why <b>is</b> the sky blue?", k=2)
    page = manager.get(address("prompt", people, prompt.uid)).content.decode()
    assert "Why &lt;b&gt;is&lt;/b&gt; the sky blue?" in page
    assert "other-lab" in page
    assert "Answer 1 to" in page


def test_a_prompt_of_another_project_is_not_found(manager: Client, people: People, make_prompt: Any) -> None:
    prompt = make_prompt("ours")
    manager.force_login(people.stranger)
    assert manager.get(reverse("prompt", args=["coffee", prompt.uid])).status_code == 404


def test_use_case_and_language_of_a_prompt_are_changed(manager: Client, people: People, make_prompt: Any) -> None:
    prompt = make_prompt("one")
    url = address("prompt", people, prompt.uid)
    manager.post(url, {"use_case": "chat", "language": "de", "split": "train"})
    prompt.refresh_from_db()
    assert (prompt.use_case, prompt.language, prompt.text) == ("chat", "de", "one")
    assert manager.post(url, {"use_case": "chat", "language": "no code", "split": "train"}).status_code == 200
    prompt.refresh_from_db()
    assert prompt.language == "de"


def test_a_prompt_is_added_by_hand_once(manager: Client, people: People) -> None:
    url = address("prompt_add", people)
    form = {"text": "こんにちは、元気？\r\nはい", "use_case": "chat"}
    assert manager.post(url, form).status_code == 302
    prompt = Prompt.objects.get(project=people.project)
    assert prompt.messages == [{"role": "user", "content": "こんにちは、元気？\nはい"}]
    assert (prompt.language, prompt.author, prompt.source) == ("ja", people.manager, "labeler")
    again = manager.post(url, form)
    assert "exactly this prompt already" in again.content.decode()
    assert Prompt.objects.filter(project=people.project).count() == 1
    assert manager.post(url, {"text": " \r\n ", "use_case": "chat"}).status_code == 200
    assert manager.post(url, {"text": "nul \0", "use_case": "chat"}).status_code == 200
    assert Prompt.objects.filter(project=people.project).count() == 1


def test_many_prompts_are_changed_at_once(manager: Client, people: People, make_prompt: Any) -> None:
    ticked, other = make_prompt("one"), make_prompt("two")
    form = {"action": "change", "scope": "selected", "prompt": [ticked.uid], "done": "1", "split": "test"}
    manager.post(address("prompts_select", people), form)
    ticked.refresh_from_db()
    other.refresh_from_db()
    assert (ticked.split, other.split) == ("test", "train")


def test_changing_all_that_the_filters_find_leaves_the_rest(manager: Client, people: People, make_prompt: Any) -> None:
    make_prompt("one", use_case="chat")
    make_prompt("two", use_case="chat")
    other = make_prompt("three", use_case="rewrite")
    form = {"action": "change", "scope": "filtered", "filters": "use_case=chat", "done": "1", "state": "retire"}
    manager.post(address("prompts_select", people), form)
    assert list(Prompt.objects.filter(is_retired=False)) == [other]


def test_a_broken_filter_never_means_every_prompt(manager: Client, people: People, make_prompt: Any) -> None:
    make_prompt("one")
    form = {"action": "change", "scope": "filtered", "filters": "use_case=nonsense", "done": "1", "state": "retire"}
    manager.post(address("prompts_select", people), form)
    assert not Prompt.objects.filter(is_retired=True).exists()


def test_prompts_of_another_project_cannot_be_ticked(manager: Client, people: People, make_prompt: Any) -> None:
    prompt = make_prompt("ours")
    manager.force_login(people.stranger)
    form = {"action": "change", "scope": "selected", "prompt": [prompt.uid], "done": "1", "split": "test"}
    manager.post(reverse("prompts_select", args=["coffee"]), form)
    prompt.refresh_from_db()
    assert prompt.split == "train"


def test_ranking_tasks_are_made_of_ticked_prompts(manager: Client, people: People, make_prompt: Any) -> None:
    enough, too_few = make_prompt("one", k=4), make_prompt("two", k=1)
    url = address("prompts_select", people)
    chosen = {"action": "rank", "scope": "selected", "prompt": [enough.uid, too_few.uid]}
    assert "Make the tasks" in manager.post(url, chosen).content.decode()
    assert not Task.objects.exists()
    done = chosen | {"done": "1", "num_responses": 3, "num_wanted": 2, "priority": 0, "model": ""}
    page = manager.post(url, done, follow=True).content.decode()
    task = Task.objects.get()
    assert (task.prompt, task.num_responses, task.slots.count()) == (enough, 3, 2)
    assert "1 task made. 1 not: fewer responses than needed." in page


def test_demonstrations_are_asked_for(manager: Client, people: People, make_prompt: Any) -> None:
    prompt = make_prompt("one", k=0)
    form = {"action": "demonstrate", "scope": "selected", "prompt": [prompt.uid], "done": "1"}
    manager.post(address("prompts_select", people), form | {"num_wanted": 1, "priority": 5})
    assert Task.objects.get().kind == Task.Kind.DEMONSTRATE
    assert Slot.objects.get().priority == 5


def test_choosing_nothing_does_nothing(manager: Client, people: People, make_prompt: Any) -> None:
    make_prompt("one")
    page = manager.post(address("prompts_select", people), {"action": "rank", "scope": "selected"}, follow=True)
    assert "No prompt was chosen" in page.content.decode()


def test_a_response_that_names_its_model_is_cleared_by_a_manager(
    manager: Client, people: People, make_prompt: Any
) -> None:
    prompt = make_prompt("one", k=1)
    response = prompt.responses.get()
    Response.objects.update(names_itself=True)
    assert "Names a model" in manager.get(address("prompt", people, prompt.uid)).content.decode()
    manager.post(address("response_clear", people, response.uid))
    response.refresh_from_db()
    assert response.names_itself is False


# --- tasks and rankings ------------------------------------------------------------------------------------------


@pytest.fixture
def ranked(people: People, make_prompt: Any) -> Task:
    """A task of three responses that two labelers ranked: 1 > 2 = 3, and 2 > 1 > 3."""
    counts = tasks.make_ranking_tasks(
        project=people.project, prompts=[make_prompt("sky", k=3)], num_responses=3, num_wanted=2, user=people.manager
    )
    task = Task.objects.get(pk=counts.task_ids[0])
    for number, (labeler, ranks) in enumerate([(people.labeler, [1, 2, 2]), (people.labeler2, [2, 1, 3])], start=1):
        slot = Slot.objects.get(task=task, number=number)
        Slot.objects.filter(pk=slot.pk).update(state="done", holder=labeler, done_at="2026-01-01T00:00Z")
        Ranking.objects.create(
            task=task, slot=slot, labeler=labeler, idempotency_key=f"k{number}", displayed=[2, 0, 1], ranks=ranks
        )
    return task


def test_tasks_are_listed_with_their_progress(manager: Client, people: People, ranked: Task) -> None:
    page = manager.get(address("tasks", people))
    assert page.context["slots"] == {ranked.pk: {"open": 0, "held": 0, "done": 2}}
    assert "2 of 2" in page.content.decode()


def test_a_task_page_shows_rankings_side_by_side(manager: Client, people: People, ranked: Task) -> None:
    page = manager.get(address("task", people, ranked.uid))
    assert [row.ranks for row in page.context["matrix"]] == [[1, 2], [2, 1], [2, 3]]
    assert [row.mean for row in page.context["matrix"]] == [1.5, 1.5, 2.5]


def test_overlap_and_priority_change_while_people_work(manager: Client, people: People, ranked: Task) -> None:
    url = address("task_change", people, ranked.uid)
    manager.post(url, {"num_wanted": 4, "priority": 7})
    assert ranked.slots.filter(state="open").count() == 2
    assert set(ranked.slots.values_list("priority", flat=True)) == {7}
    page = manager.post(url, {"num_wanted": 1, "priority": 7}, follow=True)
    assert "too few" in page.content.decode()
    ranked.refresh_from_db()
    assert ranked.num_wanted == 4


def test_a_task_is_closed_and_opened_again(manager: Client, people: People, ranked: Task) -> None:
    url = address("task_state", people, ranked.uid)
    manager.post(address("task_change", people, ranked.uid), {"num_wanted": 3, "priority": 0})
    manager.post(url, {"state": "closed"})
    ranked.refresh_from_db()
    assert (ranked.state, ranked.slots.filter(state="open").count()) == ("closed", 0)
    manager.post(url, {"state": "open"})
    ranked.refresh_from_db()
    assert (ranked.state, ranked.slots.filter(state="open").count()) == ("open", 1)


def test_an_imported_task_is_never_handed_out(manager: Client, people: People, ranked: Task) -> None:
    Task.objects.filter(pk=ranked.pk).update(is_imported=True, state="closed")
    manager.post(address("task_state", people, ranked.uid), {"state": "open"})
    ranked.refresh_from_db()
    assert ranked.state == "closed"


def test_a_ranking_page_shows_the_order_shown_beside_the_order_given(
    manager: Client, people: People, ranked: Task
) -> None:
    ranking = Ranking.objects.get(idempotency_key="k1")
    page = manager.get(address("ranking", people, ranking.uid))
    assert [(item["place"], item["number"], item["rank"]) for item in page.context["shown"]] == [
        (1, 3, 2),
        (2, 1, 1),
        (3, 2, 2),
    ]
    assert [item["number"] for item in page.context["given"]] == [1, 3, 2]
    assert "1 &gt; 2 = 3" in page.content.decode()


def test_a_void_ranking_stays_and_is_not_counted(manager: Client, people: People, ranked: Task) -> None:
    ranking = Ranking.objects.get(idempotency_key="k1")
    url = address("ranking_void", people, ranking.uid)
    manager.post(url, {"reason": ""})
    assert not RankingVoid.objects.exists()
    manager.post(url, {"reason": "did not read"})
    manager.post(url, {"reason": "again"})
    assert RankingVoid.objects.get().reason == "did not read"
    listed = manager.get(address("rankings", people)).context["page"].rows
    assert [row.idempotency_key for row in listed] == ["k2"]
    void = manager.get(address("rankings", people) + "?state=void").context["page"].rows
    assert [row.idempotency_key for row in void] == ["k1"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["k2", "k1"]),
        ("state=counted", ["k2", "k1"]),
        ("state=surplus", []),
        ("origin=imported", []),
        ("since=2999-01-01", []),
        ("until=2999-01-01", ["k2", "k1"]),
        ("since=nonsense", []),
        ("labeler=nonsense", []),
    ],
)
def test_rankings_are_filtered(manager: Client, people: People, ranked: Task, query: str, found: list[str]) -> None:
    rows = manager.get(f"{address('rankings', people)}?{query}").context["page"].rows
    assert [row.idempotency_key for row in rows] == found


def test_rankings_of_one_labeler_are_found(manager: Client, people: People, ranked: Task) -> None:
    rows = manager.get(f"{address('rankings', people)}?labeler={people.labeler.uid}").context["page"].rows
    assert [row.idempotency_key for row in rows] == ["k1"]
    page = manager.get(address("rankings", people)).content.decode()
    assert str(people.stranger) not in page


@pytest.mark.parametrize("name", ["tasks", "rankings"])
def test_lists_of_tasks_and_rankings_cost_the_same_for_one_and_many(
    manager: Client, people: People, make_prompt: Any, name: str, django_assert_max_num_queries: Any
) -> None:
    prompts = [make_prompt(f"prompt {number}", k=2) for number in range(30)]
    tasks.make_ranking_tasks(
        project=people.project, prompts=prompts, num_responses=2, num_wanted=1, user=people.manager
    )
    for number, slot in enumerate(Slot.objects.all()):
        Slot.objects.filter(pk=slot.pk).update(state="done", holder=people.labeler, done_at="2026-01-01T00:00Z")
        Ranking.objects.create(
            task_id=slot.task_id,
            slot=slot,
            labeler=people.labeler,
            idempotency_key=f"{number}",
            displayed=[0, 1],
            ranks=[1, 2],
        )
    with django_assert_max_num_queries(16):
        assert len(manager.get(address(name, people)).context["page"].rows) == 30


def test_filters_that_few_need_are_folded_until_one_of_them_is_asked_for(
    manager: Client, people: People, make_prompt: Any
) -> None:
    make_prompt("one", dataset="tea")
    folded = '<details class="more-filters">'
    assert folded in manager.get(address("prompts", people)).content.decode()
    assert folded in manager.get(address("prompts", people) + "?q=one").content.decode()
    assert (
        '<details class="more-filters" open>'
        in manager.get(address("prompts", people) + "?dataset=tea").content.decode()
    )


def test_where_nothing_is_there_is_nothing_to_filter(manager: Client, people: People) -> None:
    for name in ("prompts", "tasks", "rankings"):
        assert 'class="filters"' not in manager.get(address(name, people)).content.decode(), name
        assert 'class="filters"' in manager.get(address(name, people) + "?q=x&labeler=x").content.decode(), name


def test_what_a_list_leaves_out_by_itself_can_be_filtered_for(
    manager: Client, people: People, make_prompt: Any
) -> None:
    make_prompt("gone", is_retired=True)
    page = manager.get(address("prompts", people)).content.decode()
    assert "gone" not in page
    assert 'class="filters"' in page
