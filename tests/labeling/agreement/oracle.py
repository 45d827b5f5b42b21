"""The measures once more, slowly and from elsewhere: brute force, `scipy` and `krippendorff`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from math import isnan

import krippendorff
import numpy as np
from scipy.stats import kendalltau

from labeling.services.agreement import TieRule

Row = tuple[int, int, list[int]]
Couple = tuple[int, int, int]  # task, one labeler, another


def by_task(rows: Iterable[Row]) -> dict[int, dict[int, list[int]]]:
    """Tasks that two or more people ranked."""
    tasks: dict[int, dict[int, list[int]]] = defaultdict(dict)
    for task, labeler, ranks in rows:
        tasks[task][labeler] = ranks
    return {task: by for task, by in tasks.items() if len(by) > 1}


def couples(rows: Iterable[Row], wanted: Callable[[Couple], bool]) -> list[tuple[Couple, list[int], list[int]]]:
    return [
        ((task, one, other), by[one], by[other])
        for task, by in sorted(by_task(rows).items())
        for one, other in combinations(sorted(by), 2)
        if wanted((task, one, other))
    ]


def anything(_: Couple) -> bool:
    return True


def pairwise(rows: Iterable[Row], *, ties: TieRule, wanted: Callable[[Couple], bool] = anything) -> float | None:
    credits = []
    for _, one, other in couples(rows, wanted):
        for a, b in combinations(range(len(one)), 2):
            first, second = np.sign(one[a] - one[b]), np.sign(other[a] - other[b])
            if first and second:
                credits.append(1.0 if first == second else 0.0)
            elif ties == "half":
                credits.append(1.0 if first == second else 0.5)
            elif ties == "strict":
                credits.append(1.0 if first == second else 0.0)
    return sum(credits) / len(credits) if credits else None


def tau(rows: Iterable[Row], wanted: Callable[[Couple], bool] = anything) -> float | None:
    """The mean of scipy's τ-b over couples."""
    found = [kendalltau(one, other, variant="b").statistic for _, one, other in couples(rows, wanted)]
    defined = [value for value in found if not isnan(value)]
    return sum(defined) / len(defined) if defined else None


def alpha(rows: Sequence[Row], wanted: Callable[[int], bool] = lambda task: True) -> float | None:
    """Labelers × (task, response), with gaps where a labeler did not rank a task."""
    tasks = {task: by for task, by in by_task(rows).items() if wanted(task)}
    labelers = sorted({labeler for by in tasks.values() for labeler in by})
    columns = [
        [by[labeler][k] if labeler in by else np.nan for labeler in labelers]
        for by in tasks.values()
        for k in range(len(next(iter(by.values()))))
    ]
    return _alpha(np.array(columns, dtype=float).reshape(-1, max(1, len(labelers))).T)


def alpha_of_couples(rows: Iterable[Row], wanted: Callable[[Couple], bool]) -> float | None:
    """Two coders; a unit is a response and a couple."""
    ranks = [pair for _, one, other in couples(rows, wanted) for pair in zip(one, other, strict=True)]
    return _alpha(np.array(ranks, dtype=float).reshape(-1, 2).T)


def _alpha(coders_by_units: np.ndarray) -> float | None:
    known = coders_by_units[~np.isnan(coders_by_units)]
    if len(np.unique(known)) < 2:  # the package raises
        return None
    return float(krippendorff.alpha(reliability_data=coders_by_units, level_of_measurement="ordinal"))
