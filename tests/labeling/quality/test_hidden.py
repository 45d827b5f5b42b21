"""Known answers and repeats come among the work by lot, and only to whom they suit."""

from datetime import timedelta

import pytest

from labeling.models import Ranking, Slot, Task, TaskResponse
from labeling.services import assignments, rankings
from labeling.services.answers import Answer
from labeling.services.assignments import Nothing
from labeling.services.quality import grades, hidden, references
from labeling.services.quality.references import QualityError
from tests.labeling.quality.conftest import claim, rank, switch, taken


@pytest.fixture
def known(people, ask):
    """Known answers in order by position; every draw is one, and all work is done by Luis."""
    switch(people.project, gold_percent=50, repeat_percent=0)

    def make(num=1, ranks=(1, 2, 3)):
        made = []
        for source in ask(num):
            rank(source, people.labeler2, [1, 2, 3])
            task = references.use_as_known_answer(task=source, user=people.manager)
            references.give(task=task, ranks=list(ranks), flags={}, note="", user=people.manager)
            made.append(task)
        return made

    return make


@pytest.fixture
def drawn(monkeypatch):
    """`drawn("gold")`: what the lot says from now on."""

    def fix(purpose):
        monkeypatch.setattr(hidden, "draw", lambda **_: Task.Purpose(purpose))

    return fix


def test_a_known_answer_comes_when_it_is_its_turn_and_not_otherwise(people, known, drawn, ask):
    (task,) = known()
    (work,) = ask()
    drawn("work")
    assert taken(people).task == work
    drawn("gold")
    assert taken(people, besides=[work]).task == task


def test_nobody_gets_the_same_known_answer_twice(people, known, drawn):
    known()
    drawn("gold")
    rank(taken(people).task, people.labeler, [1, 2, 3])
    assert isinstance(claim(people), Nothing)


def test_who_ranked_the_original_does_not_get_the_known_answer(people, known, drawn):
    known()
    drawn("gold")
    assert isinstance(claim(people, people.labeler2), Nothing)


def test_a_known_answer_without_its_order_goes_to_nobody(people, ask, drawn):
    switch(people.project, gold_percent=50)
    (source,) = ask()
    rank(source, people.labeler2, [1, 2, 3])
    references.use_as_known_answer(task=source, user=people.manager)
    drawn("gold")
    assert isinstance(claim(people), Nothing)


def test_a_closed_known_answer_goes_to_nobody(people, known, drawn):
    (task,) = known()
    Task.objects.filter(pk=task.pk).update(state="closed")
    drawn("gold")
    assert isinstance(claim(people), Nothing)


def test_nobody_gets_one_on_their_own_prompt_or_in_a_language_they_do_not_read(people, known, drawn):
    mine, foreign = known(2)
    type(mine.prompt).objects.filter(pk=mine.prompt_id).update(author=people.labeler)
    type(mine.prompt).objects.filter(pk=foreign.prompt_id).update(language="ar")
    people.labeler.languages = ["en"]
    drawn("gold")
    assert isinstance(claim(people), Nothing)


def test_a_reload_draws_no_second_one(people, known, drawn):
    known(3)
    drawn("gold")
    assert taken(people) == taken(people)
    assert Slot.objects.filter(state="held").count() == 1


def test_other_kinds_of_work_have_none(people, known, drawn):
    known()
    drawn("gold")
    assert isinstance(claim(people, kinds=["demonstrate"]), Nothing)


def test_a_project_that_hides_nothing_never_draws(people, known, ask, monkeypatch):
    known()
    switch(people.project, gold_percent=0)
    (work,) = ask()
    monkeypatch.setattr(hidden, "draw", lambda **_: pytest.fail("drawn"))
    assert taken(people).task == work


def test_the_lot_hits_as_often_as_the_project_says(people):
    switch(people.project, gold_percent=10, repeat_percent=20)
    drawn = [
        hidden.purpose_of_number(project=people.project, labeler=people.labeler, number=str(number))
        for number in range(5_000)
    ]
    assert 420 <= drawn.count("gold") <= 580
    assert 880 <= drawn.count("repeat") <= 1_120


def test_the_lot_is_the_same_until_something_is_handed_out(people, ask):
    switch(people.project, gold_percent=50)
    ask(2)
    numbers = []

    def number(*, project, labeler, number):
        numbers.append(number)
        return Task.Purpose.WORK

    hidden.purpose_of_number, before = number, hidden.purpose_of_number
    try:
        hidden.draw(project=people.project, labeler=people.labeler)
        hidden.draw(project=people.project, labeler=people.labeler)
        slot = taken(people)
        hidden.draw(project=people.project, labeler=people.labeler)
        rank(slot.task, people.labeler, [1, 2, 3])
        hidden.draw(project=people.project, labeler=people.labeler)
        assignments.skip(task=taken(people).task, labeler=people.labeler, reason="other")
        hidden.draw(project=people.project, labeler=people.labeler)
    finally:
        hidden.purpose_of_number = before
    counts = [int(given.rsplit(":")[-1]) for given in numbers]
    assert counts[:2] == [0, 0]
    assert counts[-1] == 2  # one ranked, one skipped


# --- repeats -------------------------------------------------------------------------------------------------------


@pytest.fixture
def later(monkeypatch):
    """It is as if what was ranked a moment ago had been ranked two days ago."""
    monkeypatch.setattr(hidden, "TIME_BEFORE_REPEAT", -timedelta(minutes=1))


@pytest.fixture
def old(people, ask, later):
    """Lena ranked one task two days ago."""
    switch(people.project, repeat_percent=50)
    (task,) = ask(k=4)
    rank(task, people.labeler, [1, 2, 3, 4])
    return task


def test_an_old_task_comes_again_as_a_task_of_its_own(people, old, drawn):
    drawn("repeat")
    slot = taken(people)
    assert (slot.task.purpose, slot.task.repeats) == ("repeat", old)
    texts = {place.response_id for place in TaskResponse.objects.filter(task=slot.task)}
    assert texts == {place.response_id for place in TaskResponse.objects.filter(task=old)}
    assert slot.task.uid != old.uid


def test_it_comes_once(people, old, drawn):
    drawn("repeat")
    rank(taken(people).task, people.labeler, [1, 2, 3, 4])
    assert isinstance(claim(people), Nothing)


def test_a_repeat_given_back_is_the_same_task_next_time(people, old, drawn):
    drawn("repeat")
    task = taken(people).task
    assignments.release(task=task, labeler=people.labeler)
    assert not Slot.objects.filter(task=task).exists()
    assert taken(people).task == task
    assert Task.objects.filter(purpose="repeat").count() == 1


def test_nobody_gets_a_repeat_of_what_others_ranked(people, old, drawn):
    drawn("repeat")
    assert isinstance(claim(people, people.labeler2), Nothing)


def test_what_was_ranked_just_now_does_not_come_again(people, ask, drawn):
    switch(people.project, repeat_percent=50)
    rank(ask()[0], people.labeler, [1, 2, 3])
    drawn("repeat")
    assert isinstance(claim(people), Nothing)


def test_twenty_tasks_later_it_may(people, ask, drawn, monkeypatch):
    switch(people.project, repeat_percent=50)
    monkeypatch.setattr(hidden, "TASKS_BEFORE_REPEAT", 2)
    first, *_ = [rank(task, people.labeler, [1, 2, 3]) for task in ask(3)]
    drawn("repeat")
    assert taken(people).task.repeats == first.task
    assert hidden.repeatable(project=people.project, labeler=people.labeler, kinds=["rank"]).count() == 0


def test_an_answer_without_an_order_is_not_repeated(people, ask, drawn, later):
    switch(people.project, repeat_percent=50)
    answer = Answer(outcome="none_acceptable")
    rankings.submit(task=ask()[0], labeler=people.labeler, idempotency_key="n", answer=answer)
    drawn("repeat")
    assert isinstance(claim(people), Nothing)


# --- grades --------------------------------------------------------------------------------------------------------


def test_known_answers_are_graded_by_pairs(people, known, drawn):
    known()
    drawn("gold")
    rank(taken(people).task, people.labeler, [1, 3, 2])
    (item,) = grades.graded(people.project)
    assert (item.labeler, item.purpose, item.num_pairs) == (people.labeler, "gold", 3)
    assert item.share == pytest.approx(2 / 3)


def test_a_repeat_is_graded_by_the_texts_and_not_by_their_places(people, old, drawn):
    """The same order of texts as before is full agreement, whatever positions the repeat has."""
    drawn("repeat")
    task = taken(people).task
    best_first = list(TaskResponse.objects.filter(task=old).order_by("position").values_list("response", flat=True))
    places = dict(TaskResponse.objects.filter(task=task).values_list("position", "response"))
    rank(task, people.labeler, [best_first.index(places[position]) + 1 for position in range(4)])
    (item,) = grades.graded(people.project)
    assert (item.purpose, item.share, item.num_pairs) == ("repeat", 1.0, 6)


def test_work_is_not_graded(people, known, drawn, ask):
    ask()
    drawn("work")
    rank(taken(people).task, people.labeler, [1, 2, 3])
    assert grades.graded(people.project) == []


def test_the_figures_of_a_labeler_pool_all_pairs_and_have_an_interval(people, known, drawn):
    known(3)
    drawn("gold")
    for ranks in ([1, 2, 3], [1, 2, 3], [3, 2, 1]):
        rank(taken(people).task, people.labeler, ranks)
    (line,) = grades.by_labeler(grades.graded(people.project))
    assert line.known.value == pytest.approx(6 / 9)
    assert line.known.low <= line.known.value <= line.known.high
    assert (line.num_known, line.num_own) == (3, 0)
    assert line.own.value is None
    assert line.own.why_not == "no repeat yet"
    assert line.trend[-1] == pytest.approx(6 / 9)
    assert line.trend[:-1] == [None] * 11


def test_only_ranking_tasks_that_are_work_become_known_answers(people, known):
    (task,) = known()
    with pytest.raises(QualityError, match="work"):
        references.use_as_known_answer(task=task, user=people.manager)
    assert Task.objects.filter(purpose="gold").count() == 1


def test_a_known_answer_is_neither_counted_nor_open(people, known, drawn):
    (task,) = known()
    drawn("gold")
    ranking = rank(taken(people).task, people.labeler, [1, 2, 3])
    assert ranking.slot.state == "done"
    assert not Ranking.objects.counted().filter(pk=ranking.pk).exists()
    assert not Slot.objects.filter(task=task, state="open").exists()
