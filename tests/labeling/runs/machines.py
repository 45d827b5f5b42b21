"""Several machines in one test: each with a home and run directories of its own, and nothing shared but a bucket."""

import json
from pathlib import Path
from typing import Any

import pytest

from labeling.models import Run, RunLog, RunMetric
from labeling.services import artifacts, runs

ALL_STEPS = [1, 2, 3, 4, 5, 6]  # of the stage without a model
BUCKET = "tests.labeling.runs.bucket.Bucket"


class Machines:
    def __init__(self, settings: Any, tmp_path: Path) -> None:
        self.settings, self.tmp_path = settings, tmp_path

    def at(self, name: str, **plan: Any) -> Path:
        """From now on this process is that machine; `plan` is what a stage does there. Returns its home."""
        home = self.tmp_path / name
        self.settings.PODIUM_HOME, self.settings.RUNS_DIR = home, home / "runs"
        self.settings.RUNS_DIR.mkdir(parents=True, exist_ok=True)
        (self.settings.RUNS_DIR / "fake.json").write_text(json.dumps(plan))
        return home


@pytest.fixture
def bucket(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files are in a bucket; the folder behind it, which only tests look into."""
    monkeypatch.setattr(artifacts, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(artifacts, "PAUSE_SECONDS", 0.02)
    folder = tmp_path / "bucket"
    settings.STORAGES = settings.STORAGES | {
        name: {"BACKEND": BUCKET, "OPTIONS": {"location": folder / name}} for name in ("default", "artifacts")
    }
    return folder / "artifacts"


@pytest.fixture
def machines(bucket: Path, fake_stage: Any, settings: Any, tmp_path: Path) -> Machines:
    found = Machines(settings, tmp_path)
    found.at("web")
    return found


@pytest.fixture
def run(machines: Machines, make_run: Any) -> Run:
    found: Run = make_run()
    return found


def steps(run: Run) -> list[int]:
    return list(RunMetric.objects.filter(run=run).order_by("id").values_list("step", flat=True))


def log_rows(run: Run) -> str:
    return "".join(RunLog.objects.filter(run=run).order_by("id").values_list("text", flat=True))


def kept(run: Run) -> set[str]:
    """Checkpoint files of the run that are in storage, named or not."""
    key = f"runs/{run.uid}/checkpoints"
    return {f"{key}/{name}" for name in artifacts.names(key)}


def named(run: Run) -> set[str]:
    run.refresh_from_db()
    return {entry["key"] for entry in run.checkpoint.values()}


def work(run: Run) -> None:
    runs.work(run.pk)
    run.refresh_from_db()


def lines(*numbers: int) -> str:
    return "fake reward begins\n" + "".join(f"step {number}\n" for number in numbers)
