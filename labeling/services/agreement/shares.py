"""Pairwise agreement under each tie rule, for any groups of counted pairs.

Shapes: G groups, R rows (a group's tasks), B resamples.
"""

from dataclasses import dataclass

import numpy as np

from labeling.services.agreement.couples import CREDIT, TIED_BY_BOTH, WEIGHT
from labeling.services.agreement.grading import TIE_RULES, TieRule
from labeling.services.agreement.judged import Ints
from labeling.services.agreement.resampling import Figure, Floats, Resamples, Rows, figures, ratio

NOBODY = "no task was ranked by two people"
ALL_TIED = "everything that two people compared was tied"


@dataclass(frozen=True)
class Share:
    """The agreement of one group, by tie rule."""

    agreement: dict[TieRule, Figure]
    num_pairs: int
    num_tied: int


def shares(rows: Rows, kinds_R5: Floats, *, resamples: Resamples) -> list[Share]:
    """`kinds_R5` are the pairs of each row, by kind."""
    usable = num_usable(rows, kinds_R5)
    found: list[Share] = []
    for sums_G5B in resamples.sums(rows, kinds_R5):
        found += of_sums(sums_G5B, {rule: num_G[len(found) :] for rule, num_G in usable.items()})
    return found


def num_usable(rows: Rows, kinds_R5: Floats) -> dict[TieRule, Ints]:
    """Tasks of each group in which a pair counts."""
    return {rule: rows.num_tasks(kinds_R5 @ np.array(WEIGHT[rule])) for rule in TIE_RULES}


def of_sums(sums_G5B: Floats, num_tasks: dict[TieRule, Ints]) -> list[Share]:
    as_it_is_G5 = sums_G5B[:, :, 0]
    why_not = [ALL_TIED if kinds.sum() else NOBODY for kinds in as_it_is_G5]
    agreement = {rule: _figures(sums_G5B, rule, num_tasks[rule], why_not) for rule in TIE_RULES}
    return [
        Share(
            agreement={rule: agreement[rule][group] for rule in TIE_RULES},
            num_pairs=round(kinds.sum()),
            num_tied=round(kinds[TIED_BY_BOTH:].sum()),
        )
        for group, kinds in enumerate(as_it_is_G5)
    ]


def _figures(sums_G5B: Floats, rule: TieRule, num_tasks: Ints, why_not: list[str]) -> list[Figure]:
    credit_GB, weight_GB = np.array(CREDIT[rule]) @ sums_G5B, np.array(WEIGHT[rule]) @ sums_G5B
    return figures(ratio(credit_GB, weight_GB), num=weight_GB[:, 0], num_tasks=num_tasks, why_not=why_not)
