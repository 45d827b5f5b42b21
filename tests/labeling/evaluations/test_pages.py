"""Pages of evaluations: what managers see and do there, and that nobody else learns whose response is whose."""

import csv
import io
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Evaluation, Model, Slot
from labeling.services import evaluations
from tests.labeling.conftest import People
from tests.labeling.evaluations.conftest import tasks_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager(client: Client, people: People) -> Client:
    client.force_login(people.manager)
    return client


@pytest.fixture
def judged(people: People, models: list[Model], begun: Any, judge: Any) -> Evaluation:
    """Thirty prompts; the new model wins on two of three."""
    evaluation: Evaluation = begun(30, 2, name="Is it better?")
    for number, task in enumerate(tasks_of(evaluation)):
        judge(task, people.labeler, best=models[number % 3 != 0])
    evaluations.advance(evaluation.pk)
    evaluation.refresh_from_db()
    return evaluation


def address(evaluation: Evaluation, name: str = "evaluation") -> str:
    return reverse(name, args=[evaluation.project.slug, evaluation.uid])


def asked(known: list[Model], **changes: Any) -> dict[str, Any]:
    return {
        "name": "", "baseline": known[0].pk, "models": [known[1].pk], "kind": "baseline", "splits": ["valid"],
        "num_prompts": 2, "num_wanted": 1, "priority": 0, "preset": "tiny-cpu", "temperature": "1", "top_p": "1",
        "max_prompt_tokens": 256, "max_new_tokens": 128, "seed": 1,
    } | changes  # fmt: skip


def test_a_preview_says_what_it_costs_and_begins_nothing(manager: Client, models: list[Model], held_out: Any) -> None:
    held_out(3)
    page = manager.post("/p/tea/evaluations/new/", asked(models, num_wanted=2) | {"action": "preview"})
    text = page.content.decode()
    for words in ("2 prompts</strong> of 3 that", "4 generations", "2 tasks", "4 judgements"):
        assert words in text
    assert not Evaluation.objects.exists()
    part = manager.post(
        "/p/tea/evaluations/new/", asked(models) | {"action": "preview"}, headers={"HX-Request": "true"}
    ).content.decode()
    assert part.strip().startswith('<div id="cost"')
    assert "<html" not in part


def test_the_form_begins_an_evaluation_with_the_baseline_first(
    manager: Client, people: People, models: list[Model], held_out: Any
) -> None:
    held_out(3)
    both = [models[1].pk, models[0].pk, models[2].pk]
    answer = manager.post("/p/tea/evaluations/new/", asked(models, models=both, kind="pairs", rate_first="on"))
    evaluation = Evaluation.objects.get()
    assert answer["Location"] == address(evaluation)
    assert (evaluation.baseline.model, evaluation.baseline.position) == (models[0], 0)
    assert evaluation.entrants.count() == 3
    assert (evaluation.kind, evaluation.rate_first, evaluation.created_by) == ("pairs", True, people.manager)
    assert evaluation.name == "Evaluation 1"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"models": []}, "required"),
        ({"splits": ["train"]}, "not one of the available"),
        ({"num_prompts": 0}, "greater"),
    ],
)
def test_a_form_that_is_not_right_begins_nothing_and_says_why(
    manager: Client, models: list[Model], held_out: Any, changes: dict[str, Any], why: str
) -> None:
    held_out(3)
    answer = manager.post("/p/tea/evaluations/new/", asked(models, **changes))
    assert (answer.status_code, Evaluation.objects.count()) == (422, 0)
    assert why in answer.content.decode()


def test_the_baseline_alone_is_not_enough(manager: Client, models: list[Model], held_out: Any) -> None:
    held_out(3)
    answer = manager.post("/p/tea/evaluations/new/", asked(models, models=[models[0].pk]))
    assert answer.status_code == 422
    assert "Choose 2 to 9 models." in answer.content.decode()


def test_an_empty_project_says_what_is_needed_first(manager: Client) -> None:
    text = manager.get("/p/tea/evaluations/new/").content.decode()
    assert "It takes two models that answer" in text
    assert "There is no held-out prompt" in text
    assert "No evaluation yet" in manager.get("/p/tea/evaluations/").content.decode()


def test_the_page_says_who_won_how_often_with_an_interval(manager: Client, judged: Evaluation) -> None:
    text = manager.get(address(judged)).content.decode()
    (_, rate), = evaluations.results.of(judged).over_baseline()  # fmt: skip
    assert rate.figure.low is not None
    assert rate.figure.high is not None
    assert "66.7 %" in text
    assert f"{100 * rate.figure.low:.1f} to {100 * rate.figure.high:.1f} %" in text
    assert "30 of 30 judgements" in text
    assert 'class="badge badge--done">Done' in text
    assert "Bradley–Terry" in text
    assert text.count("interval-bar") >= 2
    listed = manager.get("/p/tea/evaluations/").content.decode()
    assert "66.7 %" in listed
    assert "Is it better?" in listed


def test_while_nobody_has_judged_the_page_says_so(manager: Client, begun: Any) -> None:
    evaluation = begun(3)
    text = manager.get(address(evaluation)).content.decode()
    assert "Nobody has judged yet" in text
    assert "3 tasks wait for labelers" in text


def test_the_page_of_one_who_waits_asks_again_and_is_loaded_anew_after_a_step(
    manager: Client, begun: Any, people: People
) -> None:
    evaluation = begun(3)
    htmx = {"HX-Request": "true"}
    waiting = manager.get(address(evaluation) + "?at=judge", headers=htmx)
    assert "every 15s" in waiting.content.decode()
    assert manager.get(address(evaluation) + "?at=generate", headers=htmx)["HX-Refresh"] == "true"
    evaluations.cancel(evaluation, user=people.manager)
    assert manager.get(address(evaluation) + "?at=judge", headers=htmx)["HX-Refresh"] == "true"


def test_the_hint_answers_for_the_width_that_was_asked_and_its_button_draws_prompts(
    manager: Client, judged: Evaluation, models: list[Model], held_out: Any, answer: Any
) -> None:
    new = held_out(4)
    for model in models[:2]:
        answer(model, new)
    hint = evaluations.more.hint(judged, evaluations.results.of(judged), percent=10)
    text = manager.get(address(judged) + "?percent=10").content.decode()
    assert f"about {hint.num_prompts}" in text
    assert "Draw 4 more prompts" in text
    more = {"num_prompts": 4, "seen": judged.asked}
    assert manager.post(address(judged, "evaluation_more"), more).status_code == 302
    judged.refresh_from_db()
    assert (judged.prompts.count(), judged.state, len(tasks_of(judged))) == (34, "running", 34)
    manager.post(address(judged, "evaluation_more"), more)
    assert judged.prompts.count() == 34
    assert "± 0.5 to ± 50 % can be asked for" in manager.get(address(judged) + "?percent=0").content.decode()


def test_where_prompts_have_run_out_its_button_asks_for_more_judgements(
    manager: Client, people: People, models: list[Model], begun: Any, judge: Any
) -> None:
    evaluation = begun(30, num_wanted=2)
    for number, task in enumerate(tasks_of(evaluation)):
        judge(task, people.labeler, best=models[1])
        judge(task, people.labeler2, best=models[number % 2])
    text = manager.get(address(evaluation) + "?percent=7").content.decode()
    assert "more judgements per task" in text
    manager.post(address(evaluation, "evaluation_more"), {"num_judgements": 2, "seen": evaluation.asked})
    assert Slot.objects.filter(state="open").count() == 60


def test_the_worst_prompt_is_one_click_from_its_task(manager: Client, judged: Evaluation) -> None:
    text = manager.get(address(judged)).content.decode()
    worst = evaluations.tables.worst(judged, evaluations.results.of(judged), model=1, rival=0)
    assert worst[0].score == 0.0
    assert worst[0].item.task is not None
    assert reverse("task", args=["tea", worst[0].item.task.uid]) in text
    task = manager.get(reverse("task", args=["tea", worst[0].item.task.uid])).content.decode()
    assert address(judged) in task
    assert "trains nothing" in task


def test_the_results_can_be_taken_away_as_csv(manager: Client, judged: Evaluation, people: People) -> None:
    def rows(name: str) -> list[dict[str, str]]:
        answer = manager.get(address(judged, name))
        assert answer["Content-Type"].startswith("text/csv")
        text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
        assert people.labeler.name not in text
        return list(csv.DictReader(io.StringIO(text)))

    first, second = rows("evaluation_win_rates")
    assert (second["model"], second["rival"], second["rival_is_baseline"]) == ("ppo-model", "sft-model", "yes")
    assert (second["won"], second["tied"], second["lost"], second["prompts"]) == ("20", "0", "10", "30")
    assert float(first["win_rate"]) == pytest.approx(1 / 3, abs=1e-6)
    assert len(rows("evaluation_prompts")) == 30


def test_cancelling_and_trying_again_by_their_buttons(manager: Client, begun: Any, people: People) -> None:
    evaluation = begun(2)
    manager.post(address(evaluation, "evaluation_cancel"))
    evaluation.refresh_from_db()
    assert (evaluation.state, Slot.objects.filter(state="open").count()) == ("cancelled", 0)
    answer = manager.post(address(evaluation, "evaluation_retry"), follow=True)
    assert "changed meanwhile" in answer.content.decode()


def test_prompts_that_moved_to_the_training_split_are_said(manager: Client, judged: Evaluation) -> None:
    assert "training split" not in manager.get(address(judged)).content.decode()
    judged.prompts.first().prompt.__class__.objects.update(split="train")  # type: ignore[union-attr]
    assert "30 of its prompts are in the training split" in manager.get(address(judged)).content.decode()


def test_who_ranks_learns_neither_a_model_nor_that_it_is_an_evaluation(
    people: People, models: list[Model], held_out: Any, answer: Any, wish: Any, client: Client
) -> None:
    prompts = held_out(1)
    for model, text in zip(models[:2], ("Yes.", "No."), strict=True):
        answer(model, prompts, text=text)
    evaluation = evaluations.start(wish(num_prompts=1, name="Secret plan"), user=people.manager)
    (task,) = tasks_of(evaluation)
    secret = ("sft-model", "ppo-model", "Secret plan", str(evaluation.uid), *(str(model.uid) for model in models))
    for person in (people.labeler, people.reviewer):
        client.force_login(person)
        shown = [
            client.get(f"/p/tea/work/task/{task.uid}/").content.decode(),
            client.get(f"/p/tea/work/task/{task.uid}/", headers={"HX-Request": "true"}).content.decode(),
            client.get("/p/tea/work/").content.decode(),
            client.post(reverse("api_next", args=["tea"]), {}, content_type="application/json").content.decode(),
        ]
        assert "Yes." in shown[0]
        assert [word for text in shown for word in secret if word in text] == []
        assert client.get("/p/tea/evaluations/").status_code == 403
        assert client.get(address(evaluation)).status_code == 403
        Slot.objects.update(state="open", holder=None, lease_until=None, claimed_at=None)


def test_where_all_say_the_same_nobody_is_asked_and_the_page_says_so(
    manager: Client, people: People, models: list[Model], held_out: Any, answer: Any, wish: Any
) -> None:
    prompts = held_out(3)
    for model in models[:2]:
        answer(model, prompts, text="The same.")
    evaluation = evaluations.start(wish(), user=people.manager)
    assert (evaluation.state, tasks_of(evaluation)) == ("done", [])
    text = manager.get(address(evaluation)).content.decode()
    assert "50.0 %" in text
    assert "3 × all say the same: a tie" in text
    assert "Nobody has judged yet" not in text
