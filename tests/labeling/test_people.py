"""The people page, changing somebody, and leaving."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.utils import timezone

from labeling.models import Project, Ranking, Slot, Task, TaskResponse, User
from labeling.services import people as service
from tests.labeling.conftest import People

CHANGES = {"role": "labeler", "languages": ""}


def log_in(user: User) -> Client:
    """Through the page, so that the session is one that the site knows of."""
    client = Client()
    answer = client.post("/accounts/login/", {"login": user.email, "password": "a long password"})
    assert answer.status_code == 302
    return client


def rank(people: People, prompt: Any, labeler: User, seconds: float = 60) -> Ranking:
    task = Task.objects.create(project=people.project, kind="rank", prompt=prompt, num_responses=4)
    for position, response in enumerate(prompt.responses.all()):
        TaskResponse.objects.create(task=task, response=response, position=position)
    slot = Slot.objects.create(
        task=task, number=1, project=people.project, kind="rank", state="done", holder=labeler, done_at=timezone.now()
    )
    return Ranking.objects.create(
        task=task, slot=slot, labeler=labeler, idempotency_key=f"{task.pk}", displayed=[0, 1, 2, 3],
        ranks=[1, 2, 2, 3], active_seconds=seconds,
    )  # fmt: skip


def hold(people: People, prompt: Any, labeler: User) -> Slot:
    task = Task.objects.create(project=people.project, kind="demonstrate", prompt=prompt)
    return Slot.objects.create(
        task=task, number=1, project=people.project, kind="demonstrate", state="held", holder=labeler,
        lease_until=timezone.now() + timedelta(minutes=15), claimed_at=timezone.now(),
    )  # fmt: skip


def test_the_list_counts_what_each_person_did_in_this_project_only(
    people: People, client: Client, make_prompt: Any
) -> None:
    rank(people, make_prompt("one"), people.labeler)
    rank(people, make_prompt("two"), people.labeler)
    rows = {row.user: row for row in service.members(project=people.project)}
    assert rows[people.labeler].num_rankings == 2
    assert rows[people.labeler].last_work is not None
    assert rows[people.labeler2].num_rankings == 0
    assert people.stranger not in rows


def test_the_list_asks_as_often_for_forty_people_as_for_four(
    people: People, client: Client, django_assert_max_num_queries: Any
) -> None:
    for index in range(40):
        user = User.objects.create_user(f"p{index}@example.org", "a long password", name=f"P{index}")
        people.project.memberships.create(user=user, role="labeler")
    client.force_login(people.manager)
    client.get("/p/tea/people/")
    with django_assert_max_num_queries(8):  # session, user, project, role, members, two counts, projects to switch to
        answer = client.get("/p/tea/people/")
    assert b"P39" in answer.content


def test_the_filter_finds_by_name_address_and_role(people: People) -> None:
    def names(**filters: str) -> list[str]:
        return [row.user.name for row in service.members(project=people.project, **filters)]  # type: ignore[arg-type]

    assert names(text="LENA@") == ["Lena"]
    assert names(role="reviewer") == ["Rosa"]
    assert names(text="a", role="manager") == ["Mira"]


@pytest.mark.parametrize("query", ["user__password__startswith=m", "ordering=user__password", "role=x", "left=2"])
def test_the_address_reaches_no_column_that_the_page_does_not_name(people: People, client: Client, query: str) -> None:
    client.force_login(people.manager)
    assert client.get("/p/tea/people/").context["rows"].count() == 4
    assert client.get(f"/p/tea/people/?{query}").context["rows"].count() == 4


def test_a_manager_changes_role_languages_and_held_out(people: People, client: Client) -> None:
    client.force_login(people.manager)
    address = f"/p/tea/people/{people.labeler.uid}/"
    client.post(address, {"role": "reviewer", "languages": "en, pt-BR en", "is_held_out": "on"})
    people.labeler.refresh_from_db()
    assert (people.labeler.languages, people.labeler.is_held_out) == (["en", "pt-BR"], True)
    assert people.project.memberships.get(user=people.labeler).role == "reviewer"


def test_a_form_with_more_fields_than_the_page_has_changes_none_of_them(people: People, client: Client) -> None:
    client.force_login(people.manager)
    extra = {"is_superuser": "on", "is_staff": "on", "email": "new@example.org", "password": "x", "user": "1"}
    client.post(f"/p/tea/people/{people.labeler.uid}/", {**CHANGES, **extra})
    client.force_login(people.labeler)
    client.post("/me/", {"name": "Lena L", "languages": "de", "is_held_out": "on", "role": "manager", **extra})
    people.labeler.refresh_from_db()
    assert (people.labeler.name, people.labeler.email) == ("Lena L", "lena@example.org")
    assert [people.labeler.is_superuser, people.labeler.is_staff, people.labeler.is_held_out] == [False] * 3
    assert people.project.memberships.get(user=people.labeler).role == "labeler"
    assert people.labeler.check_password("a long password")


def test_a_wrong_language_code_is_named(people: People, client: Client) -> None:
    client.force_login(people.manager)
    answer = client.post(f"/p/tea/people/{people.labeler.uid}/", {**CHANGES, "languages": "en, English!"})
    assert "“English!” is not a language code" in answer.content.decode()


def test_deactivating_ends_every_session_and_gives_held_tasks_back(
    people: People, client: Client, make_prompt: Any
) -> None:
    done = rank(people, make_prompt("done"), people.labeler)
    held, other = hold(people, make_prompt("held"), people.labeler), hold(people, make_prompt("hers"), people.labeler2)
    phone, laptop = log_in(people.labeler), log_in(people.labeler)
    assert phone.get("/me/").status_code == 200
    client.force_login(people.manager)
    answer = client.post(f"/p/tea/people/{people.labeler.uid}/deactivate/", follow=True)
    assert b"1 held task" in answer.content
    for device in (phone, laptop):
        assert device.get("/me/").status_code == 302
    assert not UserSession.objects.filter(user=people.labeler).exists()
    held.refresh_from_db()
    assert (held.state, held.holder, held.lease_until) == ("open", None, None)
    other.refresh_from_db()
    assert other.state == "held"
    assert Slot.objects.get(pk=done.slot_id).state == "done"
    assert Ranking.objects.current().filter(labeler=people.labeler).count() == 1


def test_who_was_taken_out_logs_in_to_nothing_and_can_be_brought_back(people: People, client: Client) -> None:
    client.force_login(people.manager)
    client.post(f"/p/tea/people/{people.labeler.uid}/deactivate/")
    theirs = log_in(people.labeler)
    assert theirs.get("/p/tea/guidelines/").status_code == 404
    assert "Lena" not in client.get("/p/tea/people/").content.decode().split("<table")[1]
    client.post(f"/p/tea/people/{people.labeler.uid}/reactivate/")
    assert theirs.get("/p/tea/guidelines/").status_code == 200


def test_a_project_keeps_a_manager(people: People, client: Client) -> None:
    client.force_login(people.manager)
    mine = f"/p/tea/people/{people.manager.uid}/"
    assert b"last manager" in client.post(f"{mine}deactivate/", follow=True).content
    assert b"last manager" in client.post(mine, CHANGES).content
    assert people.project.memberships.get(user=people.manager, role="manager").is_active
    people.project.memberships.filter(user=people.reviewer).update(role="manager")
    client.post(mine, CHANGES)
    assert people.project.memberships.get(user=people.manager).role == "labeler"


def test_a_member_of_another_project_is_not_found(people: People, client: Client) -> None:
    client.force_login(people.manager)
    for page in ("", "deactivate/", "reactivate/"):
        assert client.post(f"/p/tea/people/{people.stranger.uid}/{page}", CHANGES).status_code == 404
    assert Project.objects.get(slug="coffee").memberships.get(user=people.stranger).is_active


def test_me_shows_my_own_figures(people: People, client: Client, make_prompt: Any) -> None:
    rank(people, make_prompt("one"), people.labeler, seconds=30)
    rank(people, make_prompt("two"), people.labeler, seconds=90)
    rank(people, make_prompt("three"), people.labeler2)
    client.force_login(people.labeler)
    ((project, figures),) = client.get("/me/").context["rows"]
    assert (project.name, figures["num_rankings"], figures["median_seconds"]) == ("Tea", 2, 60)
