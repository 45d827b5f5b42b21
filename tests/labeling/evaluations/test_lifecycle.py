"""An evaluation goes from prompts drawn by lot to judgements that are all in, makes nothing twice, and says why it
stopped."""

import json
from pathlib import Path
from typing import Any

import pytest

from labeling.models import (
    Evaluation,
    EvaluationItem,
    EvaluationPrompt,
    EvaluationRun,
    Model,
    Prompt,
    Response,
    Run,
    Slot,
    Snapshot,
    Task,
    TaskResponse,
)
from labeling.services import assignments, evaluations, rankings, runs, snapshots
from labeling.services.answers import Answer
from labeling.services.evaluations import EvaluationError, lifecycle
from tests.labeling.conftest import People
from tests.labeling.evaluations.conftest import SAMPLING, tasks_of
from tests.labeling.quality.test_at_once import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def again(evaluation: Evaluation) -> Evaluation:
    evaluations.advance(evaluation.pk)
    evaluation.refresh_from_db()
    return evaluation


def state(evaluation: Evaluation) -> tuple[str, str]:
    return evaluation.state, evaluation.step


@pytest.fixture
def work(fake_stage: Any, settings: Any) -> Any:
    """`work(evaluation)`: what the workers would do once; each model says something else."""

    def once(evaluation: Evaluation) -> Evaluation:
        for snapshot in Snapshot.objects.filter(state="queued"):
            snapshots.build(snapshot.pk)
        again(evaluation)
        for run in Run.objects.filter(state="queued"):
            write_answers(settings.RUNS_DIR, run)
            runs.work(run.pk)
        return again(evaluation)

    return once


def write_answers(folder: Path, run: Run) -> None:
    model = run.inputs.get(name="model").model
    assert model is not None
    rows = [
        {"prompt_id": prompt.content_hash, "sample_index": 0, "text": f"Answer {model.pk}.",
         "finish_reason": "stop", "num_tokens": 1, "error": ""}
        for prompt in Prompt.objects.filter(evaluations__wave__gte=1)
    ]  # fmt: skip
    (folder / "responses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_it_samples_what_is_missing_asks_people_blind_and_ends_when_all_is_judged(
    people: People, models: list[Model], held_out: Any, wish: Any, work: Any
) -> None:
    held_out(5)
    evaluation = evaluations.start(wish(num_prompts=3, num_wanted=2, priority=7), user=people.manager)
    assert state(evaluation) == ("running", "generate")
    assert evaluation.prompts.count() == 3
    work(evaluation)

    assert state(evaluation) == ("running", "judge")
    sampled = Run.objects.order_by("pk")
    assert [run.inputs.get(name="model").model for run in sampled] == models[:2]
    assert {run.config["num_responses"] for run in sampled} == {1}
    assert all(run.config[name] == value for run in sampled for name, value in SAMPLING.items())
    (frozen,) = Snapshot.objects.all()
    assert frozen.num_rows == 3
    made = tasks_of(evaluation)
    assert [(task.kind, task.num_wanted, task.priority, task.purpose) for task in made] == [
        ("compare", 2, 7, "work")
    ] * 3
    for task in made:
        assert {place.response.model for place in task.task_responses.all()} == set(models[:2])
    for labeler in (people.labeler, people.labeler2):
        for _ in made:
            slot = assignments.claim(project=people.project, labeler=labeler)
            assert isinstance(slot, Slot)
            answer = Answer(ranks=[1, 2], guideline_version=1)
            rankings.submit(task=slot.task, labeler=labeler, idempotency_key=f"{slot.pk}", answer=answer)
    assert state(again(evaluation)) == ("done", "judge")
    assert evaluation.finished_at is not None


def test_advancing_again_and_again_makes_nothing_twice(people: People, held_out: Any, wish: Any, work: Any) -> None:
    held_out(3)
    evaluation = evaluations.start(wish(), user=people.manager)
    rows = (EvaluationPrompt, Snapshot, EvaluationRun, Run, EvaluationItem, Task, TaskResponse, Slot)
    for _ in range(3):
        again(evaluation)
    assert Snapshot.objects.count() == 1
    for snapshot in Snapshot.objects.all():
        snapshots.build(snapshot.pk)
    for _ in range(3):
        again(evaluation)
    assert Run.objects.count() == 2
    work(evaluation)
    before = [model.objects.count() for model in rows]
    for _ in range(3):
        again(evaluation)
    evaluations.advance_all()
    assert [model.objects.count() for model in rows] == before == [3, 1, 2, 2, 3, 3, 6, 3]


def test_responses_with_the_same_settings_are_used_and_others_are_not(
    people: People, models: list[Model], held_out: Any, answer: Any, wish: Any
) -> None:
    prompts = held_out(3)
    answer(models[0], prompts)
    answer(models[1], prompts, temperature=0.5)
    cost = evaluations.cost(wish())
    assert (cost.to_sample, cost.num_generations) == ((models[1],), 3)
    answer(models[1], prompts, backend="openai")  # a server under the model's name
    assert evaluations.cost(wish()).to_sample == (models[1],)
    answer(models[1], prompts)
    assert evaluations.cost(wish()).to_sample == ()
    evaluation = evaluations.start(wish(), user=people.manager)
    assert state(evaluation) == ("running", "judge")
    assert not Run.objects.exclude(state="succeeded").exists()
    used = Response.objects.filter(task_responses__task__evaluation=evaluation)
    assert {response.run.config["temperature"] for response in used} == {1.0}  # type: ignore[union-attr]
    assert {response.run.config["backend"] for response in used} == {"local"}  # type: ignore[union-attr]


def test_the_cost_said_before_is_what_it_takes(people: People, held_out: Any, answer: Any, wish: Any) -> None:
    prompts = held_out(6)
    asked = wish(3, kind="pairs", num_prompts=4, num_wanted=2, seed=5)
    answer(asked.models[0], prompts)
    cost = evaluations.cost(asked)
    assert (cost.num_available, cost.num_prompts, cost.num_generations) == (6, 4, 8)
    assert (cost.num_tasks, cost.num_judgements) == (12, 24)
    for model in asked.models[1:]:
        answer(model, prompts)
    evaluation = evaluations.start(asked, user=people.manager)
    assert (len(tasks_of(evaluation)), Slot.objects.count()) == (12, 24)


@pytest.mark.parametrize(
    ("kind", "meetings", "num_responses"),
    [("baseline", [{0, 1}, {0, 2}], 2), ("pairs", [{0, 1}, {0, 2}, {1, 2}], 2), ("ranking", [{0, 1, 2}], 3)],
)
def test_models_meet_as_the_kind_says(
    begun: Any, models: list[Model], kind: str, meetings: list[set[int]], num_responses: int
) -> None:
    evaluation = begun(2, 3, kind=kind)
    place_of = {model.pk: place for place, model in enumerate(models)}
    met = [{place_of[p.response.model_id] for p in t.task_responses.all()} for t in tasks_of(evaluation)]
    assert met == meetings * 2
    assert {task.num_responses for task in tasks_of(evaluation)} == {num_responses}


@pytest.mark.parametrize(("kind", "rate_first", "task_kind"), [
    ("baseline", False, "compare"), ("baseline", True, "rank"), ("ranking", False, "rank"),
])  # fmt: skip
def test_two_that_are_rated_first_are_ranked_and_else_compared(
    begun: Any, kind: str, rate_first: bool, task_kind: str
) -> None:
    made = tasks_of(begun(1, 2, kind=kind, rate_first=rate_first))
    assert [(task.kind, task.rate_first) for task in made] == [(task_kind, rate_first)]


def test_prompts_are_held_out_in_use_and_the_same_for_the_same_seed(
    people: People, models: list[Model], held_out: Any, make_prompt: Any, wish: Any
) -> None:
    prompts = held_out(20) + held_out(20, split="test")
    train, retired = make_prompt("Trains?", k=0), held_out(1)[0]
    Prompt.objects.filter(pk=retired.pk).update(is_retired=True)
    drawn = [
        list(evaluations.start(wish(num_prompts=30, seed=seed, name=name), user=None).prompts.values_list("prompt"))
        for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    ids = {pk for (pk,) in drawn[0]}
    assert len(ids) == 30
    assert ids <= {prompt.pk for prompt in prompts}
    only = evaluations.start(wish(num_prompts=30, splits=["test"], name="d"), user=None)
    assert set(only.prompts.values_list("prompt__split", flat=True)) == {"test"}
    assert only.prompts.count() == 20
    assert train.pk not in ids


def test_of_external_models_only_what_was_imported_can_be_compared(
    people: People, models: list[Model], held_out: Any, answer: Any, wish: Any
) -> None:
    other = Model.objects.create(project=people.project, name="elsewhere", kind="external")
    prompts = held_out(4)
    answer(other, prompts[:2])
    answer(models[0], prompts)
    asked = wish(models=[models[0], other], num_prompts=4)
    assert (evaluations.cost(asked).num_available, evaluations.cost(asked).to_sample) == (2, ())
    evaluation = evaluations.start(asked, user=people.manager)
    assert {task.prompt for task in tasks_of(evaluation)} == set(prompts[:2])


def test_the_same_text_is_a_tie_that_nobody_is_asked_and_what_cannot_be_asked_says_why(
    people: People, models: list[Model], held_out: Any, answer: Any, wish: Any
) -> None:
    prompts = held_out(4)
    answer(models[0], prompts)
    answer(models[1], prompts[:1], text=f"sft-model on {prompts[0].text}")
    answer(models[1], prompts[1:2], fields={"names_itself": True})
    answer(models[1], prompts[2:])
    retired = Prompt.objects.filter(pk=prompts[2].pk)
    asked = wish(num_prompts=4)
    started = evaluations.start(asked, user=people.manager)
    said = dict(EvaluationItem.objects.values_list("prompt__prompt", "left_out"))
    assert said == {prompts[0].pk: "same", prompts[1].pk: "names", prompts[2].pk: "", prompts[3].pk: ""}
    assert len(tasks_of(started)) == 2

    Response.objects.filter(prompt=prompts[3], model=models[1]).update(run=None)  # of unknown settings
    Evaluation.objects.filter(pk=started.pk).update(step="prompts", num_prompts=4)
    EvaluationItem.objects.all().delete()
    retired.update(is_retired=True)
    Evaluation.objects.filter(pk=started.pk).update(step="tasks")
    again(started)
    said = dict(EvaluationItem.objects.values_list("prompt__prompt", "left_out"))
    assert (said[prompts[2].pk], said[prompts[3].pk]) == ("retired", "missing")


def test_a_response_that_names_its_model_gives_way_to_one_that_does_not(
    people: People, models: list[Model], held_out: Any, answer: Any, wish: Any
) -> None:
    prompts = held_out(1)
    answer(models[0], prompts)
    answer(models[1], prompts, text="I am ppo-model.", fields={"names_itself": True})
    answer(models[1], prompts, text="Yes.")
    (task,) = tasks_of(evaluations.start(wish(num_prompts=1), user=people.manager))
    assert "Yes." in {place.response.text for place in task.task_responses.all()}


def test_sides_are_drawn_by_the_seeded_lot(begun: Any, models: list[Model], people: People, wish: Any) -> None:
    first = begun(40)
    sides = [task.task_responses.get(position=0).response.model for task in tasks_of(first)]
    assert 8 <= sides.count(models[0]) <= 32
    Task.objects.filter(evaluation=first).update(evaluation=None)
    EvaluationItem.objects.all().delete()
    Evaluation.objects.filter(pk=first.pk).update(step="tasks")
    again(first)
    assert [task.task_responses.get(position=0).response.model for task in tasks_of(first)] == sides


def test_a_failed_run_stops_it_and_trying_again_resumes_that_run(
    people: People, held_out: Any, wish: Any, work: Any, fake_stage: Any
) -> None:
    held_out(3)
    fake_stage(fail_at=3)
    evaluation = work(evaluations.start(wish(), user=people.manager))
    assert state(evaluation) == ("failed", "generate")
    assert "the loss is not finite" in evaluation.error
    fake_stage()
    evaluations.retry(evaluation, user=people.manager)
    assert (evaluation.state, evaluation.error, evaluation.finished_at) == ("running", "", None)
    work(evaluation)
    assert state(evaluation) == ("running", "judge")
    assert Run.objects.count() == 2


def test_a_cancelled_run_stops_it(people: People, held_out: Any, wish: Any, work: Any) -> None:
    held_out(3)
    evaluation = evaluations.start(wish(), user=people.manager)
    for snapshot in Snapshot.objects.all():
        snapshots.build(snapshot.pk)
    again(evaluation)
    run = Run.objects.earliest("pk")
    runs.cancel(run, user=people.manager)
    again(evaluation)
    assert (evaluation.state, evaluation.error) == ("failed", f"{run.name} was cancelled.")


def test_cancelling_closes_what_is_open_and_keeps_what_was_judged(
    begun: Any, people: People, models: list[Model], judge: Any
) -> None:
    evaluation = begun(3, num_wanted=2)
    first, second, _ = tasks_of(evaluation)
    judge(first, people.labeler, best=models[1])
    held = assignments.claim_task(task=second, labeler=people.labeler2)
    assert held is not None
    evaluations.cancel(evaluation, user=people.manager)
    assert evaluation.state == "cancelled"
    assert set(Slot.objects.values_list("task", "state")) == {(first.pk, "done"), (second.pk, "held")}
    answer = Answer(ranks=[1, 1], guideline_version=1)
    assert rankings.submit(task=second, labeler=people.labeler2, idempotency_key="k", answer=answer).slot == held
    assert evaluations.results.of(evaluation).num_judgements == 2
    assert len(tasks_of(evaluation)) == 3
    with pytest.raises(EvaluationError, match="changed meanwhile"):
        evaluations.cancel(evaluation, user=people.manager)


def test_cancelling_stops_the_runs_that_were_begun(people: People, held_out: Any, wish: Any) -> None:
    held_out(3)
    evaluation = evaluations.start(wish(), user=people.manager)
    for snapshot in Snapshot.objects.all():
        snapshots.build(snapshot.pk)
    again(evaluation)
    evaluations.cancel(evaluation, user=people.manager)
    assert {run.state for run in Run.objects.all()} == {"cancelled"}
    assert state(again(evaluation)) == ("cancelled", "generate")


def test_more_prompts_are_drawn_beyond_those_that_were(
    begun: Any, people: People, models: list[Model], held_out: Any, answer: Any
) -> None:
    evaluation = begun(3)
    old = set(evaluation.prompts.values_list("prompt", flat=True))
    new = held_out(4)
    for model in models[:2]:
        answer(model, new)
    assert evaluations.num_left(evaluation) == 4
    assert evaluations.more_prompts(evaluation, num=3, seen="1-1") == 3
    evaluation.refresh_from_db()
    assert (evaluation.wave, evaluation.num_prompts, evaluation.step) == (2, 6, "judge")
    assert list(evaluation.prompts.values_list("number", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert len(old | set(evaluation.prompts.values_list("prompt", flat=True))) == 6
    assert len(tasks_of(evaluation)) == 6
    with pytest.raises(EvaluationError, match="changed meanwhile"):  # the button pressed twice
        evaluations.more_prompts(evaluation, num=1, seen="1-1")
    assert evaluations.more_prompts(evaluation, num=9, seen="2-1") == 1
    evaluation.refresh_from_db()
    with pytest.raises(EvaluationError, match="no further held-out prompt"):
        evaluations.more_prompts(evaluation, num=1, seen="3-1")


def test_more_judgements_open_every_task_again_even_when_all_were_in(
    begun: Any, people: People, models: list[Model], judge: Any
) -> None:
    evaluation = begun(2)
    for task in tasks_of(evaluation):
        judge(task, people.labeler, best=models[1])
    assert again(evaluation).state == "done"
    evaluations.more_judgements(evaluation, num=2, seen="1-1")
    assert (evaluation.state, evaluation.num_wanted, evaluation.finished_at) == ("running", 3, None)
    assert [task.num_wanted for task in tasks_of(evaluation)] == [3, 3]
    assert Slot.objects.filter(state="open").count() == 4
    with pytest.raises(EvaluationError, match="changed meanwhile"):
        evaluations.more_judgements(evaluation, num=2, seen="1-1")
    with pytest.raises(EvaluationError, match="1 to 50"):
        evaluations.more_judgements(evaluation, num=48, seen="1-3")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"num_models": 1}, "2 to 9 models"),
        ({"splits": ["train"]}, "cannot judge"),
        ({"splits": []}, "cannot judge"),
        ({"num_prompts": 0}, "1 to 10,000 prompts"),
        ({"num_wanted": 51}, "1 to 50 judgements"),
        ({"sampling": SAMPLING | {"temperature": 11.0}}, "temperature"),
        ({"splits": ["test"]}, "no held-out prompt"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    people: People, held_out: Any, wish: Any, changes: dict[str, Any], why: str
) -> None:
    held_out(2)
    with pytest.raises(EvaluationError, match=why):
        evaluations.start(wish(**changes), user=people.manager)
    assert not Evaluation.objects.exists()


def test_models_that_cannot_take_part_are_refused(
    people: People, models: list[Model], make_model: Any, held_out: Any, wish: Any
) -> None:
    held_out(2)
    reward = make_model("reward", kind="reward")
    with pytest.raises(EvaluationError, match="does not answer prompts"):
        evaluations.start(wish(models=[models[0], reward]), user=people.manager)
    with pytest.raises(EvaluationError, match="baseline must be one"):
        evaluations.start(wish(baseline=models[2]), user=people.manager)
    evaluations.start(wish(name="once"), user=people.manager)
    with pytest.raises(EvaluationError, match="of this name already"):
        evaluations.start(wish(name="once"), user=people.manager)


def test_people_who_differ_in_an_evaluation_call_no_reviewer(begun: Any, people: People, models: list[Model]) -> None:
    people.project.review_below_percent = 90
    people.project.save()
    (task,) = tasks_of(begun(1, num_wanted=2))
    for labeler, ranks in ((people.labeler, [1, 2]), (people.labeler2, [2, 1])):
        shown = assignments.shown_order(task=task, labeler=labeler)
        answer = Answer(ranks=[ranks[position] for position in shown], guideline_version=1)
        rankings.submit(task=task, labeler=labeler, idempotency_key=str(labeler.pk), answer=answer)
    assert not hasattr(task, "review")


def test_many_who_advance_it_at_once_make_nothing_twice(
    people: People, models: list[Model], held_out: Any, answer: Any, wish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = held_out(8)
    for model in models[:2]:
        answer(model, prompts)
    with monkeypatch.context() as patched:
        patched.setattr(lifecycle, "advance", lambda _: None)
        evaluation = evaluations.start(wish(num_prompts=8), user=people.manager)
    assert state(evaluation) == ("running", "prompts")

    at_once([lambda: evaluations.advance(evaluation.pk)] * 6)
    assert state(again(evaluation)) == ("running", "judge")
    assert (EvaluationPrompt.objects.count(), EvaluationItem.objects.count(), Task.objects.count()) == (8, 8, 8)
