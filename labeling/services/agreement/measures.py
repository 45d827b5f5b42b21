"""The three measures for any grouping of couples: overall, per labeler, per pair of labelers, per language, …"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labeling.services.agreement import alpha, couples
from labeling.services.agreement.grading import TieRule
from labeling.services.agreement.judged import Ints, Judged
from labeling.services.agreement.resampling import Figure, Floats, Resamples, figure, ratio
from labeling.services.agreement.shares import NOBODY, Entries, Share, shares

ONE_TIED_ALL = "in every task, one of the two tied everything"
ONE_RANK = "only one rank was ever given"


@dataclass(frozen=True)
class Grouping:
    """`groups[i][c]` is a group that couple c belongs to, -1 for none: two entries put a couple in two groups.

    `has_whole_tasks`: a task's couples are all in one group, so that α weighs a task's labelers as Krippendorff does.
    Otherwise the two of a couple are its two coders.
    """

    keys: Sequence[Hashable]
    groups: Sequence[Ints]
    has_whole_tasks: bool


@dataclass(frozen=True)
class Line:
    """All measures of one group."""

    key: Any
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
        everything = np.zeros(len(self.couples), dtype=np.int64)
        return self.lines(Grouping([""], [everything], has_whole_tasks=True))[0]

    def by_task(self, group_T: Ints, keys: Sequence[Hashable]) -> list[Line]:
        """By what a task has one of: its language, its week, …"""
        return self.lines(Grouping(keys, [group_T[self.couples.task_C]], has_whole_tasks=True))

    def by_labeler(self) -> list[Line]:
        """Each labeler against all others."""
        keys = self.judged.labeler_keys.tolist()
        return self.lines(Grouping(keys, [self.couples.one_C, self.couples.other_C], has_whole_tasks=False))

    def by_pair(self, *, among: int = 40) -> list[Line]:
        """Every two labelers who share a task, as (one, other); only of the busiest: pairs grow as a square."""
        num, names = len(self.judged.labeler_keys), self.judged.labeler_keys.tolist()
        busy = np.bincount(self.judged.labeler_R, minlength=num).argsort(kind="stable")[::-1][:among]
        is_among = np.isin(self.couples.one_C, busy) & np.isin(self.couples.other_C, busy)
        code_C = np.where(is_among, self.couples.one_C * num + self.couples.other_C, -1)
        codes = np.unique(code_C[is_among])
        group_C = np.where(is_among, np.searchsorted(codes, code_C), -1)
        keys = [(names[code // num], names[code % num]) for code in codes.tolist()]
        return self.lines(Grouping(keys, [group_C], has_whole_tasks=False))

    def lines(self, grouping: Grouping) -> list[Line]:
        num_groups = len(grouping.keys)
        entries, tau_E = self._entries(grouping)
        parts = zip(
            grouping.keys,
            shares(entries, num_groups=num_groups, resamples=self.resamples),
            self._taus(entries, tau_E, num_groups=num_groups),
            self._alphas(grouping),
            entries.num_tasks(np.ones_like(entries.task_E), num_groups=num_groups).tolist(),
            np.bincount(entries.group_E, minlength=num_groups).tolist(),
            strict=True,
        )
        return [_line(*part) for part in parts]

    def _entries(self, grouping: Grouping) -> tuple[Entries, Floats]:
        """Every membership of a couple in a group, and the couple's τ."""
        group = np.concatenate(grouping.groups)
        row = np.tile(np.arange(len(self.couples)), len(grouping.groups))[group >= 0]
        entries = Entries(task_E=self.couples.task_C[row], group_E=group[group >= 0], kinds=self.couples.kinds[row])
        return entries, self.tau_C[row]

    def _taus(self, entries: Entries, tau_E: Floats, *, num_groups: int) -> list[Figure]:
        """The mean over couples, each weighing the same."""
        has_tau = ~np.isnan(tau_E)
        task, group = entries.task_E[has_tau], entries.group_E[has_tau]
        above = self.resamples.sums(task=task, column=group, amount=tau_E[has_tau], num_columns=num_groups)
        below = self.resamples.sums(task=task, column=group, amount=np.ones(len(task)), num_columns=num_groups)
        num_tasks = entries.num_tasks(has_tau.astype(np.int64), num_groups=num_groups)
        means = ratio(above, below)
        return [
            figure(means[g], num=below[g, 0], num_tasks=int(num_tasks[g]), why_not=ONE_TIED_ALL)
            for g in range(num_groups)
        ]

    def _alphas(self, grouping: Grouping) -> Floats:
        found, times = self.coincidences, len(grouping.groups)
        group_E = np.concatenate([group_C[found.couple_E] for group_C in grouping.groups])
        entries = replace(
            found,
            task_E=np.tile(found.task_E, times),
            rank_E=np.tile(found.rank_E, times),
            other_rank_E=np.tile(found.other_rank_E, times),
            weight_E=found.weight_E if grouping.has_whole_tasks else np.ones(len(group_E)),
        )
        return alpha.alphas(entries, group_E=group_E, num_groups=len(grouping.keys), resamples=self.resamples)


def _line(key: Hashable, share: Share, tau: Figure, alphas: Floats, num_tasks: int, num_couples: int) -> Line:
    return Line(
        key=key,
        agreement=share.agreement,
        tau=tau if num_couples else replace(tau, why_not=NOBODY),
        alpha=figure(alphas, num=num_couples, num_tasks=num_tasks, why_not=ONE_RANK if num_couples else NOBODY),
        num_pairs=share.num_pairs,
        num_tied=share.num_tied,
        num_couples=num_couples,
        num_tasks=num_tasks,
    )
