"""What every test starts from. Postgres and the broker come from `python -m config.embedded exec --fresh -- pytest`."""

import os
import tempfile

import pytest

# Uploads, artifacts and run directories of tests never touch the real ones.
os.environ.setdefault("PODIUM_HOME", tempfile.mkdtemp(prefix="podium-test-"))
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright's loop runs in the test's thread
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session", autouse=True)
def sources_not_collected_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Pages are tested with the files as they are now. What `collectstatic` left behind is old, and a benchmark that
    runs beside may be making it anew."""
    from django.conf import settings

    settings.STATIC_ROOT = str(tmp_path_factory.mktemp("staticfiles"))
