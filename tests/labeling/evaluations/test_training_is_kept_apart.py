"""What people say in an evaluation trains nothing: no snapshot holds it, and nobody is told to learn from it."""

from typing import Any

import pyarrow.parquet as pq
import pytest

from labeling.forms.runs import initial_values
from labeling.models import (
    Model,
    Prompt,
    Ranking,
    Response,
    ResponseScore,
    Review,
    Run,
    Snapshot,
    SnapshotRanking,
    Task,
)
from labeling.services import dashboard, evaluations, rounds, snapshots, tasks
from labeling.services.quality import reviews
from labeling.services.scores import differences
from tests.labeling.conftest import People
from tests.labeling.evaluations.conftest import tasks_of
from tests.labeling.runs.conftest import _judge

pytestmark = pytest.mark.django_db


def frozen(people: People, **filters: Any) -> Snapshot:
    name = f"frozen {Snapshot.objects.count()}"
    made = snapshots.create(project=people.project, kind="reward", name=name, filters=filters)
    built = snapshots.build(made.pk)
    assert built is not None
    return built


@pytest.fixture
def both(people: People, make_prompt: Any, models: list[Model], begun: Any, judge: Any) -> Any:
    """One ranking given as work, on a prompt of each split, and the rankings of an evaluation."""
    evaluation = begun(3)
    for task in tasks_of(evaluation):
        judge(task, people.labeler, best=models[1])
    for split in ("train", "valid"):
        _judge(make_prompt(f"Work {split}?", k=3, split=split), people, people.labeler, None)
    return evaluation


@pytest.mark.parametrize("filters", [{}, {"splits": ["valid", "test"]}, {"adjudicated": False}])
def test_no_snapshot_holds_a_ranking_of_an_evaluation_and_it_says_how_many_it_left_out(
    people: People, both: Any, filters: dict[str, Any]
) -> None:
    made = frozen(people, **filters)
    assert made.state == "ready", made.error
    assert made.stats["left_out"]["of a human evaluation: it measures models"] == 3
    held = Ranking.objects.filter(snapshot_rankings__snapshot=made)
    assert not held.filter(task__evaluation__isnull=False).exists()
    rows = pq.read_table(snapshots.folder(made) / "data.parquet").to_pylist()
    assert len(rows) == made.num_rows == held.count() == (1 if "splits" in filters else 2)
    asked = set(Prompt.objects.filter(evaluations__evaluation=both).values_list("content_hash", flat=True))
    assert asked.isdisjoint(row["prompt_id"] for row in rows)


def test_a_decision_of_a_review_of_it_trains_nothing_either(people: People, both: Any) -> None:
    task = tasks_of(both)[0]
    ranking = Ranking.objects.create(
        task=task, labeler=people.reviewer, idempotency_key="decided", displayed=[0, 1], ranks=[2, 1]
    )
    Review.objects.create(
        project=people.project, task=task, reason="asked", state="done", reviewer=people.reviewer,
        ranking=ranking, decided_at=ranking.created_at,
    )  # fmt: skip
    made = frozen(people)
    assert made.stats["left_out"]["of a human evaluation: it measures models"] == 4
    assert not SnapshotRanking.objects.filter(ranking=ranking).exists()


def test_what_waits_to_be_learned_from_does_not_count_it(people: People, both: Any) -> None:
    assert dashboard.num_rankings(people.project) == 5
    assert dashboard.num_unfrozen_rankings(people.project) == 2
    frozen(people)
    assert dashboard.num_unfrozen_rankings(people.project) == 0


def test_a_round_does_not_start_on_an_evaluation_s_rankings_alone(
    people: People, models: list[Model], begun: Any, judge: Any
) -> None:
    for task in tasks_of(begun(2)):
        judge(task, people.labeler, best=models[1])
    assert Ranking.objects.counted().count() == 2
    with pytest.raises(rounds.RoundError, match="no rankings yet"):
        rounds.start(project=people.project, user=people.manager, preset="tiny-cpu")


def test_nobody_is_asked_to_decide_what_an_evaluation_asks(people: People, both: Any) -> None:
    ids = [task.pk for task in tasks_of(both)]
    assert reviews.open_many(project=people.project, task_ids=ids, reason="asked", by=people.manager) == 0
    work = Task.objects.get(evaluation=None, prompt__split="train")
    assert reviews.open_many(project=people.project, task_ids=[*ids, work.pk], reason="asked", by=people.manager) == 1
    assert Review.objects.get().task == work


def test_what_an_evaluation_asks_can_be_asked_to_learn_from_too(
    people: People, models: list[Model], begun: Any
) -> None:
    prompts = Prompt.objects.filter(evaluations__evaluation=begun(3, kind="ranking"))
    asked = {"project": people.project, "num_responses": 2, "num_wanted": 1, "user": people.manager}
    assert tasks.make_ranking_tasks(prompts=prompts, **asked).num_made == 3
    assert tasks.make_ranking_tasks(prompts=prompts, **asked).num_made == 0


def test_a_reward_model_is_not_held_against_the_rankings_of_an_evaluation(people: People, both: Any) -> None:
    run = Run.objects.create(project=people.project, stage="reward", name="rm", idempotency_key="rm")
    judge = Model.objects.create(project=people.project, name="rm", kind="reward", run=run, storage_key="m")
    for number, response in enumerate(Response.objects.all()):
        ResponseScore.objects.create(response=response, model=judge, run=run, score=float(number))
    work = set(Task.objects.filter(evaluation=None).values_list("pk", flat=True))
    assert {item.task_id for item in differences.of_project(people.project, judge)} == work
    assert len(work) == 2


def test_the_prompts_of_a_wave_are_frozen_for_the_generate_runs_alone(people: People, held_out: Any, wish: Any) -> None:
    prompts = held_out(5)
    evaluation = evaluations.start(wish(num_prompts=3), user=people.manager)
    assert evaluation.snapshot is not None
    Prompt.objects.filter(pk=evaluation.prompts.earliest("number").prompt_id).update(is_retired=True)
    built = snapshots.build(evaluation.snapshot.pk)
    assert built is not None
    assert (built.kind, built.num_rows, built.stats["left_out"]) == ("prompts", 2, {"retired": 1})
    rows = pq.read_table(snapshots.folder(built) / "data.parquet").to_pylist()
    drawn = set(evaluation.prompts.values_list("prompt__content_hash", flat=True))
    assert {row["prompt_id"] for row in rows} < drawn < {prompt.content_hash for prompt in prompts}
    assert not Task.objects.exists()


def test_a_new_run_s_form_does_not_offer_an_evaluation_s_prompts_first(
    people: People, held_out: Any, wish: Any, make_prompt: Any
) -> None:
    make_prompt("Trains?", k=0)
    mine = snapshots.create(project=people.project, kind="prompts", name="all of them")
    held_out(3)
    snapshots.build(mine.pk)
    evaluation = evaluations.start(wish(), user=people.manager)
    assert evaluation.snapshot is not None
    snapshots.build(evaluation.snapshot.pk)
    values = initial_values(project=people.project, stage="ppo", preset="tiny-cpu")
    assert values["prompts"] == str(mine.uid)
