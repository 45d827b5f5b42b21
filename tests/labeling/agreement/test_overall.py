"""Pairwise agreement between labelers: hand-worked numbers, the tie rule, the interval."""

import random

import pytest

from labeling.services import agreement

A, B, C = 1, 2, 3  # labelers


def test_two_labelers_of_one_task() -> None:
    # A: 0 > 1 > 2, B: 0 > 2 > 1. They agree on (0,1) and (0,2), not on (1,2).
    found = agreement.pairwise([(1, A, [1, 2, 3]), (1, B, [1, 3, 2])])
    assert found.share == pytest.approx(2 / 3)
    assert (found.num_comparisons, found.num_tied, found.num_tasks, found.num_labelers) == (3, 0, 1, 2)
    assert (found.low, found.high) == (None, None), "one task gives no interval"


def test_ties_are_left_out_or_count_half_as_said() -> None:
    # (0,1): tied by A, not by B. (0,2) and (1,2): agreed. (3 against the rest): both put it last.
    judged = [(1, A, [1, 1, 2, 3]), (1, B, [1, 2, 3, 4])]
    dropped = agreement.pairwise(judged, ties="drop")
    assert (dropped.share, dropped.num_comparisons, dropped.num_tied) == (1.0, 5, 1)
    half = agreement.pairwise(judged, ties="half")
    assert (half.share, half.num_comparisons) == (pytest.approx(5.5 / 6), 6)


def test_tied_by_both_is_agreement_under_half_and_nothing_under_drop() -> None:
    judged = [(1, A, [1, 1]), (1, B, [1, 1])]
    assert agreement.pairwise(judged, ties="half").share == 1.0
    nothing = agreement.pairwise(judged)
    assert (nothing.share, nothing.why_not) == (None, "everything that two people compared was tied")


def test_three_labelers_are_three_pairs_of_people() -> None:
    # A and B agree, C is against both: 1 of 3.
    found = agreement.pairwise([(1, A, [1, 2]), (1, B, [1, 2]), (1, C, [2, 1])])
    assert (found.share, found.num_comparisons) == (pytest.approx(1 / 3), 3)


def test_tasks_of_one_labeler_say_nothing() -> None:
    found = agreement.pairwise([(1, A, [1, 2]), (2, A, [1, 2]), (2, B, [2, 1])])
    assert (found.share, found.num_tasks) == (0.0, 1)
    assert agreement.pairwise([(1, A, [1, 2])]).why_not == "no task was ranked by two people"
    assert agreement.pairwise([]).share is None


def test_the_interval_holds_the_share_and_narrows_with_more_tasks() -> None:
    draw = random.Random(5)

    def tasks(num: int) -> list[tuple[int, int, list[int]]]:
        orders = [[1, 2], [2, 1]]
        return [
            judged for task in range(num) for judged in ((task, A, [1, 2]), (task, B, orders[draw.random() > 0.73]))
        ]

    few, many = agreement.pairwise(tasks(50)), agreement.pairwise(tasks(2_000))
    for found in (few, many):
        assert found.share is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.share < found.high
    assert many.half_width is not None
    assert few.half_width is not None
    # The binomial's 1.96 × sqrt(0.73 × 0.27 / 2000) = 1.9 %.
    assert many.half_width == pytest.approx(0.0195, abs=0.003)
    assert many.half_width < few.half_width / 4


def test_the_same_rankings_give_the_same_interval() -> None:
    judged = [(task, who, [1, 2] if (task + who) % 3 else [2, 1]) for task in range(40) for who in (A, B)]
    assert agreement.pairwise(judged) == agreement.pairwise(judged)


def test_whole_tasks_are_drawn_so_that_many_comparisons_of_one_task_do_not_narrow_it() -> None:
    # Ten tasks of nine responses: each labeler pair agrees on all 36 or on none. 360 comparisons, but only ten draws.
    up, down = list(range(1, 10)), list(range(9, 0, -1))
    judged = [item for task in range(10) for item in ((task, A, up), (task, B, up if task < 7 else down))]
    found = agreement.pairwise(judged)
    assert (found.share, found.num_comparisons) == (0.7, 360)
    assert found.half_width is not None
    assert found.half_width > 0.2
