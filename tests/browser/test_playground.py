"""The playground in a browser: an answer grows by itself, keys alone do it all, and axe finds nothing."""

import re
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from labeling.models import Model, PlaygroundReply, PlaygroundSession, Run, Task
from labeling.services import playground
from tests.browser.test_accessibility import findings
from tests.labeling.conftest import People
from tests.labeling.runs.talks import answer, say

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LONG = "## Why\n\n" + "It is **scattered** by the air, the blue more than the red. " * 6 + "\n\n```python\nx = 1\n```\n"


@pytest.fixture
def talk(people: People) -> PlaygroundSession:
    """Two models that some worker has, ready to answer."""

    def model(name: str, kind: str) -> Model:
        return Model.objects.create(
            project=people.project, name=name, kind=kind, storage_key=f"models/{name}", sha256="a" * 64
        )

    session = playground.start(
        project=people.project,
        user=people.manager,
        first_model=model("sft-1", "policy"),
        second_model=model("ppo-1", "policy"),
        reward_model=model("reward-1", "reward"),
    )
    now = timezone.now()
    times = {"started_at": now, "lease_until": now, "heartbeat_at": now}
    Run.objects.filter(pk=session.run_id).update(state="running", owner="w", fence=1, attempt=1, phase="talk", **times)
    return session


def grow(side: int, text: str) -> None:
    PlaygroundReply.objects.filter(side=side, state__in=PlaygroundReply.OPEN).update(
        state="answering", text=text, num_tokens=len(text.split()), seconds=0.5
    )


def finish(side: int, text: str, reward: float) -> None:
    PlaygroundReply.objects.filter(side=side, state__in=PlaygroundReply.OPEN).update(
        state="done", text=text, num_tokens=9, seconds=0.5, finish_reason="stop", reward=reward
    )


def column(page: Page, turn: int, letter: str) -> Any:
    return page.locator(f"#turn-{turn}").get_by_role("region", name=re.compile(f"^{letter}:"))


def test_by_keys_alone_something_is_said_answered_and_sent_to_ranking(
    open_as: Any, people: People, talk: PlaygroundSession
) -> None:
    page = open_as(people.manager, f"/p/tea/playground/{talk.uid}/")
    expect(page.locator("#standing")).to_contain_text("Ready")
    expect(page.get_by_label("Your message")).to_be_focused()
    page.keyboard.type("Why is the sky blue?")
    page.keyboard.press("Enter")  # a new line, and nothing is sent
    page.keyboard.type("In short.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#turn-1 .said")).to_contain_text("In short.")
    expect(page.locator("#standing")).to_contain_text("Answering")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()

    grow(0, "It is **scat")
    expect(column(page, 1, "A")).to_contain_text("It is **scat")
    page.keyboard.type("And at")  # what is typed meanwhile stays
    finish(0, "It is **scattered**.", 0.5)
    finish(1, "By the air.", 1.5)
    expect(column(page, 1, "A").locator("strong")).to_have_text("scattered")
    expect(column(page, 1, "B").locator(".reward")).to_contain_text("1.50 ▲ higher")
    expect(page.locator("[data-announce]")).to_have_text("A done, reward 0.50. B done, reward 1.50.")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    expect(page.get_by_label("Your message")).to_have_value("And at")
    expect(page.get_by_label("Your message")).to_be_focused()

    page.get_by_role("link", name="Send to ranking").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Make the ranking task").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").get_by_role("link", name="see the task")).to_be_visible()
    assert Task.objects.get().num_responses == 2


def test_stop_is_there_while_an_answer_is_open(open_as: Any, people: People, talk: PlaygroundSession) -> None:
    say(talk, "Why?")
    page = open_as(people.manager, f"/p/tea/playground/{talk.uid}/")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#turn-1")).to_be_visible()
    assert set(PlaygroundReply.objects.values_list("is_to_stop", flat=True)) == {True}


def test_the_page_says_when_the_models_fall_asleep_and_offers_to_wake_them(
    open_as: Any, people: People, talk: PlaygroundSession
) -> None:
    page = open_as(people.manager, f"/p/tea/playground/{talk.uid}/")
    ended = {"finished_at": timezone.now(), "lease_until": None, "result": {"summary": {"ended": "another run waits"}}}
    Run.objects.filter(pk=talk.run_id).update(state="succeeded", **ended)
    expect(page.locator("#standing")).to_contain_text("Another run needed the GPU")
    page.get_by_role("button", name="Wake it").click()
    expect(page.locator("#standing")).to_contain_text("No GPU worker is here")


@pytest.mark.parametrize("width", [1440, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_playgrounds_pages(
    open_as: Any, people: People, talk: PlaygroundSession, scheme: str, width: int
) -> None:
    first = say(talk, "Why is the sky blue?")
    [one, _] = answer(first, LONG, "By the air.")
    PlaygroundReply.objects.filter(pk=one.pk).update(reward=0.5, finish_reason="length")
    playground.sample_more(turn=first, num=1)
    answer(first, "Another one.", "And another.", reward=1.0)
    failed = say(talk, "And at night?")
    failed.replies.update(state="failed", error="The conversation has 900 tokens: start a new conversation.")
    say(talk, "And on the moon?")
    page = open_as(people.manager, "/p/tea/playground/", color_scheme=scheme, width=width)
    origin = page.url.removesuffix("/p/tea/playground/")
    found = {"list": findings(page)}
    for path in (f"{talk.uid}/", f"{talk.uid}/1/ranking/", f"answers/{one.uid}/"):
        page.goto(f"{origin}/p/tea/playground/{path}")
        page.locator("details.sampling, details.more").evaluate_all("all => all.forEach(one => { one.open = true; })")
        found[path] = findings(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} is wider than the screen"
    assert {path: texts for path, texts in found.items() if texts} == {}
