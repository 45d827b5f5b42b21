"""Where people and a reward model differ: measured, filtered, sent to review, and settled by reviewers."""

from typing import Any

import pytest
from django.urls import reverse

from labeling.models import Prompt, Review, RunInput, Snapshot, SnapshotRanking, User
from labeling.services.quality import reviews
from labeling.services.scores import differences, upheld
from labeling.services.scores.differences import Asked
from tests.labeling.quality.conftest import rank
from tests.labeling.quality.test_reviews import decide
from tests.labeling.scores.conftest import score
from training.contract import uncertainty


def found(people: Any, model: Any, **asked: Any) -> list[int]:
    return [item.task_id for item in differences.worst_first(people.project, model, Asked(**asked))]


def test_the_task_whose_people_surprise_the_model_most_comes_first(people: Any, judge: Any, ask: Any) -> None:
    model = judge()
    agrees, torn, against = ask(3, wanted=2)
    for task in (agrees, torn, against):
        score(model, task, [4.0, 2.0, 0.0])
    rank(agrees, people.labeler, [1, 2, 3])
    rank(torn, people.labeler, [1, 2, 3])
    rank(torn, people.labeler2, [2, 1, 3])
    rank(against, people.labeler, [3, 2, 1])
    rows = differences.of_project(people.project, model)
    assert [row.task_id for row in rows] == [against.pk, torn.pk, agrees.pk]
    both = uncertainty.surprise([4.0, 2.0, 0.0], [1, 2, 3]) + uncertainty.surprise([4.0, 2.0, 0.0], [2, 1, 3])
    assert rows[1].bits == pytest.approx(both.bits / 6)
    assert (rows[1].against, rows[1].num_pairs, rows[1].num_labelers) == (1 / 6, 6, 2)
    assert (rows[0].against, rows[2].against) == (1.0, 0.0)
    assert rows[2].bits < 0 < rows[1].bits < rows[0].bits


def test_what_the_model_has_not_scored_whole_or_nobody_ordered_is_not_there(people: Any, judge: Any, ask: Any) -> None:
    model, other = judge(), judge("other")
    half, tied, foreign, nobody = ask(4)
    score(model, half, [1.0, 0.0, None])
    score(model, tied, [1.0, 0.0, 2.0])
    score(other, foreign, [1.0, 0.0, 2.0])
    score(model, nobody, [1.0, 0.0, 2.0])
    rank(half, people.labeler, [1, 2, 3])
    rank(tied, people.labeler, [1, 1, 1])
    rank(foreign, people.labeler, [1, 2, 3])
    assert differences.of_project(people.project, model) == []
    assert len(differences.of_project(people.project, other)) == 1


def test_a_new_ranking_and_a_new_score_are_seen_at_once(people: Any, judge: Any, ask: Any) -> None:
    model = judge()
    first, second = ask(2, wanted=2)
    score(model, first, [1.0, 0.0, 2.0])
    rank(first, people.labeler, [1, 2, 3])
    assert found(people, model) == [first.pk]
    rank(first, people.labeler2, [1, 2, 3])
    assert found(people, model, min_labelers=2) == [first.pk]
    rank(second, people.labeler, [1, 2, 3])
    assert found(people, model) == [first.pk]
    score(model, second, [1.0, 0.0, 9.0])
    assert sorted(found(people, model)) == [first.pk, second.pk]


def test_the_filters_leave_what_they_say(people: Any, judge: Any, ask: Any) -> None:
    model = judge()
    one, two = ask(2, wanted=2)
    for task in (one, two):
        score(model, task, [1.0, 0.0, 2.0])
        rank(task, people.labeler, [1, 2, 3])
    rank(two, people.labeler2, [1, 2, 3])
    Prompt.objects.filter(pk=one.prompt_id).update(use_case="chat", language="de")
    assert found(people, model, use_case="chat") == [one.pk]
    assert found(people, model, language="de") == [one.pk]
    assert found(people, model, language="fr") == []
    assert found(people, model, min_labelers=2) == [two.pk]


def test_what_the_model_learned_from_is_marked_and_can_be_left_out(people: Any, judge: Any, ask: Any) -> None:
    model = judge()
    trained, valid, held_out, new = ask(4)
    snapshot = Snapshot.objects.create(
        project=people.project, name="s", kind="reward", state="ready", sha256="a" * 64, finished_at="2026-01-01T00:00Z"
    )
    RunInput.objects.create(run=model.run, name="dataset", snapshot=snapshot)
    Prompt.objects.filter(pk=valid.prompt_id).update(split="valid")
    User.objects.filter(pk=people.labeler2.pk).update(is_held_out=True)
    for task, labeler in ((trained, people.labeler), (valid, people.labeler), (held_out, people.labeler2)):
        score(model, task, [1.0, 0.0, 2.0])
        SnapshotRanking.objects.create(snapshot=snapshot, ranking=rank(task, labeler, [1, 2, 3]))
    score(model, new, [1.0, 0.0, 2.0])
    rank(new, people.labeler, [1, 2, 3])
    marked = {row.task_id for row in differences.of_project(people.project, model) if row.has_trained}
    assert marked == {trained.pk}
    assert sorted(found(people, model, only_new=True)) == [valid.pk, held_out.pk, new.pk]


def test_sent_tasks_are_open_reviews_that_say_nothing_of_the_model_and_leave_the_list(
    people: Any, judge: Any, ask: Any
) -> None:
    model = judge()
    one, two, unscored = ask(3)
    for task in (one, two):
        score(model, task, [3.0, 2.0, 1.0])
        rank(task, people.labeler, [2, 1, 3])
    rank(unscored, people.labeler, [1, 2, 3])
    send = {"project": people.project, "judge": model, "by": people.manager}
    assert differences.send_to_review(**send, tasks=[one.uid, unscored.uid]) == 1
    assert differences.send_to_review(**send, tasks=[one.uid]) == 0
    review = Review.objects.get()
    assert (review.task, review.reason, review.state, review.opened_by) == (
        one,
        "model_disagrees",
        "open",
        people.manager,
    )
    assert review.score == pytest.approx(2 / 3)  # of three pairs two are as the model has them
    assert found(people, model) == [two.pk]
    assert sorted(found(people, model, only_open=False)) == [one.pk, two.pk]


def test_a_disputed_pair_goes_to_whom_the_reviewer_agrees_with(people: Any, judge: Any, ask: Any) -> None:
    model = judge()
    one, two = ask(2, wanted=2)
    for task in (one, two):
        score(model, task, [3.0, 2.0, 1.0])
    # people have all three pairs the other way round; the reviewer says B, then A and C alike
    rank(one, people.labeler, [3, 2, 1])
    # AB is disputed by one of two labelers, nothing else is
    rank(two, people.labeler, [2, 1, 3])
    rank(two, people.labeler2, [1, 2, 3])
    reviews.open_many(project=people.project, task_ids=[one.pk], reason="model_disagrees")
    reviews.open_many(project=people.project, task_ids=[two.pk], reason="asked")
    decide(people, Review.objects.get(task=one), ranks=(2, 1, 2))
    decide(people, Review.objects.get(task=two), ranks=(1, 2, 3))
    sent = upheld.upheld(people.project, model, only_sent=True)
    # BA: people (and the reviewer) B first; CB: people C first, the reviewer B, as the model; AC: a tie
    assert (sent.num_reviews, sent.num_pairs) == (1, 3)
    assert [round(share.value * 3) for share in (sent.people, sent.model, sent.neither)] == [1, 1, 1]
    everything = upheld.upheld(people.project, model)
    assert (everything.num_reviews, everything.num_pairs) == (2, 4)
    assert [round(share.value * 4) for share in (everything.people, everything.model, everything.neither)] == [1, 2, 1]
    assert everything.model.low <= everything.model.value <= everything.model.high


def test_before_any_decision_nobody_is_upheld(people: Any, judge: Any) -> None:
    nothing = upheld.upheld(people.project, judge())
    assert (nothing.num_reviews, nothing.num_pairs, nothing.people.value) == (0, 0, None)
    assert nothing.people.why_not


# --- pages -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def differing(people: Any, judge: Any, ask: Any) -> Any:
    """A ranked task that the model has the other way round."""
    (task,) = ask(wanted=2)
    score(judge("judge-7"), task, [3.0, 2.0, 1.0])
    rank(task, people.labeler, [3, 2, 1])
    return task


def test_the_list_leads_to_the_task_and_says_how_much_it_differs(client: Any, people: Any, differing: Any) -> None:
    client.force_login(people.manager)
    page = client.get(reverse("differences", args=["tea"])).content.decode()
    assert reverse("difference", args=["tea", differing.uid]) in page
    assert "100 %" in page
    assert "judge-7" in page


def test_the_task_shows_both_orders_side_by_side(client: Any, people: Any, differing: Any) -> None:
    client.force_login(people.manager)
    response = client.get(reverse("difference", args=["tea", differing.uid]))
    by_people = [line.response.text for line in response.context["by_people"]]
    by_model = [line.response.text for line in response.context["by_model"]]
    places = [place.response.text for place in differing.task_responses.order_by("position")]
    assert by_model == places
    assert by_people == places[::-1]
    assert response.context["against"] == 1.0


def test_ticked_tasks_go_to_review_from_the_page(client: Any, people: Any, differing: Any) -> None:
    client.force_login(people.manager)
    sent = client.post(
        reverse("differences_send", args=["tea"]), {"task": [str(differing.uid), "nonsense"]}, follow=True
    )
    assert "1 task goes to review." in sent.content.decode()
    assert Review.objects.get().task == differing
    again = client.post(reverse("differences_send", args=["tea"]), {"task": [str(differing.uid)]}, follow=True)
    assert "Nothing was sent" in again.content.decode()
    none = client.post(reverse("differences_send", args=["tea"]), {}, follow=True)
    assert "Tick the tasks" in none.content.decode()


def test_a_reviewer_gets_the_task_blind_and_cannot_open_the_comparison(
    client: Any, people: Any, differing: Any
) -> None:
    client.force_login(people.manager)
    client.post(reverse("differences_send", args=["tea"]), {"task": [str(differing.uid)]})
    client.force_login(people.reviewer)
    assert client.get(reverse("differences", args=["tea"])).status_code == 403
    assert client.get(reverse("difference", args=["tea", differing.uid])).status_code == 403
    review = Review.objects.get()
    for path in (reverse("reviews", args=["tea"]), reverse("review", args=["tea", review.uid])):
        page = client.get(path).content.decode()
        assert "judge-7" not in page
        assert "other-lab" not in page


def test_without_scores_the_page_says_how_to_get_some(client: Any, people: Any) -> None:
    client.force_login(people.manager)
    page = client.get(reverse("differences", args=["tea"])).content.decode()
    assert "No reward model has scored anything yet" in page
    assert reverse("run_new_stage", args=["tea", "score"]) in page


def test_a_filter_that_is_not_known_here_is_as_if_it_were_not_given(client: Any, people: Any, differing: Any) -> None:
    client.force_login(people.manager)
    asked = {"judge": "nonsense", "use_case": "cooking", "language": "xx", "labelers": "-3", "page": "99"}
    page = client.get(reverse("differences", args=["tea"]), asked)
    assert page.status_code == 200
    assert [item.task_id for item, _ in page.context["rows"]] == [differing.pk]


def test_a_task_that_nobody_ranked_has_nothing_to_compare(client: Any, people: Any, judge: Any, ask: Any) -> None:
    (task,) = ask()
    client.force_login(people.manager)
    assert "Nobody has ranked" in client.get(reverse("difference", args=["tea", task.uid])).content.decode()
