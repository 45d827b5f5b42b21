"""Models and snapshots with files, runs that wait, and a stage that is a small program."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from labeling.models import Model, Run, Snapshot
from labeling.services import artifacts, registry, runs
from labeling.services.runs import supervision
from tests.labeling.conftest import People
from training.contract import configs
from training.contract.rundir import file_sha256


@pytest.fixture(autouse=True)
def _own_folders(settings: Any, tmp_path: Path) -> None:
    settings.RUNS_DIR = tmp_path / "runs"
    settings.RUNS_DIR.mkdir()
    settings.STORAGES = settings.STORAGES | {
        "artifacts": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "artifacts"},
        }
    }


@pytest.fixture
def make_model(people: People, tmp_path: Path) -> Any:
    """`make_model("name", kind="policy")` → a model with files."""

    def make(name: str = "base", kind: str = "policy", **fields: Any) -> Model:
        folder = tmp_path / f"model-{name}"
        folder.mkdir()
        (folder / "model.safetensors").write_text(f"weights of {name}")
        (folder / "config.json").write_text("{}")
        artifacts.put_folder(source=folder, key=f"models/{name}")
        sha256 = registry.content_sha256({item.name: file_sha256(item) for item in folder.iterdir()})
        fields.setdefault("project", people.project)
        return Model.objects.create(name=name, kind=kind, storage_key=f"models/{name}", sha256=sha256, **fields)

    return make


@pytest.fixture
def make_snapshot(people: People, tmp_path: Path) -> Any:
    """`make_snapshot("reward")` → a ready snapshot whose manifest says its hash."""

    def make(kind: str = "reward", **fields: Any) -> Snapshot:
        number = Snapshot.objects.count()
        folder = tmp_path / f"snapshot-{number}"
        folder.mkdir()
        sha256 = f"{number:064d}"
        (folder / "data.parquet").write_text("rows")
        manifest = {"kind": kind, "sha256": sha256, "num_rows": 3, "schema_version": 1, "stats": {}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        artifacts.put_folder(source=folder, key=f"snapshots/{number}")
        values = {"project": people.project, "name": f"{kind} {number}", "state": "ready", "num_rows": 3} | fields
        if values["state"] == "ready":
            values |= {"sha256": sha256, "storage_key": f"snapshots/{number}", "finished_at": "2026-01-01T00:00Z"}
        return Snapshot.objects.create(kind=kind, **values)

    return make


@pytest.fixture
def make_run(people: People, make_model: Any, make_snapshot: Any) -> Any:
    """`make_run()` → a queued reward run on `tiny-cpu`."""

    def make(**fields: Any) -> Run:
        base = Model.objects.filter(name="base", project=people.project).first() or make_model()
        values = {
            "project": people.project,
            "stage": "reward",
            "config": configs.preset("reward", "tiny-cpu"),
            "inputs": {"init_model": base, "dataset": fields.pop("snapshot", None) or make_snapshot()},
            "preset": "tiny-cpu",
            "user": people.manager,
        }
        return runs.create(**(values | fields))

    return make


@pytest.fixture
def fake_stage(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`fake_stage(steps=6, die_at=4)`: what the stage started from now on does."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("fake_stage.py")}" "$@"\n')
    program.chmod(0o755)
    settings.TRAINING_PYTHON = str(program)
    monkeypatch.setattr(supervision, "TICK_SECONDS", 0.02)

    def plan(**values: Any) -> None:
        (settings.RUNS_DIR / "fake.json").write_text(json.dumps(values))

    plan()
    return plan


@pytest.fixture
def worker_environment(settings: Any, tmp_path: Path) -> dict[str, str]:
    """The environment of a real worker on the test's own database, broker and folders."""
    address = connection.settings_dict
    login = f"{address['USER']}:{address['PASSWORD']}@{address['HOST']}:{address['PORT']}"
    return os.environ | {
        "DATABASE_URL": f"postgres://{login}/{address['NAME']}",
        "PODIUM_HOME": str(tmp_path),
        "PODIUM_RUNS_DIR": str(settings.RUNS_DIR),
        "PODIUM_TRAINING_PYTHON": settings.TRAINING_PYTHON,
        "PODIUM_RUN_LEASE_SECONDS": "3",
        "OMP_NUM_THREADS": "1",
    }
