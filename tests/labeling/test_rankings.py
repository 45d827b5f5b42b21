"""Rankings: what is taken in, what is refused and where, and that nothing is ever overwritten."""

import math

import pytest
from django.db import IntegrityError, transaction

from labeling.models import Draft, Guideline, Prompt, Ranking, Skip, Slot, Task
from labeling.services import answers, assignments, drafts, rankings, tasks
from labeling.services.answers import Answer, AnswerError, dense


@pytest.fixture
def task(people, make_prompt):
    make_prompt(k=4)
    tasks.make_ranking_tasks(
        project=people.project, prompts=Prompt.objects.all(), num_responses=4, num_wanted=2, user=people.manager
    )
    return Task.objects.get()


def submit(task, labeler, key="key", **answer):
    answer.setdefault("ranks", [2, 1, 3, 3])
    return rankings.submit(task=task, labeler=labeler, idempotency_key=key, answer=Answer(**answer))


def refused(task, labeler, **answer):
    with pytest.raises(AnswerError) as caught:
        submit(task, labeler, **answer)
    assert not Ranking.objects.exists()
    return caught.value.errors


def test_ranks_are_stored_by_position_and_the_order_shown_beside_them(people, task):
    ranking = submit(task, people.labeler, ranks=[2, 1, 3, 3])
    shown = assignments.shown_order(task=task, labeler=people.labeler)
    assert ranking.displayed == shown
    assert [ranking.ranks[position] for position in shown] == [2, 1, 3, 3]


def test_gaps_between_ranks_close_and_ties_stay(people, task):
    ranking = submit(task, people.labeler, ranks=[1, 4, 4, 2])
    assert answers.from_ranking(ranking).ranks == [1, 3, 3, 2]
    assert dense([1, 4, 4, 9]) == [1, 2, 2, 3]


def test_everything_the_labeler_said_is_kept(people, task):
    Guideline.objects.create(project=people.project, version=2, text="Be kinder.")
    ranking = submit(
        task,
        people.labeler,
        ratings=[5, None, 7, 1],
        flags={"A": ["Hallucination"], "B": []},
        notes={"D": " rude "},
        note="Hard one.",
        guideline_version=1,
        active_seconds=12.5,
    )
    said = answers.from_ranking(ranking)
    assert (said.ratings, said.flags, said.notes) == ([5, None, 7, 1], {"A": ["Hallucination"]}, {"D": "rude"})
    assert (ranking.note, ranking.guideline.version, ranking.active_seconds) == ("Hard one.", 1, 12.5)


def test_the_current_guidelines_count_when_the_page_does_not_say(people, task):
    Guideline.objects.create(project=people.project, version=2, text="Be kinder.")
    assert submit(task, people.labeler).guideline.version == 2


@pytest.mark.parametrize(
    ("answer", "place", "text"),
    [
        ({"ranks": [1, 2, None, 3]}, "C", "no rank yet"),
        ({"ranks": [1, 2, 0, 3]}, "C", "from 1 to 4"),
        ({"ranks": [1, 2, 5, 3]}, "C", "from 1 to 4"),
        ({"ranks": [1, 2, 3]}, "ranks", "4 responses need a rank each; 3 came"),
        ({"ranks": []}, "ranks", "0 came"),
        ({"outcome": "none_acceptable", "ranks": [1, None, None, None]}, "B", "no rank yet"),
        ({"outcome": "splendid"}, "outcome", "splendid"),
        ({"ratings": [1, 2, 3, 8]}, "D", "from 1 to 7"),
        ({"ratings": [1, 2]}, "ratings", "4 ratings"),
        ({"flags": {"E": ["Hallucination"]}}, "E", "no card E"),
        ({"flags": {"A": ["Boring"]}}, "A", "Boring"),
        ({"notes": {"AB": "x"}}, "AB", "no card AB"),
        ({"notes": {"A": "x" * 10_001}}, "A", "longer than"),
        ({"note": "x" * 10_001}, "note", "At most"),
        ({"guideline_version": 7}, "guideline_version", "no version 7"),
        ({"active_seconds": -1.0}, "active_seconds", "one day"),
        ({"active_seconds": math.nan}, "active_seconds", "one day"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(people, task, answer, place, text):
    assert text in refused(task, people.labeler, **answer)[place]


def test_every_error_comes_at_once(people, task):
    assert set(refused(task, people.labeler, ranks=[None, 1, None, 9], guideline_version=3)) == {
        "A", "C", "D", "guideline_version",
    }  # fmt: skip


def test_none_acceptable_needs_no_ranks_and_takes_them_if_given(people, task):
    bare = submit(task, people.labeler, outcome="none_acceptable", ranks=[])
    ranked = submit(task, people.labeler2, key="2", outcome="none_acceptable", ranks=[1, 2, 3, 4])
    assert (bare.outcome, bare.ranks) == ("none_acceptable", [])
    assert sorted(ranked.ranks) == [1, 2, 3, 4]


def test_the_same_key_twice_is_one_ranking(people, task):
    assert submit(task, people.labeler) == submit(task, people.labeler, ranks=[4, 3, 2, 1])
    assert Ranking.objects.count() == 1


def test_the_same_answer_from_a_second_tab_is_the_same_ranking(people, task):
    assert submit(task, people.labeler, key="tab 1") == submit(task, people.labeler, key="tab 2")
    assert Ranking.objects.count() == 1


def test_another_answer_from_a_second_tab_is_refused_and_changes_nothing(people, task):
    first = submit(task, people.labeler, key="tab 1")
    with pytest.raises(rankings.AlreadyRanked):
        submit(task, people.labeler, key="tab 2", ranks=[4, 3, 2, 1])
    assert list(Ranking.objects.all()) == [first]


def test_a_key_belongs_to_one_person_and_task(people, task):
    submit(task, people.labeler)
    with pytest.raises(AnswerError, match="another submission"):
        submit(task, people.labeler2)
    assert Ranking.objects.count() == 1


def test_submitting_forgets_the_draft_and_an_earlier_skip(people, task):
    drafts.save(task=task, labeler=people.labeler, payload={"ranks": {"A": 1}}, version=1)
    assignments.skip(task=task, labeler=people.labeler, reason="other")
    drafts.save(task=task, labeler=people.labeler, payload={"ranks": {"A": 1}}, version=2)
    submit(task, people.labeler)
    assert not Draft.objects.exists()
    assert not Skip.objects.exists()


def test_a_change_is_a_new_revision_in_the_same_slot(people, task):
    first = submit(task, people.labeler)
    second = rankings.revise(
        ranking=first, labeler=people.labeler, idempotency_key="again", answer=Answer(ranks=[1, 2, 3, 4])
    )
    first.refresh_from_db()
    assert answers.from_ranking(first).ranks == [2, 1, 3, 3]
    assert (second.revision, second.replaces, second.slot) == (2, first, first.slot)
    assert list(Ranking.objects.current()) == [second]
    assert list(Ranking.objects.counted()) == [second]
    assert Slot.objects.filter(state="done").count() == 1


def test_a_revision_sent_twice_is_one_revision(people, task):
    first = submit(task, people.labeler)
    answer = Answer(ranks=[1, 2, 3, 4])
    again = [
        rankings.revise(ranking=first, labeler=people.labeler, idempotency_key="again", answer=answer) for _ in range(2)
    ]
    assert again[0] == again[1]
    assert Ranking.objects.count() == 2


def test_a_revision_of_an_old_revision_is_refused(people, task):
    first = submit(task, people.labeler)
    rankings.revise(ranking=first, labeler=people.labeler, idempotency_key="2", answer=Answer(ranks=[1, 2, 3, 4]))
    with pytest.raises(rankings.AlreadyRanked):
        rankings.revise(ranking=first, labeler=people.labeler, idempotency_key="3", answer=Answer(ranks=[4, 3, 2, 1]))
    assert Ranking.objects.count() == 2


def test_nobody_changes_anothers_ranking(people, task):
    first = submit(task, people.labeler)
    with pytest.raises(AnswerError, match="your own last"):
        rankings.revise(ranking=first, labeler=people.labeler2, idempotency_key="2", answer=Answer(ranks=[1, 2, 3, 4]))
    assert Ranking.objects.count() == 1


def test_only_the_last_ones_can_be_changed(people, task, monkeypatch):
    monkeypatch.setattr(rankings, "NUM_EDITABLE", 0)
    first = submit(task, people.labeler)
    with pytest.raises(AnswerError, match="your own last 0"):
        rankings.revise(ranking=first, labeler=people.labeler, idempotency_key="2", answer=Answer(ranks=[1, 2, 3, 4]))
    assert Ranking.objects.count() == 1


def test_a_stored_ranking_cannot_be_rewritten_even_by_code(people, task):
    first = submit(task, people.labeler)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Ranking.objects.filter(pk=first.pk).update(ranks=[1, 2, 3, 4])


def test_a_submit_costs_a_fixed_number_of_statements(people, task, django_assert_num_queries):
    assignments.claim_task(task=task, labeler=people.labeler)
    # savepoint ×2, task lock, what came before, guideline, the slot with what was unsent, insert
    with django_assert_num_queries(7):
        submit(task, people.labeler)


def test_an_older_draft_never_overwrites_a_newer_one(people, task):
    assert drafts.save(task=task, labeler=people.labeler, payload={"ranks": {"A": 2}}, version=2)
    assert not drafts.save(task=task, labeler=people.labeler, payload={"ranks": {"A": 1}}, version=1)
    kept = drafts.load(task=task, labeler=people.labeler)
    assert (kept.payload, kept.version) == ({"ranks": {"A": 2}}, 2)


def test_drafts_of_two_people_do_not_meet(people, task):
    drafts.save(task=task, labeler=people.labeler, payload={"mine": 1}, version=1)
    assert drafts.load(task=task, labeler=people.labeler2) is None


def test_a_draft_that_is_too_long_is_refused(people, task):
    with pytest.raises(drafts.DraftError, match="too long"):
        drafts.save(task=task, labeler=people.labeler, payload={"note": "x" * 300_000}, version=1)
    assert not Draft.objects.exists()
