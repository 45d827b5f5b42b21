"""From ranks, ratings and comparisons to ranks: hand-worked."""

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.services import personal_data
from labeling.services.imports import judgements
from labeling.services.imports.reasons import Refused


@pytest.mark.parametrize(
    ("given_ranks", "ranks"),
    [([1, 2, 3], [1, 2, 3]), ([1, 1, 3], [1, 1, 2]), ([0, 5, 5], [1, 2, 2]), ([2.5, 1, 2.5], [2, 1, 2]), ([9], [1])],
)
def test_ranks_lose_their_gaps(given_ranks: list[float], ranks: list[int]) -> None:
    assert judgements.from_ranks(given_ranks, num_responses=len(ranks), where="x") == ranks


def test_the_highest_rating_is_first_and_equal_ratings_tie() -> None:
    assert judgements.from_ratings([-10.3, 0.0, -10.3, 5], num_responses=4, where="x") == [3, 2, 3, 1]


def test_a_missing_rank_makes_it_partial() -> None:
    assert judgements.from_ranks([1, None, 2], num_responses=3, where="x") is None
    assert judgements.from_ratings([1, None, 2], num_responses=3, where="x") is None


@pytest.mark.parametrize(
    "values", [[1], [1, 2, 3], [1, "2"], [1, True], [1, float("nan")], [1, float("inf")], [1, 10**400], "12"]
)
def test_numbers_that_do_not_fit_refuse_the_row(values: Any) -> None:
    with pytest.raises(Refused):
        judgements.from_ranks(values, num_responses=2, where="x")


def test_overall_is_the_number_or_its_criterion() -> None:
    assert judgements.overall([1, 2.5, None]) == [1, 2.5, None]
    assert judgements.overall([{"overall": 3, "style": 1}, {"overall": 4}]) == [3, 4]
    assert judgements.overall([{"style": 1}, {"overall": 4}]) is None


@pytest.mark.parametrize(
    ("pairs", "ranks"),
    [
        ([(0, 1, "a")], [1, 2]),
        ([(0, 1, "b")], [2, 1]),
        ([(0, 1, "tie")], [1, 1]),
        ([(0, 1, "a"), (1, 2, "a"), (0, 2, "a")], [1, 2, 3]),
        ([(0, 1, "a"), (1, 2, "a")], [1, 2, 3]),  # 0 over 2 follows
        ([(0, 1, "tie"), (1, 2, "b")], [2, 2, 1]),  # 2 over 0 follows
        ([(0, 1, "a"), (0, 2, "a")], None),  # 1 against 2 is open
        ([(0, 1, "a"), (1, 2, "a"), (0, 2, "b")], None),  # a circle
        ([(0, 1, "a"), (0, 1, "b"), (1, 2, "a")], None),  # both ways
        ([(0, 1, "tie"), (1, 2, "tie"), (0, 2, "a")], None),  # ties that are not transitive
        ([(0, 1, "a"), (0, 1, "tie"), (1, 2, "a")], None),
        ([(0, 1, "a"), (2, 3, "a")], None),
        ([], None),
    ],
    ids=repr,
)
def test_comparisons_are_a_ranking_only_when_they_leave_one_order(pairs: Any, ranks: list[int] | None) -> None:
    num = 1 + max((max(a, b) for a, b, _ in pairs), default=1)
    assert judgements.from_comparisons(pairs, num_responses=num) == ranks


@given(scores=st.lists(st.integers(0, 4), min_size=2, max_size=7), shuffle=st.randoms())
def test_all_pairs_of_any_weak_order_give_that_order_back(scores: list[int], shuffle: Any) -> None:
    pairs = [
        (a, b, "tie" if scores[a] == scores[b] else "a" if scores[a] < scores[b] else "b")
        for a, b in combinations(range(len(scores)), 2)
    ]
    shuffle.shuffle(pairs)
    ranks = judgements.from_comparisons(pairs, num_responses=len(scores))
    assert ranks == judgements.dense(scores)
    assert judgements.num_against(pairs, ranks) == 0


def test_judgements_against_the_ranks_are_counted() -> None:
    pairs = [(0, 1, "a"), (0, 2, "tie"), (1, 2, "b")]
    assert judgements.num_against(pairs, [1, 2, 3]) == 2


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("write to anna.b@corp.io today", ["e-mail"]),
        ("write to anna@example.com", []),
        ("root@localhost, a@b", []),
        ("call +49 30 901820 now", ["phone"]),
        ("call (212) 736-5000", ["phone"]),
        ("call 212-555-0143", []),  # reserved for films
        ("in 1999-2000 there were 12345678 of them", []),
        ("card 4111 1111 1111 1111", ["payment card"]),
        ("card 4111 1111 1111 1112", []),  # wrong check digit
        ("0000 0000 0000 0000", []),
        ("pay to DE89 3704 0044 0532 0130 00", ["IBAN"]),
        ("pay to DE89 3704 0044 0532 0130 01", []),
        ("ssn 219-09-9999", ["social security number"]),
        ("ssn 000-12-3456 and 123-45-67890", []),
        ("version 1.2.3.4, 10,000,000 people, 2026-11-22 11:30:00", []),
        ("", []),
    ],
)
def test_personal_data_is_found_by_pattern_and_check_digit(text: str, kinds: list[str]) -> None:
    assert personal_data.find(text) == kinds


@given(st.text(alphabet="+0123456789 -.()@aZ", max_size=3_000))
def test_no_text_makes_the_patterns_slow_or_fail(text: str) -> None:
    assert isinstance(personal_data.find(text), list)
