"""The benchmark of live metrics: it runs from end to end, and a page that lacks a row is not overlooked."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import live_metrics  # noqa: E402
from crowd.browser import Browser  # noqa: E402
from live import screen  # noqa: E402
from live.pages import Page, Seen  # noqa: E402


@pytest.mark.slow
@pytest.mark.browser
def test_rows_reach_pages_and_a_browsers_pixels(tmp_path: Path) -> None:
    written = tmp_path / "live.json"
    small = ["--pages", "4", "--runs", "2", "--seconds", "12"]
    command = [sys.executable, "benchmarks/live_metrics.py", *small, "--json", str(written)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(written.read_text())
    assert (found["wrong"], found["errors"]) == ([], {})
    assert found["arrival_ms"]["n"] > 0  # that no page lacks a row is in "wrong"; how many came is the machine's speed
    assert found["pixels_newest_ms"]["n"] > 0
    assert found["requests_per_second"] > 0


def page(*steps: int, last: float = 0.0) -> Page:
    made = Page("/p/x/runs/1/", Browser("127.0.0.1", 1), Seen(), until=0.0, steps=list(steps))
    made.times = [time.time() - last] * len(steps)
    return made


@pytest.mark.parametrize("steps", [(1, 3), (1, 2, 2), (2, 3), (2, 1)])
def test_a_page_with_a_gap_or_a_step_twice_is_wrong(steps: tuple[int, ...]) -> None:
    assert live_metrics._wrong([page(1, 2), page(*steps)]) == ["/p/x/runs/1/: steps are missing or there twice"]


def test_a_page_that_stood_still_is_wrong() -> None:
    assert live_metrics._wrong([page(1, 2)]) == []
    assert live_metrics._wrong([page(1, 2, last=60.0)]) == ["/p/x/runs/1/: it ends at step 2"]
    assert live_metrics._wrong([page()]) == ["/p/x/runs/1/: it ends at step 0"]


def test_only_a_picture_that_changed_counts_as_seen() -> None:
    frame = {"first": 10.0, "last": 11.0, "num": 10, "at": 12.0}
    found = screen._screen([frame | {"changed": True}, frame | {"changed": False}])
    assert (found.oldest, found.newest, found.num_unchanged) == ([2.0], [1.0], 1)
