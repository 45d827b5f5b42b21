"""Pairwise agreement under each tie rule, for any groups of counted pairs.

Shapes: E entries (a task's pairs in a group, by kind), G groups, B resamples.
"""

from dataclasses import dataclass

import numpy as np

from labeling.services.agreement.couples import CREDIT, NUM_KINDS, TIED_BY_BOTH, WEIGHT
from labeling.services.agreement.grading import TIE_RULES, TieRule
from labeling.services.agreement.judged import Ints
from labeling.services.agreement.resampling import Figure, Floats, Resamples, figure, ratio

NOBODY = "no task was ranked by two people"
ALL_TIED = "everything that two people compared was tied"


@dataclass(frozen=True)
class Entries:
    task_E: Ints
    group_E: Ints
    kinds: Ints  # E × 5

    def num_tasks(self, counts_E: Ints, *, num_groups: int) -> Ints:
        """Tasks of each group in which something counts: an interval needs two of these."""
        counts = counts_E > 0
        span = 1 + int(self.task_E.max(initial=0))
        seen = np.unique(self.group_E[counts] * span + self.task_E[counts])
        return np.bincount(seen // span, minlength=num_groups)


@dataclass(frozen=True)
class Share:
    """The agreement of one group, by tie rule."""

    agreement: dict[TieRule, Figure]
    num_pairs: int
    num_tied: int
    sums: Floats  # 5 × (1 + B)


def shares(entries: Entries, *, num_groups: int, resamples: Resamples) -> list[Share]:
    sums = resamples.sums(
        task=np.repeat(entries.task_E, NUM_KINDS),
        column=(entries.group_E[:, None] * NUM_KINDS + np.arange(NUM_KINDS)).ravel(),
        amount=entries.kinds.ravel(),
        num_columns=num_groups * NUM_KINDS,
    ).reshape(num_groups, NUM_KINDS, 1 + resamples.num)
    usable = {
        rule: entries.num_tasks(entries.kinds @ np.array(WEIGHT[rule]), num_groups=num_groups) for rule in TIE_RULES
    }
    return [
        Share(
            agreement={rule: _figure(sums[g], rule, num_tasks=int(usable[rule][g])) for rule in TIE_RULES},
            num_pairs=round(sums[g, :, 0].sum()),
            num_tied=round(sums[g, TIED_BY_BOTH:, 0].sum()),
            sums=sums[g],
        )
        for g in range(num_groups)
    ]


def _figure(kinds: Floats, rule: TieRule, *, num_tasks: int) -> Figure:
    credit, weight = np.array(CREDIT[rule]) @ kinds, np.array(WEIGHT[rule]) @ kinds
    why_not = ALL_TIED if kinds[:, 0].sum() else NOBODY
    return figure(ratio(credit, weight), num=weight[0], num_tasks=num_tasks, why_not=why_not)
