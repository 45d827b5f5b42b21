"""The demo project: seeded once, through the same doors as people's work."""

from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command

from labeling.models import Demonstration, Project, Prompt, Ranking, Slot, Task
from labeling.services import demo

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def seeded(django_db_setup: Any, django_db_blocker: Any) -> Any:
    """Seeded once for this file and rolled back after it."""
    from django.db import transaction

    with django_db_blocker.unblock(), transaction.atomic():
        yield demo.seed()
        transaction.set_rollback(True)


def test_the_printed_log_ins_work(seeded: Any) -> None:
    assert [log_in.role for log_in in seeded] == ["Manager", "Labeler"]
    for log_in in seeded:
        assert authenticate(None, email=log_in.email, password=log_in.password) is not None


def test_three_labelers_have_ranked_and_they_differ_a_little(seeded: Any) -> None:
    orders = [
        {r.task_id: tuple(r.ranks) for r in Ranking.objects.counted().filter(labeler__name=taste.name)}
        for taste in demo.TASTES
    ]
    common = set.intersection(*(set(order) for order in orders))
    same = sum(len({order[task] for order in orders}) == 1 for task in common)
    assert len(common) >= demo.NUM_RANKED_BY_ALL
    assert 0 < same < len(common)


def test_work_waits_for_the_next_labeler(seeded: Any) -> None:
    project = Project.objects.get(slug="demo")
    assert Slot.objects.filter(project=project, state="open", kind=Task.Kind.RANK).count() >= 40
    assert Task.objects.filter(project=project, kind=Task.Kind.DEMONSTRATE).count() == demo.NUM_ASKED_TO_WRITE
    assert Prompt.objects.filter(project=project, responses__isnull=True).count() >= 16
    assert Demonstration.objects.filter(prompt__project=project).count() == 24


def test_seeding_again_changes_nothing(seeded: Any) -> None:
    before = (Project.objects.count(), Prompt.objects.count(), Ranking.objects.count())
    assert demo.seed() == []
    call_command("seed_demo")
    assert before == (Project.objects.count(), Prompt.objects.count(), Ranking.objects.count())
