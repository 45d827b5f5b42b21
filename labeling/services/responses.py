"""Responses that a model sampled, taken into the project."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from django.db.models import Max

from labeling.models import Model, Prompt, Response, Run
from training.contract.records import ResponseRow

BATCH = 500
MODEL_NAMES = re.compile(
    r"\b(chatgpt|gpt-?[345]\w*|openai|claude|anthropic|gemini|bard|llama|mistral|deepseek|qwen|grok)\b", re.IGNORECASE
)


def ingest(*, run: Run, model: Model, rows: Iterable[ResponseRow]) -> dict[str, object]:
    """Store a generate run's responses. What is not stored is counted by reason.

    Call it inside the transaction that ends the run: samples are numbered after those that the model gave before.
    """
    taken, refused, remaining = 0, Counter[str](), iter(rows)
    while batch := list(islice(remaining, BATCH)):
        new = list(_responses(run=run, model=model, rows=batch, refused=refused))
        taken += len(Response.objects.bulk_create(new))
    return {"taken": taken, "refused": dict(refused)}


def names_a_model(text: str, *, model: str = "") -> bool:
    """Whether a text seems to say which model wrote it. A manager looks at it before it is ranked."""
    return bool(MODEL_NAMES.search(text)) or (len(model) > 3 and model.lower() in text.lower())


def _responses(*, run: Run, model: Model, rows: list[ResponseRow], refused: Counter[str]) -> Iterator[Response]:
    hashes = {row.prompt_id for row in rows}
    prompts = dict(
        Prompt.objects.filter(project=run.project, content_hash__in=hashes).values_list("content_hash", "pk")
    )
    first_index = _first_indices(run=run, model=model, prompts=prompts.values())
    for row in rows:
        if row.error:
            refused[row.error[:200]] += 1
        elif row.prompt_id not in prompts:
            refused["its prompt is no longer in the project"] += 1
        else:
            pk, text = prompts[row.prompt_id], storable(row.text)
            yield Response(
                prompt_id=pk,
                model=model,
                sample_index=first_index.get(pk, 0) + row.sample_index,
                text=text,
                finish_reason=row.finish_reason,
                run=run,
                names_itself=names_a_model(text, model=model.name),
                num_chars=len(text),
            )


def _first_indices(*, run: Run, model: Model, prompts: Iterable[int]) -> dict[int, int]:
    earlier = Response.objects.filter(model=model, prompt__in=prompts).exclude(run=run)
    return {row["prompt"]: row["last"] + 1 for row in earlier.values("prompt").annotate(last=Max("sample_index"))}


def storable(text: str) -> str:
    """Postgres takes neither NUL nor half a surrogate pair; a small model may write both."""
    return text.replace("\0", "\ufffd").encode("utf-8", errors="replace").decode("utf-8")
