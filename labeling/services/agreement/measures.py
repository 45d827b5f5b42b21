"""The three measures for any grouping of couples: overall, per labeler, per pair of labelers, per language, …

Shapes: C couples, M memberships of a couple in a group, G groups, R rows (a group's tasks), B resamples.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeling.services.agreement import alpha, couples, shares
from labeling.services.agreement.couples import NUM_KINDS
from labeling.services.agreement.grading import TieRule
from labeling.services.agreement.judged import Ints, Judged
from labeling.services.agreement.resampling import Figure, Floats, Resamples, Rows, figures, ratio, rows
from labeling.services.agreement.shares import NOBODY, Share

ONE_TIED_ALL = "in every task, one of the two tied everything"
ONE_RANK = "only one rank was ever given"
TAU, HAS_TAU = NUM_KINDS, NUM_KINDS + 1  # columns of what a row adds, after the kinds of its pairs; then the cells of α


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

    def kinds_by_task(self) -> Floats:
        """T × 5: the pairs of all couples of a task."""
        task_C, num = self.couples.task_C, self.judged.num_tasks
        return np.stack([np.bincount(task_C, kind_C, minlength=num) for kind_C in self.couples.kinds.T], axis=1)

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
        group_M = np.concatenate(grouping.groups)
        couple_M = np.tile(np.arange(len(self.couples)), len(grouping.groups))[group_M >= 0]
        group_M = group_M[group_M >= 0]
        found = rows(task=self.couples.task_C[couple_M], group=group_M, num_groups=len(grouping.keys))
        amounts_RS = self._amounts(grouping, found, couple_M)
        groups = _Groups(
            keys=grouping.keys,
            num_usable=shares.num_usable(found, amounts_RS[:, :NUM_KINDS]),
            num_with_tau=found.num_tasks(amounts_RS[:, HAS_TAU]),
            num_tasks=np.bincount(found.group_R, minlength=found.num_groups),
            num_couples=np.bincount(group_M, minlength=found.num_groups),
        )
        lines: list[Line] = []
        for sums_GSB in self.resamples.sums(found, amounts_RS):
            here = slice(len(lines), len(lines) + len(sums_GSB))
            lines += groups.only(here).lines(sums_GSB, num_ranks=self.coincidences.num_ranks)
        return lines

    def _amounts(self, grouping: Grouping, found: Rows, couple_M: Ints) -> Floats:
        """What each row adds: its pairs by kind, its couples' τ and how many have one, its cells of α."""
        has_tau_M = ~np.isnan(self.tau_C[couple_M])
        taus_M2 = np.stack([np.where(has_tau_M, self.tau_C[couple_M], 0.0), has_tau_M], axis=1)
        kinds = found.add_up(self.couples.kinds[couple_M])
        return np.hstack([kinds, found.add_up(taus_M2), self._cells(grouping, found)])

    def _cells(self, grouping: Grouping, found: Rows) -> Floats:
        coincidences = self.coincidences
        cells, row_of_membership = np.zeros(len(found.task_R) * coincidences.num_cells), 0
        for group_C in grouping.groups:
            is_in_C = group_C >= 0
            row_C = np.full(len(group_C), -1)
            row_C[is_in_C] = found.row_E[row_of_membership : row_of_membership + is_in_C.sum()]
            row_of_membership += int(is_in_C.sum())
            row_E = row_C[coincidences.couple_E]
            is_in_E = row_E >= 0
            weight_E = coincidences.weight_E[is_in_E] if grouping.has_whole_tasks else None
            place_E = row_E[is_in_E] * coincidences.num_cells + coincidences.cell_E[is_in_E]
            cells += np.bincount(place_E, weight_E, minlength=len(cells))
        return cells.reshape(len(found.task_R), coincidences.num_cells)


@dataclass(frozen=True)
class _Groups:
    """What is known of groups before anything is redrawn."""

    keys: Sequence[Hashable]
    num_usable: dict[TieRule, Ints]
    num_with_tau: Ints
    num_tasks: Ints
    num_couples: Ints

    def only(self, here: slice) -> "_Groups":
        usable = {rule: num_G[here] for rule, num_G in self.num_usable.items()}
        return _Groups(self.keys[here], usable, self.num_with_tau[here], self.num_tasks[here], self.num_couples[here])

    def lines(self, sums_GSB: Floats, *, num_ranks: int) -> list[Line]:
        found = shares.of_sums(sums_GSB[:, :NUM_KINDS], self.num_usable)
        nobody = [ONE_RANK if num else NOBODY for num in self.num_couples]
        alphas = figures(
            alpha.of_cells(sums_GSB[:, HAS_TAU + 1 :], num_ranks),
            num=self.num_couples, num_tasks=self.num_tasks, why_not=nobody,
        )  # fmt: skip
        parts = zip(self.keys, found, self._taus(sums_GSB), alphas, self.num_couples, self.num_tasks, strict=True)
        return [_line(*part) for part in parts]

    def _taus(self, sums_GSB: Floats) -> list[Figure]:
        """The mean over couples, each weighing the same."""
        why_not = [ONE_TIED_ALL if num else NOBODY for num in self.num_couples]
        num_GB = sums_GSB[:, HAS_TAU]
        return figures(ratio(sums_GSB[:, TAU], num_GB), num=num_GB[:, 0], num_tasks=self.num_with_tau, why_not=why_not)


def _line(key: Hashable, share: Share, tau: Figure, found_alpha: Figure, num_couples: int, num_tasks: int) -> Line:
    return Line(
        key=key,
        agreement=share.agreement,
        tau=tau,
        alpha=found_alpha,
        num_pairs=share.num_pairs,
        num_tied=share.num_tied,
        num_couples=int(num_couples),
        num_tasks=int(num_tasks),
    )
