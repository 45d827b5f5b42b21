"""Responses are rendered once for all who see them, and never shown as another renderer or another text made them."""

import pytest
from django.db import connection

from labeling.models import RenderedResponse, Response, Task
from labeling.services import rendering, sheets, tasks


@pytest.fixture
def task(people, make_prompt):
    make_prompt(k=3)
    counts = tasks.make_ranking_tasks(
        project=people.project,
        prompts=[Response.objects.first().prompt],
        num_responses=3,
        num_wanted=2,
        user=people.manager,
    )
    return Task.objects.get(pk__in=counts.task_ids)


@pytest.fixture
def rendered(monkeypatch):
    """The texts that were really rendered, one entry each."""
    seen: list[str] = []
    true = rendering.to_html

    def count(text):
        seen.append(text)
        return true(text)

    monkeypatch.setattr(rendering, "to_html", count)
    return seen


def shown(task, labeler):
    return {card.html for card in sheets.lay_out(task=task, labeler=labeler).cards}


def test_the_second_labeler_is_shown_what_the_first_had_rendered(people, task, rendered):
    first = shown(task, people.labeler)
    assert RenderedResponse.objects.count() == 3
    num = len(rendered)
    assert shown(task, people.labeler2) == first
    assert len(rendered) - num == len(sheets.lay_out(task=task, labeler=people.labeler).messages)  # the prompt alone


def test_what_another_version_of_the_renderer_made_is_made_anew(people, task):
    right = shown(task, people.labeler)
    RenderedResponse.objects.update(version="older", html="<b>old</b>")
    assert shown(task, people.labeler) == right
    assert set(RenderedResponse.objects.values_list("version", flat=True)) == {rendering.VERSION}


def test_a_text_that_was_changed_is_rendered_anew(people, task):
    shown(task, people.labeler)
    response = Response.objects.first()
    Response.objects.filter(pk=response.pk).update(text="Something else *entirely*")
    assert any("<em>entirely</em>" in html for html in shown(task, people.labeler))


def test_it_may_be_emptied_at_any_time(people, task):
    right = shown(task, people.labeler)
    RenderedResponse.objects.all().delete()
    assert shown(task, people.labeler) == right


def test_a_hostile_text_is_as_harmless_from_the_cache(people, task):
    Response.objects.update(text='<img src=x onerror="alert(1)"> <script>alert(1)</script> \u0022\\ {"a": [1]}')
    fresh = shown(task, people.labeler)
    assert shown(task, people.labeler) == fresh
    assert not any("<img" in html or "<script" in html for html in fresh)


def test_an_empty_response_is_kept_as_empty(people, task, rendered):
    Response.objects.update(text="")
    assert shown(task, people.labeler) == {""}
    num = len(rendered)
    assert shown(task, people.labeler) == {""}
    assert rendered[num:].count("") == 0


def test_its_table_is_not_logged(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'labeling_renderedresponse'")
        assert cursor.fetchone() == ("u",)
