"""The frame around every page: where one lands, what the navigation shows, colours, search, error pages."""

import re
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from labeling.models import Membership, Model, Project, User
from tests.labeling.conftest import People


def navigation(client: Client, address: str) -> list[str]:
    page = client.get(address).content.decode()
    bar = re.search(r'<nav class="flow".*?</nav>', page, re.S)
    return re.findall(r"<a [^>]*>([^<]+)</a>", bar[0]) if bar else []


def test_home_leads_into_the_only_project(people: People, client: Client) -> None:
    client.force_login(people.labeler)
    assert client.get("/")["Location"] == reverse("work", args=["tea"])
    client.force_login(people.manager)
    assert client.get("/")["Location"] == reverse("dashboard", args=["tea"])


def test_home_leads_to_the_project_one_was_in_last_and_to_the_list_before_that(people: People, client: Client) -> None:
    Membership.objects.create(project=Project.objects.get(slug="coffee"), user=people.labeler, role="labeler")
    client.force_login(people.labeler)
    assert client.get("/")["Location"] == reverse("projects")
    client.get("/p/coffee/guidelines/")
    assert client.get("/")["Location"] == reverse("work", args=["coffee"])
    Membership.objects.filter(user=people.labeler, project__slug="coffee").update(is_active=False)
    assert client.get("/")["Location"] == reverse("work", args=["tea"])


def test_what_a_script_fetches_is_no_visit_and_changes_no_cookie(people: People, client: Client) -> None:
    address = reverse("work", args=["tea"])
    client.force_login(people.labeler)
    fetched = client.get(address, headers={"Sec-Fetch-Mode": "cors"})
    assert fetched.status_code == 200
    assert "sessionid" not in fetched.cookies
    assert "project" not in client.session
    client.get(address, headers={"Sec-Fetch-Mode": "navigate"})
    assert client.session["project"] == "tea"


def test_a_manager_sees_the_flow_and_a_labeler_their_own_pages(people: People, client: Client) -> None:
    client.force_login(people.manager)
    flow = ["Prompts", "Tasks", "Rankings", "Quality", "Data", "Runs", "Models", "Rounds", "People"]
    assert navigation(client, "/p/tea/people/") == flow
    client.force_login(people.labeler)
    assert navigation(client, "/p/tea/guidelines/") == ["Work", "History", "Guidelines", "Me"]
    page = client.get("/p/tea/guidelines/").content.decode()
    assert "Settings" not in page
    assert "search-dialog" not in page


def test_the_navigation_marks_where_one_is(people: People, client: Client) -> None:
    client.force_login(people.manager)
    page = client.get("/p/tea/people/").content.decode()
    assert re.findall(r'<a [^>]*aria-current="page"[^>]*>([^<]+)</a>', page) == ["People"]


def test_the_switcher_names_ones_own_projects_only(people: People, client: Client) -> None:
    client.force_login(people.manager)
    assert "Coffee" not in client.get("/p/tea/people/").content.decode()
    Membership.objects.create(project=Project.objects.get(slug="coffee"), user=people.manager, role="labeler")
    assert "/enter/coffee/" in client.get("/p/tea/people/").content.decode()


def test_the_colours_are_in_the_page_that_the_server_sends(people: People, client: Client) -> None:
    client.force_login(people.labeler)
    assert "data-theme" not in client.get("/me/").content.decode().split("<body")[0]
    answer = client.post("/theme/", {"theme": "dark", "next": "/me/"})
    assert answer["Location"] == "/me/"
    assert '<html lang="en" data-theme="dark">' in client.get("/me/").content.decode()
    client.post("/theme/", {"theme": ""})
    assert "data-theme=" not in client.get("/me/").content.decode().split("<body")[0]


@pytest.mark.parametrize("theme", ['"><script>alert(1)</script>', "blue"])
def test_a_cookie_with_other_colours_is_not_written_into_the_page(db: Any, client: Client, theme: str) -> None:
    client.cookies["theme"] = theme
    page = client.get("/accounts/login/").content.decode()
    assert 'data-theme="' not in page
    assert "alert(1)" not in page


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_the_colour_switch_does_not_lead_elsewhere(db: Any, client: Client, target: str) -> None:
    assert client.post("/theme/", {"theme": "dark", "next": target})["Location"] == "/"


def test_search_finds_prompts_by_text_and_models_by_name_in_this_project_only(
    people: People, client: Client, make_prompt: Any
) -> None:
    make_prompt("Why is the sky blue?")
    Model.objects.create(project=Project.objects.get(slug="coffee"), name="sky-model", kind="external")
    client.force_login(people.manager)
    found = client.get("/p/tea/search/", {"q": "SKY"}).context["found"]
    assert [len(rows) for rows in found.values()] == [1, 0, 0, 0]
    assert [model.name for model in client.get("/p/tea/search/", {"q": "other"}).context["found"]["models"]] == [
        "other-lab"
    ]


def test_search_treats_signs_as_text_and_ignores_other_parameters(
    people: People, client: Client, make_prompt: Any
) -> None:
    make_prompt("Half of 100 % is 50_000?")
    make_prompt("Nothing of the kind")
    client.force_login(people.manager)
    for text, expected in [
        ("100 %", 1),
        ("%", 1),
        ("50_000", 1),
        ("5__000", 0),
        ("\\", 0),
        ("' OR 1=1 --", 0),
        ("", 0),
    ]:
        found = client.get("/p/tea/search/", {"q": text, "project__slug": "coffee", "ordering": "user__password"})
        assert len(found.context["found"].get("prompts", [])) == expected, text


def test_the_search_dialog_gets_a_part_and_the_page_gets_a_page(people: People, client: Client) -> None:
    client.force_login(people.manager)
    part = client.get("/p/tea/search/", {"q": "x"}, headers={"HX-Request": "true"}).content
    assert b"<html" not in part
    assert b"<html" in client.get("/p/tea/search/", {"q": "x"}).content


def test_error_pages_say_what_to_do_next(people: People, client: Client) -> None:
    client.force_login(people.labeler)
    assert b"Nothing is here" in client.get("/p/coffee/guidelines/").content
    assert b"Your role does not open this page" in client.get("/p/tea/people/").content
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post("/theme/", {"theme": "dark"})
    assert answer.status_code == 403
    assert b"This form has expired" in answer.content


def test_an_error_of_ours_shows_its_page_and_none_of_its_insides(people: People, monkeypatch: Any) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr("labeling.views.frame.projects.search", fail)
    client = Client(raise_request_exception=False)
    client.force_login(people.manager)
    answer = client.get("/p/tea/search/?q=x")
    assert answer.status_code == 500
    assert b"Something went wrong here" in answer.content
    assert b"the inside" not in answer.content


def test_log_in_is_by_address_and_stops_after_too_many_failures(people: People) -> None:
    User.objects.create_user("guessed@example.org", "a long password")
    client = Client(REMOTE_ADDR="203.0.113.7")  # failures are counted by address, and outlive this test
    for _ in range(5):
        wrong = client.post("/accounts/login/", {"login": "guessed@example.org", "password": "wrong"})
        assert wrong.status_code == 200
    right = client.post("/accounts/login/", {"login": "guessed@example.org", "password": "a long password"})
    assert "_auth_user_id" not in client.session
    assert b"Too many" in right.content


def test_nobody_signs_up_by_themselves(db: Any, client: Client) -> None:
    page = client.get("/accounts/signup/")
    assert b"People come by invitation" in page.content
    password = "eleven green kettles"
    posted = client.post("/accounts/signup/", {"email": "x@example.org", "password1": password, "password2": password})
    assert not User.objects.filter(email="x@example.org").exists()
    assert b"People come by invitation" in posted.content
    assert "_auth_user_id" not in client.session


@override_settings(DEBUG=False)
def test_pages_have_a_skip_link_one_main_and_a_title(people: People, client: Client) -> None:
    client.force_login(people.manager)
    for address in ("/projects/", "/me/", "/p/tea/people/", "/p/tea/settings/", "/p/tea/guidelines/"):
        page = client.get(address).content.decode()
        assert page.count("<main") == page.count("<h1") == page.count('class="skip-link"') == 1, address
        assert re.search(r"<title>[^<]+ · Podium</title>", page), address
