"""What choosing and sorting by reward models rests on, against hand-worked numbers and the definitions."""

import math
import random
from itertools import combinations

import pytest

from training.contract import uncertainty
from training.contract.uncertainty import Surprise


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def bits(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def drawn(num_models: int, num_responses: int, seed: int) -> list[list[float]]:
    lot = random.Random(seed)
    return [[lot.gauss(0, 2) for _ in range(num_responses)] for _ in range(num_models)]


def test_equal_scores_leave_the_order_wholly_open_and_far_ones_settle_it() -> None:
    assert uncertainty.pair_entropy([[0.3, 0.3, 0.3]]) == pytest.approx(1.0)
    assert uncertainty.pair_entropy([[900.0, 0.0, -900.0]]) == 0.0
    three_to_one = uncertainty.pair_entropy([[math.log(3), 0.0]])  # σ(ln 3) = 3/4
    assert three_to_one == pytest.approx(2 - 0.75 * math.log2(3))


def test_more_responses_are_not_more_uncertain_by_their_number() -> None:
    assert uncertainty.pair_entropy([[1.0] * 9]) == pytest.approx(uncertainty.pair_entropy([[1.0] * 2]))


@pytest.mark.parametrize("seed", range(5))
def test_entropy_and_disagreement_are_what_their_definitions_say(seed: int) -> None:
    scores = drawn(3, 5, seed)
    total, own = [], []
    for a, b in combinations(range(5), 2):
        chances = [sigmoid(by_model[a] - by_model[b]) for by_model in scores]
        total.append(bits(sum(chances) / 3))
        own.append(sum(map(bits, chances)) / 3)
    assert uncertainty.pair_entropy(scores) == pytest.approx(sum(total) / 10)
    assert uncertainty.model_disagreement(scores) == pytest.approx((sum(total) - sum(own)) / 10)


def test_models_that_are_sure_and_contradict_each_other_disagree_wholly_and_unsure_ones_not_at_all() -> None:
    assert uncertainty.model_disagreement([[60.0, 0.0], [0.0, 60.0]]) == pytest.approx(1.0)
    assert uncertainty.model_disagreement([[0.0, 0.0], [5.0, 5.0]]) == 0.0
    assert uncertainty.model_disagreement([[1.0, 2.0], [101.0, 102.0]]) == pytest.approx(0.0, abs=1e-12)


def test_one_model_disagrees_with_nobody_and_one_response_has_no_pair() -> None:
    with pytest.raises(ValueError, match="two on"):
        uncertainty.model_disagreement([[1.0, 2.0]])
    with pytest.raises(ValueError, match="two responses"):
        uncertainty.pair_entropy([[1.0]])
    with pytest.raises(ValueError, match="same two responses"):
        uncertainty.pair_entropy([[1.0, 2.0], [1.0, 2.0, 3.0]])


@pytest.mark.parametrize("margin", [0.0, 0.4, -1.7, 6.0])
def test_who_judges_as_the_model_says_surprises_it_by_nothing_on_average(margin: float) -> None:
    p = sigmoid(margin)
    first, second = (uncertainty.surprise([margin, 0.0], ranks).bits for ranks in ([1, 2], [2, 1]))
    assert p * first + (1 - p) * second == pytest.approx(0.0, abs=1e-12)
    assert first == pytest.approx(-math.log2(p) - bits(p))


def test_surprise_counts_the_pairs_that_are_no_ties_and_those_the_other_way_round() -> None:
    found = uncertainty.surprise([3.0, 2.0, 2.0, 0.0], [2, 1, 3, 1])
    # pairs ranked apart: AB against, AC with, AD against, BC even, CD against; B and D are tied
    assert (found.num_pairs, found.num_against) == (5, 3.5)
    assert uncertainty.surprise([1.0, 2.0], [1, 1]) == Surprise(0.0, 0, 0.0)
    assert uncertainty.surprise([1.0, 2.0], [1, 1]).bits_per_pair is None


def test_a_sure_model_that_is_contradicted_is_surprised_by_its_margin_and_does_not_overflow() -> None:
    found = uncertainty.surprise([2000.0, 0.0], [2, 1])
    assert found.bits == pytest.approx(2000 / math.log(2))
    assert uncertainty.surprise([2000.0, 0.0], [1, 2]).bits == 0.0


def test_surprises_of_several_labelers_add_up() -> None:
    one, other = (uncertainty.surprise([1.0, 0.0, -1.0], ranks) for ranks in ([1, 2, 3], [3, 1, 1]))
    whole = one + other
    assert (whole.num_pairs, whole.num_against) == (5, 2)
    assert whole.bits_per_pair == pytest.approx((one.bits + other.bits) / 5)
