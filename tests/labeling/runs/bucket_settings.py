"""The settings of a worker whose files are in a test's bucket (`TEST_BUCKET`)."""

import os

from config.settings import *  # noqa: F403
from config.settings import STORAGES

STORAGES = STORAGES | {
    name: {
        "BACKEND": "tests.labeling.runs.bucket.Bucket",
        "OPTIONS": {"location": os.environ["TEST_BUCKET"] + f"/{name}"},
    }
    for name in ("default", "artifacts")
}
