"""Buying rankings from a pool, in doubling steps: by lot, by small margins, or where an ensemble disagrees.

All ways of a seed start from the same prompts by lot. At each step fresh reward models learn from all that is bought,
the first of them is measured, and they say what to buy next. Nothing is ever chosen by a test item.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from training.contract import uncertainty
from training.contract.configs import CurveConfig, RewardLearning
from training.engine import curves, device
from training.engine.batches import Element
from training.engine.curves import Answers
from training.engine.reward_learner import fit
from training.engine.text import Text

NUM_MEMBERS: Final = 3
Scores = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Way:
    """How to choose: by what the models' scores of a prompt's responses come to, the highest first; None is by lot."""

    name: str
    num_members: int
    worth: Callable[[Scores], float] | None


WAYS: Final = (
    Way("random", 1, None),
    Way("margin", 1, uncertainty.pair_entropy),
    Way("ensemble", NUM_MEMBERS, uncertainty.model_disagreement),
)


@dataclass(frozen=True, kw_only=True)
class World:
    """What all simulations share."""

    config: RewardLearning
    text: Text
    pool: list[Element]
    test: list[Element]
    budgets: list[int]
    compute: device.Compute


@dataclass(frozen=True)
class Step:
    """One number of rankings: what was bought, and what the model that learned from it has right."""

    bought: list[Element]
    answers: Answers


def learning(init_model: str, **options: Any) -> RewardLearning:
    """The recipe of the stage of curves, with the options given."""
    return CurveConfig(init_model=init_model, chosen="-", control="-", **options)


def run(world: World, way: Way, *, seed: int) -> list[Step]:
    """One way of one seed, from the first budget to the last."""
    order = Random(seed).sample(world.pool, len(world.pool))
    bought, left, steps = order[: world.budgets[0]], order[world.budgets[0] :], []
    for budget, following in zip(world.budgets, [*world.budgets[1:], None], strict=True):
        assert len(bought) == budget
        members = [member(world, bought, seed=seed, number=number) for number in range(way.num_members)]
        steps.append(Step(list(bought), curves.answers(world.test, members[0].scores(world.test))))
        if following:
            chosen = best(way, members, left)[: following - budget]
            taken = set(chosen)
            bought = bought + [left[index] for index in chosen]
            left = [item for index, item in enumerate(left) if index not in taken]
    return steps


def member(world: World, bought: Sequence[Element], *, seed: int, number: int) -> Any:
    """A reward model of what is bought; each has a head and an order of its own."""
    return fit(replace(world.config, seed=seed * NUM_MEMBERS + number), world.text, list(bought), compute=world.compute)


def best(way: Way, members: Sequence[Any], left: Sequence[Element]) -> list[int]:
    """Places in `left`, the most worth first; by lot they are in the order that was drawn."""
    if way.worth is None:
        return list(range(len(left)))
    scores_MPK = [setup.scores(left) for setup in members]
    worth = [way.worth([by_prompt[place] for by_prompt in scores_MPK]) for place in range(len(left))]
    return sorted(range(len(left)), key=lambda place: -worth[place])
