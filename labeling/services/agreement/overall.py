"""How often two labelers agree on which of two responses is better: the figure that InstructGPT gives as 72.6 ± 1.5 %.

Every two labelers of a task, and every two of its responses, are one comparison. The tie rules are those of `grading`;
`drop` is the default, as in the paper's choices between two.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from labeling.models import Project, Ranking
from labeling.services.agreement.couples import CREDIT, NUM_KINDS, TIED_BY_BOTH, WEIGHT, Couples, couples
from labeling.services.agreement.grading import TieRule
from labeling.services.agreement.judged import JudgedRow, judged
from labeling.services.agreement.measures import ALL_TIED, NOBODY
from labeling.services.agreement.resampling import Figure, Floats, Resamples, figure, ratio


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
    rankings = Ranking.objects.counted().filter(task__project=project, ranks__len__gte=2)
    return pairwise(rankings.values_list("task", "labeler", "ranks").iterator(chunk_size=5_000), ties=ties)


def pairwise(rows: Iterable[JudgedRow], *, ties: TieRule = "drop", seed: int = 0) -> Agreement:
    """Agreement over every two labelers of each task and every two of its responses."""
    shared = judged(rows)
    found = couples(shared)
    tied = found.kinds[:, TIED_BY_BOTH:].sum()
    share = _share(found, ties=ties, resamples=Resamples(shared.num_tasks, seed=seed))
    return Agreement(
        share=share.value,
        low=share.low,
        high=share.high,
        num_comparisons=share.num,
        num_tied=int(tied),
        num_tasks=share.num_tasks,
        num_labelers=len(shared.labeler_keys),
        ties=ties,
        why_not=share.why_not if share.value is None else "",
    )


def _share(found: Couples, *, ties: TieRule, resamples: Resamples) -> Figure:
    kinds: Floats = resamples.sums(
        task=np.repeat(found.task_C, NUM_KINDS),
        column=np.tile(np.arange(NUM_KINDS), len(found)),
        amount=found.kinds.ravel(),
        num_columns=NUM_KINDS,
    )
    credit, weight = np.array(CREDIT[ties]) @ kinds, np.array(WEIGHT[ties]) @ kinds
    has_weight = found.kinds @ np.array(WEIGHT[ties]) > 0
    num_tasks = len(np.unique(found.task_C[has_weight]))
    why_not = ALL_TIED if len(found) else NOBODY
    return figure(ratio(credit, weight), num=weight[0], num_tasks=num_tasks, why_not=why_not)
