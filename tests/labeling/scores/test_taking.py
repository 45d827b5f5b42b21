"""Scores come in with the end of a run: as rows, once per response and model, or not at all."""

import json
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from labeling.models import Response, ResponseScore, Run
from labeling.services import runs, snapshots
from labeling.services.runs import supervision
from labeling.services.scores import taking
from training.contract.configs import ConfigError
from training.contract.records import ScoreRow


@pytest.fixture
def scored_run(people: Any, make_model: Any, make_snapshot: Any) -> Any:
    """`scored_run(2)` → a run that scores by so many reward models."""

    def make(num: int = 1) -> Run:
        judges = {"reward_model": make_model("rm", kind="reward")}
        judges |= {f"reward_model_{n}": make_model(f"rm{n}", kind="reward") for n in range(2, num + 1)}
        inputs = {"responses": make_snapshot("responses"), **judges}
        return runs.create(project=people.project, stage="score", config={}, inputs=inputs, user=people.manager)

    return make


def line(prompt: Any, text: str, *scores: float) -> ScoreRow:
    return ScoreRow.of(prompt.content_hash, text, list(scores))


def test_every_response_of_the_text_gets_the_score_of_each_model(scored_run: Any, make_prompt: Any) -> None:
    prompt, other = make_prompt("A", k=2), make_prompt("B", k=1)
    again = Response.objects.create(
        prompt=prompt, model=prompt.responses.first().model, sample_index=9, text="Answer 0 to A", num_chars=13
    )
    run = scored_run(2)
    found = taking.take(
        run=run,
        rows=[
            line(prompt, "Answer 0 to A", 1.0, -1.0),
            line(prompt, "Answer 1 to A", 2.0, -2.0),
            line(prompt, "gone", 9.0, 9.0),
            line(other, "Answer 0 to A", 8.0, 8.0),  # a text of another prompt
        ],
    )
    assert found == {"num_lines": 4, "num_scores": 6}
    rows = ResponseScore.objects.values_list("response__sample_index", "model__name", "score", "run")
    assert sorted(rows) == [
        (0, "rm", 1.0, run.pk), (0, "rm2", -1.0, run.pk), (1, "rm", 2.0, run.pk), (1, "rm2", -2.0, run.pk),
        (9, "rm", 1.0, run.pk), (9, "rm2", -1.0, run.pk),
    ]  # fmt: skip
    assert again.scores.count() == 2


def test_a_prompt_of_the_same_text_in_another_project_gets_nothing(
    people: Any, scored_run: Any, make_prompt: Any
) -> None:
    prompt = make_prompt("A", k=1)
    elsewhere = type(prompt).objects.create(
        project=people.stranger.memberships.get().project,
        messages=prompt.messages,
        content_hash=prompt.content_hash,
        text="A",
        num_chars=1,
        split="train",
    )
    model = prompt.responses.get().model
    Response.objects.create(prompt=elsewhere, model=model, text="Answer 0 to A", num_chars=13)
    taking.take(run=scored_run(), rows=[line(prompt, "Answer 0 to A", 1.0)])
    assert ResponseScore.objects.get().response.prompt == prompt


def test_scored_again_the_new_score_counts(scored_run: Any, make_prompt: Any) -> None:
    prompt, run = make_prompt("A", k=1), scored_run()
    taking.take(run=run, rows=[line(prompt, "Answer 0 to A", 1.0)])
    taking.take(run=run, rows=[line(prompt, "Answer 0 to A", 3.0), line(prompt, "Answer 0 to A", 3.0)])
    assert ResponseScore.objects.get().score == 3.0


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_the_database_takes_no_score_that_is_not_a_number(scored_run: Any, make_prompt: Any, score: float) -> None:
    prompt, run = make_prompt("A", k=1), scored_run()
    judge = run.inputs.get(name="reward_model").model
    with pytest.raises(IntegrityError, match="response_score_is_a_number"), transaction.atomic():
        ResponseScore.objects.create(response=prompt.responses.get(), model=judge, run=run, score=score)


def test_one_model_is_not_an_ensemble(people: Any, make_model: Any, make_snapshot: Any) -> None:
    judge = make_model("rm", kind="reward")
    inputs = {"responses": make_snapshot("responses"), "reward_model": judge, "reward_model_2": judge}
    with pytest.raises(ConfigError, match="reward_model_2: is the same model"):
        runs.check(project=people.project, stage="score", config={}, inputs=inputs)


def test_a_run_that_scored_ends_with_its_scores_in_the_rows(
    people: Any, fake_stage: Any, scored_run: Any, make_prompt: Any, settings: Any
) -> None:
    prompt = make_prompt("A", k=2)
    rows = [line(prompt, f"Answer {n} to A", float(n)) for n in (0, 1)]
    fake_stage()
    (settings.RUNS_DIR / "scores.jsonl").write_text("".join(json.dumps(row.to_dict()) + "\n" for row in rows))
    run = scored_run()
    supervision.work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("succeeded", "")
    assert run.result["scores"] == {"num_lines": 2, "num_scores": 2}
    assert sorted(ResponseScore.objects.values_list("score", flat=True)) == [0.0, 1.0]


def test_a_reward_runs_scores_are_of_the_model_that_it_made(
    people: Any,
    fake_stage: Any,
    make_model: Any,
    make_snapshot: Any,
    make_prompt: Any,
    settings: Any,
) -> None:
    prompt = make_prompt("A", k=1)
    fake_stage()
    scored = json.dumps(line(prompt, "Answer 0 to A", 0.5).to_dict()) + "\n"
    (settings.RUNS_DIR / "scores.jsonl").write_text(scored)
    inputs = {"init_model": make_model(), "dataset": make_snapshot()}
    run = runs.create(project=people.project, stage="reward", config={}, inputs=inputs, user=people.manager)
    supervision.work(run.pk)
    row = ResponseScore.objects.get()
    assert (row.model.run, row.run, row.score) == (run, run, 0.5)


def test_a_snapshot_of_responses_holds_each_text_of_a_prompt_once(people: Any, make_prompt: Any) -> None:
    prompt = make_prompt("A", k=2)
    make_prompt("nothing", k=0)
    make_prompt("retired", k=1, is_retired=True)
    model = prompt.responses.first().model
    Response.objects.create(prompt=prompt, model=model, sample_index=7, text="Answer 1 to A", num_chars=13)
    made = snapshots.create(project=people.project, kind="responses", name="r", filters={}, user=people.manager)
    built = snapshots.build(made.pk)
    assert (built.state, built.num_rows, built.error) == ("ready", 1, "")
    assert built.stats["left_out"] == {"no response": 1}
    assert built.stats["num_responses"] == {"2": 1}
