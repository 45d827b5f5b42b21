"""Grading one ranking against another: hand-worked shares, the three tie rules, what has no grade."""

import pytest

from labeling.services import agreement
from labeling.services.agreement import TieRule

REFERENCE = [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("ranks", "share"),
    [([1, 2, 3, 4], 1.0), ([4, 3, 2, 1], 0.0), ([2, 1, 3, 4], 5 / 6), ([10, 20, 30, 40], 1.0), ([1, 3, 2, 4], 5 / 6)],
)
def test_the_grade_is_the_share_of_pairs_ordered_as_in_the_reference(ranks: list[int], share: float) -> None:
    assert [agreement.grade(ranks, REFERENCE, ties=rule) for rule in agreement.TIE_RULES] == pytest.approx([share] * 3)


@pytest.mark.parametrize(
    ("rule", "share", "num_pairs"), [("drop", 1.0, 4), ("half", (4 + 2 * 0.5) / 6, 6), ("strict", 4 / 6, 6)]
)
def test_a_pair_that_one_of_the_two_tied(rule: TieRule, share: float, num_pairs: int) -> None:
    found = agreement.grade_all([([1, 1, 2, 3], [1, 2, 2, 3])], ties=rule)
    assert found.share == pytest.approx(share)
    assert (found.num_pairs, found.num_tied) == (num_pairs, 2)


@pytest.mark.parametrize(("rule", "share"), [("drop", 1.0), ("half", 1.0), ("strict", 1.0)])
def test_a_pair_that_both_tied(rule: TieRule, share: float) -> None:
    assert agreement.grade([1, 1, 2], [1, 1, 2], ties=rule) == share


def test_tying_everything_passes_no_test() -> None:
    assert agreement.grade([1, 1, 1, 1], REFERENCE) == 0.5
    assert agreement.grade([1, 1, 1, 1], REFERENCE, ties="strict") == 0.0
    assert agreement.grade([1, 1, 1, 1], REFERENCE, ties="drop") is None


def test_tasks_weigh_by_their_pairs() -> None:
    found = agreement.grade_all([([1, 2, 3, 4], REFERENCE), ([2, 1], [1, 2])])
    assert found.share == pytest.approx(6 / 7)


def test_no_order_has_no_grade_and_says_so() -> None:
    assert agreement.grade([], REFERENCE) is None
    assert agreement.grade(REFERENCE, []) is None
    assert agreement.grade_all([]).why_not == "there is no order to compare"
    assert agreement.grade_all([([1, 1], [1, 2])], ties="drop").why_not == "every pair was tied by one or by both"


def test_rankings_of_different_tasks_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="3 ranks cannot be graded against 4"):
        agreement.grade([1, 2, 3], REFERENCE)
