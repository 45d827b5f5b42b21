"""Payloads in every field of the frame's pages come back as text."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from labeling.models import Model
from labeling.services import people as service
from labeling.services import projects
from tests.labeling.conftest import People

PAYLOADS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    '" onfocus=alert(1) autofocus="',
    "javascript:alert(1)",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt&colon;alert(1))",
    "![beacon](https://evil.example/x.png)",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "{{ settings.SECRET_KEY }}{% debug %}",
    "<base href=https://evil.example/>",
    "<form action=https://evil.example/><button>x",
    "<!--><script>alert(1)</script>-->",
    "\u202e<b style=position:fixed>x",
]
# Chosen by the site itself: every form and script is one of these.
OWN_SCRIPTS = re.compile(r"^(/?static/|data:)")


class Danger(HTMLParser):
    """What a browser would act on: scripts, handlers, frames, foreign addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag in {"iframe", "object", "embed", "base", "style", "mglyph"}:
            self.found.append(tag)
        is_data = values == {"type": "application/json"}  # a block of data: browsers never run it
        if tag == "script" and not is_data and not OWN_SCRIPTS.match(values.get("src", "")):
            self.found.append(f"script {values}")
        for name, value in values.items():
            is_address = name in {"src", "href", "action", "formaction"}
            leads_away = is_address and re.match(r"\s*(javascript|data|https?|//)", value, re.I)
            if leads_away or name.startswith("on") or name in {"style", "autofocus", "srcdoc"}:
                self.found.append(f"{tag} {name}={value}")


def danger(page: str) -> list[str]:
    parser = Danger()
    parser.feed(page)
    return parser.found


@pytest.fixture(params=PAYLOADS)
def soaked(request: pytest.FixtureRequest, people: People, make_prompt: Any) -> str:
    """The payload in every text field that people fill in on the frame's pages."""
    payload: str = request.param
    people.project.name, people.project.description = payload[:120], payload
    people.project.flags = [payload, "plain"]
    people.project.save()
    for person in (people.manager, people.labeler):
        person.name, person.languages = payload[:120], [payload]
        person.save()
    projects.publish_guideline(project=people.project, text=payload, by=people.manager)
    projects.publish_guideline(project=people.project, text=f"# {payload}\n\n- {payload}", by=people.manager)
    Model.objects.create(project=people.project, name=payload, kind="external")
    make_prompt(payload)
    return payload


def test_the_parser_finds_what_it_should() -> None:
    for payload in (PAYLOADS[0], PAYLOADS[1], PAYLOADS[2], PAYLOADS[10], "<a href=' javascript:x'>", "<p style=x>"):
        assert danger(payload), payload
    assert danger('<p title="on">script</p><a href="/me/">x</a>') == []


def test_payloads_come_back_as_text_on_every_page_of_the_frame(people: People, soaked: str) -> None:
    _, token = service.invite(project=people.project, role="manager", email="", by=people.manager)  # type: ignore[arg-type]
    pages = {
        people.manager: [
            "/projects/", "/me/", "/p/tea/people/", f"/p/tea/people/{people.labeler.uid}/", "/p/tea/settings/",
            "/p/tea/guidelines/", "/p/tea/guidelines/2/", "/p/tea/guidelines/publish/", "/p/none/people/",
        ],
        people.labeler: ["/me/", "/p/tea/guidelines/", "/p/tea/people/"],
        None: [f"/join/{token}/"],
    }  # fmt: skip
    for person, addresses in pages.items():
        client = Client()
        if person:
            client.force_login(person)
        for address in addresses:
            assert danger(client.get(address).content.decode()) == [], address


def test_payloads_in_a_query_or_a_refused_form_come_back_as_text(people: People, soaked: str, client: Client) -> None:
    client.force_login(people.manager)
    answers = [
        client.get("/p/tea/search/", {"q": soaked}),
        client.get("/p/tea/search/", {"q": soaked}, headers={"HX-Request": "true"}),
        client.get("/p/tea/search/", {"q": f"{soaked} nowhere"}),
        client.get("/p/tea/people/", {"q": soaked, "role": soaked}),
        client.post("/p/tea/settings/", {"name": soaked, "overlap": soaked, "flags": soaked}),
        client.post("/projects/new/", {"name": soaked, "slug": soaked}),
        client.post("/p/tea/guidelines/publish/", {"text": soaked, "preview": "1"}),
        client.post(f"/p/tea/people/{people.labeler.uid}/", {"role": soaked, "languages": soaked}),
        client.post("/p/tea/people/invite/", {"role": soaked, "email": soaked}),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert danger(answer.content.decode()) == []


def test_a_template_in_a_name_is_not_run(people: People, client: Client) -> None:
    people.project.name = "{{ user.email }}{% now 'Y' %}"
    people.project.save()
    client.force_login(people.manager)
    assert "{{ user.email }}" in client.get("/p/tea/settings/").content.decode()
