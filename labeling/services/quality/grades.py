"""How labelers did on what was hidden in their work: on known answers, and against themselves.

A figure is the share of pairs of responses on which two rankings agree (a pair tied by one of the two is half right),
over all tasks of a labeler, with a bootstrap interval over tasks.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
from django.utils import timezone

from labeling.models import Project, Ranking, Task, TaskResponse, User
from labeling.services.agreement import grading, resampling
from labeling.services.agreement.resampling import Figure
from labeling.services.quality.references import realign

TIES: Final = "half"
WEEKS: Final = 12


@dataclass(frozen=True)
class Graded:
    """One hidden task that a labeler did. `compared`: what it is graded by, by the task's own positions."""

    ranking: Ranking
    purpose: Task.Purpose
    compared: Sequence[int]
    share: float
    num_pairs: int

    @property
    def labeler(self) -> User:
        return self.ranking.labeler

    @property
    def at(self) -> datetime:
        return self.ranking.created_at


@dataclass
class Standing:
    """One labeler's figures."""

    labeler: User
    known: Figure = field(default_factory=lambda: Figure(None, why_not="no known answer yet"))
    own: Figure = field(default_factory=lambda: Figure(None, why_not="no repeat yet"))
    num_known: int = 0
    num_own: int = 0
    trend: list[float | None] = field(default_factory=list)  # by week, both kinds together
    last: datetime | None = None

    @property
    def has_trend(self) -> bool:
        """One week is no trend."""
        return sum(share is not None for share in self.trend) > 1


def graded(project: Project, *, labeler: User | None = None) -> list[Graded]:
    """All that was graded in a project, newest first: known answers and repeats. Answers without an order are not."""
    rankings = (
        Ranking.objects.current()
        .filter(task__project=project, task__purpose__in=[Task.Purpose.GOLD, Task.Purpose.REPEAT])
        .exclude(ranks=[])
        .select_related("task__reference", "task__prompt", "labeler")
        .order_by("-created_at", "-pk")
    )
    if labeler is not None:
        rankings = rankings.filter(labeler=labeler)
    rows = list(rankings)
    firsts = _first_rankings([row for row in rows if row.task.purpose == Task.Purpose.REPEAT])
    return [item for row in rows if (item := _grade(row, firsts))]


def of_ranking(ranking: Ranking) -> Graded | None:
    """How this one did; None: it is work, or there is no order to compare."""
    if ranking.task.purpose not in (Task.Purpose.GOLD, Task.Purpose.REPEAT):
        return None
    firsts = _first_rankings([ranking]) if ranking.task.purpose == Task.Purpose.REPEAT else {}
    return _grade(ranking, firsts)


def of_tasks(tasks: Iterable[Task]) -> dict[int, tuple[float | None, int]]:
    """By known answer: the mean share of those who did it, and how many did."""
    rankings = Ranking.objects.current().filter(task__in=list(tasks)).exclude(ranks=[])
    pairs = defaultdict(list)
    for ranking in rankings.select_related("task__reference"):
        pairs[ranking.task_id].append((ranking.ranks, ranking.task.reference.ranks))
    return {pk: (grading.grade_all(items, ties=TIES).share, len(items)) for pk, items in pairs.items()}


def by_labeler(items: Sequence[Graded]) -> list[Standing]:
    """One line per labeler, the weakest on known answers first."""
    found: dict[int, Standing] = {}
    by_person: dict[int, list[Graded]] = defaultdict(list)
    for item in items:
        by_person[item.labeler.pk].append(item)
    for pk, mine in by_person.items():
        known = [item for item in mine if item.purpose == Task.Purpose.GOLD]
        own = [item for item in mine if item.purpose == Task.Purpose.REPEAT]
        found[pk] = Standing(
            labeler=mine[0].labeler,
            known=figure(known, why_not="no known answer yet"),
            own=figure(own, why_not="no repeat yet"),
            num_known=len(known),
            num_own=len(own),
            trend=trend(mine),
            last=max(item.at for item in mine),
        )
    return sorted(found.values(), key=lambda line: (line.known.value is None, line.known.value or 0, str(line.labeler)))


def figure(items: Sequence[Graded], *, why_not: str) -> Figure:
    """The pooled share with its interval; a fixed seed: the same rankings give the same interval."""
    num_pairs = np.array([item.num_pairs for item in items], dtype=np.float64)
    agreed = np.array([item.share * item.num_pairs for item in items], dtype=np.float64)
    if not len(items):
        return Figure(None, why_not=why_not)
    one_group = resampling.rows(task=np.arange(len(items)), group=np.zeros(len(items), dtype=np.int64), num_groups=1)
    (sums,) = resampling.Resamples(len(items)).all_sums(one_group, np.stack([agreed, num_pairs], axis=1))
    values = resampling.ratio(sums[0], sums[1])
    return resampling.figure(values, num=float(num_pairs.sum()), num_tasks=len(items), why_not=why_not)


def trend(items: Sequence[Graded], *, weeks: int = WEEKS) -> list[float | None]:
    """The pooled share of each of the last weeks, the oldest first; None where nothing was graded."""
    today = timezone.localdate()
    this_week = today - timedelta(days=today.weekday())
    sums: dict[date, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for item in items:
        day = timezone.localdate(item.at)
        of_week = sums[day - timedelta(days=day.weekday())]
        of_week[0] += item.share * item.num_pairs
        of_week[1] += item.num_pairs
    mondays = [this_week - timedelta(weeks=back) for back in range(weeks - 1, -1, -1)]
    return [sums[monday][0] / sums[monday][1] if monday in sums else None for monday in mondays]


def _grade(ranking: Ranking, firsts: dict[tuple[int, int], Sequence[int]]) -> Graded | None:
    purpose = Task.Purpose(ranking.task.purpose)
    if purpose == Task.Purpose.GOLD:
        compared: Sequence[int] = ranking.task.reference.ranks
    else:
        compared = firsts.get((ranking.task_id, ranking.labeler_id), [])
    found = grading.grade_all([(ranking.ranks, compared)], ties=TIES)
    if found.share is None:
        return None
    return Graded(ranking, purpose, compared, found.share, found.num_pairs)


def _first_rankings(repeats: Sequence[Ranking]) -> dict[tuple[int, int], Sequence[int]]:
    """By (repeat task, labeler): how they ranked the same responses before, by the positions of the repeat."""
    originals = {ranking.task.repeats_id for ranking in repeats}
    given = Ranking.objects.current().filter(task__in=originals, labeler__in={row.labeler_id for row in repeats})
    before = {(task, labeler): ranks for task, labeler, ranks in given.values_list("task", "labeler", "ranks")}
    places = _places({ranking.task_id for ranking in repeats} | {pk for pk in originals if pk})
    found: dict[tuple[int, int], Sequence[int]] = {}
    for ranking in repeats:
        original = ranking.task.repeats_id
        ranks = before.get((original, ranking.labeler_id)) if original else None
        if ranks and original:
            now = {response: position for position, response in places[ranking.task_id].items()}
            moved = {position: now[response] for position, response in places[original].items()}
            found[ranking.task_id, ranking.labeler_id] = realign(ranks, moved)
    return found


def _places(tasks: set[int]) -> dict[int, dict[int, int]]:
    """By task: the response at each position."""
    places: dict[int, dict[int, int]] = defaultdict(dict)
    rows = TaskResponse.objects.filter(task__in=tasks)
    for task, position, response in rows.values_list("task", "position", "response"):
        places[task][position] = response
    return places
