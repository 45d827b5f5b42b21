"""Ratings and flags by model, against counting by hand."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import Model, Ranking, Response, Task
from labeling.services import by_model, voids
from labeling.services.agreement import Scope
from tests.labeling.conftest import People

pytestmark = pytest.mark.django_db
FLAGS = ["Hallucination", "Sexual content", "Expresses opinion"]


@pytest.fixture
def models(people: People) -> list[Model]:
    shared = {"project": people.project, "kind": "policy"}
    return [
        Model.objects.create(name=name, storage_key=name, sha256=str(number) * 64, **shared)
        for number, name in enumerate(("first", "second", "third"))
    ]


@pytest.fixture
def task_of(make_task: Callable[..., Task]) -> Callable[..., Task]:
    """`task_of(model, other, model)` → a task whose responses come from these."""

    def make(*models: Model) -> Task:
        task = make_task(k=len(models))
        for place, model in zip(task.task_responses.order_by("position"), models, strict=True):
            Response.objects.filter(pk=place.response_id).update(model=model)
        return task

    return make


def report(people: People, scope: Scope | None = None) -> by_model.Report:
    return by_model.report(people.project, scope or Scope())


def test_ratings_and_flags_are_those_of_the_models_own_responses(
    people: People, models: list[Model], task_of: Any, rank: Any
) -> None:
    first, second, third = models
    task = task_of(second, first, third)
    rank(task, people.labeler, [1, 2, 3], ratings=[7, 3, 1], flags={"1": ["Hallucination"], "2": ["Hallucination"]})
    rank(task, people.labeler2, [1, 2, 2], ratings=[6, None, 2], flags={"1": ["Hallucination", "Expresses opinion"]})
    best, middle, last = report(people).models
    assert [(one.name, one.rating.value, one.num_judged) for one in (best, middle, last)] == [
        ("second", 6.5, 2), ("first", 3.0, 2), ("third", 1.5, 2),
    ]  # fmt: skip
    assert [one.flags["Hallucination"].value for one in (best, middle, last)] == [0.0, 1.0, 0.5]
    assert [one.flags["Expresses opinion"].value for one in (best, middle, last)] == [0.0, 0.5, 0.0]
    assert report(people).flags == ["Hallucination", "Expresses opinion"]


def test_who_was_never_rated_has_no_rating_and_says_why(
    people: People, models: list[Model], task_of: Any, rank: Any
) -> None:
    rank(task_of(*models[:2]), people.labeler, [1, 2])
    rank(task_of(*models[:2]), people.labeler, [], outcome="none_acceptable")
    first = report(people).models[0]
    assert (first.rating.value, first.rating.why_not) == (None, "nobody has rated it")
    assert (first.unacceptable.value, first.num_judged) == (0.5, 2)
    assert first.unacceptable.low is not None


def test_what_does_not_count_is_not_counted(people: People, models: list[Model], task_of: Any, rank: Any) -> None:
    task = task_of(*models[:2])
    rank(task, people.labeler, [1, 2], slot=None)
    rank(task_of(*models[:2]), people.labeler, [1, 2], ratings=[7, 7])
    voids.void(ranking=rank(task_of(*models[:2]), people.labeler2, [1, 2]), reason="wrong", user=people.manager)
    assert [one.num_judged for one in report(people).models] == [1, 1]
    assert report(people).num_rankings == 1
    assert report(people, Scope(language="xx")).models == []


def test_it_is_what_counting_by_hand_gives(people: People, models: list[Model], task_of: Any, rank: Any) -> None:
    draw = random.Random(3)
    for _ in range(12):
        given = [draw.choice(models) for _ in range(draw.randint(2, 5))]
        task = task_of(*given)
        for labeler in draw.sample([people.labeler, people.labeler2], draw.randint(1, 2)):
            rank(
                task,
                labeler,
                list(range(1, len(given) + 1)),
                ratings=[draw.choice([*range(1, 8), None]) for _ in given] if draw.random() < 0.7 else [],
                flags={
                    str(i): draw.sample(FLAGS, draw.randint(1, 2)) for i in range(len(given)) if draw.random() < 0.5
                },
            )
    found = {one.model_id: one for one in report(people).models}
    judged = [
        (place.response.model_id, ranking.ratings[place.position] if ranking.ratings else None,
         ranking.flags.get(str(place.position), []))
        for ranking in Ranking.objects.all()
        for place in ranking.task.task_responses.select_related("response")
    ]  # fmt: skip
    for model in {one[0] for one in judged}:
        mine = [one for one in judged if one[0] == model]
        ratings = [rating for _, rating, _ in mine if rating is not None]
        assert found[model].num_judged == len(mine)
        assert found[model].rating.value == pytest.approx(sum(ratings) / len(ratings), abs=1e-12)
        for flag in FLAGS:
            share = sum(flag in flags for _, _, flags in mine) / len(mine)
            assert found[model].flags[flag].value == pytest.approx(share, abs=1e-12)
    assert len(found) == 3


def test_a_flag_with_a_quote_or_a_percent_sign_is_counted_too(
    people: People, models: list[Model], task_of: Any, rank: Any
) -> None:
    flag = '100 % it\'s "wrong" {x}'
    people.project.flags = [flag]
    people.project.save()
    rank(task_of(*models[:2]), people.labeler, [1, 2], flags={"0": [flag]})
    assert [one.flags[flag].value for one in report(people).models] == [1.0, 0.0]


def test_the_page_shows_figures_with_intervals_to_managers_alone(
    client: Client, people: People, models: list[Model], task_of: Any, rank: Any
) -> None:
    for rating in (2, 4):
        rank(task_of(*models[:2]), people.labeler, [1, 2], ratings=[rating, 7], flags={"0": ["Hallucination"]})
    address = reverse("by_model", args=[people.project.slug])
    client.force_login(people.manager)
    text = client.get(address).content.decode()
    assert "2.00 to 4.00" in text
    assert "Hallucination" in text
    assert "Sexual content" not in text
    assert reverse("model", args=[people.project.slug, models[0].uid]) in text
    client.force_login(people.reviewer)
    assert client.get(address).status_code == 403


def test_an_empty_project_says_what_will_stand_there(client: Client, people: People) -> None:
    client.force_login(people.manager)
    text = client.get(reverse("by_model", args=[people.project.slug])).content.decode()
    assert "Nothing has been judged" in text
