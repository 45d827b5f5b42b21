"""Many people at the same moment: slots for one each, one decision, one reviewer."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.db import connections

from labeling.models import Qualification, QualificationSet, Review, Role, Slot, Task
from labeling.services.quality import places, qualification, references, reviews
from tests.labeling.quality.conftest import claim, newcomer, rank

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(calls):
    """Run the calls in threads that start together, each on a connection of its own."""
    gate = threading.Barrier(len(calls))

    def run(call):
        try:
            gate.wait(20)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(60) for future in [pool.submit(run, call) for call in calls]]


@pytest.fixture
def active(people, ask):
    found = QualificationSet.objects.create(project=people.project, kind="rank", name="First")
    for source in ask(2):
        made = references.use_as_known_answer(task=source, user=people.manager, qualification_set=found)
        references.give(task=made, ranks=[1, 2, 3], flags={}, note="", user=people.manager)
    qualification.activate(qualification_set=found)
    return found


def test_each_labeler_gets_a_slot_of_their_own(people, active):
    crowd = [newcomer(people, f"n{number}") for number in range(6)]
    slots = at_once([lambda who=who: claim(people, who) for who in crowd])
    assert all(isinstance(slot, Slot) for slot in slots)
    assert len({slot.pk for slot in slots}) == 6
    task = Task.objects.get(pk=slots[0].task_id)
    assert task.slots.count() == task.num_wanted == 6
    assert not task.slots.filter(state="open").exists()


def test_many_clicks_of_one_labeler_hold_one_task(people, active):
    slots = at_once([lambda: claim(people) for _ in range(6)])
    assert len({slot.pk for slot in slots}) == 1
    assert Slot.objects.filter(state="held").count() == 1


def test_two_last_answers_at_once_decide_once(people, active, monkeypatch):
    """Each must see the other: without the lock both look before either has committed, and nobody decides."""
    is_complete, both_here = qualification._is_complete, threading.Barrier(2)

    def together(*given):
        with suppress(threading.BrokenBarrierError):  # with the lock the other one waits outside
            both_here.wait(2)
        return is_complete(*given)

    monkeypatch.setattr(qualification, "_is_complete", together)
    tasks = list(qualification.tasks_of(active))
    for task in tasks:
        places.hand(task=task, labeler=people.labeler)
    at_once([lambda task=task: rank(task, people.labeler, [1, 2, 3]) for task in tasks])
    assert Qualification.objects.get().state == "passed"


def test_one_of_many_reviewers_gets_the_review(people, ask):
    reviews.ask(task=ask()[0], by=people.manager)
    review = Review.objects.get()
    crowd = [newcomer(people, f"r{number}", Role.REVIEWER) for number in range(5)]
    got = at_once([lambda who=who: reviews.take(review=review, reviewer=who) for who in crowd])
    assert sorted(got) == [False] * 4 + [True]
    assert Review.objects.get().reviewer == crowd[got.index(True)]


def test_one_review_however_many_ask(people, ask):
    (task,) = ask()
    asked = at_once([lambda: reviews.ask(task=task, by=people.manager) for _ in range(5)])
    assert sorted(asked) == [False] * 4 + [True]
    assert Review.objects.count() == 1
