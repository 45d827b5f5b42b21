"""Payloads in briefs, written prompts, labels and notes come back as text on every page that shows them."""

from typing import Any

import pytest

from labeling.models import Task
from labeling.services import annotations, asking, writing
from labeling.services.annotations import Annotation
from labeling.services.writing import Writing
from tests.labeling.conftest import People
from tests.labeling.test_hostile_text import PAYLOADS, danger
from tests.labeling.writing.conftest import as_


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_come_back_as_text(people: People, ask: Any, make_prompt: Any, payload: str) -> None:
    people.project.prompt_labels = [payload]
    people.project.save()
    done, waiting = ask(style="few_shot", num_tasks=2, text=payload)
    pairs = [{"query": payload, "response": payload}] * 2
    given = Writing(instruction=payload, pairs=pairs, query=payload, note=payload)
    written = writing.submit(task=done, labeler=people.labeler, idempotency_key="w", writing=given)
    asked = [make_prompt(f"{payload} {number}", k=0) for number in range(2)]
    asking.ask_for_annotations(project=people.project, prompts=asked, user=people.manager)
    labeled, other = Task.objects.filter(kind="annotate").order_by("pk")
    said = Annotation(labels=[payload], note=payload)
    annotated = annotations.submit(task=labeled, labeler=people.labeler, idempotency_key="a", annotation=said)
    labeler, manager = as_(people.labeler), as_(people.manager)
    found = {}
    for client, path in [
        *((labeler, f"work/task/{task.uid}/") for task in (waiting, other)),
        *((labeler, f"work/history/{path}") for path in ("?kind=prompts", "?kind=labels")),
        (labeler, f"work/history/prompt/{written.uid}/"),
        (labeler, f"work/history/labels/{annotated.uid}/"),
        *((manager, path) for path in ("prompts/", "prompts/ask/", "progress/", "settings/", "tasks/")),
        (manager, f"prompts/{annotated.prompt.uid}/"),
        *((manager, f"tasks/{task.uid}/") for task in (done, labeled)),
    ]:
        page = client.get(f"/p/tea/{path}")
        assert page.status_code == 200, path
        found[path] = danger(page.content.decode())
    assert {path: what for path, what in found.items() if what} == {}
