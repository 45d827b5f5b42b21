"""Scores, and the curve of whether choosing pays: a manager presses the buttons, and a real worker does the work."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from labeling.models import Model, Response, ResponseScore, Run, Snapshot, Task
from tests.labeling.conftest import People
from tests.labeling.pressing import press
from tests.labeling.test_snapshots import rank

from .test_killed_worker import ROOT, WORKER, celery, wait_until

__all__ = ["celery"]  # a fixture
pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SHIFT = 100.0  # so much higher are the second model's scores: whose a score is can be seen of it
BUILD = f"""
import sys
from pathlib import Path
from training.engine import models
from training.engine.text import byte_text
folder, text = Path(sys.argv[1]), byte_text()
tiny = models.build_tiny(text, num_layers=1, width=32, num_heads=2, context=512, seed=0)
models.save_model(tiny, text, folder / "policy")
for name, bias in (("first", 0.0), ("second", {SHIFT})):
    judge = models.reward_from_policy(str(folder / "policy"), text, seed=len(name))
    models.set_reward_bias(judge, bias)
    models.save_model(judge, text, folder / name)
"""


@pytest.fixture
def streams(people: People, make_prompt: Any) -> None:
    """Twelve chosen rankings and ten of the control to learn from, ten of the control to measure on."""

    def judged(name: str, stream: str, split: str, num: int) -> None:
        for number in range(num):
            made = rank(people, make_prompt(f"{name} {number}?", k=2, split=split), people.labeler, [1, 2])
            Task.objects.filter(pk=made.task_id).update(stream=stream)

    judged("chosen", "active", "train", 12)
    judged("lot", "random", "train", 10)
    judged("held out", "random", "valid", 10)


@pytest.fixture
def models(make_model: Any, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", BUILD, str(tmp_path)], cwd=ROOT, check=True)
    for name, kind in (("policy", "policy"), ("first", "reward"), ("second", "reward")):
        make_model(name, kind=kind, folder=tmp_path / name)


@pytest.fixture
def page(client: Any, people: People) -> Callable[..., Any]:
    """`page("payoff")` → a page of the project, as its manager sees it."""
    client.force_login(people.manager)

    def get(name: str, *args: Any, query: str = "") -> Any:
        found = client.get(reverse(name, args=["tea", *args]) + query)
        assert found.status_code == 200, found
        return found

    return get


def all_ready(num: int) -> bool:
    return Snapshot.objects.filter(state="ready").count() == num


def all_over(num: int) -> bool:
    return Run.objects.filter(state__in=Run.ENDED).count() == num


def test_what_the_pages_ask_for_is_scored_and_measured_by_a_worker(
    celery: Any, client: Any, page: Any, streams: None, models: None, tmp_path: Path
) -> None:
    celery(*WORKER, "-n", "one@%h")
    press(client, page("snapshot_new", query="?kind=responses"), "Make the snapshot", name="all")
    press(client, page("payoff"), "1. Freeze both")
    wait_until(lambda: all_ready(3), 60, tmp_path)

    responses = Snapshot.objects.get(kind="responses")
    second = str(Model.objects.get(name="second").uid)
    first = str(Model.objects.get(name="first").uid)
    form = client.get(reverse("run_new", args=["tea"]), {"snapshot": str(responses.uid)}, follow=True)
    press(client, form, "Start scoring", reward_model=first, reward_model_2=second)
    press(client, page("payoff"), "Train the curves", num_seeds="2")
    wait_until(lambda: all_over(2), 120, tmp_path)

    look_at_the_scores(page)
    look_at_the_curve(page)


def look_at_the_scores(page: Any) -> None:
    run = Run.objects.get(stage="score")
    assert (run.state, run.error, run.attempt) == ("succeeded", "", 1)
    scores = {(row.model.name, row.response_id): row.score for row in ResponseScore.objects.select_related("model")}
    everything = Response.objects.values_list("pk", flat=True)
    assert set(scores) == {(name, response) for name in ("first", "second") for response in everything}
    assert all(math.isfinite(score) for score in scores.values())
    assert len({score for (name, _), score in scores.items() if name == "first"}) > 1
    assert all(scores["second", response] > scores["first", response] + SHIFT / 2 for response in everything)

    overview = page("run", run.uid).content.decode()
    assert f"{2 * len(everything)} scores are in." in overview
    assert ">all</a>" in overview  # the snapshot that it read
    listed = page("differences", query=f"?judge={Model.objects.get(name='second').uid}")
    assert listed.context["page_obj"].paginator.count == len(everything) / 2


def look_at_the_curve(page: Any) -> None:
    run = Run.objects.get(stage="curve")
    assert (run.state, run.error, run.attempt) == ("succeeded", "", 1)
    found = run.result["report"]["curve"]
    assert found["num_rankings"] == {"chosen": 12, "control": 10}
    assert (found["num_held_out_prompts"], found["num_seeds"]) == (10, 2)
    assert [point["num_rankings"] for point in found["points"]] == [1, 2, 5, 10]
    assert not Model.objects.filter(run=run).exists()

    shown = page("payoff").content.decode()
    assert "with 10 rankings each" in shown
    assert "2 models at each point and stream, measured on 10 prompts" in shown
    assert "is at it" not in shown
    assert f"?run={run.uid}" in page("run", run.uid).content.decode()
