"""What every test starts from. Postgres and the broker come from `python -m config.embedded exec --fresh -- pytest`."""

import os
import tempfile

# Uploads, artifacts and run directories of tests never touch the real ones.
os.environ.setdefault("PODIUM_HOME", tempfile.mkdtemp(prefix="podium-test-"))
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright's loop runs in the test's thread
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
