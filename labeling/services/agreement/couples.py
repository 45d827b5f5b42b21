"""Couples: every two labelers of a task, with how their orders of its pairs of responses relate.

Each pair of responses is of one of five kinds; every tie rule and Kendall's τ-b are sums over the kinds. So everything
is counted once, and the rules are applied at the end.

Shapes: C couples, T tasks, N labelers of a task, K responses, P = K (K-1) / 2 pairs of responses.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from labeling.services.agreement.grading import TieRule
from labeling.services.agreement.judged import Ints, Judged, Shape

Floats = npt.NDArray[np.float64]

# The kinds of a pair, in the columns of every table of counts.
AGREED, OPPOSED, TIED_BY_BOTH, TIED_BY_ONE, TIED_BY_OTHER = range(5)
NUM_KINDS = 5
# What each kind counts for: credit over weight is the agreement.
CREDIT: dict[TieRule, list[float]] = {
    "drop": [1, 0, 0, 0, 0],
    "half": [1, 0, 1, 0.5, 0.5],
    "strict": [1, 0, 1, 0, 0],
}
WEIGHT: dict[TieRule, list[float]] = {
    "drop": [1, 1, 0, 0, 0],
    "half": [1, 1, 1, 1, 1],
    "strict": [1, 1, 1, 1, 1],
}


@dataclass(frozen=True)
class Couples:
    task_C: Ints
    one_C: Ints
    other_C: Ints
    kinds: Ints  # C × 5 counts of pairs of responses

    def __len__(self) -> int:
        return len(self.task_C)


def couples(judged: Judged) -> Couples:
    parts = [part for shape in judged.shapes() for part in _of_shape(shape)]
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return Couples(nothing, nothing, nothing, np.zeros((0, NUM_KINDS), dtype=np.int64))
    task, one, other, kinds = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Couples(task_C=task, one_C=one, other_C=other, kinds=kinds)


def _of_shape(shape: Shape) -> list[tuple[Ints, Ints, Ints, Ints]]:
    orders_TNP = orders(shape.ranks_TNK)
    return [
        (
            shape.tasks_T,
            shape.labelers_TN[:, i],
            shape.labelers_TN[:, j],
            counted(kind_of(orders_TNP[:, i], orders_TNP[:, j])),
        )
        for i, j in combinations(range(orders_TNP.shape[1]), 2)
    ]


def orders(ranks_TNK: Ints) -> npt.NDArray[np.int8]:
    """T × N × P: -1 where a labeler prefers the first response of the pair, 1 the second, 0 for a tie."""
    a, b = np.triu_indices(ranks_TNK.shape[-1], k=1)
    signs: npt.NDArray[np.int8] = np.sign(ranks_TNK[..., a] - ranks_TNK[..., b]).astype(np.int8)
    return signs


def kind_of(one: npt.NDArray[np.int8], other: npt.NDArray[np.int8]) -> Ints:
    """The kind of every pair, from two labelers' orders of it."""
    kinds: Ints = _KINDS[3 * one + other + 4]
    return kinds


# By the order of the one, then of the other: -1, 0, 1.
_KINDS = np.array(
    [
        [AGREED, TIED_BY_OTHER, OPPOSED],
        [TIED_BY_ONE, TIED_BY_BOTH, TIED_BY_ONE],
        [OPPOSED, TIED_BY_OTHER, AGREED],
    ]
).ravel()


def counted(kind_TP: Ints) -> Ints:
    """T × 5: how many pairs of each kind."""
    return np.stack([(kind_TP == kind).sum(axis=1) for kind in range(NUM_KINDS)], axis=1)


def tau_b(kinds: Ints) -> Floats:
    """Kendall's τ-b of each couple: concordant minus discordant over what each of the two did not tie; NaN if all."""
    not_tied = kinds[:, AGREED] + kinds[:, OPPOSED]
    untied_by_one = not_tied + kinds[:, TIED_BY_OTHER]
    untied_by_other = not_tied + kinds[:, TIED_BY_ONE]
    below = np.sqrt(untied_by_one * untied_by_other.astype(np.float64))
    with np.errstate(invalid="ignore"):
        tau: Floats = (kinds[:, AGREED] - kinds[:, OPPOSED]) / np.where(below > 0, below, np.nan)
    return tau
