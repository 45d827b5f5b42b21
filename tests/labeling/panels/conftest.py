"""Rankings and an own cache, as the tests of agreement make them; policies and evaluations as rows."""

from collections.abc import Callable

import pytest

from labeling.models import Model, Run
from tests.labeling.agreement.conftest import make_task, own_cache, rank  # noqa: F401  # the same rankings
from tests.labeling.conftest import People
from tests.labeling.panels import world


@pytest.fixture
def policy(people: People) -> Callable[..., Model]:
    """`policy("ppo-1", "ppo", ptx_coef=2.0)` → a model with the run that made it."""
    return lambda name, stage="sft", **config: world.model(people.project, name, stage, config)


@pytest.fixture
def evaluate(people: People) -> Callable[..., Run]:
    """`evaluate({"text": …}, config, model=…, text=snapshot)` → an evaluation that ended well, with what it read."""
    return lambda report, config=None, **inputs: world.evaluation(people.project, report, config or {}, inputs)
