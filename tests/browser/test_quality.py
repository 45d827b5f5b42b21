"""Quality in a real browser: a review by keyboard, a known answer given on the board, guidelines confirmed, a repeat
that looks like any other task."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from labeling.models import Draft, GuidelineReading, Ranking, Reference, Review, Slot, Task
from labeling.services import answers, assignments, projects
from labeling.services.quality import hidden, references, reviews
from tests.browser.test_ranking_page import press, said, wait_for_rankings

pytestmark = pytest.mark.browser


def test_a_reviewer_ranks_blind_sees_the_others_and_decides_by_keyboard(
    open_as: Any, people: Any, ask_to_rank: Any
) -> None:
    (task,) = ask_to_rank(k=3)
    reviews.ask(task=task, by=people.manager)
    review = Review.objects.get()
    page = open_as(people.reviewer, f"/p/tea/review/{review.uid}/")
    expect(page.locator(".voices")).to_have_count(0)
    press(page, "2", "1", "3", "Control+Enter")
    expect(page.locator(".voices")).to_be_visible()
    wait_for_rankings(page, 1)
    assert said(Ranking.objects.get()) == [2, 1, 3]
    page.locator("input[name=review_note]").fill("B says why.")
    page.locator("[data-submit]").click()
    expect(page.locator("h1")).to_have_text("Review")
    review.refresh_from_db()
    assert (review.state, review.note) == ("done", "B says why.")
    assert review.ranking == Ranking.objects.get()


def test_a_decision_changed_after_seeing_the_others_is_a_revision(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    reviews.ask(task=task, by=people.manager)
    review = Review.objects.get()
    page = open_as(people.reviewer, f"/p/tea/review/{review.uid}/")
    press(page, "1", "2", "3", "Control+Enter")
    expect(page.locator(".voices")).to_be_visible()
    page.locator('[data-does="rank"][data-letter="C"][data-rank="1"]').click()
    press(page, "Control+Enter")
    wait_for_rankings(page, 2)
    expect(page.locator("h1")).to_have_text("Review")
    review.refresh_from_db()
    assert review.ranking is not None
    assert said(review.ranking) == [1, 2, 1]
    assert review.ranking.revision == 2


def test_a_half_done_review_is_there_again_after_a_reload_and_on_another_machine(
    open_as: Any, people: Any, ask_to_rank: Any
) -> None:
    (task,) = ask_to_rank(k=3)
    reviews.ask(task=task, by=people.manager)
    review = Review.objects.get()
    path = f"/p/tea/review/{review.uid}/"
    page = open_as(people.reviewer, path)
    press(page, "2", "1")
    expect(page.locator("[data-draft-state]")).to_contain_text("draft saved")
    page.reload()
    expect(page.locator("[data-num-placed]")).to_have_text("2 of 3 placed")
    elsewhere = open_as(people.reviewer, path)
    expect(elsewhere.locator("[data-order]")).to_have_text(re.compile(r"B\s+›\s+A"))
    press(elsewhere, "3")
    expect(elsewhere.locator("[data-draft-state]")).to_contain_text("draft saved")
    page.locator("textarea[name=note]").fill("From the first window")
    expect(page.locator("[data-draft-state]")).to_contain_text("changed in another window")
    press(elsewhere, "Control+Enter")
    expect(elsewhere.locator(".voices")).to_be_visible()
    assert not Draft.objects.exists()
    elsewhere.locator("input[name=review_note]").fill("B says why.")
    expect(elsewhere.locator("[data-draft-state]")).to_contain_text("draft saved")
    elsewhere.reload()
    expect(elsewhere.locator("input[name=review_note]")).to_have_value("B says why.")
    elsewhere.locator("[data-submit]").click()
    expect(elsewhere.locator("h1")).to_have_text("Review")
    assert Review.objects.get().note == "B says why."
    assert not Draft.objects.exists()


def test_a_review_is_not_needed_though_no_card_has_a_place(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    reviews.ask(task=task, by=people.manager)
    page = open_as(people.reviewer, f"/p/tea/review/{Review.objects.get().uid}/")
    page.locator("summary", has_text="Other").click()
    page.locator("#dismiss_note").fill("Both are fine.")
    page.keyboard.press("Enter")  # the field's Enter decides nothing
    page.wait_for_timeout(300)
    assert Review.objects.get().state == "held"
    page.get_by_role("button", name="No decision needed").click()
    expect(page.locator("h1")).to_have_text("Review")
    assert (Review.objects.get().state, Review.objects.get().note) == ("dismissed", "Both are fine.")


def test_a_known_answer_is_given_on_the_board(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    (task,) = ask_to_rank(k=3)
    made = references.use_as_known_answer(task=task, user=people.manager)
    page = open_as(people.manager, f"/p/tea/quality/known/{made.uid}/")
    press(page, "3", "1", "2", "Control+Enter")
    expect(page.locator("h1")).to_have_text("Quality")
    shown = assignments.shown_order(task=made, labeler=people.manager)
    reference = Reference.objects.get(task=made)
    assert said(Ranking(displayed=shown, ranks=reference.ranks)) == [3, 1, 2]


def test_changed_guidelines_are_read_before_the_next_task(open_as: Any, people: Any, ask_to_rank: Any) -> None:
    first, second = ask_to_rank(k=2, num=2)
    people.project.must_read_guidelines = True
    people.project.save()
    page = open_as(people.labeler, f"/p/tea/work/task/{first.uid}/")
    page.get_by_role("button", name="I have read this").click()
    expect(page.locator(".response.is-current")).to_have_attribute("data-letter", "A")
    projects.publish_guideline(project=people.project, text="Be kind and brief.", by=people.manager)
    press(page, "1", "2", "Control+Enter")
    expect(page.locator("h1")).to_have_text("The guidelines have changed")
    expect(page.locator("ins")).to_have_text("Be kind and brief.")
    page.get_by_role("button", name="I have read this").click()
    page.wait_for_url("**/work/")
    assert GuidelineReading.objects.filter(user=people.labeler).count() == 2
    assert Ranking.objects.get().task == first
    assert not Slot.objects.filter(task=second, state="done").exists()


def test_a_known_answer_comes_between_two_tasks_and_is_sent_like_them(
    open_as: Any, people: Any, ask_to_rank: Any, monkeypatch: Any
) -> None:
    *_, source = ask_to_rank(k=2, num=3)
    people.project.gold_percent = 50
    people.project.tasks_ahead = 1
    people.project.save()
    gold = references.use_as_known_answer(task=source, user=people.manager)
    references.give(task=gold, ranks=[1, 2], flags={}, note="", user=people.manager)
    Slot.objects.filter(task=source).update(
        state="held", holder=people.manager, lease_until="2100-01-01T00:00Z", claimed_at="2020-01-01T00:00Z"
    )
    turns = iter([Task.Purpose.WORK, Task.Purpose.GOLD])
    monkeypatch.setattr(hidden, "draw", lambda **_: next(turns, Task.Purpose.WORK))
    page = open_as(people.labeler, "/p/tea/work/")
    page.get_by_role("button", name="Start ranking").click()
    for num in (1, 2, 3):
        expect(page.locator(".response.is-current")).to_have_attribute("data-letter", "A")
        press(page, "1", "2", "Control+Enter")
        wait_for_rankings(page, num)
    purposes = list(Ranking.objects.order_by("pk").values_list("task__purpose", flat=True))
    assert sorted(purposes) == ["gold", "work", "work"]
    assert answers.from_ranking(Ranking.objects.get(task=gold)).ranks == [1, 2]
