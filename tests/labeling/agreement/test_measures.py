"""The measures against brute force, `scipy` and `krippendorff`, to 1e-9, on rankings with ties and gaps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.services.agreement import TIE_RULES
from labeling.services.agreement.judged import judged
from labeling.services.agreement.measures import ONE_RANK, ONE_TIED_ALL, Measures
from labeling.services.agreement.shares import ALL_TIED, NOBODY
from labeling.services.answers import dense
from tests.labeling.agreement import oracle
from tests.labeling.agreement.oracle import Couple, Row

EXACT = 1e-9


@st.composite
def rankings(draw: Any) -> list[Row]:
    """Tasks of 2 to 6 responses, each ranked by 1 to 4 of five labelers, with many ties."""
    rows: list[Row] = []
    for task in range(draw(st.integers(1, 6))):
        k = draw(st.integers(2, 6))
        labelers = draw(st.sets(st.integers(10, 14), min_size=1, max_size=4))
        for labeler in labelers:
            given_ranks = draw(st.lists(st.integers(1, k), min_size=k, max_size=k))
            rows.append((100 + task, labeler, dense(given_ranks)))
    return rows


def same(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return found == pytest.approx(expected, abs=EXACT)


@settings(max_examples=100, deadline=None)
@given(rows=rankings())
def test_overall_figures_are_the_oracles(rows: list[Row]) -> None:
    line = Measures(judged(rows)).overall()
    for ties in TIE_RULES:
        assert same(line.agreement[ties].value, oracle.pairwise(rows, ties=ties)), ties
    assert same(line.tau.value, oracle.tau(rows))
    assert same(line.alpha.value, oracle.alpha(rows))


@settings(max_examples=40, deadline=None)
@given(rows=rankings())
def test_figures_of_each_labeler_and_each_two_are_the_oracles(rows: list[Row]) -> None:
    measures = Measures(judged(rows))
    shared = oracle.by_task(rows)
    assert {line.key for line in measures.by_labeler()} == {who for by in shared.values() for who in by}
    lines = [(line, with_labeler(line.key)) for line in measures.by_labeler()]
    lines += [(line, with_both(line.key)) for line in measures.by_pair()]
    for line, wanted in lines:
        for ties in TIE_RULES:
            assert same(line.agreement[ties].value, oracle.pairwise(rows, ties=ties, wanted=wanted)), (line.key, ties)
        assert same(line.tau.value, oracle.tau(rows, wanted)), line.key
        assert same(line.alpha.value, oracle.alpha_of_couples(rows, wanted)), line.key
        assert line.num_couples == len(oracle.couples(rows, wanted))


def with_labeler(labeler: Any) -> Callable[[Couple], bool]:
    return lambda couple: labeler in couple[1:]


def with_both(both: Any) -> Callable[[Couple], bool]:
    return lambda couple: couple[1:] == both


@settings(max_examples=40, deadline=None)
@given(rows=rankings(), seed=st.integers(0, 99))
def test_figures_of_a_group_of_tasks_are_the_oracles_on_these_tasks(rows: list[Row], seed: int) -> None:
    found = judged(rows)
    group_T = np.random.default_rng(seed).integers(-1, 2, size=found.num_tasks)
    for line in Measures(found).by_task(group_T, [0, 1]):
        tasks = {key for key, group in zip(found.task_keys.tolist(), group_T, strict=True) if group == line.key}
        for ties in TIE_RULES:
            expected = oracle.pairwise(rows, ties=ties, wanted=lambda couple, t=tasks: couple[0] in t)  # type: ignore[misc]
            assert same(line.agreement[ties].value, expected)
        assert same(line.alpha.value, oracle.alpha(rows, lambda task, t=tasks: task in t))  # type: ignore[misc]
        assert line.num_tasks == len(tasks)


def test_an_interval_is_what_redrawing_whole_tasks_by_hand_gives() -> None:
    rng = np.random.default_rng(1)
    rows = [(task, who, rng.permutation(4).tolist()) for task in range(20) for who in range(3)]
    rows = [(task, who, [rank + 1 for rank in ranks]) for task, who, ranks in rows]
    found, redrawn = Measures(judged(rows)).overall(), []
    for _ in range(150):
        drawn = [
            (copy, who, ranks)
            for copy, chosen in enumerate(rng.integers(20, size=20))
            for task, who, ranks in rows
            if task == chosen
        ]
        redrawn.append((oracle.pairwise(drawn, ties="drop"), oracle.tau(drawn), oracle.alpha(drawn)))
    for figure, values in zip((found.agreement["drop"], found.tau, found.alpha), np.array(redrawn).T, strict=True):
        spread = values.std()
        assert figure.low == pytest.approx(np.quantile(values, 0.025), abs=0.6 * spread)
        assert figure.high == pytest.approx(np.quantile(values, 0.975), abs=0.6 * spread)
        assert (figure.low or 0) < (figure.value or 0) < (figure.high or 0)


def test_what_is_undefined_says_why() -> None:
    tied = Measures(judged([(1, 1, [1, 1]), (1, 2, [1, 1])])).overall()
    assert (tied.agreement["drop"].value, tied.agreement["drop"].why_not) == (None, ALL_TIED)
    assert tied.agreement["half"].value == 1.0
    assert (tied.tau.value, tied.tau.why_not) == (None, ONE_TIED_ALL)
    assert (tied.alpha.value, tied.alpha.why_not) == (None, ONE_RANK)
    nobody = Measures(judged([(1, 1, [1, 2])])).overall()
    assert {figure.why_not for figure in (nobody.agreement["strict"], nobody.tau, nobody.alpha)} == {NOBODY}
    assert Measures(judged([])).by_labeler() == []


def test_one_task_has_a_figure_and_no_interval() -> None:
    one = Measures(judged([(1, 1, [1, 2, 3]), (1, 2, [1, 3, 2]), (2, 1, [1, 1]), (2, 2, [1, 2])])).overall()
    assert one.agreement["drop"].value == pytest.approx(2 / 3)
    assert (one.agreement["drop"].low, one.agreement["drop"].num_tasks) == (None, 1)
    assert one.agreement["half"].low is not None


def test_of_two_rankings_of_one_labeler_the_later_counts() -> None:
    assert Measures(judged([(1, 1, [2, 1]), (1, 2, [1, 2]), (1, 1, [1, 2])])).overall().agreement["drop"].value == 1.0


def test_rankings_of_different_lengths_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="different numbers of responses"):
        judged([(1, 1, [1, 2]), (1, 2, [1, 2, 3])])
