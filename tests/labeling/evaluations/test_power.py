"""The power hint against simulation: with as many prompts as it says, the interval is as narrow as was asked for."""

import numpy as np
import pytest

from labeling.services.evaluations import power
from labeling.services.evaluations.reading import Judgement
from labeling.services.evaluations.results import win_rates

RANKS = {1.0: (1, 2), 0.5: (1, 1), 0.0: (2, 1)}


def people_say(rng: np.random.Generator, num: int, *, judgements: int, spread: float = 1.0) -> list[list[float]]:
    """Prompts differ in how likely the first model wins on them; one judgement in five is a tie."""
    chances = 1 / (1 + np.exp(-(0.4 + spread * rng.standard_normal(num))))
    return [
        [0.5 if rng.random() < 0.2 else float(rng.random() < chance) for _ in range(judgements)] for chance in chances
    ]


def half_width(scores: list[list[float]]) -> float:
    """Of the interval as the page has it: by redrawing prompts."""
    given = [Judgement(prompt, (0, 1), RANKS[score]) for prompt, of in enumerate(scores) for score in of]
    found = win_rates(given, num_models=2)[0, 1].figure.half_width
    assert found is not None
    return found


@pytest.mark.parametrize(("judgements", "wanted"), [(1, 0.05), (3, 0.04)])
def test_with_as_many_prompts_as_it_says_the_interval_is_as_narrow_as_wanted(judgements: int, wanted: float) -> None:
    rng, found = np.random.default_rng(7), []
    for _ in range(20):
        need = power.prompts_wanted(people_say(rng, 80, judgements=judgements), wanted=wanted)
        assert need.total is not None
        found.append(half_width(people_say(rng, need.total, judgements=judgements)))
    assert np.mean(found) == pytest.approx(wanted, rel=0.06)


def test_with_as_many_judgements_as_it_says_the_interval_is_as_narrow_as_wanted() -> None:
    rng, now, with_one_less, found = np.random.default_rng(11), [], [], []
    for _ in range(20):
        pilot = people_say(rng, 150, judgements=2, spread=0.5)
        now.append(half_width(pilot))
        need = power.judgements_wanted(pilot, wanted=0.04, num_prompts=150)
        assert need.total is not None
        with_one_less.append(half_width(people_say(rng, 150, judgements=need.total - 1, spread=0.5)))
        found.append(half_width(people_say(rng, 150, judgements=need.total, spread=0.5)))
    assert np.mean(now) > 0.045
    assert np.mean(found) < 0.04 < np.mean(with_one_less)


def test_the_width_it_says_is_that_of_the_redrawn_interval() -> None:
    scores = people_say(np.random.default_rng(3), 400, judgements=2)
    assert power.half_width(scores) == pytest.approx(half_width(scores), rel=0.05)


def test_where_the_prompts_themselves_differ_too_much_no_number_of_judgements_is_enough() -> None:
    certain = [[1.0, 1.0]] * 50 + [[0.0, 0.0]] * 50
    assert power.judgements_wanted(certain, wanted=0.05, num_prompts=100) == power.Need(None, power.NEVER)
    assert power.prompts_wanted(certain, wanted=0.05).total == 389  # 0.2525 · (1.96 / 0.05)², rounded up


def test_too_few_to_tell_is_said() -> None:
    few = [[1.0], [0.0]] * 9
    for found in (
        power.prompts_wanted(few, wanted=0.1), power.judgements_wanted(few, wanted=0.1, num_prompts=18)
    ):  # fmt: skip
        assert found == power.Need(None, power.TOO_FEW)
    assert power.half_width(few) is None
    assert power.prompts_wanted([[1.0]] * 40, wanted=0.1).why_not == power.ALL_THE_SAME
    alone = [[1.0], [0.0]] * 20
    assert power.judgements_wanted(alone, wanted=0.1, num_prompts=40).why_not == power.ONE_JUDGEMENT
