"""The benchmark of faults: it runs from end to end, and what is wrong with a run it does not overlook."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from faults.outcome import Undisturbed, look  # noqa: E402

from labeling.models import Model, Project, Run, RunEvent, RunMetric  # noqa: E402

BASE = Undisturbed(curve=[(1, {"sft/loss": 2.0}), (2, {"sft/loss": 1.0})], weights="a" * 64, seconds=1.0)


@pytest.mark.slow
def test_a_worker_is_killed_and_the_run_ends_once_with_its_own_curve(tmp_path: Path) -> None:
    written = tmp_path / "faults.json"
    command = [sys.executable, "benchmarks/run_faults.py", "--only", "worker SIGKILL", "--num", "1"]
    done = subprocess.run(
        [*command, "--json", str(written)], cwd=ROOT, capture_output=True, text=True, timeout=550
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (case,) = json.loads(written.read_text())["cases"]
    assert (case["case"], case["ok"]) == ("worker SIGKILL", True)
    assert [(run["state"], run["wrong"]) for run in case["runs"]] == [("succeeded", [])] * len(case["runs"])


@pytest.fixture
def ended(db: None) -> Run:
    """A run as it should be."""
    project = Project.objects.create(slug="faults", name="Faults")
    run = Run.objects.create(
        project=project, stage="sft", name="sft-1", state="succeeded", idempotency_key="k", fence=1, attempt=1,
        started_at="2026-01-01T00:00Z", finished_at="2026-01-01T00:01Z",
    )  # fmt: skip
    for step, loss in ((1, 2.0), (2, 1.0)):
        RunMetric.objects.create(run=run, step=step, time=step, values={"sft/loss": loss, "perf/tokens_per_s": 3.3})
    RunEvent.objects.create(run=run, from_state="running", to_state="succeeded", fence=1, actor="w")
    Model.objects.create(project=project, run=run, name="m", kind="policy", storage_key="k", sha256="a" * 64)
    return run


def test_nothing_is_wrong_with_a_run_like_the_undisturbed_one(ended: Run) -> None:
    assert look(ended, BASE).wrong == ()


SPOIL: dict[str, Callable[[Run], Any]] = {
    "its curve differs": lambda run: RunMetric.objects.filter(run=run, step=2).update(values={"sft/loss": 1.0000001}),
    "its curve differs: a step twice": lambda run: RunMetric.objects.create(
        run=run, step=2, time=3, values={"sft/loss": 1.0}
    ),
    "its weights differ": lambda run: Model.objects.filter(run=run).update(sha256="b" * 64),
    "it left 0 models": lambda run: Model.objects.filter(run=run).delete(),
    "it succeeded 2 times": lambda run: RunEvent.objects.create(
        run=run, from_state="running", to_state="succeeded", fence=2, actor="w"
    ),
}


@pytest.mark.parametrize("what", SPOIL)
def test_what_is_wrong_is_said(ended: Run, what: str) -> None:
    SPOIL[what](ended)
    assert look(ended, BASE).wrong == (what.partition(":")[0],)
