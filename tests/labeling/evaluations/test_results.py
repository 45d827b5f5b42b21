"""Win rates by brute force, against scipy and against the leaderboard; who counts, and who does not."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap

from labeling.models import Evaluation, Model, Ranking, Task
from labeling.services import by_model, evaluations, leaderboard, voids
from labeling.services.agreement import Scope
from labeling.services.evaluations.reading import Judgement
from labeling.services.evaluations.results import win_rates
from tests.labeling.conftest import People
from tests.labeling.evaluations.conftest import tasks_of

pytestmark = pytest.mark.django_db


def some_judgements(num_prompts: int, *, seed: int, models: int = 3) -> list[Judgement]:
    """One to three people rank all models on each prompt, the later ones better by nature, with ties."""
    rng, found = np.random.default_rng(seed), []
    for prompt in range(1, num_prompts + 1):
        for _ in range(rng.integers(1, 4)):
            shown = rng.permutation(models)
            worth = np.round(0.5 * shown + rng.gumbel(size=models))
            found.append(Judgement(prompt, tuple(shown.tolist()), tuple((-worth).astype(int).tolist())))
    return found


def scores_by_hand(judgements: list[Judgement], one: int, other: int) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for prompt, models, ranks in judgements:
        if one in models and other in models:
            mine, its = ranks[models.index(one)], ranks[models.index(other)]
            found.setdefault(prompt, []).append(0.5 + 0.5 * np.sign(its - mine))
    return found


def test_a_win_rate_is_the_mean_over_prompts_of_the_mean_of_their_judgements() -> None:
    judgements = some_judgements(60, seed=1)
    found = win_rates(judgements, num_models=3)
    assert set(found) == {(a, b) for a in range(3) for b in range(3) if a != b}
    for (one, other), rate in found.items():
        by_hand = scores_by_hand(judgements, one, other)
        every = [score for some in by_hand.values() for score in some]
        assert rate.figure.value == pytest.approx(np.mean([np.mean(some) for some in by_hand.values()]), abs=1e-12)
        assert (rate.won, rate.tied, rate.lost) == tuple(every.count(score) for score in (1.0, 0.5, 0.0))
        assert (rate.figure.num, rate.figure.num_tasks) == (len(every), 60)
        assert rate.scores == {prompt: tuple(some) for prompt, some in by_hand.items()}


def test_its_interval_is_that_of_scipy_s_bootstrap_over_prompts() -> None:
    judgements = some_judgements(150, seed=2)
    for (one, other), rate in win_rates(judgements, num_models=3).items():
        means = [np.mean(some) for some in scores_by_hand(judgements, one, other).values()]
        theirs = bootstrap(
            (means,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(5)
        ).confidence_interval
        assert rate.figure.low == pytest.approx(theirs.low, abs=0.008)
        assert rate.figure.high == pytest.approx(theirs.high, abs=0.008)


def test_where_every_prompt_is_judged_as_often_it_is_the_leaderboard_s() -> None:
    rng = np.random.default_rng(4)
    given = [
        Judgement(prompt, (0, 1, 2), tuple(int(rank) for rank in rng.integers(1, 4, size=3)))
        for prompt in range(50)
        for _ in range(2)
    ]
    names = {7: "a", 8: "b", 9: "c"}
    board = leaderboard.of_rankings(
        [(one.prompt, [7 + place for place in one.models], one.ranks) for one in given], names, Scope(), "bradley_terry"
    )
    (part,) = board.parts
    found = win_rates(given, num_models=3)
    for place, duels in part.rows:
        for rival, duel in zip(part.places, duels, strict=True):
            if rival is not place:
                rate = found[place.model_id - 7, rival.model_id - 7]
                assert rate.figure.value == pytest.approx(duel.share, abs=1e-12)
                assert rate.figure.num == duel.num


def test_what_the_interval_allows_to_say() -> None:
    def says(won: int, lost: int) -> str:
        given = [Judgement(n, (0, 1), (1, 2)) for n in range(won)]
        given += [Judgement(won + n, (0, 1), (2, 1)) for n in range(lost)]
        rates = win_rates(given, num_models=2)
        assert {"better": "worse", "worse": "better", "": ""}[rates[0, 1].says] == rates[1, 0].says
        return rates[0, 1].says

    assert (says(40, 10), says(10, 40), says(26, 24)) == ("better", "worse", "")
    assert says(12, 0) == ""  # nobody can tell how much of it is chance


def test_models_that_nobody_compared_have_no_win_rate() -> None:
    found = win_rates([Judgement(1, (0, 1), (1, 2))], num_models=3)
    assert (found[0, 2].figure.value, found[0, 2].figure.why_not) == (None, "nobody has compared them")
    assert found[0, 1].figure.value == 1.0
    assert win_rates([], num_models=2)[0, 1].figure.value is None


def rate_of(evaluation: Evaluation, model: Model, rival: Model) -> Any:
    evaluation.refresh_from_db()
    return evaluations.results.of(evaluation).of_models(model.pk, rival.pk)


def test_judgements_count_for_the_models_whose_responses_they_are(
    people: People, models: list[Model], begun: Any, judge: Any
) -> None:
    sft, ppo = models[:2]
    evaluation = begun(4, num_wanted=2)
    for task, best in zip(tasks_of(evaluation), (ppo, ppo, sft, None), strict=True):
        judge(task, people.labeler, best=best)
    judge(tasks_of(evaluation)[0], people.labeler2, best=sft)
    rate = rate_of(evaluation, ppo, sft)
    assert rate.scores == {1: (1.0, 0.0), 2: (1.0,), 3: (0.0,), 4: (0.5,)}
    assert (rate.won, rate.tied, rate.lost, rate.num_planned) == (2, 1, 2, 4)
    assert rate.figure.value == pytest.approx(0.5)
    report = evaluations.results.of(evaluation)
    assert (report.num_judgements, report.num_wanted, report.num_tasks) == (5, 8, 4)


def test_only_what_counts_is_counted_and_a_void_one_goes(
    people: People, models: list[Model], begun: Any, judge: Any
) -> None:
    sft, ppo = models[:2]
    evaluation, other = begun(2, num_wanted=2, name="one"), begun(2, name="two")
    first, second = tasks_of(evaluation)
    kept = judge(first, people.labeler, best=ppo)
    wrong = judge(second, people.labeler, best=sft)
    judge(tasks_of(other)[0], people.labeler, best=sft)
    assert rate_of(evaluation, ppo, sft).figure.value == 0.5
    voids.void(ranking=wrong, reason="wrong", user=people.manager)
    assert rate_of(evaluation, ppo, sft).figure.value == 1.0
    Ranking.objects.create(
        task=second, labeler=people.labeler2, idempotency_key="surplus", displayed=[0, 1], ranks=[2, 1]
    )
    assert rate_of(evaluation, ppo, sft).figure.num == 1
    assert kept.task.evaluation == evaluation


def test_none_is_acceptable_without_an_order_is_a_tie(
    people: People, models: list[Model], begun: Any, judge: Any
) -> None:
    evaluation = begun(1)
    (task,) = tasks_of(evaluation)
    judge(task, people.labeler, ranks={model.name: 1 for model in models}, outcome="none_acceptable")
    report = evaluations.results.of(evaluation)
    assert rate_of(evaluation, models[1], models[0]).tied == 1
    assert report.num_none_acceptable == 0
    again = begun(1, name="again", num_wanted=1)
    (task,) = tasks_of(again)
    slot = task.slots.get()
    task.slots.update(state="done", holder=people.labeler, done_at=slot.task.created_at)
    Ranking.objects.create(
        task=task, slot=slot, labeler=people.labeler, idempotency_key="none", displayed=[0, 1], ranks=[],
        outcome="none_acceptable",
    )  # fmt: skip
    report = evaluations.results.of(again)
    assert report.num_none_acceptable == 1
    assert (rate_of(again, models[1], models[0]).tied, report.board.num_rankings) == (1, 1)


def test_the_same_text_is_a_tie_once_its_turn_has_come(
    people: People, models: list[Model], held_out: Any, answer: Any, wish: Any, judge: Any
) -> None:
    prompts = held_out(6)
    answer(models[0], prompts)
    answer(models[1], prompts[::2])
    for prompt in prompts[1::2]:
        answer(models[1], [prompt], text=f"sft-model on {prompt.text}")
    evaluation = evaluations.start(wish(num_prompts=6, num_wanted=2), user=people.manager)
    numbers = dict(evaluation.prompts.values_list("prompt", "number"))
    same = sorted(numbers[prompt.pk] for prompt in prompts[1::2])
    assert rate_of(evaluation, models[1], models[0]).num_same == 0
    first, *rest = tasks_of(evaluation)
    judge(first, people.labeler, best=models[1])
    reached = first.evaluation_item.prompt.number  # type: ignore[attr-defined]
    assert rate_of(evaluation, models[1], models[0]).num_same == sum(number < reached for number in same)
    judge(first, people.labeler2, best=models[1])
    for task in rest:
        for labeler in (people.labeler, people.labeler2):
            judge(task, labeler, best=models[1])
    evaluations.advance(evaluation.pk)
    rate = rate_of(evaluation, models[1], models[0])
    assert evaluation.state == "done"
    assert (rate.num_same, rate.won, rate.tied) == (3, 6, 0)
    assert rate.figure.value == pytest.approx((3 * 1.0 + 3 * 0.5) / 6)
    assert evaluations.results.of(evaluation).board.num_rankings == 12


def test_ratings_and_flags_are_those_of_this_evaluation(
    people: People, models: list[Model], begun: Any, judge: Any
) -> None:
    people.project.flags = ["Hallucination"]
    people.project.save()
    evaluation, other = begun(2, rate_first=True, name="one"), begun(1, rate_first=True, name="two")
    for task in [*tasks_of(evaluation), *tasks_of(other)]:
        whose = [place.response.model for place in task.task_responses.all()]
        ratings = [6 if model == models[1] else 3 for model in whose]
        flags = {str(whose.index(models[0])): ["Hallucination"]} if task.evaluation == evaluation else {}
        judge(task, people.labeler, best=models[1], ratings=ratings, flags=flags)
    said = evaluations.results.of(evaluation).said
    assert [(one.name, one.rating.value, one.num_judged) for one in said.models] == [
        ("ppo-model", 6.0, 2), ("sft-model", 3.0, 2),
    ]  # fmt: skip
    assert [one.flags["Hallucination"].value for one in said.models] == [0.0, 1.0]
    assert evaluations.results.of(other).said.flags == []
    assert by_model.report(people.project, Scope()).num_rankings == 3


def test_the_hint_counts_prompts_beyond_those_that_are_asked_and_the_comparisons_they_take(
    people: People, models: list[Model], begun: Any, judge: Any, held_out: Any
) -> None:
    evaluation = begun(30, num_wanted=2)
    for number, task in enumerate(tasks_of(evaluation)):
        for labeler in (people.labeler, people.labeler2):
            judge(task, labeler, best=models[number % 3 != 0])
    report = evaluations.results.of(evaluation)
    hint = evaluations.more.hint(evaluation, report, percent=10)
    (line,) = hint.lines
    variance = np.var([0.0, 1.0, 1.0] * 10, ddof=1)
    wanted = int(np.ceil(variance * (1.959964 / 0.1) ** 2))
    assert (line.num_more, line.num_comparisons) == (wanted - 30, 2 * (wanted - 30))
    assert (hint.num_prompts, hint.num_left, hint.num_to_draw) == (wanted - 30, 0, 0)
    assert (hint.num_judgements, hint.why_not[:23]) == (None, "no number of judgements")
    held_out(5)
    assert evaluations.more.hint(evaluation, report, percent=10).num_to_draw == 5
    assert evaluations.more.hint(evaluation, report, percent=40).num_prompts == 0
    few = begun(3, name="few")
    assert evaluations.more.hint(few, evaluations.results.of(few)).lines[0].why_not.startswith("too few to tell")


def test_where_prompts_have_run_out_it_counts_judgements(
    people: People, models: list[Model], begun: Any, judge: Any
) -> None:
    evaluation = begun(30, num_wanted=2)
    for number, task in enumerate(tasks_of(evaluation)):
        judge(task, people.labeler, best=models[1])
        judge(task, people.labeler2, best=models[number % 2])
    hint = evaluations.more.hint(evaluation, evaluations.results.of(evaluation), percent=7)
    assert hint.num_left == 0
    assert hint.num_judgements is not None
    assert hint.num_judgements > 0


def test_the_worst_for_the_model_comes_first_with_its_task(
    people: People, models: list[Model], begun: Any, judge: Any
) -> None:
    evaluation = begun(3, 3, kind="pairs")
    of_pair = [task for task in tasks_of(evaluation) if task.evaluation_item.number == 0]  # type: ignore[attr-defined]
    for task, best in zip(of_pair, (models[1], models[0], None), strict=True):
        judge(task, people.labeler, best=best)
    report = evaluations.results.of(evaluation)
    found = evaluations.tables.worst(evaluation, report, model=1, rival=0)
    assert [(row.number, row.score, row.item.task) for row in found] == [
        (2, 0.0, of_pair[1]), (3, 0.5, of_pair[2]), (1, 1.0, of_pair[0]),
    ]  # fmt: skip
    assert evaluations.tables.worst(evaluation, report, model=2, rival=0) == []
    rows = list(evaluations.tables.prompts(evaluation, report))
    assert len(rows) == 1 + 3
    by_pair = list(evaluations.tables.win_rates(report))
    assert len(by_pair) == 1 + 6
    assert by_pair[1][:4] == ["sft-model", "ppo-model", "no", "0.500000"]
    assert Task.objects.filter(uid=rows[1][2]).exists()
