"""What every test starts from. Postgres and the broker come from `python -m config.embedded exec --fresh -- pytest`."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests import order

# Uploads, artifacts and run directories of tests never touch the real ones.
os.environ.setdefault("PODIUM_HOME", tempfile.mkdtemp(prefix="podium-test-"))
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright's loop runs in the test's thread
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.hookimpl(trylast=True)  # after what is left out by `-m`
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first, dealt to the workers: while one that began last still runs, the others are idle."""
    if num_workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
        items[:] = order.dealt(items, num_workers)


@pytest.fixture(scope="session", autouse=True)
def sources_not_collected_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Pages are tested with the files as they are now. What `collectstatic` left behind is old, and a benchmark that
    runs beside may be making it anew."""
    from django.conf import settings

    settings.STATIC_ROOT = str(tmp_path_factory.mktemp("staticfiles"))


@pytest.fixture(scope="session", autouse=True)
def own_names_in_the_cache() -> None:
    """Projects of other workers, and of the session before, have the same numbers."""
    from django.conf import settings
    from django.test.signals import setting_changed

    settings.CACHES["default"]["KEY_PREFIX"] = f"podium-{uuid.uuid4()}"
    setting_changed.send(sender=None, setting="CACHES", value=settings.CACHES, enter=True)  # made anew when next asked


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None, django_db_blocker: Any) -> None:
    """Each worker's database is a copy of one that was migrated once on this server."""
    from django.db import connection

    from tests import databases

    with django_db_blocker.unblock():
        connection.settings_dict["TEST"]["TEMPLATE"] = databases.template(connection)


@pytest.fixture(scope="session", autouse=True)
def emptied_by_deleting() -> Iterator[None]:
    """After a test that commits (`transaction=True`, a live server)."""
    from django.db import connections
    from django.test import TransactionTestCase

    from tests import databases

    def teardown(case: Any) -> None:
        for alias in case._databases_names(include_mirrors=False):
            databases.empty(connections[alias])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
        yield
