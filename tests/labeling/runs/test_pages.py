"""Pages of runs, models, rounds and the dashboard: who may open them, what they show, what they change."""

from typing import Any

import hypothesis
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import strategies as st

from labeling.forms.runs import StageForm, initial_values
from labeling.models import Model, Response, Run, RunLog, RunMetric, Task
from labeling.services import artifacts, runs
from tests.labeling.conftest import People
from training.contract import configs
from training.contract.configs import STAGES

pytestmark = pytest.mark.django_db

READING = ["dashboard", "runs", "models", "rounds"]
ACTING = ["run_new", "model_import"]
TABS = ["run", "run_report", "run_curves", "run_log", "run_files", "run_config"]
OF_RUN = [*TABS, "run_live", "run_metrics_csv", "run_log_text"]
RUN_ACTIONS = ["run_cancel", "run_resume", "run_note", "run_tasks"]
MODEL_ACTIONS = ["model_promote", "model_retire", "model_restore", "model_note"]


@pytest.fixture
def run(make_run: Any) -> Run:
    found: Run = make_run()
    return found


@pytest.fixture
def manager(client: Client, people: People) -> Client:
    client.force_login(people.manager)
    return client


def address(name: str, *arguments: Any) -> str:
    return reverse(name, args=["tea", *arguments])


def posted(stage: str, people: People, **changes: Any) -> dict[str, Any]:
    """What the browser sends of an untouched form, with changes."""
    initial = initial_values(project=people.project, stage=stage, preset="tiny-cpu")
    sent = {name: value for name, value in initial.items() if value is not False}
    return sent | changes


@pytest.mark.parametrize("name", READING + ACTING)
def test_pages_open_by_role(client: Client, people: People, name: str) -> None:
    assert client.get(address(name)).status_code == 302
    for person, status in [
        (people.stranger, 404),
        (people.labeler, 403),
        (people.reviewer, 403 if name in ACTING else 200),
        (people.manager, 200),
    ]:
        client.force_login(person)
        assert client.get(address(name)).status_code == status, person


@pytest.mark.parametrize("name", OF_RUN)
def test_a_runs_pages_open_for_reviewers_of_its_project_alone(
    client: Client, people: People, run: Run, name: str
) -> None:
    for person, status in [(people.stranger, 404), (people.labeler, 403), (people.reviewer, 200)]:
        client.force_login(person)
        assert client.get(address(name, run.uid)).status_code == status
    client.force_login(people.stranger)
    assert client.get(reverse(name, args=["coffee", run.uid])).status_code == 404


@pytest.mark.parametrize("name", RUN_ACTIONS)
def test_only_managers_change_runs_and_only_by_post(client: Client, people: People, run: Run, name: str) -> None:
    client.force_login(people.reviewer)
    assert client.post(address(name, run.uid)).status_code == 403
    client.force_login(people.manager)
    assert client.get(address(name, run.uid)).status_code == 405
    run.refresh_from_db()
    assert run.state == "queued"


@pytest.mark.parametrize("name", MODEL_ACTIONS)
def test_only_managers_change_models(client: Client, people: People, make_model: Any, name: str) -> None:
    model = make_model()
    client.force_login(people.reviewer)
    assert client.post(address(name, model.uid)).status_code == 403
    model.refresh_from_db()
    assert (model.is_current, model.is_retired) == (False, False)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_form_that_shows_each_option_of_its_config(
    manager: Client, make_model: Any, stage: str
) -> None:
    page = manager.get(address("run_new_stage", stage)).content.decode()
    for spec in configs.specs(STAGES[stage]):
        is_shown = spec.name != "backend" and not spec.name.startswith("server_")
        assert (f'name="{spec.name}"' in page) == is_shown


def test_a_stage_says_what_it_does_without_its_name_a_second_time(manager: Client) -> None:
    page = manager.get(address("run_new")).content.decode()
    assert "Learns from rankings" in page
    assert "Supervised fine-tuning: a language model" in page
    assert "Reward model:" not in page


def test_the_accuracies_of_a_run_have_the_words_of_its_report_and_are_said_once(manager: Client, run: Run) -> None:
    share = {"value": 0.61, "low": 0.5, "high": 0.7, "num_pairs": 9, "num_prompts": 3}
    summary = {"accuracy": {"valid": share, "held_out_labelers": share}, "human_agreement": share, "bias": 1.5}
    summary |= {"by_category": {"chat": share}}
    Run.objects.filter(pk=run.pk).update(result={"summary": summary})
    page = manager.get(address("run", run.uid)).content.decode()
    assert page.index("Validation prompts") < page.index("Held-out labelers, all prompts")
    assert "Two labelers agree" in page
    assert "<dt>bias</dt>" in page
    assert "accuracy ·" not in page
    assert "by category ·" not in page


def test_a_form_as_it_comes_starts_a_run(manager: Client, people: People, make_model: Any, make_snapshot: Any) -> None:
    make_model(is_current=True)
    make_snapshot()
    response = manager.post(address("run_new_stage", "reward"), posted("reward", people))

    run = Run.objects.get()
    assert response.headers["Location"] == address("run", run.uid)
    assert (run.stage, run.name, run.state, run.preset, run.created_by) == (
        "reward",
        "reward-1",
        "queued",
        "tiny-cpu",
        people.manager,
    )
    assert {name: run.config[name] for name in configs.preset("reward", "tiny-cpu")} == configs.preset(
        "reward", "tiny-cpu"
    )
    assert {item.name for item in run.inputs.all()} == {"init_model", "dataset"}


def test_the_first_sft_run_starts_from_the_tiny_model(manager: Client, people: People, make_snapshot: Any) -> None:
    make_snapshot("sft")
    manager.post(address("run_new_stage", "sft"), posted("sft", people))
    run = Run.objects.get()
    assert run.config["init_model"] == "tiny"
    assert [item.name for item in run.inputs.all()] == ["dataset"]


def test_a_form_sent_twice_starts_one_run(manager: Client, people: People, make_model: Any, make_snapshot: Any) -> None:
    make_model()
    make_snapshot()
    sent = posted("reward", people)
    first = manager.post(address("run_new_stage", "reward"), sent)
    second = manager.post(address("run_new_stage", "reward"), sent)
    assert first.headers["Location"] == second.headers["Location"]
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"learning_rate": "2"}, "learning_rate", "less than or equal to 1"),
        ({"num_epochs": "0"}, "num_epochs", "greater than or equal to 1"),
        ({"batch_size": "many"}, "batch_size", "whole number"),
        ({"divisor": "none"}, "divisor", "none is not one of the available choices"),
        ({"dataset": ""}, "dataset", "Choose one"),
        ({"dataset": "8f7d0c4e-0000-4000-8000-000000000000"}, "dataset", "not one of the available choices"),
    ],
)
def test_a_wrong_option_is_said_at_its_field_and_nothing_starts(
    manager: Client, people: People, make_model: Any, make_snapshot: Any, changes: dict[str, str], field: str, says: str
) -> None:
    make_model()
    make_snapshot()
    response = manager.post(address("run_new_stage", "reward"), posted("reward", people, **changes))
    assert response.status_code == 422
    assert says in " ".join(response.context["form"].errors[field])
    assert not Run.objects.exists()


def test_the_form_says_what_must_be_made_first(manager: Client, people: People) -> None:
    page = manager.get(address("run_new_stage", "reward"))
    assert list(page.context["form"].missing()) == [("Init model", ""), ("Dataset", "reward")]
    assert "?kind=reward" in page.content.decode()
    assert manager.post(address("run_new_stage", "reward"), posted("reward", people)).status_code == 422
    assert not Run.objects.exists()


def test_a_rule_between_fields_is_judged_by_the_config_and_named(
    manager: Client, people: People, make_snapshot: Any
) -> None:
    make_snapshot("sft")
    response = manager.post(address("run_new_stage", "sft"), posted("sft", people, tiny_width="130", tiny_heads="4"))
    assert "Must be a multiple of 4 heads" in response.context["form"].errors["tiny_width"][0]
    assert not Run.objects.exists()


@pytest.mark.parametrize("stage", STAGES)
def test_whatever_is_sent_a_form_takes_only_what_the_stage_would_take(
    people: People, make_model: Any, make_snapshot: Any, stage: str
) -> None:
    make_model(is_current=True)
    judge = make_model("judge", kind="reward")
    snapshots = {kind: make_snapshot(kind) for kind in ("reward", "sft", "prompts", "text", "responses")}
    given = {"reward_model": judge.uid, "dataset": snapshots["reward"].uid} if stage == "evaluate" else {}
    assert StageForm(posted(stage, people, **given), project=people.project, stage=stage).is_valid()
    names = [spec.name for spec in configs.specs(STAGES[stage])] + ["hub_name", "name", "note", "preset"]
    numbers = st.one_of(st.integers(), st.floats()).map(str)

    @hypothesis.settings(max_examples=25, deadline=None, database=None)
    @hypothesis.given(st.dictionaries(st.sampled_from(names), st.one_of(st.text(max_size=40), numbers), max_size=6))
    def check(changes: dict[str, str]) -> None:
        form = StageForm(posted(stage, people, **given | changes), project=people.project, stage=stage)
        if form.is_valid():
            runs.check(project=people.project, stage=stage, config=form.config(), inputs=form.inputs())

    check()


@pytest.mark.parametrize("path", ["/etc", "../../secrets", "./x", "a/b/c", "~root/x"])
def test_no_form_makes_a_worker_open_a_path(manager: Client, people: People, make_snapshot: Any, path: str) -> None:
    inputs = {"dataset": make_snapshot("sft")}
    for changes in ({"hub_name": path}, {"init_model": path}):
        response = manager.post(address("run_new_stage", "sft"), posted("sft", people, **changes))
        assert response.status_code == 422
    assert not Run.objects.exists()
    with pytest.raises(configs.ConfigError, match="init_model: must be a model or a snapshot of this project"):
        runs.check(project=people.project, stage="sft", config={"init_model": path}, inputs=inputs)


def test_models_and_snapshots_of_another_project_are_not_offered_and_not_taken(
    manager: Client, people: People, make_model: Any, make_snapshot: Any
) -> None:
    other = people.stranger.memberships.get().project
    model, snapshot = make_model(project=other), make_snapshot(project=other)
    form = StageForm(project=people.project, stage="reward")
    assert str(snapshot.uid) not in str(form["dataset"])

    response = manager.post(
        address("run_new_stage", "reward"), posted("reward", people, init_model=model.uid, dataset=snapshot.uid)
    )
    assert response.status_code == 422
    with pytest.raises(configs.ConfigError, match="another project"):
        runs.check(project=people.project, stage="reward", config={}, inputs={"init_model": model, "dataset": snapshot})


def test_a_snapshot_of_the_wrong_kind_is_refused_by_name(people: People, make_model: Any, make_snapshot: Any) -> None:
    inputs = {"init_model": make_model(), "dataset": make_snapshot("prompts")}
    with pytest.raises(configs.ConfigError, match="dataset: must be snapshot of kind reward"):
        runs.check(project=people.project, stage="reward", config={}, inputs=inputs)


def test_a_snapshots_page_leads_to_the_form_with_it_chosen(
    manager: Client, make_model: Any, make_snapshot: Any
) -> None:
    make_model()
    older = make_snapshot()
    make_snapshot()
    response = manager.get(address("run_new"), {"snapshot": str(older.uid)}, follow=True)
    assert response.context["form"]["dataset"].value() == str(older.uid)


def test_a_clone_starts_from_the_values_of_the_run(manager: Client, make_run: Any) -> None:
    run = make_run(config=configs.preset("reward", "tiny-cpu") | {"num_epochs": 9})
    response = manager.get(address("run_new_stage", "reward"), {"from": str(run.uid)})
    form = response.context["form"]
    assert form["num_epochs"].value() == 9
    assert form["dataset"].value() == str(run.inputs.get(name="dataset").snapshot.uid)
    assert form["idempotency_key"].value() != run.idempotency_key


def test_the_config_page_marks_what_differs_from_the_preset(manager: Client, make_run: Any) -> None:
    run = make_run(config=configs.preset("reward", "tiny-cpu") | {"num_epochs": 9})
    page = manager.get(address("run_config", run.uid)).content.decode()
    assert "<strong>num_epochs</strong>" in page
    assert "<strong>learning_rate</strong>" not in page


def test_metrics_come_after_an_id_and_say_which_claim_they_are_of(manager: Client, run: Run) -> None:
    for step in (1, 2, 3):
        RunMetric.objects.create(run=run, step=step, time=step, values={"reward/loss": 1 / step, "reward/x": None})
    everything = manager.get(address("run_live", run.uid), {"metrics": 0}).json()
    rows = everything["metrics"]["rows"]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert (everything["fence"], everything["is_live"], everything["metrics"]["more"]) == (0, True, False)
    later = manager.get(address("run_live", run.uid), {"metrics": rows[1]["id"]}).json()
    assert [row["step"] for row in later["metrics"]["rows"]] == [3]
    assert set(later) == {"fence", "is_live", "metrics"}, "what was not asked for is not told"


@pytest.mark.parametrize("after", ["", "-1", "x", "9" * 40, "1;drop"])
def test_a_senseless_id_is_as_none(manager: Client, run: Run, after: str) -> None:
    assert manager.get(address("run_live", run.uid), {"metrics": after}).status_code == 200


def test_the_log_is_escaped_and_followed(manager: Client, run: Run) -> None:
    first = RunLog.objects.create(run=run, text="<script>alert(1)</script>\n", end=26)
    RunLog.objects.create(run=run, text="step 1\n", end=33)
    page = manager.get(address("run_log", run.uid)).content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    later = manager.get(address("run_live", run.uid), {"log": first.pk}).json()
    assert [piece["text"] for piece in later["log"]["rows"]] == ["step 1\n"]


def test_one_answer_has_all_that_an_open_page_shows_and_few_questions_are_put_for_it(
    manager: Client, people: People, run: Run, django_assert_num_queries: Any
) -> None:
    RunMetric.objects.create(run=run, step=1, time=1.0, values={"reward/loss": 0.5})
    manager.get(address("run_live", run.uid))
    with django_assert_num_queries(5):  # person, place, run, metrics, log; the session is in the cache
        answer = manager.get(address("run_live", run.uid), {"metrics": 0, "log": 0, "head": 1}).json()
    assert set(answer) == {"fence", "is_live", "metrics", "log", "head"}
    assert address("run_live", run.uid) in answer["head"]
    runs.cancel(run, user=people.manager)
    answer = manager.get(address("run_live", run.uid), {"head": 1}).json()
    assert not answer["is_live"]
    assert address("run_live", run.uid) not in answer["head"], "nothing more is asked of a run that has ended"


def test_files_are_sent_as_attachments_and_only_those_of_the_run(manager: Client, run: Run, tmp_path: Any) -> None:
    source = tmp_path / "report.json"
    source.write_text("<script>")
    artifacts.put_file(source=source, name="runs/x/1/outputs/report.json")
    artifacts.put_file(source=source, name="runs/x/secret")
    entry = {"sha256": "0" * 64, "bytes": 8}
    Run.objects.filter(pk=run.pk).update(result={"files": {"outputs/report.json": entry}, "storage_key": "runs/x/1"})

    response = manager.get(address("run_file", run.uid, "outputs/report.json"))
    assert response.headers["Content-Disposition"] == 'attachment; filename="reward-1-outputs-report.json"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    for name in ("../secret", "outputs/../../secret", "log.txt", "nothing"):
        assert manager.get(address("run_file", run.uid, name)).status_code == 404
    assert "0" * 64 in manager.get(address("run_files", run.uid)).content.decode()


def test_cancel_resume_and_note_by_buttons(manager: Client, run: Run) -> None:
    manager.post(address("run_cancel", run.uid))
    run.refresh_from_db()
    assert run.state == "cancelled"
    manager.post(address("run_resume", run.uid))
    run.refresh_from_db()
    assert run.state == "queued"
    manager.post(address("run_note", run.uid), {"note": "why", "tags": "a, b,a"})
    run.refresh_from_db()
    assert (run.note, run.tags) == ("why", ["a", "b"])


def test_resuming_a_run_that_is_under_way_says_no(manager: Client, run: Run) -> None:
    page = manager.post(address("run_resume", run.uid), follow=True).content.decode()
    assert "does not become queued" in page


def test_the_list_asks_the_same_number_of_questions_for_more_runs(manager: Client, make_run: Any) -> None:
    make_run()
    manager.get(address("runs"))  # the session is in the cache from here on
    with CaptureQueriesContext(connection) as few:
        manager.get(address("runs"))
    for _ in range(5):
        make_run()
    with CaptureQueriesContext(connection) as many:
        manager.get(address("runs"))
    assert len(many) == len(few)


def test_the_list_is_filtered_by_stage_and_state(manager: Client, people: People, make_run: Any) -> None:
    waiting, over = make_run(), make_run()
    runs.cancel(over, user=people.manager)
    page = manager.get(address("runs"), {"state": "live", "stage": "reward"})
    assert list(page.context["page"]) == [waiting]
    assert list(manager.get(address("runs"), {"stage": "sft"}).context["page"]) == []


def test_comparing_shows_what_differs_and_no_more(manager: Client, people: People, make_run: Any) -> None:
    preset = configs.preset("reward", "tiny-cpu")
    one, other = make_run(config=preset), make_run(config=preset | {"num_epochs": 9})
    Run.objects.filter(pk=other.pk).update(result={"summary": {"accuracy": {"valid": {"value": 0.71}}}})
    page = manager.get(address("runs_compare"), {"run": [str(one.uid), str(other.uid)]})
    found = page.context["comparison"]
    assert dict(found.options)["num_epochs"] == [str(preset["num_epochs"]), "9"]
    assert "learning_rate" not in dict(found.options)
    assert found.results == [("accuracy · valid · value", ["–", "0.71"])]


def test_comparing_needs_two_runs_of_the_project(manager: Client, make_run: Any) -> None:
    run = make_run()
    page = manager.get(address("runs_compare"), {"run": [str(run.uid), "x", run.pk]}, follow=True).content.decode()
    assert "Choose two runs" in page


def test_promoting_makes_one_current_policy_and_retiring_it_is_refused(manager: Client, make_model: Any) -> None:
    old, new, reward = make_model("old", is_current=True), make_model("new"), make_model("judge", kind="reward")
    manager.post(address("model_promote", new.uid))
    assert list(Model.objects.filter(is_current=True)) == [new]

    assert "promote another one first" in manager.post(address("model_retire", new.uid), follow=True).content.decode()
    assert "cannot become" in manager.post(address("model_promote", reward.uid), follow=True).content.decode()
    manager.post(address("model_retire", old.uid))
    old.refresh_from_db()
    assert old.is_retired
    assert "cannot become" in manager.post(address("model_promote", old.uid), follow=True).content.decode()
    assert list(Model.objects.filter(is_current=True)) == [new]


def test_a_models_page_leads_back_to_what_made_it(manager: Client, run: Run, make_model: Any) -> None:
    judge = make_model("judge", kind="reward", run=run, parent=run.inputs.get(name="init_model").model)
    page = manager.get(address("model", judge.uid)).content.decode()
    for item in run.inputs.all():
        assert str((item.snapshot or item.model).uid) in page
    assert str(run.uid) in page


def test_the_dashboard_tells_a_new_project_to_bring_in_prompts(manager: Client) -> None:
    page = manager.get(address("dashboard"))
    assert page.context["suggestion"].verb == "Bring in prompts"
    assert len(page.context["stations"]) == 7


def test_the_dashboards_live_part_stays_cheap(manager: Client, people: People, make_prompt: Any, make_run: Any) -> None:
    make_prompt()
    make_run()
    with CaptureQueriesContext(connection) as queries:
        response = manager.get(address("dashboard"), headers={"HX-Request": "true"})
    assert b"<html" not in response.content
    # Session, person, project, membership, 8 counts of stations, runs, 2 × newest round, 6 of the suggestion.
    assert len(queries) <= 24


def test_starting_a_round_without_rankings_says_why(manager: Client) -> None:
    sent = {"preset": "tiny-cpu", "responses_per_prompt": 4, "is_automatic": "on"}
    page = manager.post(address("round_start"), sent, follow=True).content.decode()
    assert "no rankings yet" in page


def test_a_generate_run_offers_tasks_of_what_it_sampled(
    manager: Client, people: People, make_run: Any, make_model: Any, make_snapshot: Any, make_prompt: Any
) -> None:
    model, prompt = make_model("sampler"), make_prompt("Why?", k=0)
    run = make_run(
        stage="generate",
        config=configs.preset("generate", "tiny-cpu"),
        inputs={"model": model, "prompts": make_snapshot("prompts")},
    )
    for index in range(3):
        Response.objects.create(
            prompt=prompt, model=model, run=run, sample_index=index, text=f"Answer {index}", num_chars=8
        )
    Run.objects.filter(pk=run.pk).update(result={"responses": {"taken": 3, "refused": {"timeout": 1}}})
    page = manager.get(address("run", run.uid)).content.decode()
    assert "Make ranking tasks of them" in page
    assert "timeout" in page

    manager.post(address("run_tasks", run.uid), {"num_responses": 3, "num_wanted": 2})
    task = Task.objects.get(prompt=prompt)
    assert (task.num_responses, task.num_wanted) == (3, 2)
