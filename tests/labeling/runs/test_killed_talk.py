"""A real conversation on real Celery workers, one of which is killed with SIGKILL while a model answers."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from labeling.models import PlaygroundSession, PlaygroundTurn, Run
from labeling.services import playground
from labeling.services.playground import Sampling
from tests.labeling.conftest import People
from tests.labeling.runs.talks import say
from tests.labeling.runs.test_killed_worker import CELERY, ROOT, WORKER, celery, wait_until

__all__ = ["celery"]
pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

BUILD = """
import sys
from pathlib import Path
import torch
from training.engine import models
from training.engine.text import byte_text
folder, text = Path(sys.argv[1]), byte_text()
tiny = models.build_tiny(text, num_layers=2, width=64, num_heads=2, context=8192, seed=0)
with torch.no_grad():  # it never ends by itself: the end token looks away from what every position has
    tiny.transformer.ln_f.bias.fill_(0.5)
    tiny.transformer.wte.weight[text.end_id].fill_(-0.5)
models.save_model(tiny, text, folder / "policy")
models.save_model(models.reward_from_policy(str(folder / "policy"), text, seed=1), text, folder / "judge")
"""
LONG = Sampling(max_new_tokens=2500, seed=3)


def is_done(turn: PlaygroundTurn) -> bool:
    return not turn.replies.exclude(state="done").exists()


def num_tokens(turn: PlaygroundTurn) -> int:
    return turn.replies.get().num_tokens


def run_of(session: PlaygroundSession) -> Run:
    session.refresh_from_db()
    assert session.run is not None
    return Run.objects.get(pk=session.run.pk)


def test_an_answer_whose_worker_is_killed_is_given_by_another_once_and_is_the_undisturbed_one(
    celery: Any, people: People, make_model: Any, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-c", BUILD, str(tmp_path)], cwd=ROOT, check=True)
    policy = make_model("policy", folder=tmp_path / "policy")
    judge = make_model("judge", kind="reward", folder=tmp_path / "judge")
    workers = [celery(*WORKER, "-n", f"{name}@%h") for name in ("one", "two")]
    celery(*CELERY, "beat", "--loglevel=INFO", "-s", str(tmp_path / "beat"))

    def converse() -> PlaygroundSession:
        return playground.start(project=people.project, user=people.manager, first_model=policy, reward_model=judge)

    disturbed = converse()
    turn = say(disturbed, "Go on.", sampling=LONG)
    wait_until(lambda: num_tokens(turn) > 100, 300, tmp_path)
    run = run_of(disturbed)
    victim = psutil.Process(int(run.owner.split(":")[1])).parent()
    assert victim is not None
    assert victim.pid in [worker.pid for worker in workers]
    os.killpg(victim.pid, signal.SIGKILL)
    assert not is_done(turn), "it must be killed in the middle"
    wait_until(lambda: is_done(turn), 300, tmp_path)
    assert run_of(disturbed).attempt == 2
    assert run_of(disturbed).pk == run.pk

    undisturbed = converse()
    again = say(undisturbed, "Go on.", sampling=LONG)
    wait_until(lambda: is_done(again), 300, tmp_path)

    found, expected = turn.replies.get(), again.replies.get()
    assert found.num_tokens == expected.num_tokens == 2500
    assert (found.text, found.reward, found.finish_reason) == (expected.text, expected.reward, "length")
    assert found.reward is not None
    assert len(found.text) > 1000
