"""One real browser with a run's curves open: from the moment a row was logged until its pixels are drawn."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

# `fetch` notes when the rows of each answer were logged; not of the first, with all that was there before the page. At
# the next frame but one after the charts were drawn, the first chart's picture is held against the one before: only one
# that has changed counts as seen.
WATCH = """
window.seen = [];
let newest = null, picture = "";
const ask = window.fetch;
window.fetch = async (...args) => {
  const answer = await ask(...args);
  if (String(args[0]).includes("live.json") && !String(args[0]).includes("metrics=0")) {
    const { rows } = (await answer.clone().json()).metrics;
    if (rows.length) newest = { first: rows[0].time, last: rows.at(-1).time, num: rows.length };
  }
  return answer;
};
document.addEventListener("curves:drawn", () => {
  const rows = newest;
  newest = null;
  if (!rows) return;
  requestAnimationFrame(() => requestAnimationFrame(() => {
    const now = Date.now() / 1000;
    const drawn = document.querySelector("[data-curves] canvas")?.toDataURL() ?? "";
    window.seen.push({ ...rows, at: now, changed: drawn !== picture });
    picture = drawn;
  }));
});
"""


@dataclass
class Screen:
    """`oldest` and `newest`: seconds from logging to pixels of the first and the last row of each answer."""

    oldest: list[float] = field(default_factory=list)
    newest: list[float] = field(default_factory=list)
    num_unchanged: int = 0


async def watch(*, chromium: str, url: str, cookies: dict[str, str], begin: float, until: float) -> Screen:
    """Rows drawn between the two moments of the monotonic clock."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        browser = await playwright.chromium.launch(executable_path=chromium, args=quiet)
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        origin = "/".join(url.split("/")[:3])
        await context.add_cookies([{"name": name, "value": value, "url": origin} for name, value in cookies.items()])
        page = await context.new_page()
        await page.add_init_script(WATCH)
        await page.goto(url)
        await asyncio.sleep(max(0.0, begin - time.monotonic()))
        await page.evaluate("window.seen.length = 0")
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        found = await page.evaluate("window.seen")
        await browser.close()
    return _screen(found)


def _screen(found: list[dict[str, Any]]) -> Screen:
    screen = Screen()
    for each in found:
        if not each["changed"]:
            screen.num_unchanged += 1
            continue
        screen.oldest.append(each["at"] - each["first"])
        screen.newest.append(each["at"] - each["last"])
    return screen
