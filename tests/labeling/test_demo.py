"""The demo project: seeded once, through the same doors as people's work."""

from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command

from labeling.models import Demonstration, Project, Prompt, Ranking, Review, Slot, Task
from labeling.services import agreement, demo, demo_quality
from labeling.services.quality import grades

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


def test_three_labelers_have_ranked_and_they_differ_about_as_much_as_people_do(seeded: Any) -> None:
    found = agreement.of_project(Project.objects.get(slug="demo"))
    assert found.num_labelers == len(demo.TASTES)
    assert found.num_tasks >= demo.NUM_RANKED_BY_ALL
    assert found.share is not None
    assert 0.7 < found.share < 0.95


def test_work_waits_for_the_next_labeler(seeded: Any) -> None:
    project = Project.objects.get(slug="demo")
    assert Slot.objects.filter(project=project, state="open", kind=Task.Kind.RANK).count() >= 40
    assert Task.objects.filter(project=project, kind=Task.Kind.DEMONSTRATE).count() == demo.NUM_ASKED_TO_WRITE
    assert Prompt.objects.filter(project=project, responses__isnull=True).count() >= 16
    assert Demonstration.objects.filter(prompt__project=project).count() == 24


def test_every_kind_of_work_waits_and_every_page_of_quality_has_something_to_show(seeded: Any) -> None:
    project = Project.objects.get(slug="demo")
    kinds = Slot.objects.filter(project=project, state="open").values_list("kind", flat=True)
    assert set(kinds) == set(Task.Kind.values)
    assert Review.objects.filter(project=project, state="open").exists()
    standing = grades.by_labeler(grades.graded(project))
    assert [line.num_known for line in standing] == [demo_quality.NUM_KNOWN] * 3
    assert all(0.5 < (line.known.value or 0) <= 1 for line in standing)


def test_known_answers_are_no_work_and_train_nobody(seeded: Any) -> None:
    counted = Ranking.objects.counted()
    assert not counted.exclude(task__purpose="work").exists()
    assert Ranking.objects.filter(task__purpose="gold").count() == 3 * demo_quality.NUM_KNOWN


def test_seeding_again_changes_nothing(seeded: Any) -> None:
    before = (Project.objects.count(), Prompt.objects.count(), Ranking.objects.count())
    assert demo.seed() == []
    call_command("seed_demo")
    assert before == (Project.objects.count(), Prompt.objects.count(), Ranking.objects.count())
