"""Projects: list, create, settings."""

import pytest
from django.test import Client

from labeling.models import Membership, Project, User
from tests.labeling.conftest import People

SETTINGS = {
    "name": "Tea",
    "description": "",
    "overlap": "3",
    "rate_first": "on",
    "flags": "Too long\n\n  Too short  \nToo long",
    "lease_minutes": "20",
    "tasks_ahead": "2",
    "gold_percent": "5",
    "repeat_percent": "0",
    "review_below_percent": "50",
    "prompts_per_customer": "200",
    "max_prompt_chars": "60000",
}


def test_the_list_shows_ones_own_projects_only(people: People, client: Client) -> None:
    client.force_login(people.labeler)
    page = client.get("/projects/").content.decode()
    assert "Tea" in page
    assert "Coffee" not in page


def test_a_manager_makes_a_project_and_manages_it(people: People, client: Client) -> None:
    client.force_login(people.manager)
    client.post("/projects/new/", {"name": "Würzige Kessel", "slug": "", "description": "Hot."})
    project = Project.objects.get(slug="wurzige-kessel")
    assert project.memberships.get().user == people.manager
    assert project.memberships.get().role == "manager"


def test_a_superuser_makes_a_project_and_a_labeler_does_not(people: People, client: Client) -> None:
    client.force_login(people.labeler)
    assert client.get("/projects/new/").status_code == 403
    assert client.post("/projects/new/", {"name": "Mine"}).status_code == 403
    assert not Project.objects.filter(name="Mine").exists()
    client.force_login(User.objects.create_superuser("root@example.org", "a long password"))
    client.post("/projects/new/", {"name": "Theirs"})
    assert Project.objects.filter(slug="theirs").exists()


def test_a_manager_who_was_taken_out_everywhere_makes_none(people: People, client: Client) -> None:
    people.project.memberships.filter(user=people.manager).update(is_active=False)
    client.force_login(people.manager)
    assert client.post("/projects/new/", {"name": "Mine"}).status_code == 403


@pytest.mark.parametrize(
    "fields", [{"name": "X", "slug": "tea"}, {"name": "茶", "slug": ""}, {"name": "", "slug": "y"}]
)
def test_a_name_that_cannot_be_an_address_makes_none(people: People, client: Client, fields: dict[str, str]) -> None:
    client.force_login(people.manager)
    assert client.post("/projects/new/", fields).status_code == 200
    assert Project.objects.count() == 2
    assert Membership.objects.filter(user=people.manager).count() == 1


def test_settings_are_saved_and_flags_are_one_a_line(people: People, client: Client) -> None:
    client.force_login(people.manager)
    assert client.post("/p/tea/settings/", SETTINGS).status_code == 302
    people.project.refresh_from_db()
    assert (people.project.overlap, people.project.rate_first, people.project.lease_minutes) == (3, True, 20)
    assert people.project.tasks_ahead == 2
    assert people.project.flags == ["Too long", "Too short"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("overlap", "0"),
        ("overlap", "51"),
        ("lease_minutes", "0"),
        ("tasks_ahead", "0"),
        ("tasks_ahead", "9"),
        ("flags", "x" * 201),
        ("flags", "\n".join("abcdefghijklmnopqrstuvwxyz12345")),
        ("name", ""),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_is_saved(people: People, client: Client, field: str, value: str) -> None:
    client.force_login(people.manager)
    answer = client.post("/p/tea/settings/", {**SETTINGS, field: value})
    assert list(answer.context["form"].errors) == [field]
    people.project.refresh_from_db()
    assert (people.project.overlap, people.project.name, len(people.project.flags)) == (1, "Tea", 11)


def test_the_short_name_and_the_demo_mark_are_not_in_the_form(people: People, client: Client) -> None:
    client.force_login(people.manager)
    client.post("/p/tea/settings/", {**SETTINGS, "slug": "milk", "is_demo": "on"})
    people.project.refresh_from_db()
    assert (people.project.slug, people.project.is_demo) == ("tea", False)
