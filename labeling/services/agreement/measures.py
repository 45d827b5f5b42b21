"""The three measures for any grouping of couples: overall, per labeler, per pair of labelers, per language, …"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labeling.services.agreement import alpha, couples
from labeling.services.agreement.couples import CREDIT, NUM_KINDS, TIED_BY_BOTH, WEIGHT
from labeling.services.agreement.grading import TIE_RULES, TieRule
from labeling.services.agreement.judged import Ints, Judged
from labeling.services.agreement.resampling import Figure, Floats, Resamples, figure, ratio

NOBODY = "no task was ranked by two people"
ALL_TIED = "everything that two people compared was tied"
ONE_TIED_ALL = "in every task, one of the two tied everything"
ONE_RANK = "only one rank was ever given"


@dataclass(frozen=True)
class Grouping:
    """`groups[i][c]` is a group that couple c belongs to, -1 for none: two entries put a couple in two groups.

    `whole_tasks`: a task's couples are all in the same group, so α can weigh a task's labelers as Krippendorff does.
    """

    keys: Sequence[Hashable]
    groups: Sequence[Ints]
    whole_tasks: bool


@dataclass(frozen=True)
class Line:
    """All measures of one group."""

    key: Hashable
    agreement: dict[TieRule, Figure]
    tau: Figure
    alpha: Figure
    num_pairs: int  # of responses, each judged by two people
    num_tied: int
    num_couples: int
    num_tasks: int


class Measures:
    """Counts once; answers for each grouping."""

    def __init__(self, judged: Judged, *, seed: int = 0) -> None:
        self.judged = judged
        self.couples = couples.couples(judged)
        self.coincidences = alpha.coincidences(judged)
        self.tau_C = couples.tau_b(self.couples.kinds)
        self.resamples = Resamples(judged.num_tasks, seed=seed)

    def overall(self) -> Line:
        everything = Grouping([""], [np.zeros(len(self.couples), dtype=np.int64)], whole_tasks=True)
        return self.lines(everything)[0]

    def by_task(self, group_T: Ints, keys: Sequence[Hashable]) -> list[Line]:
        """By what a task has one of: its language, its week, …"""
        return self.lines(Grouping(keys, [group_T[self.couples.task_C]], whole_tasks=True))

    def by_labeler(self) -> list[Line]:
        """Each labeler against all others."""
        keys = self.judged.labeler_keys.tolist()
        return self.lines(Grouping(keys, [self.couples.one_C, self.couples.other_C], whole_tasks=False))

    def by_pair(self) -> list[Line]:
        """Every two labelers who share a task, as (one, other)."""
        num = len(self.judged.labeler_keys)
        codes, group_C = np.unique(self.couples.one_C * num + self.couples.other_C, return_inverse=True)
        names = self.judged.labeler_keys.tolist()
        keys = [(names[code // num], names[code % num]) for code in codes.tolist()]
        return self.lines(Grouping(keys, [group_C], whole_tasks=False))

    def lines(self, grouping: Grouping) -> list[Line]:
        kinds = self._kinds(grouping)
        taus, num_taus = self._taus(grouping)
        alphas = self._alphas(grouping)
        num_tasks, num_couples = self._sizes(grouping)
        num_usable = {
            rule: self._num_tasks(grouping, self.couples.kinds @ np.array(WEIGHT[rule])) for rule in TIE_RULES
        }
        num_with_tau = self._num_tasks(grouping, ~np.isnan(self.tau_C))
        return [
            Line(
                key=key,
                agreement={rule: self._agreement(kinds[g], rule, int(num_usable[rule][g])) for rule in TIE_RULES},
                tau=figure(
                    taus[g], num=num_taus[g], num_tasks=int(num_with_tau[g]), why_not=_why_not(kinds[g], ONE_TIED_ALL)
                ),
                alpha=figure(
                    alphas[g],
                    num=num_couples[g],
                    num_tasks=int(num_tasks[g]),
                    why_not=_why_not(kinds[g], ONE_RANK),
                ),
                num_pairs=round(kinds[g, :, 0].sum()),
                num_tied=round(kinds[g, TIED_BY_BOTH:, 0].sum()),
                num_couples=int(num_couples[g]),
                num_tasks=int(num_tasks[g]),
            )
            for g, key in enumerate(grouping.keys)
        ]

    def _agreement(self, kinds: Floats, rule: TieRule, num_tasks: int) -> Figure:
        credit, weight = np.array(CREDIT[rule]) @ kinds, np.array(WEIGHT[rule]) @ kinds
        return figure(ratio(credit, weight), num=weight[0], num_tasks=num_tasks, why_not=_why_not(kinds, ALL_TIED))

    def _kinds(self, grouping: Grouping) -> Floats:
        """G × 5 × (1 + B)."""
        task, group, row = self._entries(grouping)
        sums = self.resamples.sums(
            task=np.repeat(task, NUM_KINDS),
            column=(group[:, None] * NUM_KINDS + np.arange(NUM_KINDS)).ravel(),
            amount=self.couples.kinds[row].ravel(),
            num_columns=len(grouping.keys) * NUM_KINDS,
        )
        return sums.reshape(len(grouping.keys), NUM_KINDS, 1 + self.resamples.num)

    def _taus(self, grouping: Grouping) -> tuple[Floats, Floats]:
        """The mean over couples, each weighing the same, and how many couples have one."""
        task, group, row = self._entries(grouping)
        has_tau = ~np.isnan(self.tau_C[row])
        task, group, row = task[has_tau], group[has_tau], row[has_tau]
        above = self.resamples.sums(task=task, column=group, amount=self.tau_C[row], num_columns=len(grouping.keys))
        below = self.resamples.sums(task=task, column=group, amount=np.ones(len(row)), num_columns=len(grouping.keys))
        return ratio(above, below), below[:, 0]

    def _alphas(self, grouping: Grouping) -> Floats:
        found = self.coincidences
        group_E = np.concatenate([group_C[found.couple_E] for group_C in grouping.groups])
        times = len(grouping.groups)
        entries = alpha.Coincidences(
            couple_E=np.tile(found.couple_E, times),
            task_E=np.tile(found.task_E, times),
            rank_E=np.tile(found.rank_E, times),
            other_rank_E=np.tile(found.other_rank_E, times),
            weight_E=np.tile(found.weight_E, times) if grouping.whole_tasks else np.ones(len(group_E)),
            num_ranks=found.num_ranks,
        )
        return alpha.alphas(entries, group_E=group_E, num_groups=len(grouping.keys), resamples=self.resamples)

    def _sizes(self, grouping: Grouping) -> tuple[Ints, Ints]:
        _, group, _ = self._entries(grouping)
        everything = np.ones(len(self.couples))
        return self._num_tasks(grouping, everything), np.bincount(group, minlength=len(grouping.keys))

    def _num_tasks(self, grouping: Grouping, counts_C: npt.NDArray[Any]) -> Ints:
        """Tasks of each group in which something counts: an interval needs two of these."""
        task, group, row = self._entries(grouping)
        counts = counts_C[row] > 0
        seen = np.unique(group[counts] * max(1, self.judged.num_tasks) + task[counts])
        return np.bincount(seen // max(1, self.judged.num_tasks), minlength=len(grouping.keys))

    def _entries(self, grouping: Grouping) -> tuple[Ints, Ints, Ints]:
        """Task, group and couple of every membership."""
        group = np.concatenate(grouping.groups)
        row = np.tile(np.arange(len(self.couples)), len(grouping.groups))
        is_in = group >= 0
        return self.couples.task_C[row[is_in]], group[is_in], row[is_in]


def _why_not(kinds: Floats, else_because: str) -> str:
    return else_because if kinds[:, 0].sum() else NOBODY
