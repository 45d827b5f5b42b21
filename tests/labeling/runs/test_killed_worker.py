"""A real reward run on real Celery workers, one of which is killed with SIGKILL in the middle."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from labeling.models import Model, Run, RunEvent, RunMetric
from labeling.services import runs, snapshots
from labeling.services import workers as told
from labeling.services.runs.workdir import run_dir_of
from tests.labeling.conftest import People
from tests.labeling.runs.conftest import Broker
from training.contract import configs

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

CELERY = (sys.executable, "-m", "celery", "--quiet", "-A", "config.celery:app")
WORKER = (*CELERY, "worker", "-Q", "gpu,default", "-c", "2", "--without-gossip", "--without-mingle", "--loglevel=INFO")
ROOT = Path(__file__).resolve().parents[3]
BUILD = """
import sys
from pathlib import Path
from training.engine import models
from training.engine.text import byte_text
text = byte_text()
tiny = models.build_tiny(text, num_layers=1, width=32, num_heads=2, context=128, seed=0)
models.save_model(tiny, text, Path(sys.argv[1]))
"""
OPTIONS = {
    "max_prompt_tokens": 48,
    "max_response_tokens": 64,
    "num_epochs": 150,  # 600 steps: some ten seconds, so that a worker can be killed in the middle on a fast machine
    "batch_size": 2,
    "checkpoint_every": 20,
    "bootstrap_samples": 100,
}


@pytest.fixture
def celery(worker_environment: dict[str, str], broker: Broker, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`celery(*command, NAME="value")` starts a worker or a beat on the test's database and broker."""
    started: list[subprocess.Popen[bytes]] = []
    environment = worker_environment | {"REDIS_URL": broker.address, "DJANGO_SETTINGS_MODULE": "config.settings"}

    def start(*command: str, **variables: str) -> subprocess.Popen[bytes]:
        log = (tmp_path / f"celery-{len(started)}.log").open("wb")
        child = subprocess.Popen(
            command, env=environment | variables, cwd=ROOT, start_new_session=True, stdout=log, stderr=subprocess.STDOUT
        )
        started.append(child)
        return child

    yield start
    for child in started:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        child.wait()


def wait_until(condition: Callable[[], bool], seconds: float, logs: Path) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError("\n".join(path.read_text()[-3000:] for path in sorted(logs.glob("celery-*.log"))))
        time.sleep(0.1)


def curve(run: Run) -> list[tuple[int, dict[str, float]]]:
    """Without what depends on the clock."""
    rows = RunMetric.objects.filter(run=run).order_by("id").values_list("step", "values")
    return [(step, {name: value for name, value in row.items() if not name.startswith("perf/")}) for step, row in rows]


def is_over(run: Run) -> bool:
    run.refresh_from_db()
    return run.state in Run.ENDED


def test_a_run_whose_worker_is_killed_goes_on_elsewhere_ends_once_and_has_the_undisturbed_curve(
    celery: Any, people: People, make_judged: Any, make_model: Any, tmp_path: Path
) -> None:
    make_judged(8)
    snapshot = snapshots.build(snapshots.create(project=people.project, kind="reward", name="rankings").pk)
    subprocess.run([sys.executable, "-c", BUILD, str(tmp_path / "tiny")], cwd=ROOT, check=True)
    tiny = make_model("tiny", folder=tmp_path / "tiny")
    workers = [celery(*WORKER, "-n", f"{name}@%h") for name in ("one", "two")]
    celery(*CELERY, "beat", "--loglevel=INFO", "-s", str(tmp_path / "beat"))

    def reward_run() -> Run:
        config = configs.preset("reward", "tiny-cpu") | OPTIONS
        inputs = {"init_model": tiny, "dataset": snapshot}
        return runs.create(project=people.project, stage="reward", config=config, inputs=inputs, user=people.manager)

    killed = reward_run()
    wait_until(lambda: len(curve(killed)) >= 40, 300, tmp_path)
    killed.refresh_from_db()
    victim = psutil.Process(int(killed.owner.split(":")[1])).parent()
    assert victim is not None
    assert victim.pid in [worker.pid for worker in workers]
    at_work = [seen for seen in told.all_seen() if killed in seen.runs]
    assert [(seen.state, seen.worker.process_ids[0]) for seen in at_work] == [(told.HERE, victim.pid)]
    os.killpg(victim.pid, signal.SIGKILL)
    assert not is_over(killed), "it must be killed in the middle"

    undisturbed = reward_run()
    wait_until(lambda: is_over(killed) and is_over(undisturbed), 300, tmp_path)

    assert (killed.state, killed.attempt, undisturbed.state) == ("succeeded", 2, "succeeded"), killed.error
    assert [step for step, _ in curve(killed)] == list(range(1, (killed.num_steps or 0) + 1))
    assert curve(killed) == curve(undisturbed)
    assert Model.objects.filter(run=killed).count() == 1
    assert Model.objects.get(run=killed).metrics["accuracy"] == Model.objects.get(run=undisturbed).metrics["accuracy"]
    assert RunEvent.objects.filter(run=killed, to_state="succeeded").count() == 1
    assert RunEvent.objects.filter(run=killed, to_state="queued", actor="sweeper").count() == 1
    assert "going on after step" in run_dir_of(killed).log_path.read_text()
