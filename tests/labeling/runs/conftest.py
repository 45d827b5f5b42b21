"""Models and snapshots with files, runs that wait, and a stage that is a small program."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection
from kombu import Connection

from config.celery import app
from labeling.models import Demonstration, Guideline, Model, Prompt, Ranking, Run, Snapshot, Task, TaskResponse, User
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

    def make(name: str = "base", kind: str = "policy", folder: Path | None = None, **fields: Any) -> Model:
        folder = folder or _fake_files(tmp_path / f"model-{name}")
        artifacts.put_folder(source=folder, key=f"models/{name}")
        sha256 = registry.content_sha256({item.name: file_sha256(item) for item in folder.iterdir()})
        fields.setdefault("project", people.project)
        return Model.objects.create(name=name, kind=kind, storage_key=f"models/{name}", sha256=sha256, **fields)

    return make


def _fake_files(folder: Path) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_text(f"weights of {folder.name.removeprefix('model-')}")
    (folder / "config.json").write_text("{}")
    return folder


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
def make_judged(people: People, make_prompt: Any) -> Any:
    """`make_judged(3)` → three prompts of three responses, each ranked once, the first with a demonstration."""

    def make(num: int, labeler: User | None = None, guideline: Guideline | None = None) -> list[Prompt]:
        first, by = Prompt.objects.count(), labeler or people.labeler
        prompts = [make_prompt(f"Question {number}?", k=3) for number in range(first, first + num)]
        for prompt in prompts:
            _judge(prompt, people, by, guideline)
        key, text = f"written {first}", "An answer."
        Demonstration.objects.create(prompt=prompts[0], labeler=by, idempotency_key=key, text=text)
        return prompts

    return make


def _judge(prompt: Prompt, people: People, by: User, guideline: Guideline | None) -> None:
    task = Task.objects.create(project=people.project, kind="rank", prompt=prompt, num_responses=3)
    done = {"state": "done", "holder": by, "done_at": "2026-01-01T00:00Z"}
    slot = task.slots.create(number=1, project=people.project, kind="rank", **done)
    for position, response in enumerate(prompt.responses.all()):
        TaskResponse.objects.create(task=task, response=response, position=position)
    order = {"displayed": [2, 0, 1], "ranks": [1, 2, 3]}
    Ranking.objects.create(
        task=task, slot=slot, labeler=by, guideline=guideline, idempotency_key=str(prompt.uid), **order
    )


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


@dataclass
class Broker:
    address: str
    client: redis.Redis


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """A database of the broker that is this process's own, so that it may be flushed."""
    number = 8 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8
    address = urlsplit(django_settings.REDIS_URL)._replace(path=f"/{number}").geturl()
    client = redis.Redis.from_url(address)
    client.flushdb()
    with Connection(address) as connection_to_it:
        monkeypatch.setattr(app, "send_task", partial(app.send_task, connection=connection_to_it))
        yield Broker(address, client)
    client.flushdb()


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
