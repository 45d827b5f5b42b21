"""What every kind of answer that is not a ranking shares on its way in: its key, its guideline, what it clears away."""

from typing import Final, TypeVar

from django.db.models import QuerySet

from labeling.models import Guideline, PromptAnnotation, Task, User, WrittenPrompt
from labeling.services.answers import AnswerError

NUM_EDITABLE: Final = 20  # a labeler may change their own last 20 of each kind

J = TypeVar("J", WrittenPrompt, PromptAnnotation)


class AlreadySubmitted(Exception):  # noqa: N818  # reads as what happened
    """Another answer to this task by the same labeler is in, and says something else."""

    def __init__(self, judgement: WrittenPrompt | PromptAnnotation) -> None:
        self.judgement = judgement
        super().__init__("You have answered this task already. History lets you change it.")


def with_key(rows: QuerySet[J], key: str, *, task: Task, labeler: User) -> J | None:
    """The answer that came with this key before, if any."""
    if not 1 <= len(key) <= 64:
        raise AnswerError({"idempotency_key": "A key of 1 to 64 characters is needed."})
    earlier = rows.filter(idempotency_key=key).first()
    if earlier and (earlier.task_id, earlier.labeler_id) != (task.pk, labeler.pk):
        raise AnswerError({"idempotency_key": "This key belongs to another submission."})
    return earlier


def latest(rows: QuerySet[J], *, task: Task, labeler: User) -> J | None:
    return rows.filter(task=task, labeler=labeler).order_by("-revision").first()


def to_revise(rows: QuerySet[J], judgement: J, *, labeler: User) -> J:
    """The newest revision, which must be the one that the labeler saw, and one of their last."""
    newest = latest(rows, task=judgement.task, labeler=labeler)
    if newest is None or not can_edit(rows, newest, labeler=labeler):
        raise AnswerError({"answer": f"Only your own last {NUM_EDITABLE} answers of a kind can be changed."})
    if newest.pk != judgement.pk:
        raise AlreadySubmitted(newest)
    return newest


def can_edit(rows: QuerySet[J], judgement: J, *, labeler: User) -> bool:
    mine = rows.filter(labeler=labeler, replaced_by__isnull=True).order_by("-created_at", "-pk")
    return judgement.pk in mine.values_list("pk", flat=True)[:NUM_EDITABLE]


def guideline(task: Task, version: int | None) -> Guideline | None:
    """The version the labeler had before them; the current one when the page did not say."""
    found = task.project.guideline(version)
    if found is None and version is not None:
        raise AnswerError({"guideline_version": f"There is no version {version} of the guidelines."})
    return found
