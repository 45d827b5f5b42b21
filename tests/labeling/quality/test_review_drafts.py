"""What a reviewer has not sent is kept, per step, as long as the review is theirs."""

import json
from typing import Any

import pytest
from django.urls import reverse

from labeling.models import Draft, Ranking, Review
from labeling.services.drafts import DraftError
from labeling.services.quality import review_drafts, reviews
from tests.labeling.quality.conftest import newcomer, rank, switch

FORM = {"rank_A": "1", "rank_B": "2", "rank_C": "3", "idempotency_key": "k"}


@pytest.fixture
def review(people, ask):
    """Of a task whose two labelers disagree, held by the reviewer."""
    switch(people.project, review_below_percent=60)
    (task,) = ask(wanted=2)
    rank(task, people.labeler, [1, 2, 3])
    rank(task, people.labeler2, [3, 2, 1])
    found = Review.objects.get()
    assert reviews.take(review=found, reviewer=people.reviewer)
    return found


@pytest.fixture
def page(client, people, review):
    client.force_login(people.reviewer)
    return reverse("review", args=["tea", review.uid])


def put(client: Any, review: Review, version: int, **payload: Any) -> tuple[int, Any]:
    address = reverse("api_review_draft", args=["tea", review.uid])
    body = json.dumps({"payload": payload, "version": version})
    answer = client.put(address, body, content_type="application/json")
    return answer.status_code, answer.json()


def test_a_draft_comes_back_on_the_board_and_an_older_one_does_not_win(client, page, review):
    assert put(client, review, 2, step="rank", ranks={"A": 3}, note="Half done")[0] == 200
    status, late = put(client, review, 1, step="rank", ranks={})
    assert (status, late["is_saved"], late["version"]) == (200, False, 2)
    html = client.get(page).content.decode()
    assert "Half done" in html
    assert 'name="draft_version" value="2"' in html
    assert '<option value="3" selected>' in html


def test_the_step_before_leaves_nothing_behind(client, page, review):
    put(client, review, 1, step="rank", ranks={"A": 3}, note="Blind thoughts")
    client.post(page, FORM)
    assert not Draft.objects.exists()
    put(client, review, 1, step="rank", ranks={"A": 2}, note="From another window")  # too late
    html = client.get(page).content.decode()
    assert "From another window" not in html
    assert 'name="draft_version" value="1"' in html  # and the next save outdoes it
    put(client, review, 2, step="decide", ranks={"A": 1}, review_note="C repeats itself")
    assert "C repeats itself" in client.get(page).content.decode()
    client.post(page, {**FORM, "review_note": "C repeats itself", "idempotency_key": "k2"})
    assert Review.objects.get().state == "done"
    assert not Draft.objects.exists()


def test_a_draft_of_a_review_that_somebody_else_took_is_refused(client, people, page, review):
    Review.objects.update(held_until="2020-01-01T00:00Z")
    other = newcomer(people, "rolf", "reviewer")
    assert reviews.take(review=review, reviewer=other)
    assert put(client, review, 1, ranks={})[0] == 404
    with pytest.raises(DraftError, match="not yours any more"):
        review_drafts.save(review=review, reviewer=people.reviewer, payload={}, version=1)
    assert not Draft.objects.exists()


def test_a_draft_of_a_decided_review_is_refused(client, people, page, review):
    client.post(page, FORM)
    client.post(page, {**FORM, "idempotency_key": "k2"})
    status, answer = put(client, review, 5, ranks={})
    assert status == 422
    assert "not yours any more" in answer["detail"]


def test_saving_holds_the_review_longer_and_never_shorter(client, people, page, review):
    Review.objects.update(held_until="2020-01-01T00:00Z")
    put(client, review, 1, ranks={})
    assert not reviews.queue(project=people.project, reviewer=people.manager).exists()
    Review.objects.update(held_until="2100-01-01T00:00Z")
    put(client, review, 2, ranks={})
    assert Review.objects.get().held_until.year == 2100


def test_the_plain_form_keeps_a_draft_and_stays(client, page, review):
    kept = client.post(page, {"action": "draft", "rank_A": "2", "draft_version": "0", "step": "rank"})
    assert kept.url == page
    assert Draft.objects.get().payload["ranks"] == {"A": 2}
    answer = client.post(page, {"action": "draft", "rank_A": "3", "draft_version": "0", "step": "rank"})
    assert "A newer draft was saved from another window" in answer.content.decode()
    assert Draft.objects.get().payload["ranks"] == {"A": 2}
    assert Ranking.objects.count() == 2


def test_a_dismissed_review_needs_no_draft_and_one_given_back_keeps_it(client, page, review):
    put(client, review, 1, step="rank", ranks={"A": 1})
    client.post(page, {"action": "give_back"})
    assert Draft.objects.exists()
    client.get(page)
    client.post(page, {"action": "dismiss", "dismiss_note": "Fine."})
    assert not Draft.objects.exists()


def test_a_labeler_cannot_reach_drafts_of_reviews(client, people, review):
    client.force_login(people.labeler)
    assert put(client, review, 1, ranks={})[0] == 403
    assert not Draft.objects.exists()
