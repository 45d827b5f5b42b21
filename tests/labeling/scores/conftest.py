"""Reward models that have scored responses, without a run of a stage."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from labeling.models import Model, ResponseScore, Run, Task
from tests.labeling.conftest import People
from tests.labeling.quality.conftest import ask  # noqa: F401  # the same tasks
from tests.labeling.runs.conftest import _own_folders, fake_stage, make_model, make_snapshot  # noqa: F401

Score = Callable[[Model, Task, Sequence[float]], None]


@pytest.fixture
def judge(people: People) -> Callable[..., Model]:
    """`judge("rm")` → a reward model with a run that made it."""

    def make(name: str = "rm", **fields: Any) -> Model:
        run = Run.objects.create(project=people.project, stage="reward", name=name, idempotency_key=name)
        return Model.objects.create(
            project=people.project, name=name, kind="reward", run=run, storage_key=f"models/{name}", **fields
        )

    return make


def score(model: Model, task: Task, scores: Sequence[float | None]) -> None:
    """The model's scores of a task's responses, by position; None: it has not scored that one."""
    assert model.run is not None
    places = task.task_responses.order_by("position")
    ResponseScore.objects.bulk_create(
        ResponseScore(response_id=place.response_id, model=model, run=model.run, score=value)
        for place, value in zip(places, scores, strict=True)
        if value is not None
    )
