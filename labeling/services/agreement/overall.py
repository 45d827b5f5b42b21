"""How often two labelers agree on which of two responses is better: the figure that InstructGPT gives as 72.6 ± 1.5 %.

Every two labelers of a task, and every two of its responses, are one comparison. The tie rule is said with the figure:

- `drop` (the default): a comparison in which either of the two tied the responses is left out. Chance is 50 %, as in
  the paper's choices between two.
- `half`: tied by both is agreement, tied by one of them is half of one.

The interval is a percentile bootstrap that draws whole tasks, because comparisons of one task hang together.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from labeling.models import Project, Ranking

TieRule = Literal["drop", "half"]
Judged = tuple[int, int, Sequence[int]]  # task, labeler, ranks
NUM_RESAMPLES = 1_000
MAX_DRAWS = 3_000_000  # resamples × tasks; a project of 30,000 tasks gets 100 resamples
MIN_TASKS = 2


@dataclass(frozen=True)
class Agreement:
    """`share` is None where it is undefined; `why_not` says so. An interval needs two tasks or more."""

    share: float | None
    low: float | None
    high: float | None
    num_comparisons: int
    num_tied: int
    num_tasks: int
    num_labelers: int
    ties: TieRule
    why_not: str = ""

    @property
    def half_width(self) -> float | None:
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class TaskCount:
    agreed: float
    num: int
    num_tied: int


def of_project(project: Project, *, ties: TieRule = "drop") -> Agreement:
    """Over the rankings that count, of tasks that two or more people ranked."""
    rankings = Ranking.objects.counted().filter(task__project=project, ranks__len__gte=2)
    return pairwise(rankings.values_list("task", "labeler", "ranks").iterator(chunk_size=5_000), ties=ties)


def pairwise(judged: Iterable[Judged], *, ties: TieRule = "drop", seed: int = 0) -> Agreement:
    """Agreement over every two labelers of each task and every two of its responses."""
    by_task: dict[int, dict[int, Sequence[int]]] = defaultdict(dict)
    for task, labeler, ranks in judged:
        by_task[task][labeler] = ranks
    shared = {task: by_labeler for task, by_labeler in by_task.items() if len(by_labeler) > 1}
    counts = [count_task(list(by_labeler.values()), ties=ties) for by_labeler in shared.values()]
    labelers = {labeler for by_labeler in shared.values() for labeler in by_labeler}
    return _summary(counts, num_labelers=len(labelers), ties=ties, seed=seed)


def count_task(rankings: Sequence[Sequence[int]], *, ties: TieRule) -> TaskCount:
    """The comparisons of one task: (2 of its labelers) × (2 of its responses)."""
    agreed, num, num_tied = 0.0, 0, 0
    for one, other in combinations(rankings, 2):
        for a, b in combinations(range(len(one)), 2):
            first, second = _sign(one[a] - one[b]), _sign(other[a] - other[b])
            is_tied = first == 0 or second == 0
            num_tied += is_tied
            if is_tied and ties == "drop":
                continue
            num += 1
            agreed += 1.0 if first == second else 0.5 if is_tied else 0.0
    return TaskCount(agreed=agreed, num=num, num_tied=num_tied)


def _summary(counts: Sequence[TaskCount], *, num_labelers: int, ties: TieRule, seed: int) -> Agreement:
    usable = [count for count in counts if count.num]
    num = sum(count.num for count in usable)
    low, high = _interval(usable, seed=seed) if len(usable) >= MIN_TASKS else (None, None)
    return Agreement(
        share=sum(count.agreed for count in usable) / num if num else None,
        low=low,
        high=high,
        num_comparisons=num,
        num_tied=sum(count.num_tied for count in counts),
        num_tasks=len(usable),
        num_labelers=num_labelers,
        ties=ties,
        why_not=_why_not(counts, num),
    )


def _why_not(counts: Sequence[TaskCount], num: int) -> str:
    if not counts:
        return "no task was ranked by two people"
    return "" if num else "everything that two people compared was tied"


def _interval(counts: Sequence[TaskCount], *, seed: int, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap over tasks, with a fixed seed: the same rankings give the same interval."""
    draw = random.Random(seed)  # noqa: S311  # no secret
    num_resamples = max(100, min(NUM_RESAMPLES, MAX_DRAWS // len(counts)))
    shares = []
    for _ in range(num_resamples):
        drawn = draw.choices(counts, k=len(counts))
        shares.append(sum(count.agreed for count in drawn) / sum(count.num for count in drawn))
    shares.sort()
    tail = (1 - level) / 2
    return shares[int(tail * num_resamples)], shares[min(num_resamples - 1, int((1 - tail) * num_resamples))]


def _sign(difference: int) -> int:
    return (difference > 0) - (difference < 0)
