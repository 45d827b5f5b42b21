"""Disagreement goes to a reviewer, who ranks blind, then sees the others, then decides. Originals stay."""

import pytest
from django.db.models.functions import Now
from django.urls import reverse

from labeling.models import Ranking, Review, Role, Slot, Snapshot
from labeling.services import agreement, answers, assignments, rankings, snapshots
from labeling.services.quality import references, reviews
from labeling.services.quality.reviews import ReviewError
from labeling.services.snapshots.rows import plan
from tests.labeling.quality.conftest import newcomer, places, rank, switch


@pytest.fixture
def torn(people, ask):
    """A task whose two labelers rank it the other way round; review below 60 %."""
    switch(people.project, review_below_percent=60)
    (task,) = ask(wanted=2)
    rank(task, people.labeler, [1, 2, 3])
    rank(task, people.labeler2, [3, 2, 1])
    return task


def answer(task, reviewer, ranks):
    return answers.Answer(ranks=places(task, reviewer, ranks))


def decide(people, review, ranks=(1, 2, 3), reviewer=None, **more):
    """Take, rank blind, decide."""
    reviewer = reviewer or people.reviewer
    assert reviews.take(review=review, reviewer=reviewer)
    given = answer(review.task, reviewer, ranks)
    reviews.rank(review=review, reviewer=reviewer, idempotency_key=f"r{review.pk}", answer=given)
    return reviews.decide(review=review, reviewer=reviewer, note="B repeats itself.", **more)


# --- opening -------------------------------------------------------------------------------------------------------


def test_disagreement_opens_a_review_with_its_score(people, torn):
    review = Review.objects.get()
    assert (review.task, review.reason, review.state, review.score) == (torn, "low_agreement", "open", 0.0)


def test_agreement_opens_none(people, ask):
    switch(people.project, review_below_percent=60)
    (task,) = ask(wanted=2)
    rank(task, people.labeler, [1, 2, 3])
    rank(task, people.labeler2, [1, 3, 2])
    assert not Review.objects.exists()


def test_nothing_opens_before_all_wanted_are_in(people, ask):
    switch(people.project, review_below_percent=60)
    (task,) = ask(wanted=3)
    rank(task, people.labeler, [1, 2, 3])
    rank(task, people.labeler2, [3, 2, 1])
    assert not Review.objects.exists()
    rank(task, people.manager, [3, 2, 1])
    assert Review.objects.get().score == pytest.approx(1 / 3)


def test_a_project_that_does_not_want_reviews_gets_none(people, ask):
    (task,) = ask(wanted=2)
    rank(task, people.labeler, [1, 2, 3])
    rank(task, people.labeler2, [3, 2, 1])
    assert not Review.objects.exists()


def test_an_edit_into_agreement_changes_the_score_and_one_into_disagreement_opens(people, torn):
    ranking = torn.rankings.get(labeler=people.labeler2)
    shown = answer(torn, people.labeler2, [1, 2, 3])
    rankings.revise(ranking=ranking, labeler=people.labeler2, idempotency_key="edit", answer=shown)
    assert Review.objects.get().score == 1.0


def test_many_are_opened_at_once_for_a_reason_and_once_each(people, ask):
    one, two = ask(2)
    opened = reviews.open_many(
        project=people.project, task_ids=[one.pk, two.pk], reason="model_disagrees", scores={one.pk: -0.5}
    )
    assert opened == 2
    assert dict(Review.objects.values_list("task", "score")) == {one.pk: -0.5, two.pk: None}
    assert reviews.open_many(project=people.project, task_ids=[one.pk], reason="model_disagrees") == 0


def test_no_review_of_a_task_of_another_project_or_of_a_known_answer(people, ask):
    (task,) = ask()
    elsewhere = people.stranger.memberships.get().project
    assert reviews.open_many(project=elsewhere, task_ids=[task.pk], reason="asked") == 0
    known = references.use_as_known_answer(task=task, user=people.manager)
    assert reviews.open_many(project=people.project, task_ids=[known.pk], reason="asked") == 0
    assert not Review.objects.exists()


def test_a_manager_asks_and_a_dismissed_one_opens_again(people, ask):
    (task,) = ask()
    assert reviews.ask(task=task, by=people.manager)
    assert not reviews.ask(task=task, by=people.manager)
    review = Review.objects.get()
    assert reviews.dismiss(review=review, by=people.manager, note="Fine as it is.")
    assert reviews.ask(task=task, by=people.manager)
    review.refresh_from_db()
    assert (review.state, review.reviewer, review.opened_by) == ("open", None, people.manager)


# --- who -----------------------------------------------------------------------------------------------------------


def test_who_ranked_the_task_does_not_review_it(people, torn):
    people.labeler.memberships.update(role=Role.REVIEWER)
    review = Review.objects.get()
    assert not reviews.queue(project=people.project, reviewer=people.labeler).exists()
    assert not reviews.take(review=review, reviewer=people.labeler)
    assert Review.objects.get().state == "open"


def test_who_is_ranking_the_task_now_does_not_review_it(people, ask):
    (task,) = ask()
    assignments.claim_task(task=task, labeler=people.reviewer)
    reviews.ask(task=task, by=people.manager)
    assert not reviews.take(review=Review.objects.get(), reviewer=people.reviewer)


def test_one_reviewer_at_a_time(people, torn):
    review, other = Review.objects.get(), newcomer(people, "rita", Role.REVIEWER)
    assert reviews.take(review=review, reviewer=people.reviewer)
    assert not reviews.take(review=review, reviewer=other)
    assert Review.objects.get().reviewer == people.reviewer


def test_a_lapsed_review_goes_to_the_next_and_is_lost_to_the_first(people, torn):
    review, other = Review.objects.get(), newcomer(people, "rita", Role.REVIEWER)
    reviews.take(review=review, reviewer=people.reviewer)
    Review.objects.update(held_until=Now())
    assert reviews.take(review=review, reviewer=other)
    with pytest.raises(ReviewError, match="not yours"):
        reviews.rank(
            review=review,
            reviewer=people.reviewer,
            idempotency_key="late",
            answer=answer(torn, people.reviewer, [1, 2, 3]),
        )
    assert Ranking.objects.count() == 2


def test_a_lapsed_review_that_nobody_took_is_still_ones_own(people, torn):
    review = Review.objects.get()
    reviews.take(review=review, reviewer=people.reviewer)
    Review.objects.update(held_until=Now())
    given = answer(torn, people.reviewer, [1, 2, 3])
    assert reviews.rank(review=review, reviewer=people.reviewer, idempotency_key="late", answer=given)


def test_the_worst_comes_first_and_what_one_holds_before_all(people, ask):
    bad, worse, unknown = ask(3)
    for task, score in ((bad, 0.5), (worse, 0.1), (unknown, None)):
        scores = {} if score is None else {task.pk: score}
        reviews.open_many(project=people.project, task_ids=[task.pk], reason="asked", scores=scores)
    in_order = [review.task for review in reviews.queue(project=people.project, reviewer=people.reviewer)]
    assert in_order == [worse, bad, unknown]
    reviews.take(review=Review.objects.get(task=unknown), reviewer=people.reviewer)
    assert reviews.take_next(project=people.project, reviewer=people.reviewer).task == unknown


def test_given_back_it_is_open_again_but_not_after_one_has_ranked(people, torn):
    review = Review.objects.get()
    reviews.take(review=review, reviewer=people.reviewer)
    assert reviews.give_back(review=review, reviewer=people.reviewer)
    assert Review.objects.get().state == "open"
    reviews.take(review=review, reviewer=people.reviewer)
    given = answer(torn, people.reviewer, [1, 2, 3])
    reviews.rank(review=review, reviewer=people.reviewer, idempotency_key="r", answer=given)
    assert not reviews.give_back(review=review, reviewer=people.reviewer)


# --- deciding ------------------------------------------------------------------------------------------------------


def test_a_decision_is_a_ranking_without_a_slot_and_the_originals_stay(people, torn):
    before = list(Ranking.objects.values_list("pk", "ranks"))
    review = decide(people, Review.objects.get(), [2, 1, 3])
    assert (review.state, review.note, review.reviewer) == ("done", "B repeats itself.", people.reviewer)
    assert (review.ranking.ranks, review.ranking.slot, review.ranking.labeler) == ([2, 1, 3], None, people.reviewer)
    assert list(Ranking.objects.exclude(labeler=people.reviewer).values_list("pk", "ranks")) == before
    assert Slot.objects.filter(task=torn, state="done").count() == 2


def test_nobody_decides_before_they_ranked(people, torn):
    review = Review.objects.get()
    reviews.take(review=review, reviewer=people.reviewer)
    with pytest.raises(ReviewError, match="yourself first"):
        reviews.decide(review=review, reviewer=people.reviewer, note="")
    assert Review.objects.get().state == "held"


def test_having_seen_the_others_one_may_change_ones_mind_once(people, torn):
    changed = answer(torn, people.reviewer, [3, 2, 1])
    review = decide(people, Review.objects.get(), [1, 2, 3], idempotency_key="again", answer=changed)
    assert (review.ranking.ranks, review.ranking.revision) == ([3, 2, 1], 2)
    assert review.ranking.replaces.ranks == [1, 2, 3]
    with pytest.raises(ReviewError):
        reviews.decide(
            review=review,
            reviewer=people.reviewer,
            note="",
            idempotency_key="once more",
            answer=answer(torn, people.reviewer, [2, 1, 3]),
        )


def test_the_same_ranking_again_is_no_revision(people, torn):
    same = answer(torn, people.reviewer, [1, 2, 3])
    assert decide(people, Review.objects.get(), [1, 2, 3], idempotency_key="x", answer=same).ranking.revision == 1


def test_a_decided_review_is_not_taken_dismissed_or_decided_again(people, torn):
    review = decide(people, Review.objects.get())
    other = newcomer(people, "rita", Role.REVIEWER)
    assert not reviews.take(review=review, reviewer=other)
    assert not reviews.dismiss(review=review, by=people.reviewer, note="")
    assert not reviews.ask(task=torn, by=people.manager)


def test_a_decision_counts_neither_as_work_nor_in_agreement_nor_in_history(people, torn):
    before = agreement.of_project(people.project)
    review = decide(people, Review.objects.get())
    assert review.ranking not in Ranking.objects.counted()
    assert review.ranking not in Ranking.objects.of_work()
    assert review.ranking not in rankings.own(labeler=people.reviewer)
    assert not rankings.can_edit(ranking=review.ranking, labeler=people.reviewer)
    assert agreement.of_project(people.project).num_comparisons == before.num_comparisons


# --- snapshots -----------------------------------------------------------------------------------------------------


def frozen(people, **filters):
    """The ranks of a reward snapshot, and what it leaves out."""
    snapshot = snapshots.create(project=people.project, kind="reward", name="s", filters=filters)
    assert isinstance(snapshot, Snapshot)
    wanted = plan(snapshot)
    return sorted(row.ranks for row in wanted.stream()), dict(wanted.left_out)


def test_a_snapshot_takes_the_decision_instead_of_the_originals(people, torn):
    assert frozen(people) == ([[1, 2, 3], [3, 2, 1]], {})
    decide(people, Review.objects.get(), [2, 1, 3])
    assert frozen(people) == ([[2, 1, 3]], {"replaced by a review": 2})


def test_or_the_originals_where_that_is_asked(people, torn):
    decide(people, Review.objects.get(), [2, 1, 3])
    ranks, left_out = frozen(people, adjudicated=False)
    assert ranks == [[1, 2, 3], [3, 2, 1]]
    assert left_out == {"decision of a review: the labelers' own are wanted": 1}


def test_an_undecided_review_changes_nothing(people, torn):
    review = Review.objects.get()
    reviews.take(review=review, reviewer=people.reviewer)
    given = answer(torn, people.reviewer, [2, 1, 3])
    reviews.rank(review=review, reviewer=people.reviewer, idempotency_key="r", answer=given)
    ranks, _ = frozen(people)
    assert ranks == [[1, 2, 3], [3, 2, 1]]


def test_what_a_held_out_labeler_said_stays_a_test(people, torn):
    type(people.labeler).objects.filter(pk=people.labeler.pk).update(is_held_out=True)
    decide(people, Review.objects.get(), [2, 1, 3])
    assert frozen(people) == ([[1, 2, 3], [2, 1, 3]], {"replaced by a review": 1})


def test_tests_of_the_labeler_never_train(people, torn, ask):
    (task,) = ask()
    rank(references.use_as_known_answer(task=task, user=people.manager), people.labeler, [2, 1, 3])
    ranks, left_out = frozen(people)
    assert ranks == [[1, 2, 3], [3, 2, 1]]
    assert left_out == {"not work: qualification, known answer or repeat": 1}


# --- pages ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(client, people, torn, request):
    client.force_login(people.reviewer)
    page = reverse("review", args=["tea", Review.objects.get().uid])
    if "another" not in request.node.name:
        client.get(page)  # takes it
    return page


FORM = {"rank_A": "1", "rank_B": "2", "rank_C": "3", "idempotency_key": "k", "action": "submit"}


def test_the_reviewer_sees_nobodys_ranking_before_their_own(client, people, page):
    html = client.get(page).content.decode()
    assert 'id="voices"' not in html
    assert "Labeler 1" not in html
    client.post(page, FORM)
    html = client.get(page).content.decode()
    assert 'id="voices"' in html
    assert "Labeler 1" in html
    assert "Labeler 2" in html


def test_the_reviewer_never_learns_names_or_models(client, people, page):
    client.post(page, FORM)
    html = client.get(page).content.decode()
    for secret in (
        "Lena",
        "Luis",
        "lena@",
        "other-lab",
        *Ranking.objects.exclude(labeler=people.reviewer).values_list("uid", flat=True),
    ):
        assert str(secret) not in html


def test_the_plain_form_decides_and_goes_on(client, people, page):
    client.post(page, FORM)
    changed = {
        **FORM,
        "rank_A": "3",
        "rank_B": "2",
        "rank_C": "1",
        "review_note": "C is best.",
        "idempotency_key": "k2",
    }
    assert client.post(page, changed).url == reverse("reviews", args=["tea"])
    review = Review.objects.get()
    assert (review.state, review.note, review.ranking.revision) == ("done", "C is best.", 2)
    html = client.get(page).content.decode()
    assert "Decision" in html
    assert "C is best." in html


def test_an_unfinished_ranking_is_refused_with_what_is_missing(client, people, page):
    answer = client.post(page, {**FORM, "rank_B": ""})
    assert answer.status_code == 422
    assert "B has no rank yet." in answer.content.decode()
    assert Ranking.objects.count() == 2


def test_another_reviewers_review_is_not_shown(client, people, page):
    reviews.take(review=Review.objects.get(), reviewer=people.manager)
    answer = client.get(page)
    assert answer.status_code == 409
    assert "Another reviewer has this one" in answer.content.decode()


def test_not_needed_leaves_the_task_as_it_is(client, people, page):
    client.get(page)
    client.post(page, {"action": "dismiss", "dismiss_note": "Both orders are fine."})
    review = Review.objects.get()
    assert (review.state, review.ranking, review.note) == ("dismissed", None, "Both orders are fine.")


def test_the_queue_says_why_and_how_much_they_agree(client, people, page):
    html = client.get(reverse("reviews", args=["tea"])).content.decode()
    assert "Labelers disagree" in html
    assert "0 %" in html
