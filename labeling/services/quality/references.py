"""Known answers: copies of tasks by which labelers are graded, and the reference ranking of each.

A copy has responses in an order of its own, drawn by lot, so that nothing ties it to the task it came from. The
original stays work: its rankings train, those of the copy only grade.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from labeling.models import (
    MAX_RESPONSES_FOR_PEOPLE,
    Project,
    Prompt,
    QualificationSet,
    Ranking,
    Reference,
    Task,
    TaskResponse,
    User,
)

RANKING_KINDS: Final = (Task.Kind.RANK, Task.Kind.COMPARE)


class QualityError(Exception):
    """What was asked cannot be done; the text is for the manager."""


@transaction.atomic
def copy(*, task: Task, purpose: Task.Purpose, rate_first: bool, **fields: Any) -> Task:
    """A task of the same prompt and responses for another purpose, without a slot."""
    made = Task.objects.create(
        project_id=task.project_id,
        kind=task.kind,
        prompt_id=task.prompt_id,
        num_responses=task.num_responses,
        rate_first=rate_first,
        purpose=purpose,
        **fields,
    )
    responses = list(task.task_responses.values_list("response_id", flat=True))
    shuffled = random.sample(responses, len(responses))  # no secret
    TaskResponse.objects.bulk_create(
        TaskResponse(task=made, response_id=pk, position=position) for position, pk in enumerate(shuffled)
    )
    return made


@transaction.atomic
def use_as_known_answer(
    *, task: Task, user: User, ranking: Ranking | None = None, qualification_set: QualificationSet | None = None
) -> Task:
    """Grade labelers by this task: in a qualification set, or hidden among their work. The ranking is the reference.

    Without a ranking the reference is still to be given, and nobody gets the copy before that.
    """
    _check(task, qualification_set)
    purpose = Task.Purpose.QUALIFICATION if qualification_set else Task.Purpose.GOLD
    if _exists(task, purpose, qualification_set):
        raise QualityError("These responses are a known answer of that kind already.")
    made = copy(task=task, purpose=purpose, rate_first=task.project.rate_first, qualification_set=qualification_set)
    if ranking is not None:
        if not ranking.ranks:
            raise QualityError("This ranking gives no order, so nobody can be graded by it. Choose another one.")
        adopt(task=made, ranking=ranking, user=user)
    return made


def adopt(*, task: Task, ranking: Ranking, user: User) -> Reference:
    """Take somebody's ranking of the same responses as the reference."""
    positions = moved(ranking.task, task)
    ranks = realign(ranking.ranks, positions)
    flags = {str(positions[int(old)]): given for old, given in ranking.flags.items()}
    return give(task=task, ranks=ranks, flags=flags, note=ranking.note, user=user)


@transaction.atomic
def give(*, task: Task, ranks: Sequence[int], flags: Mapping[str, Sequence[str]], note: str, user: User) -> Reference:
    """Set or change the reference. Who was graded before keeps their result."""
    values = {"ranks": list(ranks), "flags": dict(flags), "note": note.strip()[:5_000], "created_by": user}
    reference, _ = Reference.objects.update_or_create(task=task, defaults=values)
    return reference


def moved(source: Task, target: Task) -> dict[int, int]:
    """Where each position of one task is in another of the same responses."""
    places = dict(target.task_responses.values_list("response_id", "position"))
    return {position: places[pk] for pk, position in source.task_responses.values_list("response_id", "position")}


def realign(values: Sequence[int], positions: Mapping[int, int]) -> list[int]:
    found = [0] * len(values)
    for position, value in enumerate(values):
        found[positions[position]] = value
    return found


def known_answers(project: Project) -> QuerySet[Task]:
    return Task.objects.filter(project=project, purpose=Task.Purpose.GOLD)


@transaction.atomic
def ask_for_demonstration(*, prompt: Prompt, qualification_set: QualificationSet) -> Task:
    """A prompt for which everybody in the set writes an answer."""
    if qualification_set.kind != QualificationSet.Kind.DEMONSTRATE:
        raise QualityError("This set is of rankings: add tasks to it.")
    _check_draft(qualification_set)
    task, is_new = Task.objects.get_or_create(
        project_id=prompt.project_id,
        prompt=prompt,
        kind=Task.Kind.DEMONSTRATE,
        purpose=Task.Purpose.QUALIFICATION,
        qualification_set=qualification_set,
    )
    if not is_new:
        raise QualityError("The prompt is in this set already.")
    return task


def _check(task: Task, qualification_set: QualificationSet | None) -> None:
    if task.kind not in RANKING_KINDS or task.purpose != Task.Purpose.WORK:
        raise QualityError("Only ranking tasks that are work can become known answers.")
    if task.num_responses > MAX_RESPONSES_FOR_PEOPLE:
        raise QualityError(f"People rank up to {MAX_RESPONSES_FOR_PEOPLE} responses; this task has more.")
    if qualification_set is not None:
        if qualification_set.kind != QualificationSet.Kind.RANK:
            raise QualityError("This set is of written answers: add prompts to it.")
        _check_draft(qualification_set)


def _check_draft(qualification_set: QualificationSet) -> None:
    """Locked, so that nobody activates it meanwhile."""
    locked = QualificationSet.objects.select_for_update(no_key=True).get(pk=qualification_set.pk)
    if locked.state != QualificationSet.State.DRAFT:
        raise QualityError("Only a draft set can change: everybody must be asked the same.")


def _exists(task: Task, purpose: Task.Purpose, qualification_set: QualificationSet | None) -> bool:
    responses = set(task.task_responses.values_list("response_id", flat=True))
    alike = Task.objects.filter(
        project=task.project_id, prompt=task.prompt_id, purpose=purpose, qualification_set=qualification_set
    )
    return any(
        responses == set(other.task_responses.values_list("response_id", flat=True))
        for other in alike.prefetch_related("task_responses")
    )
