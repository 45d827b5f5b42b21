"""Strengths of models against `choix`, and against the maximum found by brute force where there are ties."""

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise, permutations, product
from typing import Any

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from labeling.models import Model, Ranking, Response, Task
from labeling.services import leaderboard
from labeling.services.agreement import Scope
from labeling.services.agreement.resampling import Figure, Resamples
from labeling.services.answers import dense
from labeling.services.leaderboard.board import more_wanted
from labeling.services.leaderboard.choices import Judgement, bradley_terry, left_of, plackett_luce
from labeling.services.leaderboard.fit import resampled, strengths
from tests.labeling.conftest import People

NUM_MODELS = 4
WITHOUT_PRIOR = 0.0


def some_judgements(num: int, *, seed: int, ties: bool = False, models: int = NUM_MODELS) -> list[Judgement]:
    """Three of the models each, the later ones better by nature."""
    rng, found = np.random.default_rng(seed), []
    for task in range(num):
        shown = rng.choice(models, size=3, replace=False)
        worth = 0.5 * shown + rng.gumbel(size=3)
        ranks = dense([-round(value) for value in worth] if ties else (-worth).tolist())  # type: ignore[misc]
        found.append(Judgement(task, shown.tolist(), ranks))
    return found


def centred(values: Any) -> Any:
    return np.asarray(values) - np.mean(values)


def test_without_ties_plackett_luce_is_choix() -> None:
    judgements = some_judgements(200, seed=1)
    orders = [[j.models[i] for i in np.argsort(j.ranks)] for j in judgements]
    found = strengths(plackett_luce(judgements, num_tasks=200, num_models=NUM_MODELS), prior=WITHOUT_PRIOR)
    assert found == pytest.approx(centred(choix.ilsr_rankings(NUM_MODELS, orders, tol=1e-13)), abs=1e-8)


def test_bradley_terry_is_choix_with_a_tie_as_a_win_for_each_where_a_win_counts_twice() -> None:
    judgements, won = some_judgements(150, seed=2, ties=True), []
    for j in judgements:
        for a, b in combinations(range(3), 2):
            if j.ranks[a] <= j.ranks[b]:
                won += [(j.models[a], j.models[b])] * (2 if j.ranks[a] < j.ranks[b] else 1)
            if j.ranks[b] <= j.ranks[a]:
                won += [(j.models[b], j.models[a])] * (2 if j.ranks[b] < j.ranks[a] else 1)
    found = strengths(bradley_terry(judgements, num_tasks=150, num_models=NUM_MODELS), prior=WITHOUT_PRIOR)
    assert found == pytest.approx(centred(choix.ilsr_pairwise(NUM_MODELS, won, tol=1e-13)), abs=1e-8)


def orders_of(judgement: Judgement) -> list[list[int]]:
    """Every strict order of positions that the ranks allow."""
    rungs = [[p for p, r in enumerate(judgement.ranks) if r == rank] for rank in sorted(set(judgement.ranks))]
    return [[p for rung in chosen for p in rung] for chosen in product(*(permutations(rung) for rung in rungs))]


def log_likelihood(log: Any, judgements: Sequence[Judgement], prior: float) -> float:
    """The mean over every order that the ties allow, written out."""
    total = prior * (log - 2 * np.log1p(np.exp(log))).sum()
    for judgement in judgements:
        orders = orders_of(judgement)
        for order in orders:
            logs = log[[judgement.models[p] for p in order]]
            total += sum(logs[i] - np.log(np.exp(logs[i:]).sum()) for i in range(len(logs))) / len(orders)
    return float(total)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, NUM_MODELS - 1), min_size=4, max_size=4),
            st.lists(st.integers(1, 3), min_size=4, max_size=4),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_with_ties_and_repeated_models_it_is_the_brute_force_maximum(given_lists: Any) -> None:
    judgements = [Judgement(task, models, dense(ranks)) for task, (models, ranks) in enumerate(given_lists)]
    choices = plackett_luce(judgements, num_tasks=len(judgements), num_models=NUM_MODELS)
    found = strengths(choices, prior=0.5)
    best = minimize(lambda log: -log_likelihood(log, judgements, 0.5), np.zeros(NUM_MODELS), method="BFGS", tol=1e-9)
    assert found == pytest.approx(best.x, abs=2e-4)
    assert log_likelihood(found, judgements, 0.5) >= -best.fun - 1e-9


def test_a_tie_of_two_is_half_a_win_for_each_in_both_models() -> None:
    judgements = [Judgement(0, [0, 1], [1, 1]), Judgement(1, [0, 1], [1, 2])]
    found = [
        strengths(fit(judgements, num_tasks=2, num_models=2), prior=WITHOUT_PRIOR)
        for fit in (plackett_luce, bradley_terry)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-9)
    assert found[0][0] - found[0][1] == pytest.approx(np.log(3), abs=1e-9)  # 1.5 wins to 0.5


@pytest.mark.parametrize("num", [1, 3, 6, 7, 12])
def test_of_many_tied_each_is_left_as_often_as_any_other(num: int) -> None:
    left = list(left_of(list(range(num))))
    often = [sum(weight for items, weight in left if item in items) for item in range(num)]
    assert often == pytest.approx([(num + 1) / 2] * num)
    assert sum(weight for _, weight in left) == pytest.approx(num)


def test_a_model_that_won_everything_stays_finite_and_responses_of_one_model_say_nothing() -> None:
    one = [Judgement(0, [0, 1], [1, 2])] * 5
    found = strengths(plackett_luce(one, num_tasks=1, num_models=2))
    assert np.isfinite(found).all()
    assert found[0] > found[1]
    with_itself = [*one, Judgement(0, [0, 0, 0], [1, 2, 3])]
    assert strengths(plackett_luce(with_itself, num_tasks=1, num_models=2)) == pytest.approx(found)


def test_one_newton_step_spreads_as_full_refits_do() -> None:
    judgements, rng = some_judgements(120, seed=3, ties=True), np.random.default_rng(0)
    choices = plackett_luce(judgements, num_tasks=120, num_models=NUM_MODELS)
    quick = resampled(choices, strengths(choices), Resamples(120))
    assert quick[:, 0] == pytest.approx(strengths(choices), abs=1e-9)
    refits = []
    for _ in range(150):
        drawn = [judgements[t]._replace(task=i) for i, t in enumerate(rng.integers(120, size=120))]
        refits.append(centred(strengths(plackett_luce(drawn, num_tasks=120, num_models=NUM_MODELS))))
    spread = (quick - quick.mean(axis=0))[:, 1:].std(axis=1)
    assert spread == pytest.approx(np.std(refits, axis=0), rel=0.25)


Given = list[tuple[int, list[int], list[int]]]


def board(rankings: Given, method: leaderboard.Method = "plackett_luce") -> leaderboard.Board:
    names = {number: f"model {number}" for number in range(20)}
    return leaderboard.of_rankings(rankings, names, Scope(), method)


def given_by(judgements: Sequence[Judgement]) -> Given:
    return [(j.task, list(j.models), list(j.ranks)) for j in judgements]


def test_models_are_listed_by_strength_with_intervals_and_duels() -> None:
    found = board(given_by(some_judgements(300, seed=4)))
    (part,) = found.parts
    assert [place.model_id for place in part.places] == [3, 2, 1, 0]
    for one, other in pairwise(part.places):
        assert (one.score.value or 0) > (other.score.value or 0)
        assert (one.score.low or 0) < (one.score.value or 0) < (one.score.high or 0)
    assert np.mean([place.score.value for place in part.places]) == pytest.approx(1000)
    assert sum(place.wins.value or 0 for place in part.places) == pytest.approx(2)
    assert sum(place.num_comparisons for place in part.places) == 2 * 3 * 300
    for i, j in permutations(range(4), 2):
        assert part.duels[i][j].num == part.duels[j][i].num
        assert (part.duels[i][j].share or 0) + (part.duels[j][i].share or 0) == pytest.approx(1)
    assert part.duels[0][0].num == 0


def test_models_that_never_met_are_said_and_not_mixed() -> None:
    rankings: Given = [(0, [1, 2], [1, 2]), (1, [3, 4], [1, 2]), (2, [4, 5], [2, 1]), (3, [6, 6], [1, 2])]
    found = board(rankings)
    assert [[place.model_id for place in part.places] for part in found.parts] == [[3, 5, 4], [1, 2]]
    assert found.never_compared == ["model 6"]
    assert (found.num_rankings, found.num_of_one_model) == (3, 1)
    never = {place.model_id: place.never for part in found.parts for place in part.places}
    assert never == {1: "lost", 2: "won", 3: "lost", 5: "lost", 4: "won"}
    top = found.parts[0].places[0]
    assert (top.score.low, top.wins.low, top.more_wanted) == (None, None, None)  # nobody can tell by how much


def test_nothing_to_compare_is_an_empty_board() -> None:
    assert board([]).parts == []
    assert board([(0, [1, 1], [1, 2])]).never_compared == ["model 1"]


def test_about_how_many_more_comparisons_are_wanted() -> None:
    assert more_wanted(Figure(0.5, 0.4, 0.6, num=100)) == 300  # half as wide takes four times as many
    assert more_wanted(Figure(0.5, 0.46, 0.54, num=100)) == 0
    assert more_wanted(Figure(0.5, num=1)) is None


@pytest.mark.parametrize("method", list(leaderboard.METHODS))
def test_a_project_s_board_reads_rankings_that_count(
    people: People, make_task: Callable[..., Task], rank: Callable[..., Ranking], method: leaderboard.Method
) -> None:
    other = Model.objects.create(project=people.project, name="rival", kind="external")
    for number in range(3):
        task = make_task(k=3)
        Response.objects.filter(prompt=task.prompt, sample_index=0).update(model=other)
        rank(task, people.labeler, [1, 2, 2] if number else [2, 1, 1])
        rank(task, people.labeler2, [3, 2, 1], slot=None)  # surplus
    found = leaderboard.board(people.project, Scope(), method=method)
    (part,) = found.parts
    assert [place.name for place in part.places] == ["rival", "other-lab"]
    assert part.duels[0][1] == leaderboard.Duel(share=4 / 6, num=6)
    assert found.num_rankings == 3
