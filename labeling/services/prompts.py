"""Prompts: how one is identified, which split it belongs to, adding one by hand, changing many."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import models, transaction

from labeling.models import Project, Prompt, PromptSource, Split, User
from labeling.services import locks, personal_data

PERCENT_TRAIN = 90
PERCENT_VALID = 5  # the rest is test
Messages = list[dict[str, str]]


class PromptError(Exception):
    """The text is for the person at the form."""


def content_hash(messages: Sequence[Any]) -> str:
    """SHA-256 of the messages as canonical JSON: what makes two prompts the same."""
    canonical = json.dumps(messages, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def text_of(messages: Sequence[dict[str, str]]) -> str:
    return "\n\n".join(message["content"] for message in messages)


def split_of(*, customer: str, messages: Sequence[dict[str, str]]) -> Split:
    """Always the same for a customer, on any machine. Without one, for all prompts that begin with the same message,
    so that the turns of one conversation never meet on both sides."""
    owner = f"customer:{customer}" if customer else f"message:{messages[0]['content']}"
    place = int.from_bytes(hashlib.sha256(owner.encode()).digest()[:8]) % 100
    if place < PERCENT_TRAIN:
        return Split.TRAIN
    return Split.VALID if place < PERCENT_TRAIN + PERCENT_VALID else Split.TEST


def split_of_author(author: User) -> Split:
    """All that one person writes lies on one side, as all of one customer does."""
    return split_of(customer=f"author:{author.uid}", messages=[])


def build(*, project: Project, messages: Messages, **fields: Any) -> Prompt:
    """An unsaved prompt with what follows from its messages filled in. A `split` given stands."""
    text = text_of(messages)
    if "personal_data" not in fields:
        fields["personal_data"] = personal_data.find(text)
    fields.setdefault("looked_for", [f"personal_data:{settings.PERSONAL_DATA}"])
    fields.setdefault("split", split_of(customer=fields.get("customer", ""), messages=messages))
    return Prompt(
        project=project,
        messages=messages,
        content_hash=content_hash(messages),
        text=text,
        num_chars=len(text),
        **fields,
    )


def lock(project: Project) -> None:
    """One writer of prompts per project until the transaction ends: caps and duplicates are counted before writing."""
    locks.wait_turn(locks.Kind.PROMPTS, project.pk)


@transaction.atomic
def add(
    *, project: Project, messages: Messages, author: User | None, source: str = PromptSource.LABELER, **fields: Any
) -> Prompt:
    """One prompt by hand. Raises PromptError when the project has it already, or it is too long."""
    lock(project)
    prompt = build(project=project, messages=messages, author=author, source=source, **fields)
    if prompt.num_chars > project.max_prompt_chars:
        raise PromptError(f"It has {prompt.num_chars:,} characters; this project takes {project.max_prompt_chars:,}.")
    if Prompt.objects.filter(project=project, content_hash=prompt.content_hash).exists():
        raise PromptError("This project has exactly this prompt already.")
    prompt.full_clean(exclude=["batch"])
    prompt.save()
    return prompt


def change(*, prompts: "models.QuerySet[Prompt]", changes: dict[str, Any]) -> int:
    """Set use case, language, split or retirement of all these; how many were not so before."""
    known = {"use_case", "language", "split", "is_retired"}
    if not changes or set(changes) - known:
        raise PromptError("Say what to change.")
    return prompts.exclude(**changes).update(**changes)
