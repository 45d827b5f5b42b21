"""Tasks that ask for prompts and for labels of prompts."""

import uuid
from typing import Any

import pytest
from django.test import Client

from labeling.models import PromptBrief, Task, User
from labeling.services import asking, writing
from labeling.services.annotations import Annotation
from labeling.services.writing import Writing
from tests.labeling.conftest import People


@pytest.fixture
def ask(people: People) -> Any:
    """`ask(style="few_shot", num_tasks=2)` → the tasks of a new brief."""

    def make(num_tasks: int = 1, num_wanted: int = 1, **fields: Any) -> list[Task]:
        fields = {"style": "plain", "use_case": "open_qa", "language": "en"} | fields
        brief = PromptBrief(project=people.project, **fields)
        return asking.ask_for_prompts(brief=brief, user=people.manager, num_tasks=num_tasks, num_wanted=num_wanted)

    return make


@pytest.fixture
def ask_labels(people: People, make_prompt: Any) -> Any:
    """`ask_labels("text")` → a task to label a new prompt."""
    people.project.prompt_labels = ["Ambiguous", "Closed domain", "Requests advice"]
    people.project.save()

    def make(text: str = "Should I move to Oslo?", num_wanted: int = 1, **fields: Any) -> Task:
        prompt = make_prompt(text, k=0, **fields)
        counts = asking.ask_for_annotations(
            project=people.project, prompts=[prompt], user=people.manager, num_wanted=num_wanted
        )
        return Task.objects.get(pk=counts.task_ids[0])

    return make


def write(task: Task, labeler: User, text: str = "Name three rivers of Asia.", key: str = "", **fields: Any) -> Any:
    return writing.submit(
        task=task,
        labeler=labeler,
        idempotency_key=key or str(uuid.uuid4()),
        writing=Writing(instruction=text, **fields),
    )


def few_shot(**changes: Any) -> Writing:
    pairs = [{"query": "I love it", "response": "good"}, {"query": "Never again", "response": "bad"}]
    return Writing(**({"instruction": "Good or bad?", "pairs": pairs, "query": "It was fine"} | changes))


def label(task: Task, labeler: User, *labels: str, key: str = "") -> Any:
    from labeling.services import annotations

    given = Annotation(labels=labels, is_none=not labels)
    return annotations.submit(task=task, labeler=labeler, idempotency_key=key or str(uuid.uuid4()), annotation=given)


def as_(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client
