"""All that people have done in a project, whatever the kind: how much, when, and in how much active time."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDate, TruncWeek
from django.utils import timezone

from labeling.models import Demonstration, Project, PromptAnnotation, Ranking, Task, User, WrittenPrompt


@dataclass(frozen=True)
class Day:
    day: date
    num: int


@dataclass
class Hours:
    """Tasks done and active time. An answer whose time the page did not measure counts as done and adds no time."""

    num_done: int = 0
    num_timed: int = 0
    seconds: float = 0.0

    @property
    def hours(self) -> float:
        return self.seconds / 3600

    @property
    def per_hour(self) -> float | None:
        return self.num_timed * 3600 / self.seconds if self.seconds and self.num_timed else None

    def add(self, other: "Hours") -> None:
        self.num_done += other.num_done
        self.num_timed += other.num_timed
        self.seconds += other.seconds


def answers(project: Project, *, labeler: User | None = None) -> dict[str, QuerySet[Any]]:
    """What was given here (not imported), by kind of task; revisions are rows of their own."""
    by_task = {"task__project": project, "batch__isnull": True}
    found: dict[str, QuerySet[Any]] = {
        "rank": Ranking.objects.filter(**by_task),
        Task.Kind.DEMONSTRATE: Demonstration.objects.filter(prompt__project=project, batch__isnull=True),
        Task.Kind.WRITE_PROMPT: WrittenPrompt.objects.filter(**by_task),
        Task.Kind.ANNOTATE: PromptAnnotation.objects.filter(**by_task),
    }
    return {kind: rows.filter(labeler=labeler) if labeler else rows for kind, rows in found.items()}


def work(project: Project) -> dict[str, QuerySet[Any]]:
    """What a project asked for, without tests of the labelers and decisions of reviewers."""
    found = answers(project)
    is_of_work = Q(task__purpose=Task.Purpose.WORK) | Q(task__isnull=True)
    found["rank"] = found["rank"].exclude(slot__isnull=True, task__review__reviewer=F("labeler"))
    return {kind: rows.filter(is_of_work) for kind, rows in found.items()}


def by_day(project: Project, *, days: int, labeler: User | None = None) -> list[Day]:
    """Tasks done on each of the last days, today last: of one person all they did, of a project its work."""
    today = timezone.localdate()
    since = today - timedelta(days=days - 1)
    counts: Counter[date] = Counter()
    found = answers(project, labeler=labeler) if labeler else work(project)
    for rows in found.values():
        recent = rows.filter(created_at__gte=_midnight(since), revision=1).order_by()
        grouped = recent.annotate(day=TruncDate("created_at")).values_list("day").annotate(num=Count("pk"))
        counts.update(dict(grouped))
    return [Day(day, counts[day]) for day in (since + timedelta(days=number) for number in range(days))]


def by_last_days(project: Project, *, days: int) -> list[int]:
    """Tasks done in each of the last spans of 24 hours, the oldest first: a day that has just begun is no slow day."""
    now = timezone.now()
    edges = [now - timedelta(days=back) for back in range(days, -1, -1)]
    spans = {
        f"span_{place}": Count("pk", filter=Q(created_at__gt=start, created_at__lte=end))
        for place, (start, end) in enumerate(pairwise(edges))
    }
    counts: Counter[str] = Counter()
    for rows in work(project).values():
        counts.update(rows.filter(created_at__gt=edges[0], revision=1).order_by().aggregate(**spans))
    return [counts[name] for name in spans]


def hours(project: Project, *, labeler: User, since: date | None = None) -> Hours:
    total = Hours()
    for rows in answers(project, labeler=labeler).values():
        recent = rows.filter(created_at__gte=_midnight(since)) if since else rows
        total.add(_hours(recent.order_by().aggregate(**_SUMS)))
    return total


def hours_by_week(project: Project, *, weeks: int) -> dict[tuple[int, date], Hours]:
    """By labeler and the Monday of the week; the last `weeks` of them, the present one included."""
    this_monday = timezone.localdate() - timedelta(days=timezone.localdate().weekday())
    since = _midnight(this_monday - timedelta(weeks=weeks - 1))
    found: dict[tuple[int, date], Hours] = defaultdict(Hours)
    for rows in answers(project).values():
        recent = rows.filter(created_at__gte=since).order_by().annotate(week=TruncWeek("created_at"))
        for row in recent.values("labeler", "week").annotate(**_SUMS):
            found[row["labeler"], timezone.localdate(row["week"])].add(_hours(row))
    return dict(found)


# A change of an answer takes time and is no further task.
_SUMS = {
    "num_done": Count("pk", filter=Q(revision=1)),
    "num_timed": Count("pk", filter=Q(revision=1, active_seconds__isnull=False)),
    "seconds": Sum("active_seconds"),
}


def _hours(row: dict[str, Any]) -> Hours:
    return Hours(num_done=row["num_done"], num_timed=row["num_timed"], seconds=row["seconds"] or 0.0)


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, datetime.min.time()))
