"""A real browser against a real server. A missing browser is a failure that says what to do, never a skip."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

from labeling.models import Prompt, Task
from labeling.services import tasks
from tests.labeling.conftest import make_prompt, people  # noqa: F401  # the same project and people

# Playwright's loop runs in this thread, so Django would take each query of a test for one inside asynchronous code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

PATIENCE = 20  # seconds: a busy machine is slow, and what comes sooner is not waited for
expect.set_options(timeout=PATIENCE * 1000)

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def browser_path() -> str:
    named = os.environ.get("PODIUM_CHROMIUM")
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    if not found or not Path(found).exists():
        pytest.fail(
            f"No browser found{f' at {named}' if named else ''}. Install Chromium (Debian: apt install chromium), "
            "or set PODIUM_CHROMIUM to its path."
        )
    return found


def wait_until(page: Page, holds: Callable[[], bool]) -> None:
    """What a page does after a while. Fails when it has not come after `PATIENCE`."""
    until = monotonic() + PATIENCE
    while not holds():
        if monotonic() > until:
            pytest.fail(f"{PATIENCE} s have passed, and it has not come")
        page.wait_for_timeout(50)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-gpu"]
        opened = playwright.chromium.launch(executable_path=browser_path(), args=quiet)
        yield opened
        opened.close()


@pytest.fixture
def open_as(browser: Browser, live_server: Any, client: Any) -> Iterator[Any]:
    """`open_as(user, path, width=1440, …)` → a page, logged in. At the end: no script error, no other host asked."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
        page.on("console", lambda message: problems.append(f"console: {message.text}") if is_policy(message) else None)
        page.on(
            "request", lambda request: problems.append(f"asked {request.url}") if is_elsewhere(request.url) else None
        )
        page.on("dialog", lambda dialog: problems.append(f"a dialog opened: {dialog.message}"))

    def is_policy(message: Any) -> bool:
        return message.type == "error" and "Content Security Policy" in message.text

    def is_elsewhere(url: str) -> bool:
        return not url.startswith((live_server.url, "data:", "blob:", "about:"))

    def open_page(user: Any, path: str, *, width: int = 1440, height: int = 900, **options: Any) -> Page:
        client.force_login(user)
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
        context.add_cookies([cookie])
        page = context.new_page()
        watch(page)
        page.goto(live_server.url + path)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            leave(page)
            page.wait_for_timeout(
                150
            )  # a page that goes saves its draft; let that arrive before the tables are emptied
        context.close()
    assert problems == []


def leave(page: Page) -> None:
    """Also a page that is just about to go on by itself: that interrupts the first try."""
    for is_last in (False, False, True):
        try:
            page.goto("about:blank")
        except Error:
            if is_last:
                raise
        else:
            return


@pytest.fixture
def ask_to_rank(people: Any, make_prompt: Any) -> Any:  # noqa: F811
    """`ask_to_rank(k=4, num=1)` → that many ranking tasks of k responses each."""

    def make(k: int = 4, num: int = 1, **more: Any) -> list[Task]:
        made = [make_prompt(f"Question {Prompt.objects.count()}", k=k) for _ in range(num)]
        counts = tasks.make_ranking_tasks(
            project=people.project, prompts=made, num_responses=k, num_wanted=1, user=people.manager, **more
        )
        return list(Task.objects.filter(pk__in=counts.task_ids).order_by("pk"))

    return make
