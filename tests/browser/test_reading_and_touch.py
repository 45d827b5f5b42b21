"""The ranking page by ear and by thumb: what a screen reader hears in which order, and targets that a thumb can hit."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from labeling.models import Ranking, Response, Task
from tests.browser.test_ranking_page import SETTLED, address, press, said, wait_for_rankings

pytestmark = pytest.mark.browser

# Every change of a polite region, as a screen reader is told of it: what the region holds after the browser has drawn.
LISTEN = """() => {
  window.heard = [];
  for (const region of document.querySelectorAll("[aria-live], [role=status], [role=alert]")) {
    let last = region.textContent.trim();
    new MutationObserver(() => { if (!region.textContent) last = ""; requestAnimationFrame(() => {
      const text = region.hidden ? "" : region.textContent.trim();
      const manner = region.getAttribute("aria-live") ?? region.getAttribute("role");
      if (text && text !== last) window.heard.push([manner, text]);
      last = text;
    }); }).observe(region, { childList: true, characterData: true, subtree: true, attributes: true });
  }
}"""
READING_ORDER = "[...document.querySelectorAll('.response')].map((card) => card.dataset.letter)"
TARGETS = """() => [...document.querySelectorAll("main :is(button, a, select, summary, input, textarea, [role=button])")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: false }) && !one.closest("[aria-hidden=true], .visually-hidden, .prose"))
  .map((one) => {
    const target = one.matches("input[type=checkbox], input[type=radio]") ? one.closest("label") ?? one : one;
    const { width, height } = target.getBoundingClientRect();
    return { name: (one.getAttribute("aria-label") ?? one.innerText ?? one.name).trim(), width, height };
  })"""  # noqa: E501  # one expression
HANDS_OFF = """() => {
  for (const name of ["keydown", "keypress", "mousedown", "mouseup", "mousemove"]) {
    window.addEventListener(name, (event) => {
      if (name.startsWith("key") || event.sourceCapabilities?.firesTouchEvents === false) window.forbidden = name;
    }, { capture: true });
  }
}"""


def heard(page: Page) -> list[list[str]]:
    page.wait_for_timeout(100)
    told: list[list[str]] = page.evaluate("window.heard.splice(0)")
    return told


def test_each_move_is_told_once_politely_and_in_order(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    page.route("**/draft/", lambda route: route.abort())  # the line about the draft is no live region either way
    page.evaluate(LISTEN)
    told = []
    for key in ["2", "=", "1", "Shift+ArrowDown", "0", "Backspace", "n", "n", "Backspace"]:
        press(page, key)
        told += heard(page)
    assert told == [
        ["polite", "A at rank 2. 1 of 3 placed."],
        ["polite", "B at rank 2, tied with A. 2 of 3 placed."],
        ["polite", "C at rank 1. 3 of 3 placed."],
        ["polite", "C at rank 2, tied with A and B. 3 of 3 placed."],
        ["polite", "C is off the board."],
        ["polite", "Undone. 3 of 3 placed."],
        ["polite", "None is acceptable."],
        ["polite", "Some are acceptable."],
        ["polite", "Undone. 3 of 3 placed."],
    ]


def test_the_same_move_twice_is_told_twice(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=2)
    page = open_as(people.labeler, address(task))
    page.evaluate(LISTEN)
    press(page, "1")
    assert heard(page) == [["polite", "A at rank 1. 1 of 2 placed."]]
    press(page, "ArrowUp", "1")
    assert heard(page) == [["polite", "A at rank 1. 1 of 2 placed."]]


def test_cards_are_walked_in_the_order_in_which_they_are_read(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=5)
    page = open_as(people.labeler, address(task))
    press(page, "3", "1", "2", "1")
    order = page.evaluate(READING_ORDER)
    assert order == ["B", "D", "C", "A", "E"]  # rungs from the best, then the waiting one
    assert seen_from_top(page) == order
    press(page, *["ArrowUp"] * 5)
    walked = []
    for _ in order:
        walked.append(page.evaluate("document.activeElement.dataset.letter"))
        press(page, "ArrowDown")
    assert walked == order


def seen_from_top(page: Page) -> list[str]:
    """Letters by where they stand on the screen: from the top, cards side by side from the left."""
    page.evaluate(SETTLED)
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll(".response")].map((card) => ({ letter: card.dataset.letter, box: card.getBoundingClientRect() }))
           .sort((a, b) => a.box.top - b.box.top || a.box.left - b.box.left).map(({ letter }) => letter)"""  # noqa: E501
    )
    return found


def test_tab_goes_through_the_page_as_it_is_read(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    """Head, prompt, the card in hand with all it holds, the note, the foot: never back up the page."""
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    page.evaluate("document.querySelector('main').focus()")
    stops: list[str] = []
    for _ in range(80):
        press(page, "Tab")
        stop = page.evaluate(
            """(() => { const one = document.activeElement;
              if (!one.closest("main")) return null;
              const part = one.closest(".work-head, .work-prompt, .response, .work-note, .work-foot");
              return part?.className.split(" ")[0]; })()"""
        )
        if stop is None:
            break
        stops.append(stop)
    order = ["work-head", "work-prompt", "response", "work-note", "work-foot"]
    places = [order.index(stop) for stop in stops if stop]
    assert places == sorted(places)
    assert {"work-head", "response", "work-note", "work-foot"} <= set(stops)


def test_the_name_of_a_card_says_where_it_stands(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    press(page, "2")
    card = page.get_by_role("article", name="Response A")
    expect(card).to_have_accessible_description("rank 2")
    expect(page.get_by_role("article", name="Response B")).to_have_accessible_description("not placed yet")


def test_nine_are_ranked_by_thumb_alone(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    """360 px wide, no key, no mouse: only taps on buttons, and every one of them is big enough."""
    (task,) = ask_to_rank(k=9)
    page = open_as(people.labeler, address(task), width=360, height=740, has_touch=True, is_mobile=True)
    page.evaluate(HANDS_OFF)
    wanted = [3, 1, 4, 1, 5, 9, 2, 6, 5]
    for letter, rank in zip("ABCDEFGHI", wanted, strict=True):
        place_by_taps(page, letter, rank)
    assert_targets_fit_a_thumb(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("window.forbidden ?? null") is None
    page.locator("[data-submit]").tap()
    wait_for_rankings(page, 1)
    assert said(Ranking.objects.get()) == [3, 1, 4, 1, 5, 7, 2, 6, 5]  # 9 comes after 6: ranks have no gaps


def place_by_taps(page: Page, letter: str, rank: int) -> None:
    stepper = page.locator(f".response[data-letter={letter}] .rank-stepper")
    first = "one rank down" if rank <= 5 else "one rank up"  # onto the board at its top, or at its bottom
    num, more = (rank - 1, "one rank down") if rank <= 5 else (9 - rank, "one rank up")
    for name in [first, *[more] * num]:
        page.evaluate(SETTLED)
        stepper.get_by_role("button", name=name).tap()
    expect(stepper.get_by_role("combobox")).to_have_value(str(rank))


def assert_targets_fit_a_thumb(page: Page) -> None:
    targets = page.evaluate(TARGETS)
    assert len(targets) > 30
    small = [one for one in targets if min(one["width"], one["height"]) < 24]
    assert small == []
    main = page.evaluate(
        """() => [...document.querySelectorAll(".rank-stepper :is(button, select), .work-foot .button")]
          .filter((one) => one.checkVisibility()).map((one) => [one.innerText, one.getBoundingClientRect().width, one.getBoundingClientRect().height])"""  # noqa: E501
    )
    assert len(main) >= 9 * 3
    assert [one for one in main if round(min(one[1], one[2]), 2) < 44] == []


def give_texts(task: Task, *texts: str) -> None:
    """Texts instead of the answers, by the letters that nobody has seen yet: which card has which does not matter."""
    for response, text in zip(Response.objects.filter(prompt=task.prompt).order_by("pk"), texts, strict=True):
        Response.objects.filter(pk=response.pk).update(text=text, num_chars=len(text))


def test_a_placed_card_hides_much_or_nothing(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=2)
    give_texts(task, "\n\n".join(["Few"] * 5), "\n\n".join(["Many"] * 20))
    page = open_as(people.labeler, address(task))
    press(page, "1", "2")
    page.evaluate(SETTLED)
    hidden = (
        "(card) => { const body = card.querySelector('[data-body]'); return body.scrollHeight - body.clientHeight; }"
    )
    few, many = (page.locator(".rung .response", has_text=word) for word in ("Few", "Many"))
    assert few.evaluate(hidden) == 0
    expect(few.locator("[data-more]")).to_be_hidden()
    assert few.locator("[data-body]").bounding_box()["height"] > 11 * 16  # it is longer than a folded card is
    assert many.evaluate(hidden) > 64
    expect(many.locator("[data-more]")).to_be_visible()


def test_a_list_in_a_response_looks_the_same_on_the_board(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=2)
    give_texts(task, "- one\n- two\n\nAnd so on.", "Other")
    page = open_as(people.labeler, address(task))
    look = "(list) => { const { listStyleType, marginBlockStart, marginBlockEnd } = getComputedStyle(list); return [listStyleType, marginBlockStart, marginBlockEnd]; }"  # noqa: E501  # one expression
    waiting = page.locator(".waiting ul").evaluate(look)
    press(page, "1", "2")
    assert page.locator(".board ul").evaluate(look) == waiting
    assert waiting[0] == "disc"


def test_the_foot_stays_as_high_as_it_was_while_nine_are_placed(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=9)
    page = open_as(people.labeler, address(task), width=360, height=740)
    height = "document.querySelector('.work-foot').offsetHeight"
    before = page.evaluate(height)
    press(page, *"112345678")
    expect(page.locator("[data-num-placed]")).to_have_text("9 of 9 placed")
    assert page.evaluate(height) == before
    expect(page.locator("[data-draft-state]")).to_contain_text("saved")
    assert page.evaluate(height) == before
    assert page.evaluate(
        "document.querySelector('[data-order]').scrollWidth <= document.querySelector('[data-order]').clientWidth"
    )
