"""Models that have answered held-out prompts, and people who judge them as they are told."""

import uuid
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest
from django.utils import timezone

from labeling.models import Evaluation, Model, Prompt, Ranking, Response, Run, Slot, Task, User
from labeling.services import evaluations
from labeling.services.evaluations import Wish
from tests.labeling.conftest import People
from tests.labeling.runs.conftest import _own_folders, fake_stage, make_model  # noqa: F401

SAMPLING = {"temperature": 1.0, "top_p": 1.0, "max_prompt_tokens": 256, "max_new_tokens": 128}


@pytest.fixture(autouse=True)
def own_cache(settings: Any) -> None:
    """Nothing kept by another test."""
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": str(uuid.uuid4())}
    settings.CACHES = {**settings.CACHES, "default": memory}


@pytest.fixture
def held_out(make_prompt: Any) -> Callable[..., list[Prompt]]:
    """`held_out(3)` → three prompts of the validation split that nobody has answered."""
    numbers = count(1)

    def make(num: int, split: str = "valid") -> list[Prompt]:
        return [make_prompt(f"Held out {next(numbers)}?", k=0, split=split) for _ in range(num)]

    return make


@pytest.fixture
def answer(people: People) -> Callable[..., None]:
    """`answer(model, prompts)`: what a finished generate run with these settings would have left."""
    numbers = count(1)

    def make(model: Model, prompts: Sequence[Prompt], text: str = "", **changes: Any) -> None:
        number, fields = next(numbers), changes.pop("fields", {})
        run = None
        if model.kind == "policy":
            run = Run.objects.create(
                project=people.project, stage="generate", name=f"sampled {number}", state="succeeded",
                config=SAMPLING | {"backend": "local"} | changes, idempotency_key=f"sampled {number}",
                fence=1, started_at=timezone.now(), finished_at=timezone.now(),
            )  # fmt: skip
        for prompt in prompts:
            said = text or f"{model.name} on {prompt.text}"
            Response.objects.create(
                prompt=prompt, model=model, sample_index=number, text=said, num_chars=len(said), run=run, **fields
            )

    return make


@pytest.fixture
def models(make_model: Any) -> list[Model]:  # noqa: F811
    """The baseline first."""
    return [make_model(name) for name in ("sft-model", "ppo-model", "new-model")]


@pytest.fixture
def wish(people: People, models: list[Model]) -> Callable[..., Wish]:
    def make(num_models: int = 2, **changes: Any) -> Wish:
        given = {"models": models[:num_models], "baseline": models[0], "num_prompts": 3, "sampling": SAMPLING}
        return Wish(project=people.project, **(given | changes))

    return make


@pytest.fixture
def begun(people: People, models: list[Model], held_out: Any, answer: Any, wish: Any) -> Callable[..., Evaluation]:
    """`begun(3, num_models=2)` → one whose models have answered all that is held out, so that its tasks are made."""

    def make(num_prompts: int = 3, num_models: int = 2, **changes: Any) -> Evaluation:
        held_out(num_prompts)
        for model in models[:num_models]:
            answer(model, Prompt.objects.exclude(split="train").exclude(responses__model=model))
        return evaluations.start(wish(num_models, num_prompts=num_prompts, **changes), user=people.manager)

    return make


@pytest.fixture
def judge() -> Callable[..., Ranking]:
    """`judge(task, labeler, best=model)`: that model's response first, the others tied; without `best` all are tied."""
    numbers = count(1)

    def make(task: Task, labeler: User, best: Model | None = None, ranks: Any = None, **fields: Any) -> Ranking:
        slot = Slot.objects.filter(task=task, state="open").order_by("number").first()
        assert slot is not None
        Slot.objects.filter(pk=slot.pk).update(state="done", holder=labeler, done_at=timezone.now())
        whose = [place.response.model for place in task.task_responses.select_related("response__model")]
        given = [ranks[model.name] for model in whose] if ranks else [1 if model == best else 2 for model in whose]
        if best is None and ranks is None:
            given = [1] * len(whose)
        return Ranking.objects.create(
            task=task, slot=slot, labeler=labeler, idempotency_key=f"judged {next(numbers)}",
            displayed=list(range(len(whose))), **({"ranks": given} | fields),
        )  # fmt: skip

    return make


def tasks_of(evaluation: Evaluation) -> list[Task]:
    return list(Task.objects.filter(evaluation=evaluation).order_by("pk"))
