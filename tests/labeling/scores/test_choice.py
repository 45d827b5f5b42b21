"""What to rank next by reward models: the responses that a task would have decide, and what has no score comes last."""

from typing import Any

import pytest
from django.urls import reverse

from labeling.models import Prompt, Response, ResponseScore, Task
from labeling.services import tasks
from labeling.services.scores import choice, reading
from tests.labeling.scores.conftest import score
from training.contract import uncertainty


def scored(model: Any, prompt: Any, *scores: float | None) -> Any:
    """Scores by sample index."""
    for response, value in zip(prompt.responses.order_by("sample_index"), scores, strict=True):
        if value is not None:
            ResponseScore.objects.create(response=response, model=model, run=model.run, score=value)
    return prompt


def worth(way: str, judges: Any, num: int = 2) -> choice.Worth:
    return choice.worth(Prompt.objects.order_by("pk"), way=way, num_responses=num, judges=judges)


def test_worth_is_the_entropy_or_the_disagreement_of_the_responses_that_would_be_ranked(
    judge: Any, make_prompt: Any
) -> None:
    one, other = judge("rm1"), judge("rm2")
    prompt = make_prompt("A", k=3)
    scored(one, prompt, 1.0, 0.0, 50.0)
    scored(other, prompt, 0.0, 3.0, 50.0)
    assert worth("margin", [one]).of_prompt == {prompt.pk: uncertainty.pair_entropy([[1.0, 0.0]])}
    both = [[1.0, 0.0], [0.0, 3.0]]
    assert worth("margin", [one, other]).of_prompt == {prompt.pk: uncertainty.pair_entropy(both)}
    assert worth("ensemble", [one, other]).of_prompt == {prompt.pk: uncertainty.model_disagreement(both)}
    whole = [[1.0, 0.0, 50.0], [0.0, 3.0, 50.0]]
    assert worth("ensemble", [one, other], num=3).of_prompt == {prompt.pk: uncertainty.model_disagreement(whole)}


def test_a_prompt_of_which_one_response_has_no_score_has_no_worth(judge: Any, make_prompt: Any) -> None:
    model = judge()
    known, half = make_prompt("A", k=2), make_prompt("B", k=2)
    scored(model, known, 0.0, 0.0)
    scored(model, half, 0.0, None)
    found = worth("margin", [model])
    assert found.of_prompt == {known.pk: 1.0, half.pk: None}
    assert (found.num_unscored, found.num_without_task) == (1, 0)


def test_what_cannot_become_a_task_is_passed_over(people: Any, judge: Any, make_prompt: Any) -> None:
    model = judge()
    asked, few, retired = make_prompt("A", k=2), make_prompt("B", k=1), make_prompt("C", k=2, is_retired=True)
    same = make_prompt("D", k=2)
    Response.objects.filter(prompt=same).update(text="the same")
    free = make_prompt("E", k=2)
    for prompt in (asked, retired, same, free):
        scored(model, prompt, 0.0, 1.0)
    scored(model, few, 0.0)
    tasks.make_ranking_tasks(
        project=people.project, prompts=[asked], num_responses=2, num_wanted=1, user=people.manager
    )
    found = worth("margin", [model])
    assert (list(found.of_prompt), found.num_without_task) == ([free.pk], 4)


def test_retired_models_and_those_without_a_score_choose_nothing(people: Any, judge: Any, make_prompt: Any) -> None:
    prompt = make_prompt("A", k=2)
    old, new, retired, silent = judge("old"), judge("new"), judge("gone", is_retired=True), judge("silent")
    for model in (old, new, retired):
        scored(model, prompt, 0.0, 1.0)
    assert list(reading.judges(people.project)) == [new, old]
    assert silent not in reading.judges(people.project)


def post(client: Any, people: Any, **fields: Any) -> Any:
    client.force_login(people.manager)
    sent = {"action": "rank", "scope": "filtered", "filters": "", "done": "1", "num_responses": "2", "num_wanted": "1"}
    sent |= {"priority": "0", "num_prompts": "", "random_percent": "0"} | fields
    return client.post(reverse("prompts_select", args=["tea"]), sent, follow=True)


def test_the_form_makes_tasks_of_the_least_certain_prompts_beside_the_random_control(
    client: Any, people: Any, judge: Any, make_prompt: Any
) -> None:
    model = judge()
    margins = {f"p{number}": float(number) for number in range(10)}
    for name, margin in margins.items():
        scored(model, make_prompt(name, k=2), margin, 0.0)
    page = post(client, people, way="margin", num_prompts="4", random_percent="25")
    made = list(Task.objects.select_related("prompt").order_by("pk"))
    by_lot = [task for task in made if task.stream == "random"]
    chosen = [task.prompt.text for task in made if task.stream == "active"]
    assert (len(made), len(by_lot)) == (4, 1)
    assert chosen == [name for name in margins if name != by_lot[0].prompt.text][:3]
    assert all(
        task.score == pytest.approx(uncertainty.pair_entropy([[margins[task.prompt.text], 0.0]])) for task in made
    )
    assert "4 tasks made." in page.content.decode()


def test_the_page_says_how_many_had_no_score(client: Any, people: Any, judge: Any, make_prompt: Any) -> None:
    model = judge()
    scored(model, make_prompt("known", k=2), 0.0, 9.0)
    make_prompt("unknown", k=2)
    make_prompt("alone", k=1)
    page = post(client, people, way="margin").content.decode()
    assert "1 came last: not all of its responses have a score." in page
    assert "1 passed over: too few responses" in page
    assert [task.prompt.text for task in Task.objects.order_by("pk")] == ["known", "unknown"]


@pytest.mark.parametrize(
    ("num_judges", "way", "error"),
    [
        (0, "margin", "No reward model has scored responses yet"),
        (0, "ensemble", "No reward model has scored responses yet"),
        (1, "ensemble", "Models disagree from two on"),
    ],
)
def test_without_enough_models_the_form_says_what_to_do(
    client: Any, people: Any, judge: Any, make_prompt: Any, num_judges: int, way: str, error: str
) -> None:
    prompt = make_prompt("A", k=2)
    for number in range(num_judges):
        scored(judge(f"rm{number}"), prompt, 0.0, 1.0)
    assert error in post(client, people, way=way).content.decode()
    assert not Task.objects.exists()


def test_the_ticked_models_decide_and_without_a_tick_the_newest(
    client: Any, people: Any, judge: Any, make_prompt: Any
) -> None:
    old, new = judge("old"), judge("new")
    first, second = make_prompt("first", k=2), make_prompt("second", k=2)
    for model, of_first, of_second in ((old, 0.0, 5.0), (new, 5.0, 0.0)):
        scored(model, first, of_first, 0.0)
        scored(model, second, of_second, 0.0)
    post(client, people, way="margin", num_prompts="1")
    assert Task.objects.get().prompt == second
    Task.objects.all().delete()
    post(client, people, way="margin", num_prompts="1", judges=str(old.uid))
    assert Task.objects.get().prompt == first


def test_scores_reach_the_task_by_position(people: Any, judge: Any, ask: Any) -> None:
    (task,) = ask(k=3)
    score(judge(), task, [3.0, 2.0, 1.0])
    from labeling.services.scores.differences import scores_of_tasks

    assert scores_of_tasks([task.pk], reading.judges(people.project).get()) == {task.pk: [3.0, 2.0, 1.0]}
