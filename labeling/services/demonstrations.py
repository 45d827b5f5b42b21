"""Demonstrations: answers that people write. Rows are only ever added."""

from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import QuerySet

from labeling.models import Demonstration, DemonstrationVoid, Guideline, Prompt, Task, User
from labeling.services import assignments
from labeling.services.answers import AnswerError

NUM_EDITABLE: Final = 20
MAX_CHARS: Final = 60_000


class AlreadyWritten(Exception):  # noqa: N818  # reads as what happened
    def __init__(self, demonstration: Demonstration) -> None:
        self.demonstration = demonstration
        super().__init__("You have written an answer to this prompt already. History lets you change it.")


@transaction.atomic
def submit(
    *,
    task: Task,
    labeler: User,
    idempotency_key: str,
    text: str,
    note: str = "",
    guideline_version: int | None = None,
    active_seconds: float | None = None,
    client_time: datetime | None = None,
) -> Demonstration:
    """Take a demonstration in. The same key twice gives the same row; `slot` is None when it is surplus."""
    locked = assignments.lock(task)
    if earlier := _with_key(idempotency_key, _prompt_id(locked), labeler):
        return earlier
    text = _checked(text)
    if latest := _latest(_prompt_id(locked), labeler):
        if latest.text == text:
            return latest
        raise AlreadyWritten(latest)
    demonstration = Demonstration(
        prompt_id=_prompt_id(locked),
        task=locked,
        slot=assignments.fill(task=locked, labeler=labeler),
        labeler=labeler,
        idempotency_key=idempotency_key,
        text=text,
        note=note.strip(),
        guideline=_guideline(locked, guideline_version),
        active_seconds=active_seconds,
        client_time=client_time,
    )
    demonstration.save(force_insert=True)
    return demonstration


@transaction.atomic
def add(*, prompt: Prompt, author: User, idempotency_key: str, text: str) -> Demonstration:
    """One that nobody was asked for. The same text again gives the same row, another text a new revision of it.

    Raises AlreadyWritten when the author was asked for one to this prompt, or brought one in a file.
    """
    Prompt.objects.select_for_update(no_key=True).get(pk=prompt.pk)
    if earlier := _with_key(idempotency_key, prompt.pk, author):
        return earlier
    text, latest = _checked(text), _latest(prompt.pk, author)
    if latest and latest.text == text and not DemonstrationVoid.objects.filter(demonstration=latest).exists():
        return latest
    if latest and (latest.task_id or latest.batch_id):
        raise AlreadyWritten(latest)
    demonstration = Demonstration(
        prompt=prompt,
        labeler=author,
        idempotency_key=idempotency_key,
        revision=latest.revision + 1 if latest else 1,
        replaces=latest,
        text=text,
        guideline=prompt.project.guideline(None),
    )
    demonstration.save(force_insert=True)
    return demonstration


@transaction.atomic
def revise(
    *, demonstration: Demonstration, labeler: User, idempotency_key: str, text: str, note: str = ""
) -> Demonstration:
    """Change one of one's own last demonstrations: a new revision; the old row stays as it was."""
    if demonstration.task is None:
        raise AnswerError({"demonstration": "An imported demonstration cannot be changed here."})
    locked = assignments.lock(demonstration.task)
    if earlier := _with_key(idempotency_key, _prompt_id(locked), labeler):
        return earlier
    latest = _latest(_prompt_id(locked), labeler)
    if latest is None or not can_edit(demonstration=latest, labeler=labeler):
        raise AnswerError({"demonstration": f"Only your own last {NUM_EDITABLE} answers can be changed."})
    if latest.pk != demonstration.pk:
        raise AlreadyWritten(latest)
    revision = Demonstration(
        prompt_id=_prompt_id(locked),
        task=locked,
        slot_id=latest.slot_id,
        labeler=labeler,
        idempotency_key=idempotency_key,
        revision=latest.revision + 1,
        replaces=latest,
        text=_checked(text),
        note=note.strip(),
        guideline=_guideline(locked, None),
    )
    revision.save(force_insert=True)
    assignments.forget_unsent(task=locked, labeler=labeler)
    return revision


def own(*, labeler: User) -> QuerySet[Demonstration]:
    """A labeler's demonstrations as they stand now, newest first."""
    mine = Demonstration.objects.current().filter(labeler=labeler)
    return mine.select_related("task", "prompt", "prompt__project").order_by("-created_at", "-pk")


def can_edit(*, demonstration: Demonstration, labeler: User) -> bool:
    mine = own(labeler=labeler).filter(batch__isnull=True, task__isnull=False)
    return demonstration.pk in mine.values_list("pk", flat=True)[:NUM_EDITABLE]


def _checked(text: str) -> str:
    text = text.strip()
    if not text:
        raise AnswerError({"text": "Write an answer first."})
    if len(text) > MAX_CHARS:
        raise AnswerError({"text": f"At most {MAX_CHARS} characters; this has {len(text)}."})
    return text


def _with_key(key: str, prompt_id: int, labeler: User) -> Demonstration | None:
    if not 1 <= len(key) <= 64:
        raise AnswerError({"idempotency_key": "A key of 1 to 64 characters is needed."})
    earlier = Demonstration.objects.filter(idempotency_key=key).first()
    if earlier and (earlier.prompt_id, earlier.labeler_id) != (prompt_id, labeler.pk):
        raise AnswerError({"idempotency_key": "This key belongs to another submission."})
    return earlier


def _prompt_id(task: Task) -> int:
    assert task.prompt_id is not None  # noqa: S101  # a CHECK holds it for this kind of task
    return task.prompt_id


def _latest(prompt_id: int, labeler: User) -> Demonstration | None:
    written = Demonstration.objects.filter(prompt=prompt_id, labeler=labeler)
    return written.order_by("-revision").first()


def _guideline(task: Task, version: int | None) -> Guideline | None:
    guideline = task.project.guideline(version)
    if guideline is None and version is not None:
        raise AnswerError({"guideline_version": f"There is no version {version} of the guidelines."})
    return guideline
