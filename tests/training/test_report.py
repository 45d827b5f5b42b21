"""Pair accuracy, calibration, length and agreement against numbers worked by hand."""

import numpy as np
import pytest

from training.engine.batches import Element, Ranking
from training.engine.report import (
    accuracy,
    calibration,
    human_agreement,
    judged_pairs,
    length_correlation,
    rate_with_interval,
    reward_report,
    share_with_interval,
)


def ranking(*ranks: int, labeler: str = "a", held_out: bool = False) -> Ranking:
    return Ranking(positions=tuple(range(len(ranks))), ranks=ranks, weight=1.0, labeler=labeler, held_out=held_out)


def element(
    name: str, *rankings: Ranking, split: str = "valid", category: str = "qa", lengths: tuple[int, ...] = (1, 2, 3)
) -> Element:
    return Element(
        prompt_id=name,
        split=split,
        category=category,
        prompt=[0],
        responses=tuple([0] * length for length in lengths),
        rankings=rankings,
    )


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_pairs_are_better_minus_worse_and_ties_make_none() -> None:
    pairs = judged_pairs([element("p", ranking(1, 2, 2))], [[5.0, 7.0, 1.0]])
    assert [(pair.margin, pair.distance, pair.right) for pair in pairs] == [(-2.0, 1, 0.0), (4.0, 1, 1.0)]


def test_equal_scores_count_one_half() -> None:
    pairs = judged_pairs([element("p", ranking(1, 2))], [[3.0, 3.0]])
    found = accuracy(pairs, num_samples=100, rng=rng())
    assert found is not None
    assert found["value"] == 0.5


def test_a_share_is_over_pairs_and_its_interval_over_prompts() -> None:
    outcomes = [("p", 1.0)] * 9 + [("q", 0.0)]
    found = share_with_interval(outcomes, num_samples=2000, rng=rng())
    assert found is not None
    assert (found["value"], found["num_pairs"], found["num_prompts"]) == (0.9, 10, 2)
    # two prompts, one all right and one all wrong: resampling them gives 0, 0.9 or 1
    assert (found["low"], found["high"]) == (0.0, 1.0)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(200):
        draws = np.random.default_rng(seed)
        outcomes = [(f"p{i}", float(draws.random() < 0.7)) for i in range(60)]
        found = share_with_interval(outcomes, num_samples=300, rng=draws)
        assert found is not None
        hits += found["low"] <= 0.7 <= found["high"]
    assert 180 <= hits <= 199


def test_a_rate_weighs_its_parts_by_what_they_are_divided_by() -> None:
    found = rate_with_interval([2.0, 2.0], [1, 3], num_samples=200, rng=np.random.default_rng(0))
    assert found == {"value": 1.0, "low": pytest.approx(2 / 3), "high": 2.0}  # redrawn: both, or one of them twice
    assert rate_with_interval([3.0], [2], num_samples=200, rng=np.random.default_rng(0)) == {
        "value": 1.5, "low": None, "high": None,
    }  # fmt: skip


def test_one_prompt_alone_has_no_interval_and_no_pairs_no_share() -> None:
    one = share_with_interval([("p", 1.0)], num_samples=100, rng=rng())
    assert one is not None
    assert (one["low"], one["high"]) == (None, None)
    assert share_with_interval([], num_samples=100, rng=rng()) is None


def test_a_model_that_is_surer_than_it_is_right_is_badly_calibrated() -> None:
    sure = [element(f"p{i}", ranking(1, 2), lengths=(1, 1)) for i in range(10)]
    scores = [[20.0, 0.0] if i < 6 else [0.0, 20.0] for i in range(10)]
    found = calibration(judged_pairs(sure, scores))
    assert found is not None
    assert found["curve"] == [{"predicted": pytest.approx(1.0), "observed": 0.6, "num_pairs": 10}]
    assert found["error"] == pytest.approx(0.4)
    assert calibration([]) is None


def test_length_is_correlated_overall_and_within_prompts() -> None:
    elements = [element("p", lengths=(1, 2)), element("q", lengths=(11, 12))]
    found = length_correlation(elements, [[5.0, 6.0], [1.0, 2.0]])
    assert found["correlation"] == pytest.approx(-0.97, abs=0.05)
    assert found["correlation_within_prompts"] == pytest.approx(1.0)
    assert length_correlation([element("p", lengths=(4, 4))], [[1.0, 2.0]])["correlation"] is None


def test_human_agreement_takes_pairs_that_both_ranked_apart() -> None:
    both = element("p", ranking(1, 2, 3), ranking(2, 1, 3, labeler="b"))
    found = human_agreement([both], num_samples=100, rng=rng())
    assert found is not None
    assert (found["value"], found["num_pairs"]) == (pytest.approx(2 / 3), 3)
    for first, second in (((1, 1, 2), (1, 2, 3)), ((1, 2, 3), (1, 1, 2))):
        tie = element("p", ranking(*first), ranking(*second, labeler="b"))
        found = human_agreement([tie], num_samples=100, rng=rng())
        assert found is not None
        assert found["num_pairs"] == 2
    same = element("p", ranking(1, 2), ranking(1, 2))
    assert human_agreement([same], num_samples=100, rng=rng()) is None


def test_the_report_keeps_held_out_labelers_and_splits_apart() -> None:
    elements = [
        element("p", ranking(1, 2), ranking(2, 1, labeler="h", held_out=True), split="train", lengths=(1, 1)),
        element("q", ranking(1, 2), split="valid", lengths=(1, 1), category="chat"),
        element("r", ranking(1, 2, labeler="h", held_out=True), split="test", lengths=(1, 1)),
    ]
    report = reward_report(elements, [[1.0, 0.0]] * 3, num_samples=100, seed=0)
    found = {name: value and (value["value"], value["num_pairs"]) for name, value in report["accuracy"].items()}
    assert found == {
        "train": (1.0, 1),
        "valid": (1.0, 1),
        "test": None,
        "held_out_labelers": (0.5, 2),
        "held_out_labelers_new_prompts": (1.0, 1),
    }
    assert list(report["by_category"]) == ["chat", "qa"]
    assert report["by_rank_distance"]["1"]["num_pairs"] == 2


def test_accuracy_by_length_tells_whether_the_better_one_had_to_be_the_longer_one() -> None:
    five = element("p", ranking(2, 1, 3, 4), lengths=(10, 20, 30, 31))
    report = reward_report([five], [[10.0, 20.0, 30.0, 31.0]], num_samples=100, seed=0)  # the score is the length
    groups = report["by_length_difference"].items()
    assert {name: value and (value["value"], value["num_pairs"]) for name, value in groups} == {
        "less_than_half": (0.0, 2),  # 10 better than 30, and than 31
        "shorter": (0.0, 2),  # 20 better than 30, and than 31
        "alike": (0.0, 1),  # 30 better than 31
        "longer": None,
        "twice_or_more": (1.0, 1),  # 20 better than 10: a ratio of 2 belongs here
    }
