"""The ranking page in a real browser. Each test also checks: no script error, no policy report, no other host asked."""

import re
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from labeling.models import Draft, Prompt, Ranking, Response, Skip, Slot, Task
from labeling.services import answers, assignments, tasks
from tests.browser.conftest import wait_until

pytestmark = pytest.mark.browser

SETTLED = """new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
  .then(() => Promise.allSettled(document.getAnimations().map((one) => one.finished))).then(() => null)"""


def address(task: Task) -> str:
    return f"/p/{task.project.slug}/work/task/{task.uid}/"


def said(ranking: Ranking) -> list[int]:
    """Ranks by the letters that the labeler saw."""
    return [rank for rank in answers.from_ranking(ranking).ranks if rank is not None]


def wait_for_rankings(page: Page, num: int) -> None:
    wait_until(page, lambda: Ranking.objects.count() >= num)


def wait_for_draft(page: Page, expected: dict[str, Any]) -> None:
    """Until the server has a draft that says this, whatever else it says."""
    wait_until(page, lambda: any(expected.items() <= draft.payload.items() for draft in Draft.objects.all()))


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_nine_cards_take_nine_digits_and_one_submit(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=9)
    page = open_as(people.labeler, address(task))
    expect(page.locator(".response.is-current")).to_have_attribute("data-letter", "A")
    keys = [*"314159265", "Control+Enter"]
    assert len(keys) <= 10
    press(page, *keys)
    wait_for_rankings(page, 1)
    ranking = Ranking.objects.get()
    assert said(ranking) == answers.dense([3, 1, 4, 1, 5, 9, 2, 6, 5])
    assert ranking.displayed == assignments.shown_order(task=task, labeler=people.labeler)
    assert ranking.slot is not None
    assert ranking.slot.state == Slot.State.DONE
    assert ranking.client_time is not None
    expect(page.locator("h1")).to_have_text("All done here")


def test_equals_ties_with_the_card_placed_last(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=4)
    page = open_as(people.labeler, address(task))
    press(page, "2", "=", "1", "=")
    expect(page.locator("[data-order]")).to_have_text(re.compile(r"C = D\s+›\s+A = B"))
    expect(page.locator(".rung[data-rank='1'] .response")).to_have_count(2)
    press(page, "Control+Enter")
    wait_for_rankings(page, 1)
    assert said(Ranking.objects.get()) == [2, 2, 1, 1]


def test_equals_means_the_last_placed_one_and_not_the_last_letter(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=4)
    page = open_as(people.labeler, address(task))
    press(page, "ArrowDown", "ArrowDown", "ArrowDown", "1", "2", "=")
    expect(page.locator("[data-order]")).to_have_text(re.compile(r"D\s+›\s+A = B"))


def test_equals_on_a_placed_card_ties_with_the_rung_above(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    press(page, "1", "2", "3", "=")
    expect(page.locator("[data-order]")).to_have_text(re.compile(r"A\s+›\s+B = C"))


def test_nothing_goes_out_before_every_card_has_a_place(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    press(page, "1", "Control+Enter")
    expect(page.locator("[data-errors]")).to_contain_text("B and C have no place yet")
    expect(page.locator(".response.is-current")).to_have_attribute("data-letter", "B")
    assert not Ranking.objects.exists()
    assert page.locator(".response[data-letter=A] .rank-buttons [aria-pressed=true]").inner_text() == "1"


def test_none_acceptable_needs_no_ranks(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    press(page, "n", "Control+Enter")
    wait_for_rankings(page, 1)
    assert (Ranking.objects.get().outcome, Ranking.objects.get().ranks) == ("none_acceptable", [])


def test_arrows_move_backspace_undoes_and_zero_takes_off(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    current, order = page.locator(".response.is-current"), page.locator("[data-order]")
    press(page, "ArrowDown", "j")
    expect(current).to_have_attribute("data-letter", "C")
    press(page, "k", "2")
    expect(order).to_have_text("B")
    press(page, "ArrowUp", "ArrowUp", "Shift+ArrowUp")
    expect(page.locator(".rung[data-rank='1'] .response")).to_have_attribute("data-letter", "B")
    press(page, "Backspace")
    expect(page.locator(".rung[data-rank='2'] .response")).to_have_attribute("data-letter", "B")
    press(page, "0")
    expect(order).to_have_text("")
    press(page, "Backspace", "Backspace")
    expect(order).to_have_text("")


def test_a_card_is_dragged_to_a_rung(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    page.wait_for_load_state("networkidle")
    drag(page, "C", rank=2)
    expect(page.locator(".rung[data-rank='2'] .response")).to_have_attribute("data-letter", "C")
    assert page.locator("select[name=rank_C]").input_value() == "2"
    drag(page, "A", rank=2)
    expect(page.locator("[data-order]")).to_have_text("A = C")
    press(page, "Backspace")
    expect(page.locator("[data-order]")).to_have_text("C")


def drag(page: Page, letter: str, *, rank: int) -> None:
    page.evaluate(SETTLED)  # a card still gliding would be missed by the mouse
    handle = page.locator(f".response[data-letter={letter}] .response-letter").bounding_box()
    assert handle
    page.mouse.move(handle["x"] + 8, handle["y"] + 8)
    page.mouse.down()
    page.mouse.move(handle["x"] + 20, handle["y"] + 30, steps=5)
    rung = page.locator(f".rung[data-rank='{rank}'] .rung-cards").bounding_box()
    assert rung
    page.mouse.move(rung["x"] + 60, rung["y"] + 10, steps=10)
    page.wait_for_timeout(200)  # a hand that hesitates before it lets go
    page.mouse.up()


def test_at_360_px_thumbs_do_it_all(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task), width=360, height=740, has_touch=True)
    steppers = [
        page.get_by_role("group", name=f"Rank of {letter}").and_(page.locator(".rank-stepper")) for letter in "ABC"
    ]
    for stepper in steppers:
        for button in stepper.get_by_role("button").all():
            box = button.bounding_box()
            assert box
            assert round(min(box["width"], box["height"]), 2) >= 44
    steppers[0].get_by_role("button", name="one rank down").tap()
    steppers[1].get_by_role("button", name="Tie").tap()
    steppers[2].get_by_role("button", name="one rank up").tap()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("[data-submit]").tap()
    wait_for_rankings(page, 1)
    assert said(Ranking.objects.get()) == [1, 1, 2]


def test_without_javascript_the_form_does_the_same(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    first, second = ask_to_rank(k=3, num=2)
    page = open_as(people.labeler, "/p/tea/work/", java_script_enabled=False)
    page.get_by_role("button", name="Start ranking").click()
    assert page.url.endswith(address(first))
    page.locator("select[name=rank_A]").select_option("2")
    page.locator("[data-plain]").click()
    assert page.locator("select[name=rank_A]").input_value() == "2"
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("[data-errors]")).to_contain_text("B has no rank yet")
    assert not Ranking.objects.exists()
    page.locator("select[name=rank_B]").select_option("1")
    page.locator("select[name=rank_C]").select_option("2")
    page.locator("#card-C summary").click()
    page.get_by_label("Hallucination").and_(page.locator("[name=flags_C]")).check()
    page.get_by_role("button", name="Submit").click()
    assert page.url.endswith(address(second))
    ranking = Ranking.objects.get()
    assert said(ranking) == [2, 1, 2]
    assert answers.from_ranking(ranking).flags == {"C": ["Hallucination"]}


def test_a_draft_reaches_the_server_and_survives_a_reload(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=4)
    page = open_as(people.labeler, address(task))
    press(page, "3", "1")
    page.locator("#card-B summary").click()
    page.locator("textarea[name=note_B]").fill("Wordy.")
    wait_for_draft(page, {"ranks": {"A": 3, "B": 1}, "notes": {"B": "Wordy."}})
    assert Draft.objects.count() == 1
    page.reload()
    expect(page.locator("[data-order]")).to_have_text(re.compile(r"B\s+›\s+A"))
    expect(page.locator("textarea[name=note_B]")).to_have_value("Wordy.")
    expect(page.locator(".response.is-current")).to_have_attribute("data-letter", "C")


def test_a_double_click_on_submit_is_one_ranking(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    ask_to_rank(k=2, num=3)
    task = Task.objects.order_by("pk")[0]
    page = open_as(people.labeler, address(task))
    press(page, "1", "2")
    page.locator("[data-submit]").dblclick()
    wait_for_rankings(page, 1)
    page.wait_for_timeout(500)
    assert Ranking.objects.count() == 1


def test_the_next_task_stands_there_at_once(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    first, second, third = ask_to_rank(k=2, num=3)
    page = open_as(people.labeler, address(first))
    with page.expect_response(lambda answer: answer.url.endswith(address(second))):
        pass  # fetched ahead, held beside the one on the screen
    assert set(Slot.objects.filter(state="held").values_list("task", flat=True)) == {first.pk, second.pk}
    page.evaluate("window.wasLoadedOnce = true")
    press(page, "1", "2", "Control+Enter")
    expect(page).to_have_url(re.compile(re.escape(address(second))))
    expect(page.locator(".work-prompt")).to_contain_text(second.prompt.text)
    assert page.evaluate("window.wasLoadedOnce")  # the page itself was never loaded again
    press(page, "2", "1", "Control+Enter")
    wait_for_rankings(page, 2)
    assert [said(ranking) for ranking in Ranking.objects.order_by("pk")] == [[1, 2], [2, 1]]
    expect(page).to_have_url(re.compile(re.escape(address(third))))


def test_a_lost_connection_keeps_the_work_and_sends_it_later(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=2)
    page = open_as(people.labeler, address(task))
    press(page, "2", "1")
    page.context.set_offline(True)
    press(page, "Control+Enter")
    expect(page.locator("[data-errors]")).to_contain_text("Your work is kept here")
    assert not Ranking.objects.exists()
    page.context.set_offline(False)
    wait_for_rankings(page, 1)
    assert said(Ranking.objects.get()) == [2, 1]


def test_offline_goes_on_with_the_page_fetched_ahead_and_sends_both_in_the_end(
    open_as: Any, people: Any, ask_to_rank: Any
) -> None:
    first, second = ask_to_rank(k=2, num=2)
    page = open_as(people.labeler, address(first))
    with page.expect_response(lambda answer: answer.url.endswith(address(second))):
        pass
    page.wait_for_timeout(200)
    page.context.set_offline(True)
    press(page, "2", "1", "Control+Enter")
    expect(page.locator(".work-prompt")).to_contain_text(second.prompt.text)
    expect(page.locator("[data-outbox]")).to_have_text("1 answer waits here for the connection.")
    press(page, "1", "1", "Control+Enter")
    expect(page.locator("[data-outbox]")).to_have_text("2 answers wait here for the connection.")
    assert not Ranking.objects.exists()
    page.context.set_offline(False)
    wait_for_rankings(page, 2)
    assert {ranking.task: said(ranking) for ranking in Ranking.objects.all()} == {first: [2, 1], second: [1, 1]}


def test_an_answer_outlives_the_tab_it_was_given_in(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=2)
    page = open_as(people.labeler, address(task))
    origin = page.url.split("/p/")[0]
    page.route("**/submit/", lambda route: route.abort())
    press(page, "2", "1", "Control+Enter")
    expect(page.locator("[data-outbox]")).to_have_text("1 answer waits here for the connection.")
    given = page.evaluate("new Date().toISOString()")
    page.goto("about:blank")
    assert not Ranking.objects.exists()
    page.unroute("**/submit/")
    page.wait_for_timeout(1100)
    page.goto(origin + "/p/tea/work/")
    wait_for_rankings(page, 1)
    ranking = Ranking.objects.get()
    assert said(ranking) == [2, 1]
    assert ranking.client_time is not None
    assert ranking.client_time.isoformat() <= given  # when it was given, not when it arrived
    expect(page.locator("[data-outbox]")).to_be_hidden()


def test_another_person_at_the_same_browser_never_sends_it(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=2)
    page = open_as(people.labeler, address(task))
    origin = page.url.split("/p/")[0]
    page.route("**/submit/", lambda route: route.abort())
    press(page, "2", "1", "Control+Enter")
    expect(page.locator("[data-outbox]")).to_contain_text("1 answer waits")
    page.unroute("**/submit/")
    page.context.clear_cookies()
    page.goto("about:blank")
    client = Client()
    client.force_login(people.labeler2)
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": origin}])
    page.goto(origin + "/p/tea/work/")
    page.wait_for_timeout(1500)
    expect(page.locator("[data-outbox]")).to_be_hidden()
    assert not Ranking.objects.exists()


def test_what_the_server_refuses_stays_on_the_page(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=2)
    page = open_as(people.labeler, address(task))
    page.evaluate("document.querySelector('[name=guideline_version]').value = '77'")
    press(page, "2", "1", "Control+Enter")
    expect(page.locator("[data-errors]")).to_contain_text("no version 77")
    expect(page.locator("[data-order]")).to_have_text(re.compile(r"B\s+›\s+A"))
    assert not Ranking.objects.exists()
    wait_for_draft(page, {"ranks": {"A": 2, "B": 1}})


def test_skipping_says_why_and_goes_on(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    first, second = ask_to_rank(k=2, num=2)
    page = open_as(people.labeler, address(first))
    press(page, "s")
    page.locator("select[name=skip_reason]").select_option("needs_expert")
    page.locator("[data-skip-button]").click()
    expect(page.locator(".work-prompt")).to_contain_text(second.prompt.text)
    skip = Skip.objects.get()
    assert (skip.task, skip.reason) == (first, "needs_expert")
    assert not Ranking.objects.exists()


def test_rate_then_rank_places_the_cards_and_points_out_contradictions(
    open_as: Any, people: Any, ask_to_rank: Any
) -> None:
    (task,) = ask_to_rank(k=3, rate_first=True)
    page = open_as(people.labeler, address(task))
    expect(page.locator("[data-hint]")).to_contain_text("First rate")
    press(page, "2", "7", "2")
    expect(page.locator("[data-order]")).to_have_text(re.compile(r"B\s+›\s+A = C"))
    press(page, "3")  # the best-rated card goes last
    expect(page.locator("[data-hint]")).to_contain_text("You rated B higher than A, but A ranks above B")
    press(page, "Control+Enter")
    wait_for_rankings(page, 1)
    ranking = Ranking.objects.get()
    assert (said(ranking), answers.from_ranking(ranking).ratings) == ([1, 2, 1], [2, 7, 2])


def test_two_cards_side_by_side_with_their_differences(open_as: Any, people: Any, make_prompt: Any) -> None:
    prompt = make_prompt("Name the colour", k=0)
    model = people.project.models.create(name="lab", kind="external")
    for index, text in enumerate(["The sky is blue today.", "The sky is grey today."]):
        Response.objects.create(prompt=prompt, model=model, sample_index=index, text=text, num_chars=len(text))
    tasks.make_ranking_tasks(
        project=people.project, prompts=[prompt], num_responses=2, num_wanted=1, user=people.manager
    )
    page = open_as(people.labeler, address(Task.objects.get()))
    press(page, "c")
    marks = page.locator("#compare mark")
    expect(marks).to_have_count(2)
    assert sorted(marks.all_inner_texts()) == ["blue", "grey"]
    press(page, "2", "Escape")
    expect(page.locator("#compare")).to_be_hidden()
    expect(page.locator("[data-order]")).to_have_text("A")


def test_moves_are_told_to_a_screen_reader(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    told = page.locator("[data-announce]")
    press(page, "2")
    expect(told).to_have_text("A at rank 2. 1 of 3 placed.")
    press(page, "=")
    expect(told).to_have_text("B at rank 2, tied with A. 2 of 3 placed.")
    press(page, "Backspace")
    expect(told).to_have_text("Undone. 1 of 3 placed.")


def test_typing_a_note_never_moves_a_card(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    page.locator("textarea[name=note]").click()
    page.keyboard.type("1 = 2, scn?")
    expect(page.locator("[data-order]")).to_have_text("")
    expect(page.locator("textarea[name=note]")).to_have_value("1 = 2, scn?")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_neither_page_nor_answers_tell_whose_text_it_is(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    ask_to_rank(k=4, num=2)
    task = Task.objects.order_by("pk")[0]
    seen: list[str] = []
    page = open_as(people.labeler, "/p/tea/work/")
    page.on("response", lambda answer: seen.append(answer.url))
    page.on("response", lambda answer: seen.append(answer.text()) if "/static/" not in answer.url else None)
    page.goto(page.url.split("/p/")[0] + address(task))
    others = [f"/work/task/{other.uid}/" for other in Task.objects.exclude(pk=task.pk)]
    wait_until(page, lambda: any(url.endswith(tuple(others)) for url in seen))  # the next task has been fetched ahead
    press(page, "1", "2", "3", "4")
    wait_for_draft(page, {"ranks": {"A": 1, "B": 2, "C": 3, "D": 4}})
    page.wait_for_timeout(300)  # and what was answered has been read
    text = "\n".join([*seen, page.content()])
    assert "/next/" in text
    assert "draft/" in text
    assert "other-lab" not in text
    for response in Response.objects.all():
        assert str(response.uid) not in text
    assert not re.search(r"sample[_-]?index|model[_-]?id|\"position\"|response[_-]?id", text, re.IGNORECASE)
    assert Prompt.objects.count() == 2


def test_writing_an_answer_with_a_preview(open_as: Any, people: Any, make_prompt: Any) -> None:
    prompt = make_prompt("Say hello", k=0)
    tasks.make_demonstration_tasks(project=people.project, prompts=[prompt], user=people.manager)
    page = open_as(people.labeler, address(Task.objects.get()))
    page.locator("textarea[name=text]").fill("**Hello** <script>alert(1)</script>")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("[data-preview-body] strong")).to_have_text("Hello")
    wait_for_draft(page, {"text": "**Hello** <script>alert(1)</script>"})
    page.keyboard.press("Control+Enter")
    expect(page.locator("h1")).to_have_text("All done here")
    assert prompt.demonstrations.get().text == "**Hello** <script>alert(1)</script>"


def test_an_own_ranking_is_changed_from_the_history(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=2)
    page = open_as(people.labeler, address(task))
    with page.expect_navigation():  # nothing is left to do: the page goes to the start by itself
        press(page, "1", "2", "Control+Enter")
    wait_for_rankings(page, 1)
    page.goto(page.url.split("/p/")[0] + "/p/tea/work/history/")
    page.locator("a.row-link").click()
    expect(page.locator("[data-order]")).to_have_text(re.compile(r"A\s+›\s+B"))
    page.locator(".response[data-letter=A]").click(position={"x": 300, "y": 60})
    press(page, "2", "Control+Enter")
    expect(page.locator(".toast")).to_contain_text("Your change is saved")
    assert [said(ranking) for ranking in Ranking.objects.order_by("revision")] == [[1, 2], [1, 1]]


def test_the_api_describes_itself_without_another_host(open_as: Any, people: Any) -> None:
    page = open_as(people.labeler, "/api/docs/")
    expect(page.locator(".opblock-summary-path").first).to_contain_text("projects")
    expect(page.locator(".opblock").nth(8)).to_be_visible()


def test_enter_on_a_flag_neither_skips_nor_submits(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=2)
    for with_scripts in (True, False):
        page = open_as(people.labeler, address(task), java_script_enabled=with_scripts)
        page.locator("#card-A summary").click()
        page.locator("input[name=flags_A]").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_timeout(300)
        assert page.url.endswith(address(task))
    assert not Skip.objects.exists()
    assert not Ranking.objects.exists()
    assert Slot.objects.get().state == Slot.State.HELD


def test_two_at_a_time_finds_the_order_with_the_fewest_questions(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=5)
    page = open_as(people.labeler, address(task))
    wanted = {"A": 3, "B": 1, "C": 2, "D": 1, "E": 4}  # what this labeler has in mind; B and D are as good
    press(page, "t")
    num_questions = 0
    while page.locator("#guided[open]").count() and num_questions < 20:
        left, right = (wanted[letter] for letter in page.locator("#guided .response-letter").all_inner_texts())
        press(page, "ArrowLeft" if left < right else "ArrowRight" if right < left else "=")
        num_questions += 1
    assert num_questions <= 8  # log2(2) + log2(3) + log2(4) + log2(5), each rounded up
    press(page, "Control+Enter")
    wait_for_rankings(page, 1)
    assert said(Ranking.objects.get()) == [3, 1, 2, 1, 4]


def test_two_at_a_time_can_be_undone_and_left(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, address(task))
    press(page, "t")
    pair = page.locator("#guided .response-letter")
    assert pair.all_inner_texts() == ["A", "B"]
    press(page, "ArrowRight")
    assert pair.all_inner_texts() != ["A", "B"]
    press(page, "Backspace")
    assert pair.all_inner_texts() == ["A", "B"]
    press(page, "Escape")
    expect(page.locator("[data-order]")).to_have_text("")
    assert not Ranking.objects.exists()


def test_own_keys_are_chosen_by_pressing_them_and_work_at_once(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    page = open_as(people.labeler, "/me/keys/")
    for label, key in [("Tie with the card above", "x"), ("Undo", "u"), ("Compare with another, side by side", "v")]:
        page.get_by_label(label).press(key)
    page.get_by_role("button", name="Save the keys").click()
    expect(page.locator(".toast")).to_contain_text("Your keys are saved")
    page.goto(page.url.split("/me/")[0] + address(task))
    press(page, "2", "x", "c")
    expect(page.locator("#compare")).to_be_hidden()  # C means nothing now
    expect(page.locator("[data-order]")).to_have_text("A = B")
    press(page, "u", "v")
    expect(page.locator("[data-order]")).to_have_text("A")
    expect(page.locator("#compare")).to_be_visible()
    press(page, "v", "?")
    expect(page.locator("#compare")).to_be_hidden()
    expect(page.locator("#keys-sheet")).to_contain_text(re.compile(r"U\s+undo"))
    assert page.locator("[data-undo]").get_attribute("aria-keyshortcuts") == "u"


def test_a_key_that_is_taken_is_refused_by_name_without_scripts_too(open_as: Any, people: Any) -> None:
    page = open_as(people.labeler, "/me/keys/", java_script_enabled=False)
    page.get_by_label("Tie with the card above").fill("s")
    page.get_by_role("button", name="Save the keys").click()
    expect(page.locator(".errorlist").first).to_contain_text("“s” is used for “skip” too")
    page.get_by_role("button", name="Back to the defaults").click()
    expect(page.get_by_label("Tie with the card above")).to_have_value("=")
