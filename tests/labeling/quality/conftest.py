"""Ranking tasks with known texts, and short ways to claim and rank them."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from labeling.models import Membership, Project, Prompt, Ranking, Role, Slot, Task, User
from labeling.services import answers, assignments, rankings, tasks
from labeling.services.assignments import Nothing
from tests.labeling.conftest import People


@pytest.fixture
def ask(people: People, make_prompt: Any) -> Callable[..., list[Task]]:
    """`ask(n, k=3, wanted=1)` → n ranking tasks of k responses."""

    def make(num: int = 1, k: int = 3, wanted: int = 1, **fields: Any) -> list[Task]:
        made = [make_prompt(f"prompt {Prompt.objects.count()}", k=k, **fields) for _ in range(num)]
        counts = tasks.make_ranking_tasks(
            project=people.project, prompts=made, num_responses=k, num_wanted=wanted, user=people.manager
        )
        return list(Task.objects.filter(pk__in=counts.task_ids).order_by("pk"))

    return make


def claim(people: People, labeler: User | None = None, **more: Any) -> Slot | Nothing:
    return assignments.claim(project=people.project, labeler=labeler or people.labeler, **more)


def taken(people: People, labeler: User | None = None, **more: Any) -> Slot:
    """A claim that must give something."""
    slot = claim(people, labeler, **more)
    assert isinstance(slot, Slot)
    return slot


def places(task: Task, labeler: User, ranks: Sequence[int]) -> list[int | None]:
    """Ranks by position, as the labeler sends them: by the place in which they see each response."""
    return [ranks[position] for position in assignments.shown_order(task=task, labeler=labeler)]


def rank(task: Task, labeler: User, ranks: Sequence[int], **more: Any) -> Ranking:
    """Submit a ranking given by position."""
    answer = answers.Answer(ranks=places(task, labeler, ranks), **more)
    key = f"{task.pk}-{labeler.pk}-{Ranking.objects.count()}"
    return rankings.submit(task=task, labeler=labeler, idempotency_key=key, answer=answer)


def switch(project: Project, **settings: Any) -> None:
    """Change the project's settings, also on the object at hand."""
    for name, value in settings.items():
        setattr(project, name, value)
    project.save(update_fields=list(settings))


def newcomer(people: People, name: str, role: Role = Role.LABELER) -> User:
    user = User.objects.create_user(f"{name}@example.org", "a long password", name=name.title())
    Membership.objects.create(project=people.project, user=user, role=role)
    return user
