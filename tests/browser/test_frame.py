"""The frame in a real browser: colours, search, lists by keyboard, narrow screens."""

from typing import Any

import pytest

from labeling.models import User
from labeling.services import people as service
from tests.labeling.conftest import People

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

GROUND = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(247, 247, 249)", "rgb(19, 19, 23)"


def test_colours_follow_the_system_and_then_the_switch_and_never_flash(people: People, open_as: Any) -> None:
    page = open_as(people.labeler, "/me/", color_scheme="dark")
    assert page.evaluate(GROUND) == DARK
    page.click(".topbar-end .menu summary")
    page.click("button[value=light]")
    assert page.evaluate(GROUND) == LIGHT
    # The first thing that the next page knows about itself, before any script ran, is the choice.
    page.add_init_script("new MutationObserver((_, o) => { if (document.documentElement) { "
                         "window.atFirst = document.documentElement.dataset.theme; o.disconnect(); } })"
                         ".observe(document, { childList: true });")  # fmt: skip
    page.reload()
    assert page.evaluate("window.atFirst") == "light"
    assert page.evaluate(GROUND) == LIGHT


def test_the_colour_switch_works_without_scripts(people: People, open_as: Any) -> None:
    page = open_as(people.labeler, "/me/", color_scheme="light", java_script_enabled=False)
    page.click(".topbar-end .menu summary")
    page.click("button[value=dark]")
    assert page.url.endswith("/me/")
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_colours_for_charts_are_plain_ones_of_the_theme_in_force(people: People, open_as: Any) -> None:
    read = "getComputedStyle(document.documentElement).getPropertyValue('--chart-1')"
    assert open_as(people.labeler, "/me/", color_scheme="light").evaluate(read) == "rgb(79, 70, 229)"
    assert open_as(people.labeler, "/me/", color_scheme="dark").evaluate(read) == "rgb(165, 163, 255)"


def test_ctrl_k_searches_as_one_types_and_the_arrows_choose(people: People, open_as: Any, make_prompt: Any) -> None:
    make_prompt("Why is the sky blue?")
    make_prompt("Why is grass green?")
    page = open_as(people.manager, "/p/tea/people/")
    page.keyboard.press("Control+k")
    page.keyboard.type("why")
    page.wait_for_selector("#search-dialog li:nth-child(2)")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert "sky blue" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.wait_for_url("**/prompts/**")
    page.go_back()
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    assert not page.locator("#search-dialog").is_visible()


def test_a_list_is_walked_with_j_and_k_but_not_while_one_types(people: People, open_as: Any) -> None:
    page = open_as(people.manager, "/p/tea/people/")
    focused = "document.activeElement.textContent.trim()"
    for key, name in [("j", "Lena"), ("j", "Luis"), ("ArrowDown", "Mira"), ("k", "Luis")]:
        page.keyboard.press(key)
        assert page.evaluate(focused) == name
    page.keyboard.press("/")
    page.keyboard.type("jk")
    assert page.input_value(".filters input[name=q]") == "jk"
    page.keyboard.press("Enter")
    page.wait_for_url("**q=jk**")


def test_a_person_is_invited_joins_and_is_taken_out(
    people: People, open_as: Any, browser: Any, live_server: Any
) -> None:
    page = open_as(people.manager, "/p/tea/people/")
    page.click("text=Invite somebody")
    page.fill("[name=email]", "nora@example.org")
    page.click("text=Make the link")
    link = page.text_content("#link")
    theirs = browser.new_context().new_page()
    theirs.goto(link)
    theirs.fill("[name=name]", "Nora")
    theirs.fill("[name=password]", "eleven green kettles")
    theirs.click("text=Make my account and join")
    theirs.wait_for_selector("nav.flow")
    assert theirs.goto(link).status == 410
    page.click("text=Back to people")
    page.click("a.row-link:has-text('Nora')")
    page.click("text=Take Nora out")
    page.wait_for_selector(".toast--success")
    theirs.goto(f"{live_server.url}/me/")
    assert "/accounts/login/" in theirs.url
    theirs.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_of_the_frame_is_wider_than_a_phone(people: People, open_as: Any, scheme: str) -> None:
    people.project.name = "A project with a rather long name that nobody shortened"
    people.project.save()
    service.invite(
        project=people.project, role="labeler", email="somebody.with.a.long.address@example.org", by=people.manager
    )  # type: ignore[arg-type]
    page = open_as(people.manager, "/projects/", width=360, height=740, color_scheme=scheme)
    origin = page.url.removesuffix("/projects/")
    pages = [
        "/projects/", "/projects/new/", "/me/", "/p/tea/people/", "/p/tea/people/invite/", "/p/tea/settings/",
        f"/p/tea/people/{people.labeler.uid}/", "/p/tea/guidelines/", "/p/tea/guidelines/publish/",
        "/p/tea/search/?q=a", "/accounts/sessions/", "/accounts/2fa/", "/accounts/password/change/", "/p/none/people/",
    ]  # fmt: skip
    wide = []
    for address in pages:
        page.goto(origin + address)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(address)
    assert wide == []


def test_hostile_names_open_no_dialog_and_ask_no_other_host(people: People, open_as: Any, make_prompt: Any) -> None:
    payload = "\"'><img src=https://evil.example/x onerror=alert(1)><script>alert(1)</script>"
    User.objects.filter(pk__in=[people.manager.pk, people.labeler.pk]).update(name=payload)
    people.project.name, people.project.description = payload, payload
    people.project.save()
    make_prompt(payload)
    page = open_as(people.manager, "/p/tea/people/")
    for address in ("/projects/", "/me/", f"/p/tea/people/{people.labeler.uid}/", "/p/tea/search/?q=img"):
        page.goto(page.url.split("/p/")[0].split("/projects")[0].split("/me")[0] + address)
    page.keyboard.press("Control+k")
    page.keyboard.type("alert")
    page.wait_for_selector("#search-dialog li")


def test_pages_are_walked_by_tab_from_the_skip_link(people: People, open_as: Any) -> None:
    page = open_as(people.manager, "/p/tea/people/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip-link"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_on_a_phone_the_tab_in_hand_is_in_sight(people: People, open_as: Any) -> None:
    page = open_as(people.manager, "/p/tea/quality/guidelines/", width=360)
    box = page.locator(".tabs a[aria-current]").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    assert page.evaluate("scrollY") == 0
