"""Prepared statements: planned once per connection, and rows that become the same instances as through the ORM."""

import json

import pytest
from django.db import DataError, connection, transaction
from django.db.transaction import TransactionManagementError

from labeling.models import Draft, Project, Ranking, Slot, Task, User
from labeling.models.statements import Statement, columns, insert, made, width
from labeling.services import tasks
from tests.labeling.conftest import People

BY_SLUG = Statement("test_by_slug", "SELECT p.id FROM labeling_project p WHERE p.slug = %(slug)s", slug="text")


@pytest.fixture
def ask(people: People, make_prompt):
    """`ask()` → a ranking task of two responses, in a list."""

    def make():
        counts = tasks.make_ranking_tasks(
            project=people.project, prompts=[make_prompt(k=2)], num_responses=2, num_wanted=1, user=people.manager
        )
        return list(Task.objects.filter(pk__in=counts.task_ids))

    return make


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements WHERE name = 'podium_test_by_slug'")
        return [name for (name,) in cursor.fetchall()]


def test_a_statement_is_prepared_once_per_connection_and_answers_each_time(people: People) -> None:
    assert BY_SLUG.first(slug=people.project.slug) == (people.project.pk,)
    assert BY_SLUG.rows(slug="nothing like it") == []
    assert prepared() == ["podium_test_by_slug"]


def test_it_outlives_the_transaction_that_first_used_it(people: People) -> None:
    with transaction.atomic():
        BY_SLUG.first(slug=people.project.slug)
        transaction.set_rollback(True)
    assert BY_SLUG.first(slug=people.project.slug) == (people.project.pk,)


@pytest.mark.django_db(transaction=True)
def test_a_new_connection_prepares_it_anew(people: People) -> None:
    assert BY_SLUG.first(slug=people.project.slug)
    connection.close()
    assert prepared() == []
    assert BY_SLUG.first(slug=people.project.slug) == (people.project.pk,)


def test_without_prepared_statements_the_same_is_asked_in_full(people: People, settings) -> None:
    settings.PREPARED_STATEMENTS = False
    text = Statement("test_never_prepared", "SELECT 1 WHERE %(slug)s = 'tea'", slug="text")
    assert text.first(slug="tea") == (1,)
    assert text.first(slug="te'a") is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name = 'podium_test_never_prepared'")
        assert cursor.fetchone() == (0,)


def test_who_watches_the_database_sees_each_statement(people: People, django_assert_num_queries) -> None:
    seen = []

    def watch(execute, sql, params, many, context):
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        BY_SLUG.first(slug=people.project.slug)
    assert any("podium_test_by_slug" in sql for sql in seen)
    with django_assert_num_queries(1):
        BY_SLUG.first(slug=people.project.slug)


def test_nothing_is_asked_in_a_transaction_that_has_failed(people: People) -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            BY_SLUG.first(slug=people.project.slug)


@pytest.mark.django_db
def test_a_mistake_is_told_in_djangos_words() -> None:
    with pytest.raises(DataError), transaction.atomic():
        Statement("test_division", "SELECT 1 / %(by)s", by="integer").first(by=0)


def test_a_parameter_without_a_type_and_two_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="asks for"):
        Statement("test_untyped", "SELECT %(what)s")
    with pytest.raises(TypeError, match="two statements"):
        Statement("test_by_slug", "SELECT 1")


@pytest.mark.parametrize("model", [User, Project, Task, Slot, Ranking, Draft])
def test_a_row_becomes_the_same_instance_as_through_the_orm(people: People, ask, model) -> None:
    (task,) = ask()
    slot = Slot.objects.filter(task=task).get()
    Slot.objects.filter(pk=slot.pk).update(state="held", holder=people.labeler, lease_until="2030-01-01T00:00Z")
    Draft.objects.create(task=task, labeler=people.labeler, payload={"ranks": {"A": 1}})
    User.objects.filter(pk=people.labeler.pk).update(languages=["en", "de"], keys={"tie": "x"})
    given = Ranking(task=task, labeler=people.labeler, displayed=[0, 1], ranks=[1, 2], flags={"0": ["Opinion"]})
    given.save()
    expected = model.objects.order_by("pk").first()
    text = f"SELECT 7, {columns(model, 't')} FROM {model._meta.db_table} t WHERE t.id = %(id)s"
    row = Statement(f"test_row_{model.__name__}", text, id="bigint").first(id=expected.pk)
    assert row is not None
    assert len(row) == 1 + width(model)
    found = made(model, row, at=1)
    names = [field.attname for field in model._meta.concrete_fields]
    assert {name: getattr(found, name) for name in names} == {name: getattr(expected, name) for name in names}
    assert (found._state.adding, found._state.db) == (False, "default")
    assert found == expected
    if isinstance(found, Task):  # what it points to is looked up as ever
        assert found.project == expected.project


def test_an_inserted_row_reads_back_as_it_was_and_knows_what_the_database_set(people: People, ask) -> None:
    (task,) = ask()
    given = Ranking(
        task=task, labeler=people.labeler, idempotency_key="k" * 64, displayed=[0, 1], ranks=[1, 2],
        ratings=[7, None], flags={"0": ["Opinion"]}, notes={"1": "it's “so” 100 %s"}, note="\\ and 'quotes'",
    )  # fmt: skip
    insert(given)
    kept = Ranking.objects.get(pk=given.pk)
    names = [field.attname for field in Ranking._meta.concrete_fields]
    assert {name: getattr(kept, name) for name in names} == {name: getattr(given, name) for name in names}
    assert json.dumps(kept.notes) == json.dumps(given.notes)


@pytest.mark.parametrize("is_prepared", [True, False])
def test_what_is_too_long_is_refused_and_never_cut(people: People, ask, settings, is_prepared) -> None:
    settings.PREPARED_STATEMENTS = is_prepared
    (task,) = ask()
    given = Ranking(task=task, labeler=people.labeler, idempotency_key="k" * 65, displayed=[0, 1], ranks=[1, 2])
    with pytest.raises(DataError), transaction.atomic():
        insert(given)
    assert not Ranking.objects.exists()
