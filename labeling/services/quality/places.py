"""Slots of tasks that are not plain work: made for one labeler, held from the start, never open to others."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Greatest, Now

from labeling.models import Demonstration, Draft, Ranking, Skip, Slot, Task, User


@transaction.atomic
def hand(*, task: Task, labeler: User) -> Slot:
    """A slot of this task for this labeler alone. The number wanted grows with it, so that the answer fills it."""
    locked = Task.objects.select_for_update(no_key=True).get(pk=task.pk)
    lease = timedelta(minutes=task.project.lease_minutes)
    slot = _add(locked, labeler, state=Slot.State.HELD, lease_until=Now() + lease)
    return Slot.objects.select_related("task", "task__prompt", "task__project").get(pk=slot.pk)


def hand_again(*, task: Task, labeler: User) -> Slot | None:
    """Back to whom it was handed before, as their draft shows: their lease ran out. None to everybody else."""
    was_theirs = Draft.objects.filter(task=task, labeler=labeler).exists()
    if not was_theirs or not not_touched_by(labeler, Task.objects.filter(pk=task.pk)).exists():
        return None
    return hand(task=task, labeler=labeler)


def fill(*, locked: Task, labeler: User) -> Slot:
    """The slot that this labeler's answer fills, now done; one of its own if the lease ran out meanwhile."""
    mine = Slot.objects.filter(task=locked, holder=labeler, state=Slot.State.HELD)
    if mine.update(state=Slot.State.DONE, lease_until=None, done_at=Now()) != 1:
        _add(locked, labeler, state=Slot.State.DONE, done_at=Now())
    return Slot.objects.get(task=locked, holder=labeler, state=Slot.State.DONE)


def not_touched_by(labeler: User, tasks: QuerySet[Task]) -> QuerySet[Task]:
    """Those of the tasks that this labeler neither holds nor has answered nor skipped."""
    held = Slot.objects.filter(task=OuterRef("pk"), holder=labeler, state__in=[Slot.State.HELD, Slot.State.DONE])
    return not_answered_by(labeler, tasks).exclude(Exists(held))


def not_answered_by(labeler: User, tasks: QuerySet[Task]) -> QuerySet[Task]:
    """Those that this labeler has neither answered nor skipped. A prompt is answered in writing once, for any task."""
    here = {"task": OuterRef("pk"), "labeler": labeler}
    written = Demonstration.objects.filter(prompt=OuterRef("prompt"), labeler=labeler)
    return (
        tasks.exclude(Exists(Ranking.objects.filter(**here)))
        .exclude(Exists(Skip.objects.filter(**here)))
        .exclude(Q(kind=Task.Kind.DEMONSTRATE) & Exists(written))
    )


def suiting(labeler: User, tasks: QuerySet[Task]) -> QuerySet[Task]:
    """Those in a language that the labeler reads, and not about a prompt of their own."""
    tasks = tasks.exclude(prompt__author=labeler)
    if labeler.languages:
        tasks = tasks.filter(Q(prompt__language="") | Q(prompt__language__in=labeler.languages))
    return tasks


def _add(locked: Task, labeler: User, **fields: object) -> Slot:
    last = locked.slots.aggregate(last=Max("number"))["last"] or 0
    slot = Slot(
        task=locked,
        number=last + 1,
        project_id=locked.project_id,
        kind=locked.kind,
        priority=locked.priority,
        holder=labeler,
        claimed_at=Now(),
        **fields,
    )
    slot.save(force_insert=True)
    num_taken = locked.slots.exclude(state=Slot.State.OPEN).count()
    Task.objects.filter(pk=locked.pk).update(num_wanted=Greatest(F("num_wanted"), num_taken))
    return slot
