"""Who was right where people and a reward model differed: what reviewers decided, who saw neither before they ranked.

Only pairs count that a labeler ordered one way and the model the other. Each goes to whom the decision agrees with, or
to neither where it ties the two. A review is drawn whole in the interval's resamples: its pairs hang together.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from labeling.models import Model, Project, Ranking, Review
from labeling.services.agreement import resampling
from labeling.services.agreement.grading import order_of
from labeling.services.agreement.resampling import Figure, Resamples
from labeling.services.quality import reviews
from labeling.services.scores.differences import scores_of_tasks

WHY_NOT = "no reviewer has decided on a pair on which people and the model differ"


@dataclass(frozen=True)
class Upheld:
    """Shares of the disputed pairs. The three add up to one."""

    people: Figure
    model: Figure
    neither: Figure
    num_reviews: int

    @property
    def num_pairs(self) -> int:
        return self.people.num


def upheld(project: Project, judge: Model, *, only_sent: bool = False) -> Upheld:
    """Over the decided reviews of what the model scored; `only_sent`: those that were opened because it disagreed."""
    decisions = reviews.decisions(project).select_related("adjudicates")
    if only_sent:
        decisions = decisions.filter(adjudicates__reason=Review.Reason.MODEL_DISAGREES)
    ranks = {task: given for task, given in decisions.values_list("task", "ranks") if given}
    scores = scores_of_tasks(list(ranks), judge)
    said = _said(scores)
    counts = [count for task in sorted(scores) if sum(count := _count(said[task], ranks[task], scores[task]))]
    return _shares(np.array(counts, dtype=float).reshape(len(counts), 3))


def _said(tasks: Iterable[int]) -> dict[int, list[Sequence[int]]]:
    """What the labelers of each task ranked."""
    found: dict[int, list[Sequence[int]]] = defaultdict(list)
    counted = Ranking.objects.counted().filter(task__in=list(tasks), ranks__len__gte=2)
    for task, ranks in counted.values_list("task", "ranks"):
        found[task].append(ranks)
    return found


def _count(said: Sequence[Sequence[int]], decision: Sequence[int], scores: Sequence[float]) -> tuple[int, int, int]:
    """Disputed pairs that went to people, to the model, to neither."""
    won = [0, 0, 0]
    for one, other in _disputed(said, scores):
        decided = order_of(decision, one, other)
        by_model = -1 if scores[one] > scores[other] else 1
        won[2 if not decided else 1 if decided == by_model else 0] += 1
    return won[0], won[1], won[2]


def _disputed(said: Sequence[Sequence[int]], scores: Sequence[float]) -> Iterator[tuple[int, int]]:
    """A pair once for each labeler who has it the other way round than the model."""
    for ranks in said:
        for one, other in combinations(range(len(scores)), 2):
            by_person = order_of(ranks, one, other)
            by_model = (scores[one] < scores[other]) - (scores[one] > scores[other])
            if by_person * by_model < 0:
                yield one, other


def _shares(counts_T3: Any) -> Upheld:
    num = len(counts_T3)
    if not num:
        nothing = Figure(None, why_not=WHY_NOT)
        return Upheld(nothing, nothing, nothing, num_reviews=0)
    rows = resampling.rows(task=np.arange(num), group=np.zeros(num, dtype=np.int64), num_groups=1)
    sums_S = Resamples(num).all_sums(rows, counts_T3)[0]
    total = sums_S.sum(axis=0)
    people, model, neither = (
        resampling.figure(resampling.ratio(sums_B, total), num=counts_T3.sum(), num_tasks=num, why_not=WHY_NOT)
        for sums_B in sums_S
    )
    return Upheld(people, model, neither, num_reviews=num)
