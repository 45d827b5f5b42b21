"""Tests' own databases: copied from one that was migrated once, and empty again after a test that commits."""

import threading
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.db import connection, transaction

from labeling.models import Project, Ranking
from tests import databases
from tests.labeling.conftest import People


def num_rows() -> dict[str, int]:
    models = apps.get_models(include_auto_created=True)
    return {model._meta.db_table: model._default_manager.count() for model in models}


@pytest.mark.django_db(transaction=True)
def test_everything_but_what_migrations_wrote_is_deleted_and_numbers_go_on(people: People, make_prompt: Any) -> None:
    make_prompt()
    kept, last = Permission.objects.count(), people.project.pk
    databases.empty(connection)
    left = {table: num for table, num in num_rows().items() if num}
    assert left.keys() == {"django_content_type", "auth_permission"}
    assert left["auth_permission"] == kept > 100
    assert Project.objects.create(slug="next", name="Next").pk > last


@pytest.mark.django_db(transaction=True)
def test_what_another_connection_is_writing_is_waited_for_and_deleted() -> None:
    written, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            Project.objects.create(slug="late", name="Late")
            written.set()
            go_on.wait(0.3)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert written.wait(10)
    databases.empty(connection)
    assert not writer.is_alive() or not writer.join(10)
    assert not Project.objects.exists()


@pytest.mark.django_db
def test_a_copy_has_what_migrations_made_besides_tables() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass", [Ranking._meta.db_table])
        assert "ranking_append_only" in {name for (name,) in cursor.fetchall()}
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'podium\\_template\\_%%'")
        assert databases.template(connection) in {name for (name,) in cursor.fetchall()}


def test_with_another_migration_it_is_another_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = set()
    for text in ("one", "another"):
        (tmp_path / "0001_rows.py").write_text(text)
        monkeypatch.setattr(databases, "MIGRATIONS", tmp_path)
        names.add(databases._hash_of_migrations())
    (tmp_path / "0002_more.py").write_text("more")
    names.add(databases._hash_of_migrations())
    assert len(names) == 3


def test_a_worker_has_names_of_its_own_in_the_cache() -> None:
    assert not cache.make_key("progress:1").startswith("podium:")
