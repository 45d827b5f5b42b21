"""Agreement by rank distance, by hand and against brute force."""

from itertools import combinations, permutations

import numpy as np
import pytest

from labeling.services.agreement.distances import MEAN_LABELS, OWN_LABELS, by_distance
from labeling.services.agreement.grading import TIE_RULES, credit_of, order_of
from labeling.services.agreement.judged import judged
from labeling.services.agreement.resampling import Resamples
from labeling.services.answers import dense
from tests.labeling.agreement.oracle import Row, by_task


def some_rows() -> list[Row]:
    rng = np.random.default_rng(5)
    return [
        (task, int(who), dense(rng.integers(1, 9, size=2 + task % 8).tolist()))
        for task in range(60)
        for who in rng.choice(6, size=1 + task % 4, replace=False)
    ]


def found_in(rows: list[Row]):  # type: ignore[no-untyped-def]
    shared = judged(rows)
    return by_distance(shared, Resamples(shared.num_tasks))


def test_by_ones_own_ranks_it_is_brute_force() -> None:
    found = found_in(some_rows())
    for ties in TIE_RULES:
        credits: dict[int, list[float]] = {d: [] for d in range(len(OWN_LABELS))}
        for ranked in by_task(some_rows()).values():
            for one, other in permutations(ranked.values(), 2):
                for a, b in combinations(range(len(one)), 2):
                    credit = credit_of(order_of(one, a, b), order_of(other, a, b), ties=ties)
                    if credit is not None:
                        credits[min(5, abs(one[a] - one[b]))].append(credit)
        for d, step in enumerate(found.own, start=1):
            assert step.agreement[ties].value == pytest.approx(np.mean(credits[d]), abs=1e-9)
            assert step.agreement[ties].num == len(credits[d])


def test_by_the_mean_rank_it_is_brute_force() -> None:
    found = found_in(some_rows())
    credits: dict[int, list[float]] = {d: [] for d in range(len(MEAN_LABELS))}
    for ranked in by_task(some_rows()).values():
        sums = np.array(list(ranked.values())).sum(axis=0)
        for one, other in combinations(ranked.values(), 2):
            for a, b in combinations(range(len(one)), 2):
                apart = min(4, int(abs(sums[a] - sums[b])) // len(ranked))
                credits[apart].append(credit_of(order_of(one, a, b), order_of(other, a, b), ties="half") or 0.0)
    for d, step in enumerate(found.mean):
        expected = np.mean(credits[d]) if credits[d] else None
        assert step.agreement["half"].value == pytest.approx(expected, abs=1e-9)
        assert step.agreement["half"].num == len(credits[d])


def test_where_one_tied_how_often_the_other_did_too() -> None:
    found = found_in([(1, 1, [1, 1, 2]), (1, 2, [1, 1, 1])])
    assert found.also_tied.value == pytest.approx(2 / 4)  # one pair tied by the first, three by the second
    assert found_in([]).also_tied.value is None


def test_a_distance_nobody_gave_says_so() -> None:
    steps = found_in([(1, 1, [1, 2]), (1, 2, [1, 2])]).own
    assert [step.agreement["drop"].num for step in steps] == [2, 0, 0, 0, 0]
    assert steps[1].agreement["drop"].value is None
