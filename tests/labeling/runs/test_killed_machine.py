"""A real reward run on real workers of two machines: the first loses its power, and its disk is never seen again."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from labeling.models import Model, Run, RunEvent
from labeling.services import runs, snapshots
from tests.labeling.conftest import People
from training.contract import configs

from .machines import bucket, kept, log_rows
from .test_killed_worker import BUILD, CELERY, OPTIONS, ROOT, celery, curve, is_over, wait_until

__all__ = ["bucket", "celery"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
WORKER = (*CELERY, "worker", "-Q", "gpu,default", "-c", "2", "--without-gossip", "--without-mingle", "--loglevel=INFO")


def step_kept(run: Run) -> int:
    """The newest step that another machine could go on from."""
    run.refresh_from_db()
    found = [int(step) for step in re.findall(r"step-(\d+)/tensors", " ".join(run.checkpoint))]
    return max(found, default=0)


def is_anyone_at(home: Path) -> bool:
    """Does a process still work below this folder?"""
    commands = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return any(str(home) in word for words in commands for word in words)


def test_a_run_killed_on_one_machine_goes_on_elsewhere_and_has_the_undisturbed_curve(
    celery: Any, people: People, make_judged: Any, make_model: Any, bucket: Path, tmp_path: Path
) -> None:
    make_judged(8)
    snapshot = snapshots.build(snapshots.create(project=people.project, kind="reward", name="rankings").pk)
    subprocess.run([sys.executable, "-c", BUILD, str(tmp_path / "tiny")], cwd=ROOT, check=True)
    tiny = make_model("tiny", folder=tmp_path / "tiny")

    def machine(name: str) -> "subprocess.Popen[bytes]":
        home = tmp_path / name
        home.mkdir()
        own = {"PODIUM_HOME": str(home), "PODIUM_RUNS_DIR": str(home / "runs"), "TEST_BUCKET": str(bucket.parent)}
        found: subprocess.Popen[bytes] = celery(
            *WORKER, "-n", f"{name}@%h", DJANGO_SETTINGS_MODULE="tests.labeling.runs.bucket_settings", **own
        )
        return found

    def reward_run() -> Run:
        config = configs.preset("reward", "tiny-cpu") | OPTIONS
        inputs = {"init_model": tiny, "dataset": snapshot}
        return runs.create(project=people.project, stage="reward", config=config, inputs=inputs, user=people.manager)

    first = machine("a")
    killed = reward_run()
    wait_until(lambda: step_kept(killed) >= 40, 300, tmp_path)
    os.killpg(first.pid, signal.SIGKILL)
    at_the_kill = step_kept(killed)
    assert not is_over(killed), "it must be killed in the middle"
    wait_until(
        lambda: not is_anyone_at(tmp_path / "a"), 300, tmp_path
    )  # the stage dies with its worker, a moment later
    shutil.rmtree(tmp_path / "a")

    machine("b")
    celery(*CELERY, "beat", "--loglevel=INFO", "-s", str(tmp_path / "beat"))
    undisturbed = reward_run()
    wait_until(lambda: is_over(killed) and is_over(undisturbed), 300, tmp_path)

    assert (killed.state, killed.attempt, undisturbed.state) == ("succeeded", 2, "succeeded"), killed.error
    assert f"going on after step {at_the_kill}\n" in log_rows(killed)
    assert [step for step, _ in curve(killed)] == list(range(1, (killed.num_steps or 0) + 1))
    assert curve(killed) == curve(undisturbed)
    assert Model.objects.filter(run=killed).count() == 1
    assert Model.objects.get(run=killed).sha256 == Model.objects.get(run=undisturbed).sha256
    assert RunEvent.objects.filter(run=killed, to_state="succeeded").count() == 1
    assert kept(killed) == set()
