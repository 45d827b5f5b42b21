"""Nested training sets and the intervals of what was learned from them."""

import numpy as np
import pytest

from training.engine import curves
from training.engine.batches import Element, Ranking
from training.engine.curves import Answers


def element(name: str, num_rankings: int = 1, ranks: tuple[int, ...] = (1, 2)) -> Element:
    rankings = tuple(
        Ranking(positions=tuple(range(len(ranks))), ranks=ranks, weight=1.0, labeler=str(n), held_out=False)
        for n in range(num_rankings)
    )
    responses = tuple([n] for n in range(len(ranks)))
    return Element(prompt_id=name, split="train", category="", prompt=[1], responses=responses, rankings=rankings)


def test_each_number_is_half_of_the_next_and_the_last_is_all_there_are() -> None:
    assert curves.budgets(800, num_points=4) == [100, 200, 400, 800]
    assert curves.budgets(5, num_points=8) == [1, 2, 5]


def test_a_training_set_has_exactly_so_many_rankings_and_holds_the_smaller_ones() -> None:
    elements = [element(f"p{n}", num_rankings=1 + n % 3) for n in range(12)]
    order = curves.shuffled(elements, seed=3)
    assert order != elements
    assert sorted(item.prompt_id for item in order) == sorted(item.prompt_id for item in elements)
    before: set[tuple[str, str]] = set()
    for num in range(1, 25):
        taken = curves.beginning(order, num_rankings=num)
        named = {(item.prompt_id, ranking.labeler) for item in taken for ranking in item.rankings}
        assert len(named) == num
        assert before < named
        before = named
    with pytest.raises(ValueError, match="1 of them are not there"):
        curves.beginning(order, num_rankings=25)


def test_answers_are_counted_by_prompt_and_ties_are_no_pairs() -> None:
    elements = [element("a", ranks=(1, 2, 2)), element("b", ranks=(1, 1)), element("a"), element("c")]
    found = curves.answers(elements, [[2.0, 1.0, 3.0], [1.0, 2.0], [0.0, 5.0], [4.0, 4.0]])
    assert found == Answers(right_G=(1.0, 0.5), pairs_G=(3, 1))
    assert found.accuracy == 1.5 / 4


def test_a_resample_counts_each_drawn_prompt_and_seed_as_often_as_it_was_drawn() -> None:
    """The same draws taken one by one."""
    rng = np.random.default_rng(1)
    pairs = (3, 1, 4, 2)
    of_seeds = [Answers(tuple(float(rng.integers(0, n + 1)) for n in pairs), pairs) for _ in range(3)]
    draws = curves.Resamples(num_prompts=4, num_seeds=3, num_samples=50, seed=7)
    found = draws.accuracies(of_seeds)
    for number in range(51):
        right = total = 0.0
        for seed, times in zip(of_seeds, draws._drawn_BS[number], strict=True):
            for prompt, drawn in enumerate(draws._drawn_BG[number]):
                right += times * drawn * seed.right_G[prompt]
                total += times * drawn * pairs[prompt]
        assert found[number] == pytest.approx(right / total)
    assert found[0] == pytest.approx(np.mean([one.accuracy for one in of_seeds]))


def test_an_interval_holds_what_prompts_and_seeds_happened_to_be() -> None:
    """Over many repetitions of both draws the 95 % interval holds the truth about as often as it says."""
    rng = np.random.default_rng(0)
    held = 0
    for repetition in range(200):
        ease_G = np.clip(0.6 + 0.15 * rng.standard_normal(60), 0, 1)
        of_seeds = []
        for _ in range(20):  # what the draw of a training set makes of it weighs as much as the prompts do
            skill = 0.1 * rng.standard_normal()
            right = rng.random(60) < np.clip(ease_G + skill, 0, 1)
            of_seeds.append(Answers(tuple(map(float, right)), (1,) * 60))
        draws = curves.Resamples(num_prompts=60, num_seeds=20, num_samples=300, seed=repetition)
        found = curves.interval(draws.accuracies(of_seeds))
        held += found["low"] <= 0.6 <= found["high"]
    assert 180 <= held <= 200


def test_what_both_have_in_common_is_not_in_the_interval_of_their_difference() -> None:
    rng = np.random.default_rng(2)
    base = rng.random((4, 80)) < 0.6
    one = [Answers(tuple(map(float, row)), (1,) * 80) for row in base]
    better = [Answers(tuple(map(float, row | (np.arange(80) < 8))), (1,) * 80) for row in base]
    draws = curves.Resamples(num_prompts=80, num_seeds=4, num_samples=500, seed=0)
    low_B, high_B = draws.accuracies(one), draws.accuracies(better)
    difference = curves.interval(high_B - low_B)
    alone = curves.interval(low_B)
    assert difference["high"] - difference["low"] < 0.6 * (alone["high"] - alone["low"])
    assert difference["low"] > 0
    assert curves.interval(low_B - low_B) == {"value": 0.0, "low": 0.0, "high": 0.0}
