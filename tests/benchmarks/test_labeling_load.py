"""The load benchmark runs from end to end and finds what it must find. How fast it was is not for a test to say."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    *("--quick", "--tasks", "120,200", "--labelers", "2,6", "--seconds", "1", "--rounds", "2", "--held", "2,20"),
    *("--human-labelers", "4", "--human-seconds", "4", "--think", "0.5,1"),
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    written = tmp_path_factory.mktemp("load") / "load.json"
    command = [sys.executable, str(ROOT / "benchmarks/labeling_load.py"), *TINY, "--json", str(written)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "lost 0, duplicates 0, over-collected 0" in done.stdout
    return json.loads(written.read_text())


def test_nothing_is_lost_doubled_or_collected_beyond_what_is_wanted(result: Any) -> None:
    assert (result["lost"], result["duplicates"], result["over_collected"]) == (0, 0, 0)
    assert result["acknowledged"] > 0
    assert sum(cell["differing"] for cell in result["cells"]) == 0


def test_no_request_fails(result: Any) -> None:
    assert result["errors"] == 0, [cell["first_errors"] for cell in result["cells"]]


def test_every_phase_is_there_with_its_latencies(result: Any) -> None:
    cells = {(cell["pace"], cell["tasks"], cell["labelers"]) for cell in result["cells"]}
    assert {("no pause", 120, 2), ("no pause", 200, 6), ("human", 200, 4)} <= cells
    assert {("apart", 200, 2), ("together", 200, 2)} <= cells
    busy = next(cell for cell in result["cells"] if cell["pace"] == "no pause")
    assert set(busy["next_ms"]) == {"n", "p50", "p95", "p99", "max"}
    assert busy["doubled"] >= 0
    assert busy["cpu_ms_per_submission"] > 0


def test_the_number_of_queries_does_not_grow_with_what_others_hold(result: Any) -> None:
    for counts in result["queries"].values():
        for by_held in counts.values():
            assert len(set(by_held.values())) == 1
