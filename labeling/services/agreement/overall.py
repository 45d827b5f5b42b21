"""How often two labelers agree on which of two responses is better: the figure that InstructGPT gives as 72.6 ± 1.5 %.

Every two labelers of a task, and every two of its responses, are one comparison. The tie rules are those of `grading`;
`drop` is the default, as in the paper's choices between two.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from labeling.models import Project, Ranking
from labeling.models.rankings import JudgementQuerySet
from labeling.services.agreement import resampling
from labeling.services.agreement.couples import couples
from labeling.services.agreement.grading import TieRule
from labeling.services.agreement.judged import Judged, JudgedRow, judged, of_columns
from labeling.services.agreement.reading import read
from labeling.services.agreement.shares import shares


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


def of_project(project: Project, *, ties: TieRule = "drop") -> Agreement:
    """Over the rankings that count, of tasks that two or more people ranked."""
    return of_rankings(Ranking.objects.counted().filter(task__project=project, ranks__len__gte=2), ties=ties)


def of_rankings(rankings: JudgementQuerySet, *, ties: TieRule = "drop") -> Agreement:
    """Over these rankings; all must have an order."""
    return _agreement(of_columns(read(rankings).columns), ties=ties)


def pairwise(rows: Iterable[JudgedRow], *, ties: TieRule = "drop", seed: int = 0) -> Agreement:
    """Agreement over every two labelers of each task and every two of its responses."""
    return _agreement(judged(rows), ties=ties, seed=seed)


def _agreement(shared: Judged, *, ties: TieRule, seed: int = 0) -> Agreement:
    found = couples(shared)
    one_group = resampling.rows(task=found.task_C, group=np.zeros_like(found.task_C), num_groups=1)
    resamples = resampling.Resamples(shared.num_tasks, seed=seed)
    share = shares(one_group, one_group.add_up(found.kinds), resamples=resamples)[0]
    agreement = share.agreement[ties]
    return Agreement(
        share=agreement.value,
        low=agreement.low,
        high=agreement.high,
        num_comparisons=agreement.num,
        num_tied=share.num_tied,
        num_tasks=agreement.num_tasks,
        num_labelers=len(shared.labeler_keys),
        ties=ties,
        why_not=agreement.why_not if agreement.value is None else "",
    )
