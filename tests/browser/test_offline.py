"""Work without a network, in a real browser: nothing is lost, nothing is sent twice, nobody sees another's work."""

import os
import re
import signal
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import transaction
from django.test import Client
from playwright.sync_api import Page, expect

from labeling.models import Draft, Ranking, Skip, Slot, Task
from labeling.services import assignments, tasks
from tests.browser.conftest import browser_path, wait_until
from tests.browser.test_ranking_page import address, press, said, wait_for_draft, wait_for_rankings

pytestmark = pytest.mark.browser

CONTROLLED = "navigator.serviceWorker.controller !== null"
COPIES = """async () => {
  const names = (await caches.keys()).filter((name) => name.startsWith("podium-pages-"));
  const kept = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
  return kept.flat().map((one) => one.url);
}"""
DRAFTS = """() => new Promise((done) => {
  indexedDB.open("podium-outbox").onsuccess = ({ target }) => {
    target.result.transaction("drafts").objectStore("drafts").getAll().onsuccess = (event) => done(event.target.result);
  };
})"""


@pytest.fixture(autouse=True)
def much_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handful of tasks counts as a long queue."""
    monkeypatch.setattr(assignments, "ENOUGH_OPEN", 1)


def wait_for_copies(page: Page, num: int) -> None:
    """Until the page in hand and those ahead are here, and the service worker stands by."""
    wait_until(page, lambda: page.evaluate(CONTROLLED) and len(page.evaluate(COPIES)) == num)


def log_in(page: Page, user: Any, origin: str) -> None:
    client = Client()
    client.force_login(user)
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": origin}])


def test_five_answers_given_offline_with_a_reload_in_between_arrive_once_with_their_times(
    open_as: Any, people: Any, ask_to_rank: Any
) -> None:
    given = ask_to_rank(k=2, num=6)
    page = open_as(people.labeler, address(given[0]))
    wait_for_copies(page, 5)
    assert Slot.objects.filter(state="held", holder=people.labeler).count() == 5
    page.context.set_offline(True)
    expect(page.locator("[data-offline]")).to_be_visible()
    times = []
    for number, task in enumerate(given[:5]):
        expect(page.locator(".work-prompt")).to_contain_text(task.prompt.text)
        if number == 2:
            press(page, "2")
            wait_until(page, lambda: [draft["payload"]["ranks"] for draft in page.evaluate(DRAFTS)] == [{"A": 2}])
            page.reload()
            expect(page.locator(".work-prompt")).to_contain_text(task.prompt.text)
            expect(page.locator("[data-order]")).to_have_text("A")  # what was placed before the reload
            expect(page.locator("[data-offline]")).to_be_visible()
            expect(page.locator("[data-today]")).to_have_text("3")
            press(page, "1")
        else:
            press(page, "2", "1")
        times.append(page.evaluate("new Date().toISOString()"))
        press(page, "Control+Enter")
    expect(page.locator("[data-outbox]")).to_have_text("5 answers wait here for the connection.")
    page.wait_for_timeout(1500)
    assert not Ranking.objects.exists()
    back = page.evaluate("new Date().toISOString()")
    page.context.set_offline(False)
    wait_for_rankings(page, 5)
    expect(page.locator(".work-prompt")).to_contain_text(given[5].prompt.text)
    rows = {ranking.task: ranking for ranking in Ranking.objects.select_related("task")}
    assert Ranking.objects.count() == len(rows) == 5
    for task, time in zip(given[:5], times, strict=True):
        assert said(rows[task]) == [2, 1]
        assert rows[task].slot.state == Slot.State.DONE
        assert abs((rows[task].client_time - datetime.fromisoformat(time)).total_seconds()) < 1
        assert rows[task].client_time < datetime.fromisoformat(back) < rows[task].created_at
    assert Slot.objects.filter(state="done").count() == 5


def test_a_reload_of_the_last_answered_task_shows_the_answer_and_that_it_waits(
    open_as: Any, people: Any, ask_to_rank: Any
) -> None:
    (task,) = ask_to_rank(k=2)
    page = open_as(people.labeler, address(task))
    wait_for_copies(page, 1)
    page.context.set_offline(True)
    press(page, "2", "1", "Control+Enter")
    expect(page.locator("[data-errors]")).to_contain_text("Your work is kept here")
    page.reload()
    expect(page.locator("[data-order]")).to_have_text(re.compile(r"B\s+›\s+A"))
    expect(page.locator("[data-errors]")).to_contain_text("Your work is kept here")
    press(page, "Control+Enter")  # nothing more to send
    page.context.set_offline(False)
    expect(page.locator("h1")).to_have_text("All done here")
    assert [said(ranking) for ranking in Ranking.objects.all()] == [[2, 1]]


def test_a_killed_browser_loses_at_most_the_last_second_of_a_draft(
    browser: Any, live_server: Any, tmp_path: Path, people: Any, ask_to_rank: Any
) -> None:
    (task,) = ask_to_rank(k=4)

    def open_browser() -> Page:
        path, arguments = browser_path(), ["--no-sandbox", "--disable-background-networking"]
        context = browser.browser_type.launch_persistent_context(tmp_path, executable_path=path, args=arguments)
        page = context.new_page()
        log_in(page, people.labeler, live_server.url)
        page.goto(live_server.url + address(task))
        return page

    page = open_browser()
    page.route("**/draft/", lambda route: route.abort())  # so that only this browser has it
    press(page, "3", "1")
    page.locator("#card-B summary").click()
    page.locator("textarea[name=note_B]").fill("Wordy.")
    kept = {"ranks": {"A": 3, "B": 1}, "notes": {"B": "Wordy."}}
    wait_until(page, lambda: any(kept.items() <= draft["payload"].items() for draft in page.evaluate(DRAFTS)))
    kill(page)
    assert not Draft.objects.exists()
    page = open_browser()
    expect(page.locator("[data-order]")).to_have_text(re.compile(r"B\s+›\s+A"))
    expect(page.locator("textarea[name=note_B]")).to_have_value("Wordy.")
    wait_for_draft(page, {"ranks": {"A": 3, "B": 1}})
    page.context.close()


def kill(page: Page) -> None:
    """All of the browser dies at once: no event runs in any page any more."""
    assert page.context.browser
    session = page.context.browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    os.kill(next(process["id"] for process in processes if process["type"] == "browser"), signal.SIGKILL)


def test_a_newer_draft_on_the_server_is_not_overwritten_by_an_older_one_here(
    open_as: Any, people: Any, ask_to_rank: Any
) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    press(page, "3")
    wait_until(page, lambda: [draft["isSaved"] for draft in page.evaluate(DRAFTS)] == [True])
    Draft.objects.update(version=9, payload={"ranks": {"B": 2}})  # from another machine
    page.reload()
    expect(page.locator("[data-order]")).to_have_text("B")
    page.wait_for_timeout(1000)
    assert Draft.objects.get().payload["ranks"] == {"B": 2}


def test_a_skip_without_a_network_waits_like_an_answer(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    first, second = ask_to_rank(k=2, num=2)
    page = open_as(people.labeler, address(first))
    wait_for_copies(page, 2)
    page.context.set_offline(True)
    press(page, "s")
    page.locator("select[name=skip_reason]").select_option("broken")
    page.locator("[data-skip-button]").click()
    expect(page.locator(".work-prompt")).to_contain_text(second.prompt.text)
    expect(page.locator("[data-outbox]")).to_be_visible()
    assert not Skip.objects.exists()
    page.context.set_offline(False)
    expect(page.locator("[data-outbox]")).to_be_hidden(timeout=10_000)
    assert [(skip.task, skip.reason) for skip in Skip.objects.all()] == [(first, "broken")]


def test_another_person_at_this_browser_neither_sees_nor_sends_the_first_ones_work(
    open_as: Any, people: Any, ask_to_rank: Any
) -> None:
    given = ask_to_rank(k=2, num=3)
    page = open_as(people.labeler, address(given[0]))
    origin = page.url.split("/p/")[0]
    wait_for_copies(page, 3)
    page.context.set_offline(True)
    press(page, "2", "1", "Control+Enter")
    expect(page.locator(".work-prompt")).to_contain_text(given[1].prompt.text)
    press(page, "2")
    page.wait_for_timeout(500)
    page.context.clear_cookies()  # first: a page that is being left has its network back
    page.goto("about:blank")
    page.context.set_offline(False)
    log_in(page, people.labeler2, origin)
    page.goto(origin + "/p/tea/work/")
    page.wait_for_timeout(1500)
    expect(page.locator("[data-outbox]")).to_be_hidden()
    assert page.evaluate(COPIES) == []  # the copies went with the first page made for somebody else
    assert not Ranking.objects.exists()
    page.context.set_offline(True)
    page.goto(origin + address(given[1]))
    expect(page.locator("h1")).to_have_text("No connection")
    expect(page.locator("[data-tasks] a")).to_have_count(0)
    page.context.set_offline(False)
    expect(page.locator("h1")).not_to_have_text("No connection")  # it loads the address by itself again
    page.wait_for_load_state()
    log_in(page, people.labeler, origin)  # the first one comes back
    page.goto(origin + address(given[1]))
    expect(page.locator("[data-order]")).to_have_text("A")  # kept here all the while
    wait_for_rankings(page, 1)
    assert [(ranking.labeler, said(ranking)) for ranking in Ranking.objects.all()] == [(people.labeler, [2, 1])]


def hold_answer(monkeypatch: pytest.MonkeyPatch, path: str) -> tuple[threading.Event, threading.Event]:
    """(is_asked, may_answer): the server keeps its answers for `path` back from here on."""
    is_asked, may_answer = threading.Event(), threading.Event()
    respond = SessionMiddleware.process_response

    def late(self: Any, request: Any, response: Any) -> Any:
        if request.path == path:
            is_asked.set()
            assert may_answer.wait(30)
        return respond(self, request, response)

    monkeypatch.setattr(SessionMiddleware, "process_response", late)
    return is_asked, may_answer


def test_a_tab_left_open_does_not_send_in_the_name_of_who_logged_in_since(
    open_as: Any, people: Any, ask_to_rank: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_to_rank(k=2, num=2)
    task = Task.objects.order_by("pk")[0]
    page = open_as(people.labeler, address(task))
    origin = page.url.split("/p/")[0]
    log_in(page, people.labeler2, origin)
    is_asked, may_answer = hold_answer(monkeypatch, address(task))  # of the copy that the page fetches for itself
    press(page, "2", "1", "Control+Enter")
    expect(page.locator("[data-errors]")).to_contain_text("Somebody else is logged in")
    assert is_asked.wait(20)
    assert not Ranking.objects.exists()
    assert not Draft.objects.exists()
    log_in(page, people.labeler, origin)
    may_answer.set()  # a cookie that it brought would be labeler2's
    wait_for_rankings(page, 1)
    assert Ranking.objects.get().labeler == people.labeler


def test_logging_out_leaves_no_page_behind(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    ask_to_rank(k=2, num=2)
    page = open_as(people.labeler, address(Task.objects.order_by("pk")[0]))
    press(page, "1")
    wait_for_copies(page, 2)
    assert [draft["isSaved"] for draft in page.evaluate(DRAFTS)] == [True]
    page.locator(".topbar-end .menu summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/accounts/login/**")
    assert page.evaluate(COPIES) == []
    assert page.evaluate(DRAFTS) == []


def test_online_every_page_comes_from_the_server(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=2)
    page = open_as(people.labeler, address(task))
    wait_for_copies(page, 1)
    Task.objects.update(num_wanted=1)
    with transaction.atomic():  # the page asks for tasks ahead at any moment, and would get this one again
        assignments.release(task=task, labeler=people.labeler)
        other = assignments.claim_task(task=task, labeler=people.labeler2)
    assert other is not None
    page.reload()
    expect(page.locator("h1")).to_have_text("Somebody else has this one")


def test_leaving_the_page_keeps_what_is_ahead_and_stopping_gives_it_back(
    open_as: Any, people: Any, ask_to_rank: Any
) -> None:
    given = ask_to_rank(k=2, num=3)
    page = open_as(people.labeler, address(given[0]))
    wait_for_copies(page, 3)
    page.reload()
    page.wait_for_timeout(300)
    assert Slot.objects.filter(state="held").count() == 3
    page.locator("[data-skip] summary").click()
    page.get_by_role("button", name="Stop for now").click()
    expect(page.locator("h1")).to_have_text("Work")
    assert not Slot.objects.filter(state="held").exists()


def test_a_task_that_is_no_longer_held_is_forgotten(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    given = ask_to_rank(k=2, num=3)
    page = open_as(people.labeler, address(given[0]))
    wait_for_copies(page, 3)
    assignments.release(task=given[1], labeler=people.labeler)
    assert assignments.claim_task(task=given[1], labeler=people.labeler2) is not None
    page.reload()
    wait_for_copies(page, 2)
    assert not any(url.endswith(address(given[1])) for url in page.evaluate(COPIES))


def test_an_answer_written_without_a_network_is_kept_and_sent(open_as: Any, people: Any, make_prompt: Any) -> None:
    prompts = [make_prompt(f"Say hello {number}", k=0) for number in range(2)]
    tasks.make_demonstration_tasks(project=people.project, prompts=prompts, user=people.manager)
    page = open_as(people.labeler, address(Task.objects.order_by("pk")[0]))
    wait_for_copies(page, 2)
    page.context.set_offline(True)
    page.locator("textarea[name=text]").fill("Hello there.")
    wait_until(page, lambda: [draft["payload"]["text"] for draft in page.evaluate(DRAFTS)] == ["Hello there."])
    page.reload()
    expect(page.locator("textarea[name=text]")).to_have_value("Hello there.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".work-prompt")).to_contain_text("Say hello 1")
    expect(page.locator("[data-outbox]")).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator("[data-outbox]")).to_be_hidden(timeout=10_000)
    assert prompts[0].demonstrations.get().text == "Hello there."
