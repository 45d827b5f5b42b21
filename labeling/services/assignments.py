"""Handing out work: who holds which slot, for how long, and which slot a judgement fills.

A slot goes open → held → done. Only the database's clock counts. Each change of state is a compare-and-set: an UPDATE
that names the state it expects, whose count is looked at. Locks are always taken task first, then slots.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from labeling.models import (
    Demonstration,
    Draft,
    Project,
    Prompt,
    PromptAnnotation,
    Ranking,
    Skip,
    Slot,
    Task,
    User,
    WrittenPrompt,
)
from labeling.models.statements import Statement, columns, made
from labeling.services import queue, tasks
from labeling.services.quality import hidden, places, qualification, standing
from labeling.services.quality.standing import MUST_READ, NOT_QUALIFIED, Standing, Why

# Open slots; below it a labeler holds one task ahead and no more: few people never hold the queue's end.
ENOUGH_OPEN: Final = 50
SWEEP_BATCH: Final = 1_000
CLAIM_ATTEMPTS: Final = 5
RANKING_KINDS: Final = (Task.Kind.RANK, Task.Kind.COMPARE)
SERVED_KINDS: Final = (*RANKING_KINDS, Task.Kind.DEMONSTRATE, Task.Kind.WRITE_PROMPT, Task.Kind.ANNOTATE)


class AssignmentError(Exception):
    """The task cannot be handed to this labeler; the text is for them."""


@dataclass(frozen=True)
class Nothing:
    """No task to hand out now. `num_held`: how many would do but are with other labelers at the moment.

    `holds_enough`: this labeler holds as many ahead as they may. `why`: what they must do before they get any.
    """

    num_held: int
    back_at: datetime | None
    holds_enough: bool = False
    why: Why = ""


def claim(
    *, project: Project, labeler: User, kinds: Sequence[str] = SERVED_KINDS, besides: Sequence[Task] = ()
) -> Slot | Nothing:
    """The slot this labeler holds already, else the first open one that suits them, else why there is none.

    `besides`: the task on the screen and those fetched ahead already, when the page fetches another one.
    """
    with transaction.atomic():
        stands = standing.lock(project, labeler)
        if stands.must_read:
            return Nothing(num_held=0, back_at=None, why=MUST_READ)
        held = _held(project, labeler, kinds)
        at_hand = {task.pk for task in besides}
        mine = next((slot for slot in held if slot.task_id not in at_hand), None)
        if mine and (renewed := _renewed([mine], project)):
            return renewed[0]
        if _holds_enough(project, stands.open_kinds(kinds), len(held)):
            return Nothing(num_held=0, back_at=None, holds_enough=True)
        slot = _hand_out(project, labeler, kinds, stands)
        if slot and slot.task_id not in at_hand:
            return slot
    # A task at hand whose lease had run out is theirs again, but it is not another one. Or nobody has swept yet.
    if slot or expire():
        return claim(project=project, labeler=labeler, kinds=kinds, besides=besides)
    return _nothing(project, labeler, kinds, stands)


def claim_ahead(
    *, project: Project, labeler: User, kinds: Sequence[str] = SERVED_KINDS, besides: Sequence[Task] = ()
) -> list[Slot]:
    """All this labeler holds, each for a full lease again, once there are as many as the page may have: the task on the
    screen and those ahead. `besides`: answered already, though the answer is still on its way."""
    with transaction.atomic():
        stands = standing.lock(project, labeler)
        if stands.must_read:
            return []
        answered = {task.pk for task in besides}
        held = _held(project, labeler, kinds)
        mine = _renewed([slot for slot in held if slot.task_id not in answered], project)
        num_held = len(held)  # what is on its way too, or naming it would get one more than the limit
        while not _holds_enough(project, stands.open_kinds(kinds), num_held):
            slot = _hand_out(project, labeler, kinds, stands)
            if slot is None:
                break
            mine += [slot] if slot.task_id not in answered else []
            num_held += 1
    return mine


def claim_task(*, task: Task, labeler: User) -> Slot | None:
    """Hold this very task, as a link to it asks; None when no slot of it is free for this labeler."""
    with transaction.atomic():
        stands = standing.lock(task.project, labeler)
        held = _held(task.project, labeler, [task.kind])
        mine = next((slot for slot in held if slot.task_id == task.pk), None)
        if mine and (renewed := _renewed([mine], task.project)):
            return renewed[0]
        if stands.must_read or len(held) > task.project.tasks_ahead:
            return None
        if task.purpose != Task.Purpose.WORK:
            return places.hand_again(task=task, labeler=labeler)
        if stands.set_for(task.kind):
            return None
        return queue.claim_task(task=task, labeler=labeler)


def held_slots(*, project: Project, labeler: User) -> QuerySet[Slot]:
    return _slots().filter(project=project, holder=labeler, state=Slot.State.HELD)


def renew(*, task: Task, labeler: User) -> datetime | None:
    """The page is still open: a full lease again. Takes the place back if it lapsed and is still free; else None."""
    slot = claim_task(task=task, labeler=labeler)
    return slot.lease_until if slot else None


def release(*, task: Task, labeler: User) -> bool:
    """Give the task back. True if it was held."""
    with transaction.atomic():
        released = Slot.objects.filter(task=task, holder=labeler, state=Slot.State.HELD).update(**_OPEN)
        if released:
            tasks.fit_slots([task.pk])  # none beyond the wanted number, none of a closed task or one not for everybody
    return released == 1


def release_all(*, task: Task, labeler: User) -> int:
    """Stop for now: this task goes back, and all of its kind that were fetched ahead. Drafts stay."""
    held = held_slots(project=task.project, labeler=labeler).filter(kind=task.kind)
    return sum(release(task=slot.task, labeler=labeler) for slot in held)


@transaction.atomic
def skip(*, task: Task, labeler: User, reason: str, note: str = "") -> Skip:
    """Say why not this task: it goes back and never returns to this labeler. Asking twice changes nothing."""
    if reason not in Skip.Reason.values:
        raise AssignmentError(f"“{reason}” is none of the reasons to skip.")
    if has_judged(task=task, labeler=labeler):
        raise AssignmentError("You have answered this task already; History lets you change it.")
    made, _ = Skip.objects.get_or_create(
        task=task, labeler=labeler, defaults={"reason": reason, "note": note.strip()[:500]}
    )
    release(task=task, labeler=labeler)
    Draft.objects.filter(task=task, labeler=labeler).delete()
    if task.purpose == Task.Purpose.QUALIFICATION:
        qualification.answered(task=task, labeler=labeler)
    return made


def fill(*, task: Task, labeler: User) -> Slot | None:
    """The slot that this labeler's judgement fills, now done; None: all wanted are in, so it is surplus.

    What they had not sent goes. A late judgement still fills the place it was meant for, or any free one; it never
    takes a place from somebody who holds it. Call with the task from `lock`, inside the transaction that writes the
    judgement.
    """
    if task.purpose != Task.Purpose.WORK:
        forget_unsent(task=task, labeler=labeler)
        return places.fill(locked=task, labeler=labeler)
    if row := _FILL_MINE.first(task=task.pk, labeler=labeler.pk, num_wanted=task.num_wanted):
        return made(Slot, row)
    if task.slots.filter(state=Slot.State.DONE).count() >= task.num_wanted:
        release(task=task, labeler=labeler)
        return None
    free = Slot.objects.select_for_update(skip_locked=True).filter(task=task, state=Slot.State.OPEN)
    found = free.order_by("number").first()
    if found:
        Slot.objects.filter(pk=found.pk, state=Slot.State.OPEN).update(holder=labeler, claimed_at=Now(), **_DONE)
        found.refresh_from_db()
    return found


def forget_unsent(*, task: Task, labeler: User) -> None:
    """The draft, once its answer is in; and an early skip, which a late answer outweighs."""
    _FORGET.run(task=task.pk, labeler=labeler.pk)


def expire() -> int:
    """Open the slots whose lease has run out; those made for one labeler go. Safe from many places at once."""
    num = 0
    while batch := _expire_batch():
        num += batch
        if batch < SWEEP_BATCH:
            break
    return num


def lock(task: Task) -> Task:
    """The task's row, locked until the transaction ends: judgements of one task are written one after the other.

    What can have changed since it was read is read again.
    """
    row = _LOCK.first(task=task.pk)
    if row is None:
        raise Task.DoesNotExist
    task.num_wanted, task.priority, task.state = row
    return task


def has_judged(*, task: Task, labeler: User) -> bool:
    if task.kind == Task.Kind.DEMONSTRATE:
        return Demonstration.objects.filter(prompt=task.prompt_id, labeler=labeler).exists()
    if task.kind == Task.Kind.WRITE_PROMPT:
        return WrittenPrompt.objects.filter(task=task, labeler=labeler).exists()
    if task.kind == Task.Kind.ANNOTATE:
        return PromptAnnotation.objects.filter(task=task, labeler=labeler).exists()
    return Ranking.objects.filter(task=task, labeler=labeler).exists()


def shown_order(*, task: Task, labeler: User) -> list[int]:
    """The task's positions in the order this labeler sees them: the same at each reload, another for each labeler.

    No secret goes in, since a changed secret would shuffle cards under a labeler's hands. None is needed: positions
    themselves were drawn by lot.
    """
    return list(_drawn_order(task.uid, labeler.uid, task.num_responses))


@lru_cache(maxsize=10_000)
def _drawn_order(task: UUID, labeler: UUID, num: int) -> list[int]:
    seed = hashlib.sha256(f"shown order 1:{task}:{labeler}".encode()).digest()
    return random.Random(seed).sample(range(num), num)  # noqa: S311  # no secret


def open_by_kind(*, project: Project, labeler: User) -> dict[str, int]:
    """How many tasks of each kind this labeler could get now, counted up to 100: of a set where one must be passed."""
    stands = standing.of(project, labeler)
    return {
        kind: qualification.count_left(set_id=set_id, labeler=labeler, kind=kind)
        if (set_id := stands.set_for(kind))
        else queue.count_open(project=project, labeler=labeler, kind=kind)
        for kind in SERVED_KINDS
    }


_OPEN = {"state": Slot.State.OPEN, "holder": None, "lease_until": None, "claimed_at": None}
_DONE = {"state": Slot.State.DONE, "lease_until": None, "done_at": Now()}


def _held(project: Project, labeler: User, kinds: Sequence[str]) -> list[Slot]:
    """What this labeler holds, longest first."""
    slots = (made(Slot, row) for row in _HELD.rows(project=project.pk, labeler=labeler.pk))
    return [slot for slot in slots if slot.kind in kinds]


def _hand_out(project: Project, labeler: User, kinds: Sequence[str], stands: Standing) -> Slot | None:
    """A qualification task where one is still to be passed; else, now and then, a test of the labeler; else work."""
    for set_id in stands.sets_for(kinds):
        if slot := qualification.hand_out(set_id=set_id, labeler=labeler):
            return slot
    kinds = stands.open_kinds(kinds)
    if slot := hidden.hand_out(project=project, labeler=labeler, kinds=kinds):
        return slot
    return next((slot for kind in kinds if (slot := _claim_open(project, labeler, kind))), None)


def _holds_enough(project: Project, kinds: Sequence[str], num_held: int) -> bool:
    """Whether the task in hand and those ahead are all that this labeler may hold of these kinds."""
    if num_held <= 1 or num_held > project.tasks_ahead:
        return num_held > 1
    return sum(queue.count_slots(project=project, kind=kind, limit=ENOUGH_OPEN) for kind in kinds) < ENOUGH_OPEN


def _claim_open(project: Project, labeler: User, kind: str) -> Slot | None:
    """Claim; if nothing came only because other claims had the last rows locked for a moment, try again."""
    for _ in range(CLAIM_ATTEMPTS):
        if slot := queue.claim(project=project, labeler=labeler, kind=kind):
            return slot
        if not queue.count_open(project=project, labeler=labeler, kind=kind, limit=1):
            return None
    return None


def _nothing(project: Project, labeler: User, kinds: Sequence[str], stands: Standing) -> Nothing:
    open_kinds = stands.open_kinds(kinds)
    held = [queue.count_held(project=project, labeler=labeler, kind=kind) for kind in open_kinds]
    times = [back_at for _, back_at in held if back_at]
    why: Why = NOT_QUALIFIED if len(open_kinds) < len(kinds) else ""
    return Nothing(num_held=sum(num for num, _ in held), back_at=min(times, default=None), why=why)


# fmt: off
_HELD: Final = Statement("held", f"""
SELECT {columns(Slot, "s")} FROM labeling_slot s
 WHERE s.project_id = %(project)s AND s.holder_id = %(labeler)s AND s.state = 'held' ORDER BY s.claimed_at, s.id
""", project="bigint", labeler="bigint")  # noqa: S608  # here and below: names of ours
_RENEW: Final = Statement("renew", f"""
WITH renewed AS (
  UPDATE labeling_slot SET lease_until = statement_timestamp() + %(lease)s
   WHERE id = ANY (%(slots)s) AND holder_id = %(labeler)s AND state = 'held' RETURNING *)
SELECT {columns(Slot, "r")}, {columns(Task, "t")}, {columns(Prompt, "p")}
  FROM renewed r JOIN labeling_task t ON t.id = r.task_id LEFT JOIN labeling_prompt p ON p.id = t.prompt_id
 ORDER BY r.claimed_at, r.id
""", slots="bigint[]", labeler="bigint", lease="interval")  # noqa: S608
_LOCK: Final = Statement("lock_task", """
SELECT t.num_wanted, t.priority, t.state FROM labeling_task t WHERE t.id = %(task)s FOR NO KEY UPDATE
""", task="bigint")
_UNSENT: Final = """
  drafts AS (DELETE FROM labeling_draft WHERE task_id = %(task)s AND labeler_id = %(labeler)s),
  skips AS (DELETE FROM labeling_skip WHERE task_id = %(task)s AND labeler_id = %(labeler)s)
"""
_FORGET: Final = Statement("forget_unsent", f"WITH {_UNSENT} SELECT", task="bigint", labeler="bigint")
_FILL_MINE: Final = Statement("fill_mine", f"""
WITH {_UNSENT}
UPDATE labeling_slot s SET state = 'done', lease_until = NULL, done_at = statement_timestamp()
 WHERE s.task_id = %(task)s AND s.holder_id = %(labeler)s AND s.state = 'held'
   AND (SELECT count(*) FROM labeling_slot d WHERE d.task_id = %(task)s AND d.state = 'done') < %(num_wanted)s
RETURNING {columns(Slot, "s")}
""", task="bigint", labeler="bigint", num_wanted="integer")  # noqa: S608
# fmt: on


def _slots() -> QuerySet[Slot]:
    return Slot.objects.select_related("task", "task__prompt", "task__project", "task__brief")


def _renewed(slots: Sequence[Slot], project: Project) -> list[Slot]:
    """Each with a full lease again, its task, and that with its prompt; without those that were opened just now."""
    if not slots:
        return []
    lease = timedelta(minutes=project.lease_minutes)
    rows = _RENEW.rows(slots=[slot.pk for slot in slots], labeler=slots[0].holder_id, lease=lease)
    return [queue.with_task(row, project) for row in rows]


@transaction.atomic
def _expire_batch() -> int:
    lapsed = Slot.objects.filter(state=Slot.State.HELD, lease_until__lt=Now()).order_by("lease_until")
    rows = list(lapsed.select_for_update(skip_locked=True).values_list("pk", "task_id")[:SWEEP_BATCH])
    Slot.objects.filter(pk__in=[pk for pk, _ in rows], state=Slot.State.HELD).update(**_OPEN)
    if rows:
        tasks.fit_slots({task_id for _, task_id in rows})
    return len(rows)
