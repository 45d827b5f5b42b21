"""Known answers and repeats of one's own work, mixed into ordinary work. Nothing tells a labeler which is which."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.functions import MD5, Cast, Concat, Now

from labeling.models import Project, Ranking, Skip, Slot, Task, User
from labeling.services.quality import places, references

TASKS_BEFORE_REPEAT: Final = 20  # as many as can be edited: what comes again is out of reach
TIME_BEFORE_REPEAT: Final = timedelta(days=1)
LOOK_BACK: Final = 1_000  # of a labeler's rankings: older ones are not repeated

# What a labeler has been handed today, whatever became of it. The count moves with each hand-out and not with a reload;
# it is of today, so that it costs the same after 10,000 tasks.
_HANDED_TODAY: Final = """
SELECT (SELECT count(*) FROM labeling_ranking
         WHERE labeler_id = %(labeler)s AND created_at >= date_trunc('day', statement_timestamp()) AND revision = 1)
     + (SELECT count(*) FROM labeling_skip
         WHERE labeler_id = %(labeler)s AND created_at >= date_trunc('day', statement_timestamp()))
     + (SELECT count(*) FROM labeling_slot
         WHERE holder_id = %(labeler)s AND project_id = %(project)s AND state = 'held'),
       date_trunc('day', statement_timestamp())::date
"""


def hand_out(*, project: Project, labeler: User, kinds: Sequence[str]) -> Slot | None:
    """A known answer or a repeat, when it is its turn and there is one; None: ordinary work."""
    kinds = [kind for kind in kinds if kind in references.RANKING_KINDS]
    if not kinds or not (project.gold_percent or project.repeat_percent):
        return None
    purpose = draw(project=project, labeler=labeler)
    task = None
    if purpose == Task.Purpose.GOLD:
        task = next_known_answer(project=project, labeler=labeler, kinds=kinds)
    elif purpose == Task.Purpose.REPEAT:
        task = _next_repeat(project=project, labeler=labeler, kinds=kinds)
    return places.hand(task=task, labeler=labeler) if task else None


def draw(*, project: Project, labeler: User) -> Task.Purpose:
    """What comes next for this labeler: by lot, and the same however often they ask."""
    with connection.cursor() as cursor:
        cursor.execute(_HANDED_TODAY, {"labeler": labeler.pk, "project": project.pk})
        number, day = cursor.fetchone()
    return purpose_of_number(project=project, labeler=labeler, number=f"{day}:{number}")


def purpose_of_number(*, project: Project, labeler: User, number: str) -> Task.Purpose:
    digest = hashlib.sha256(f"hidden work 1:{project.uid}:{labeler.uid}:{number}".encode()).digest()
    ticket = int.from_bytes(digest[:8], "big") / 2**64 * 100
    if ticket < project.gold_percent:
        return Task.Purpose.GOLD
    is_repeat = ticket < project.gold_percent + project.repeat_percent
    return Task.Purpose.REPEAT if is_repeat else Task.Purpose.WORK


def next_known_answer(*, project: Project, labeler: User, kinds: Sequence[str]) -> Task | None:
    """One whose prompt this labeler has not met in a ranking. Everybody gets them in an order of their own."""
    tasks = Task.objects.filter(
        project=project, purpose=Task.Purpose.GOLD, kind__in=list(kinds), state="open", reference__isnull=False
    )
    tasks = places.suiting(labeler, places.not_touched_by(labeler, tasks))
    seen = Ranking.objects.filter(task__prompt=OuterRef("prompt"), labeler=labeler)
    held = Slot.objects.filter(task__prompt=OuterRef("prompt"), holder=labeler, state=Slot.State.HELD)
    lot = MD5(Concat(Cast("uid", TextField()), Value(str(labeler.uid)), output_field=TextField()))
    return tasks.exclude(Exists(seen) | Exists(held)).select_related("project").order_by(lot).first()


def _next_repeat(*, project: Project, labeler: User, kinds: Sequence[str]) -> Task | None:
    """The oldest of their own that can come again, as a task of its own."""
    first = repeatable(project=project, labeler=labeler, kinds=kinds).order_by("created_at", "pk").first()
    if first is None:
        return None
    original = first.task
    made = Task.objects.filter(repeats=original, purpose=Task.Purpose.REPEAT).select_related("project").first()
    return made or references.copy(
        task=original, purpose=Task.Purpose.REPEAT, rate_first=original.rate_first, repeats=original
    )


def repeatable(*, project: Project, labeler: User, kinds: Sequence[str]) -> QuerySet[Ranking]:
    """Rankings of a labeler that lie far enough back, and were not repeated yet."""
    mine = Ranking.objects.filter(labeler=labeler, batch__isnull=True, revision=1).order_by("-created_at", "-pk")
    recent = list(mine.values_list("pk", flat=True)[:LOOK_BACK])
    is_far_back = Q(pk__in=recent[TASKS_BEFORE_REPEAT:]) | Q(pk__in=recent, created_at__lt=Now() - TIME_BEFORE_REPEAT)
    touched = {"task__repeats": OuterRef("task")}
    slots = Slot.objects.filter(**touched, holder=labeler, state__in=[Slot.State.HELD, Slot.State.DONE])
    return (
        Ranking.objects.filter(is_far_back, slot__isnull=False, outcome=Ranking.Outcome.RANKED)
        .filter(task__project=project, task__purpose=Task.Purpose.WORK, task__kind__in=list(kinds))
        .filter(task__is_imported=False, void__isnull=True)
        .exclude(Exists(slots))
        .exclude(Exists(Ranking.objects.filter(**touched, labeler=labeler)))
        .exclude(Exists(Skip.objects.filter(**touched, labeler=labeler)))
        .select_related("task__project")
    )
