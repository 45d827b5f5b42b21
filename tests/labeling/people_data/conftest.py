"""Rankings and snapshots of two labelers."""

import uuid
from typing import Any

import pytest
from django.test import Client

from labeling.models import Project, Ranking, Snapshot, Task, User
from labeling.services import rankings, snapshots, tasks
from labeling.services.answers import Answer
from tests.labeling.conftest import People


@pytest.fixture
def ask(people: People, make_prompt: Any) -> Any:
    """`ask(3, wanted=2)` → ranking tasks over two responses each."""

    def make(num: int = 1, wanted: int = 1) -> list[Task]:
        prompts = [make_prompt(f"Question {uuid.uuid4()}", k=2) for _ in range(num)]
        counts = tasks.make_ranking_tasks(
            project=people.project, prompts=prompts, num_responses=2, num_wanted=wanted, user=people.manager
        )
        return list(Task.objects.filter(pk__in=counts.task_ids).order_by("pk"))

    return make


def rank(task: Task, labeler: User, seconds: float | None = None) -> Ranking:
    answer = Answer(ranks=[1, 2], active_seconds=seconds)
    return rankings.submit(task=task, labeler=labeler, idempotency_key=str(uuid.uuid4()), answer=answer)


def freeze(project: Project, kind: str, name: str, user: User) -> Snapshot:
    """A snapshot, built at once."""
    made = snapshots.create(project=project, kind=kind, name=name, filters={}, user=user)
    snapshots.build(made.pk)
    made.refresh_from_db()
    assert made.state == "ready", made.error
    return made


def as_(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client
