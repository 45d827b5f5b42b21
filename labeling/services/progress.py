"""How far a project is: what is done and open, who is at it, and when it will be done at this pace."""

import math
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, cast

from django.core.cache import cache
from django.db.models import Count, Exists, OuterRef
from django.utils import timezone

from labeling.models import (
    Demonstration,
    Project,
    PromptAnnotation,
    Ranking,
    Slot,
    Task,
    User,
    Withdrawal,
    WrittenPrompt,
)
from labeling.services import work_done
from labeling.services.people import Median
from labeling.services.work_done import Day

DAYS: Final = 28
PACE_DAYS: Final = 7
STUDENT_95: Final = 2.447  # two-sided, 6 degrees of freedom: a mean of seven days
KEPT_SECONDS: Final = 60  # counting millions of slots takes a second
FAR_DAYS: Final = 3 * 365  # a date beyond tells nothing
MOST_PEOPLE: Final = 30


@dataclass(frozen=True)
class KindProgress:
    kind: str
    num_done: int
    num_held: int
    num_open: int
    median_seconds: float | None

    @property
    def label(self) -> str:
        return str(Task.Kind(self.kind).label)

    @property
    def num_wanted(self) -> int:
        return self.num_done + self.num_held + self.num_open


@dataclass(frozen=True)
class Forecast:
    """When nothing is open any more at the pace of the last seven days. NULLs: not in sight."""

    num_left: int
    per_day: float
    expected: date | None
    earliest: date | None
    latest: date | None


@dataclass(frozen=True)
class PersonShare:
    person: User
    num: int
    share: float


@dataclass(frozen=True)
class Progress:
    kinds: list[KindProgress]
    days: list[Day]
    num_active: int
    forecast: Forecast
    people: list[PersonShare]

    @property
    def num_done(self) -> int:
        return sum(kind.num_done for kind in self.kinds)

    @property
    def num_held(self) -> int:
        return sum(kind.num_held for kind in self.kinds)

    @property
    def num_open(self) -> int:
        return sum(kind.num_open for kind in self.kinds)

    @property
    def num_wanted(self) -> int:
        return self.num_done + self.num_held + self.num_open

    @property
    def most(self) -> int:
        return max((day.num for day in self.days), default=0)


def of(project: Project) -> Progress:
    """Kept for a minute."""
    return cast(Progress, cache.get_or_set(f"progress:{project.pk}", lambda: _count(project), KEPT_SECONDS))


def _count(project: Project) -> Progress:
    kinds = _kinds(project)
    days = work_done.by_day(project, days=DAYS)
    num_left = sum(kind.num_open + kind.num_held for kind in kinds)
    return Progress(
        kinds=kinds,
        days=days,
        num_active=_num_active(project),
        forecast=forecast(
            num_left=num_left, days=work_done.by_last_days(project, days=PACE_DAYS), today=timezone.localdate()
        ),
        people=_people(project),
    )


def forecast(*, num_left: int, days: list[int], today: date) -> Forecast:
    """The pace is the mean of the days; the range that of the mean's 95 % interval by Student's t."""
    pace = statistics.fmean(days) if days else 0.0
    half = STUDENT_95 * statistics.stdev(days) / math.sqrt(len(days)) if len(days) > 1 else 0.0
    return Forecast(
        num_left=num_left,
        per_day=pace,
        expected=_date(num_left, pace, today),
        earliest=_date(num_left, pace + half, today),
        latest=_date(num_left, pace - half, today),
    )


def _date(num_left: int, per_day: float, today: date) -> date | None:
    if not num_left:
        return today
    if per_day <= 0 or num_left / per_day > FAR_DAYS:
        return None
    return today + timedelta(days=math.ceil(num_left / per_day))


def _kinds(project: Project) -> list[KindProgress]:
    """Slots of work by kind and state. A judgement that was voided is not done: another one is wanted instead."""
    slots: dict[str, dict[str, int]] = defaultdict(dict)
    work = Slot.objects.filter(project=project, task__purpose=Task.Purpose.WORK, task__is_imported=False).order_by()
    for kind, state, num in work.values_list("kind", "state").annotate(num=Count("pk")):
        slots[kind][state] = num
    void = _num_void(project)
    medians = _median_seconds(project)
    return [
        KindProgress(
            kind=str(kind),
            num_done=max(0, slots[kind].get("done", 0) - void[kind]),
            num_held=slots[kind].get("held", 0),
            num_open=slots[kind].get("open", 0),
            median_seconds=medians.get(str(kind)),
        )
        for kind in Task.Kind
        if slots.get(kind)
    ]


def _num_void(project: Project) -> Counter[str]:
    """Filled slots whose judgement counts no more."""
    filled = {"task__project": project, "slot__isnull": False, "replaced_by__isnull": True}
    withdrawn = Exists(
        Withdrawal.objects.filter(project=project, labeler=OuterRef("labeler"), created_at__gte=OuterRef("created_at"))
    )
    found: Counter[str] = Counter()
    for rows in (
        Ranking.objects.filter(void__isnull=False, **filled),
        Demonstration.objects.filter(void__isnull=False, **filled),
        WrittenPrompt.objects.filter(withdrawn, **filled),
        PromptAnnotation.objects.filter(withdrawn, **filled),
    ):
        found.update(dict(rows.order_by().values_list("task__kind").annotate(num=Count("pk"))))
    return found


def _median_seconds(project: Project) -> dict[str, float | None]:
    """Of first answers, by kind; rankings and comparisons apart."""
    found: dict[str, float | None] = {}
    for kind, rows in work_done.answers(project).items():
        timed = rows.filter(revision=1, active_seconds__isnull=False).order_by()
        if kind == "rank":
            found |= dict(timed.values_list("task__kind").annotate(median=Median("active_seconds")))
        else:
            found[str(kind)] = timed.aggregate(median=Median("active_seconds"))["median"]
    return found


def _num_active(project: Project) -> int:
    since = timezone.now() - timedelta(days=PACE_DAYS)
    rows = work_done.answers(project).values()
    return len({pk for found in rows for pk in found.filter(created_at__gte=since).values_list("labeler", flat=True)})


def _people(project: Project) -> list[PersonShare]:
    """Whose work it is, by tasks done; the largest shares first."""
    counts: dict[int, int] = defaultdict(int)
    for rows in work_done.work(project).values():
        for labeler, num in rows.filter(revision=1).order_by().values_list("labeler").annotate(num=Count("pk")):
            counts[labeler] += num
    total = sum(counts.values())
    most = sorted(counts, key=lambda pk: (-counts[pk], pk))[:MOST_PEOPLE]
    found = User.objects.in_bulk(most)
    return [PersonShare(found[pk], counts[pk], counts[pk] / total) for pk in most]
