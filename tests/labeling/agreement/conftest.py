"""Rankings as they lie in the database, quickly made."""

import uuid
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from django.utils import timezone

from labeling.models import Prompt, Ranking, Slot, Task, TaskResponse, User
from tests.labeling.conftest import People


@pytest.fixture(autouse=True)
def own_cache(settings: Any) -> None:
    """Nothing kept by another test, whose project may have the same number."""
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": str(uuid.uuid4())}
    settings.CACHES = {**settings.CACHES, "default": memory}


@pytest.fixture
def make_task(people: People, make_prompt: Any) -> Callable[..., Task]:
    """`make_task("text", k=3)` → a ranking task for people."""
    numbers = count(1)

    def make(text: str = "", k: int = 3, prompt: Prompt | None = None, **fields: Any) -> Task:
        prompt = prompt or make_prompt(text or f"Question {next(numbers)}?", k=k)
        task = Task.objects.create(project=people.project, kind="rank", prompt=prompt, num_responses=k, **fields)
        for position, response in enumerate(prompt.responses.order_by("sample_index", "pk")):
            TaskResponse.objects.create(task=task, response=response, position=position)
        return task

    return make


@pytest.fixture
def rank() -> Callable[..., Ranking]:
    """`rank(task, labeler, [1, 2, 2])` → a ranking that counts; `slot=None` makes it surplus."""
    numbers = count(1)

    def make(task: Task, labeler: User, ranks: list[int], **fields: Any) -> Ranking:
        if "slot" not in fields:
            fields["slot"] = Slot.objects.create(
                task=task,
                number=next(numbers),
                project=task.project,
                kind=task.kind,
                state="done",
                holder=labeler,
                done_at=timezone.now(),
            )
        fields.setdefault("displayed", list(range(task.num_responses)))
        return Ranking.objects.create(
            task=task, labeler=labeler, ranks=ranks, idempotency_key=f"key {next(numbers)}", **fields
        )

    return make
