"""Workers tell of themselves, and the page says who is here, who fell silent, and what each is at."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from labeling.models import Project, Run, Worker
from labeling.services import runs, workers
from labeling.services.workers import HERE, SILENT, STOPPED, Herald
from tests.labeling.conftest import People
from training.contract import configs

pytestmark = pytest.mark.django_db


@pytest.fixture
def make_run(make_snapshot: Any, people: People) -> Any:
    def make(owner: str, project: Project | None = None) -> Run:
        inputs = {"dataset": make_snapshot("sft", project=project or people.project)}
        config = configs.preset("sft", "tiny-cpu")
        run = runs.create(project=project or people.project, stage="sft", config=config, inputs=inputs, user=None)
        Run.objects.filter(pk=run.pk).update(state="running", owner=owner, fence=1, attempt=1, started_at=Now(),
                                             heartbeat_at=Now(), lease_until=Now() + timedelta(minutes=1))  # fmt: skip
        return run

    return make


def tell(name: str = "gpu@one", **how: bool) -> Worker:
    workers.tell(Herald(name, ["gpu"], 1), **how)
    return Worker.objects.get(name=name)


def page(client: Client, people: People) -> str:
    client.force_login(people.manager)
    return client.get(reverse("workers", args=[people.project.slug])).content.decode()


def test_a_worker_is_here_silent_or_stopped() -> None:
    tell("gpu@one")
    tell("gpu@two", is_last=True)
    Worker.objects.create(name="gpu@three", queues=["gpu"], num_processes=1, seen_at="2026-01-01T00:00Z")
    assert {seen.worker.name: seen.state for seen in workers.all_seen()} == {
        "gpu@one": HERE,
        "gpu@three": SILENT,
        "gpu@two": STOPPED,
    }
    assert [seen.state for seen in workers.all_seen()] == [HERE, SILENT, STOPPED]


def test_one_that_comes_back_is_the_same_worker_begun_anew() -> None:
    Worker.objects.create(
        name="gpu@one", queues=["old"], num_processes=9, started_at="2026-01-01T00:00Z", stopped_at="2026-01-02T00:00Z"
    )
    worker = tell("gpu@one", is_first=True)
    assert (worker.queues, worker.num_processes, worker.stopped_at) == (["gpu"], 1, None)
    assert worker.started_at == worker.seen_at


def test_a_run_is_shown_at_the_worker_whose_process_has_it(make_run: Any) -> None:
    worker = tell("gpu@one")
    mine = make_run(f"one:{worker.process_ids[0]}")
    make_run(f"two:{worker.process_ids[0]}")  # another host
    make_run("one:1")  # another process
    (seen,) = workers.all_seen()
    assert [run.pk for run in seen.runs] == [mine.pk]


def test_one_not_heard_of_for_a_day_is_forgotten() -> None:
    tell("gpu@one")
    Worker.objects.create(name="gpu@old", queues=["gpu"], num_processes=1, seen_at="2026-01-01T00:00Z")
    assert workers.forget() == 1
    assert [worker.name for worker in Worker.objects.all()] == ["gpu@one"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "NVIDIA H200, SXM, 143771, 512, 37",
            [{"name": "NVIDIA H200, SXM", "memory_mib": 143771, "used_mib": 512, "percent": 37}],
        ),
        ("Old card, 8192, 10, [N/A]", [{"name": "Old card", "memory_mib": 8192, "used_mib": 10, "percent": None}]),
        ("No devices were found", []),
    ],
)
def test_gpus_are_what_nvidia_smi_says(
    said: str, expected: list[dict[str, Any]], tmp_path: Path, monkeypatch: Any
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert workers.gpus() == expected


def test_a_broken_nvidia_smi_hides_no_worker(tmp_path: Path, monkeypatch: Any) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert tell().gpus == []


def test_the_page_names_runs_of_this_project_and_no_other(client: Client, people: People, make_run: Any) -> None:
    worker = tell("gpu@one")
    make_run(f"one:{worker.process_ids[0]}", Project.objects.create(slug="secret", name="Secret"))
    mine = make_run(f"one:{worker.process_ids[0]}")
    text = page(client, people)
    assert reverse("run", args=[people.project.slug, mine.uid]) in text
    assert text.count("a run of another project") == 1
    assert "secret" not in text


def test_the_page_says_that_runs_wait_for_a_gpu_worker(client: Client, people: People, make_snapshot: Any) -> None:
    runs.create(
        project=people.project,
        stage="sft",
        config=configs.preset("sft", "tiny-cpu"),
        inputs={"dataset": make_snapshot("sft")},
        user=None,
    )
    text = page(client, people)
    assert "1 run waits" in text
    assert "No worker of the queue “gpu” is here" in text
    tell("gpu@one")
    assert "No worker of the queue" not in page(client, people)


def test_labelers_do_not_see_workers(client: Client, people: People) -> None:
    client.force_login(people.labeler)
    assert client.get(reverse("workers", args=[people.project.slug])).status_code == 403
