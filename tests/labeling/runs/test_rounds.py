"""A round goes from station to station by itself, waits when it should, and says why it stopped."""

import json
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from labeling.models import Demonstration, Evaluation, Model, Prompt, Round, Run, Snapshot, Task, TaskResponse
from labeling.services import evaluations, rounds, runs, snapshots, stations
from tests.labeling.conftest import People
from training.contract import configs

pytestmark = pytest.mark.django_db(transaction=True)
TINY = {"preset": "tiny-cpu", "responses_per_prompt": 2}


@pytest.fixture
def judged(make_judged: Any) -> list[Prompt]:
    found: list[Prompt] = make_judged(3)
    return found


@pytest.fixture
def work(fake_stage: Any, settings: Any) -> Any:
    """`work(round)` does once what the workers would do: build snapshots, run stages, advance."""

    def once(round: Round) -> Round:
        for snapshot in Snapshot.objects.filter(state="queued"):
            snapshots.build(snapshot.pk)
        rounds.advance(round.pk)
        for run in Run.objects.filter(state="queued"):
            runs.work(run.pk)
        rounds.advance(round.pk)
        round.refresh_from_db()
        return round

    return once


@pytest.fixture
def sampled(judged: list[Prompt], settings: Any) -> None:
    """What the generate stage will write: three answers per prompt, two of them different for the last."""
    texts = {prompt.content_hash: ["One.", "Two.", "Three."] for prompt in judged}
    texts[judged[-1].content_hash] = ["Same.", "Same.", "Same."]
    rows = [
        {"prompt_id": key, "sample_index": index, "text": text, "finish_reason": "stop", "num_tokens": 1, "error": ""}
        for key, answers in texts.items()
        for index, text in enumerate(answers)
    ]
    (settings.RUNS_DIR / "responses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def start(people: People, **fields: Any) -> Round:
    return rounds.start(project=people.project, user=people.manager, **(TINY | fields))


def test_a_round_goes_all_the_way_and_makes_tasks_of_what_the_new_policy_said(
    people: People, judged: list[Prompt], sampled: None, work: Any
) -> None:
    round = start(people)
    assert (round.state, round.step) == ("running", "snapshots")
    for _ in range(6):
        work(round)

    assert (round.state, round.step, round.error[:40]) == ("done", "tasks", "No task was made for some prompts: fewer")
    assert [run.stage for run in Run.objects.order_by("pk")] == ["sft", "reward", "ppo", "generate"]
    ppo = Model.objects.get(run=round.ppo_run)
    assert ppo.is_current
    assert ppo.parent == Model.objects.get(run=round.sft_run)
    tasks = Task.objects.filter(round=round)
    assert (tasks.count(), round.num_tasks) == (2, 2)
    assert {item.response.model_id for item in TaskResponse.objects.filter(task__in=tasks)} == {ppo.pk}
    assert not tasks.filter(prompt=judged[-1]).exists()
    assert round.sft_run.config["init_model"] == "tiny"  # type: ignore[union-attr]
    assert [station.state for station in stations.of(round)] == ["done"] * 6


@pytest.fixture
def after_one_round(people: People, judged: list[Prompt], sampled: None, work: Any) -> Model:
    """The policy of a first round."""
    first = start(people)
    for _ in range(6):
        work(first)
    return Model.objects.get(is_current=True)


def test_the_second_round_goes_on_from_the_policy_of_the_first_and_does_not_learn_the_same_demonstrations_again(
    people: People, after_one_round: Model, work: Any
) -> None:
    second = start(people)
    for _ in range(3):
        work(second)
    assert second.policy_before == after_one_round
    assert second.sft_snapshot is not None
    assert second.sft_run is None
    assert stations.of(second)[1].state == "skipped"
    assert second.reward_run.inputs.get(name="init_model").model == after_one_round  # type: ignore[union-attr]
    assert second.ppo_run.inputs.get(name="policy_model").model == after_one_round  # type: ignore[union-attr]


def test_with_a_new_demonstration_the_second_round_trains_sft_from_the_policy_of_the_first(
    people: People, after_one_round: Model, judged: list[Prompt], work: Any
) -> None:
    Demonstration.objects.create(prompt=judged[0], labeler=people.labeler2, text="Another.", idempotency_key="another")
    second = start(people)
    for _ in range(2):
        work(second)
    assert second.sft_run.inputs.get(name="init_model").model == after_one_round  # type: ignore[union-attr]


def test_advancing_again_and_again_makes_nothing_twice(people: People, judged: list[Prompt], work: Any) -> None:
    round = start(people)
    for _ in range(5):
        rounds.advance(round.pk)
    assert Snapshot.objects.count() == 3
    work(round)
    for _ in range(5):
        rounds.advance(round.pk)
    assert Run.objects.filter(stage="sft").count() == 1


def test_a_round_that_is_not_automatic_waits_after_each_step(people: People, judged: list[Prompt], work: Any) -> None:
    round = start(people, is_automatic=False)
    work(round)
    assert (round.state, round.step) == ("waiting", "sft")
    work(round)
    assert not Run.objects.exists(), "nobody has said go on"

    rounds.proceed(round)
    work(round)
    assert (round.state, round.step) == ("waiting", "reward")
    stale = Round.objects.get(pk=round.pk)
    rounds.proceed(round)
    with pytest.raises(rounds.RoundError, match="changed meanwhile"):
        rounds.proceed(stale)


def test_a_failed_run_stops_the_round_and_trying_again_resumes_that_run(
    people: People, judged: list[Prompt], fake_stage: Any, work: Any
) -> None:
    fake_stage(fail_at=3)
    round = start(people)
    work(round)
    assert (round.state, round.step) == ("failed", "sft")
    assert "the loss is not finite" in round.error
    assert stations.of(round)[1].state == "failed"

    fake_stage()
    rounds.retry(round, user=people.manager)
    assert (round.state, round.error, round.finished_at) == ("running", "", None)
    work(round)
    assert round.step == "reward"
    assert Run.objects.filter(stage="sft").count() == 1


def test_a_cancelled_run_stops_the_round(people: People, judged: list[Prompt], work: Any, monkeypatch: Any) -> None:
    round = start(people)
    for snapshot in Snapshot.objects.all():
        snapshots.build(snapshot.pk)
    rounds.advance(round.pk)
    runs.cancel(Run.objects.get(), user=people.manager)
    rounds.advance(round.pk)
    round.refresh_from_db()
    assert (round.state, round.error) == ("failed", "round-1-sft was cancelled.")


def test_cancelling_a_round_cancels_its_run_and_keeps_what_is_made(
    people: People, judged: list[Prompt], work: Any
) -> None:
    round = start(people)
    for snapshot in Snapshot.objects.all():
        snapshots.build(snapshot.pk)
    rounds.advance(round.pk)
    round.refresh_from_db()
    rounds.cancel(round, user=people.manager)

    assert round.state == "cancelled"
    assert Run.objects.get().state == "cancelled"
    assert Snapshot.objects.filter(state="ready").count() == 3
    rounds.advance(round.pk)
    assert Run.objects.count() == 1


def test_there_is_one_live_round_per_project(people: People, judged: list[Prompt]) -> None:
    start(people)
    with pytest.raises(rounds.RoundError, match="under way already"):
        start(people)
    with pytest.raises(IntegrityError), transaction.atomic():
        Round.objects.create(project=people.project, number=9)
    assert Round.objects.count() == 1


def test_a_project_without_rankings_cannot_start_a_round(people: People) -> None:
    with pytest.raises(rounds.RoundError, match="no rankings yet"):
        start(people)
    assert not Round.objects.exists()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"preset": "huge"}, "no preset huge"),
        ({"responses_per_prompt": 10}, "2 to 9"),
        ({"preset": "small-gpu"}, "starts from a model"),
    ],
)
def test_what_a_round_lacks_is_said_before_it_starts(
    people: People, judged: list[Prompt], changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(rounds.RoundError, match=why):
        start(people, **changes)
    assert not Round.objects.exists()


def test_without_demonstrations_a_later_round_skips_sft(
    people: People, judged: list[Prompt], make_model: Any, work: Any
) -> None:
    Demonstration.objects.all().delete()
    policy = make_model("policy", is_current=True)
    round = start(people)
    work(round)
    work(round)
    assert round.sft_run is None
    assert stations.of(round)[1].state == "skipped"
    assert round.reward_run.inputs.get(name="init_model").model == policy  # type: ignore[union-attr]


def test_a_round_whose_alarm_rang_waits_for_a_person_and_keeps_the_policy_until_then(
    people: People, judged: list[Prompt], sampled: None, work: Any
) -> None:
    round = start(people)
    while round.step != "ppo":
        work(round)
    rounds.advance(round.pk)
    round.refresh_from_db()
    assert round.ppo_run is not None
    finish(round.ppo_run, over_optimisation_alarm=True)
    work(round)
    assert (round.state, round.step) == ("waiting", "generate")
    assert "alarm rang" in round.error
    assert not Model.objects.get(run=round.ppo_run).is_current
    rounds.proceed(round)
    work(round)
    assert (round.state, round.error[:30]) == ("done", "No task was made for some prom")
    assert Model.objects.get(run=round.ppo_run).is_current


def finish(run: Run, **summary: Any) -> None:
    """The run has ended as its worker would have it, with this in its summary."""
    runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded"
    Run.objects.filter(pk=run.pk).update(result=run.result | {"summary": run.result["summary"] | summary})


def test_at_its_end_a_round_asks_people_to_compare_its_policy_with_the_one_before(
    people: People, judged: list[Prompt], sampled: None, work: Any
) -> None:
    Prompt.objects.filter(pk=judged[0].pk).update(split="valid")
    first = start(people, num_evaluation_prompts=1)
    for _ in range(6):
        work(first)
    evaluation = Evaluation.objects.get()
    policy, sft = Model.objects.get(run=first.ppo_run), Model.objects.get(run=first.sft_run)
    assert (first.state, evaluation.round, evaluation.baseline.model) == ("done", first, sft)
    assert [entrant.model for entrant in evaluation.entrants.all()] == [policy, sft]
    assert [item.prompt for item in evaluation.prompts.all()] == [judged[0]]
    assert first.generate_run is not None
    assert evaluation.max_new_tokens == first.generate_run.config["max_new_tokens"]
    rounds.advance(first.pk)
    assert Evaluation.objects.count() == 1

    evaluations.cancel(evaluation, user=people.manager)
    second = start(people, num_evaluation_prompts=1)
    for _ in range(6):
        work(second)
    assert Evaluation.objects.get(round=second).baseline.model == policy


def test_a_round_is_done_even_where_nothing_can_be_compared(
    people: People, judged: list[Prompt], sampled: None, work: Any
) -> None:
    Prompt.objects.filter(pk=judged[0].pk).update(split="test")
    round = start(people, num_evaluation_prompts=5)
    Prompt.objects.filter(pk=judged[0].pk).update(split="train")
    for _ in range(6):
        work(round)
    assert round.state == "done"
    assert "was begun: There is no held-out prompt" in round.error
    assert not Evaluation.objects.exists()


def test_without_a_held_out_prompt_a_round_that_would_compare_does_not_start(
    people: People, judged: list[Prompt]
) -> None:
    with pytest.raises(rounds.RoundError, match="no held-out prompt"):
        start(people, num_evaluation_prompts=3)


def test_the_round_s_page_says_where_ppo_s_kl_ends_it_and_whether_it_did(
    people: People, judged: list[Prompt], sampled: None, work: Any, client: Client
) -> None:
    client.force_login(people.manager)
    round = start(people)
    address = f"/p/{people.project.slug}/rounds/{round.uid}/"

    def rule() -> stations.StopRule:
        found = stations.of(Round.objects.get(pk=round.pk))[3].stop_rule
        assert found is not None
        return found

    assert (rule().budget, rule().ends_the_run, rule().has_ended) == (20.0, False, False)
    assert "KL budget 20.0 nats: past it an alarm can ring, and PPO goes on" in client.get(address).content.decode()
    while round.step != "ppo":
        work(round)
    rounds.advance(round.pk)
    round.refresh_from_db()
    assert round.ppo_run is not None
    Run.objects.filter(pk=round.ppo_run.pk).update(
        config=round.ppo_run.config | {"stop_at_kl_budget": True, "kl_budget": 4.0}
    )
    assert "past it PPO ends early" in client.get(address).content.decode()
    finish(round.ppo_run, stopped_at_kl_budget=True, num_iterations=7, valid_kl_after=4.5)
    assert rule() == stations.StopRule(4.0, True, has_ended=True, was_stopped=True, num_iterations=7, kl=4.5)
    text = client.get(address).content.decode()
    assert "Ended early at its KL budget</strong> of 4.0 nats, after 7 iterations" in text


@pytest.mark.parametrize(("kl", "words"), [(3.0, "not ended early"), (30.0, "the budget only rings an alarm")])
def test_a_ppo_that_was_not_ended_says_how_far_its_kl_went(
    people: People, judged: list[Prompt], sampled: None, work: Any, client: Client, kl: float, words: str
) -> None:
    client.force_login(people.manager)
    round = start(people)
    while round.step != "ppo":
        work(round)
    rounds.advance(round.pk)
    round.refresh_from_db()
    assert round.ppo_run is not None
    finish(round.ppo_run, stopped_at_kl_budget=False, valid_kl_after=kl)
    text = client.get(f"/p/{people.project.slug}/rounds/{round.uid}/").content.decode()
    assert f"KL {kl:.1f} of a budget of 20.0 nats" in text
    assert words in text


def test_the_form_of_a_round_takes_how_many_prompts_to_compare_on(
    people: People, judged: list[Prompt], client: Client
) -> None:
    client.force_login(people.manager)
    Prompt.objects.filter(pk=judged[0].pk).update(split="valid")
    asked = {"preset": "tiny-cpu", "responses_per_prompt": 2, "num_evaluation_prompts": "1"}
    client.post(f"/p/{people.project.slug}/rounds/start/", asked)
    assert Round.objects.get().num_evaluation_prompts == 1
    Round.objects.update(state="cancelled", finished_at="2026-01-01T00:00Z")
    client.post(f"/p/{people.project.slug}/rounds/start/", asked | {"num_evaluation_prompts": ""})
    assert Round.objects.latest("pk").num_evaluation_prompts == 0


def test_a_rounds_own_kl_budget_is_its_ppos_and_stands_on_its_page_from_the_beginning(
    people: People, judged: list[Prompt], sampled: None, work: Any, client: Client
) -> None:
    client.force_login(people.manager)
    address = f"/p/{people.project.slug}/rounds/"
    asked = {"preset": "tiny-cpu", "responses_per_prompt": 2, "is_automatic": "on", "kl_budget": "7.5"}
    client.post(f"{address}start/", asked)
    round = Round.objects.get()
    page = client.get(f"{address}{round.uid}/").content.decode()
    assert "KL budget 7.5 nats: past it an alarm can ring" in page
    while round.step != "ppo":
        work(round)
    rounds.advance(round.pk)
    round.refresh_from_db()
    assert round.ppo_run is not None
    assert round.ppo_run.config["kl_budget"] == 7.5


def test_a_round_without_a_kl_budget_of_its_own_has_the_presets(
    people: People, judged: list[Prompt], sampled: None, work: Any, client: Client
) -> None:
    client.force_login(people.manager)
    asked = {"preset": "tiny-cpu", "responses_per_prompt": 2, "is_automatic": "on", "kl_budget": ""}
    client.post(f"/p/{people.project.slug}/rounds/start/", asked)
    round = Round.objects.get()
    assert round.kl_budget is None
    while round.step != "ppo":
        work(round)
    rounds.advance(round.pk)
    round.refresh_from_db()
    assert round.ppo_run is not None
    assert round.ppo_run.config["kl_budget"] == configs.preset("ppo", "tiny-cpu")["kl_budget"]


@pytest.mark.parametrize("value", ["-1", "10000.5"])
def test_a_senseless_kl_budget_is_said_by_name_and_starts_nothing(
    people: People, judged: list[Prompt], client: Client, value: str
) -> None:
    client.force_login(people.manager)
    asked = {"preset": "tiny-cpu", "responses_per_prompt": 2, "kl_budget": value}
    answer = client.post(f"/p/{people.project.slug}/rounds/start/", asked)
    assert answer.status_code == 422
    assert "<li>KL budget: " in answer.content.decode()
    assert not Round.objects.exists()


def test_a_kl_budget_below_nothing_is_refused_before_the_round_begins(people: People, judged: list[Prompt]) -> None:
    with pytest.raises(rounds.RoundError, match="kl_budget"):
        start(people, kl_budget=-1.0)
    assert not Round.objects.exists()
