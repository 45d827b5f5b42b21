"""The benchmarks' scales: what a process held before does not count, what it held for a moment does."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = """
from trl_peer import resident
large = bytearray(b"x") * (200 << 20)
del large
before = resident.settle()
small = bytearray(b"x") * (64 << 20)
del small
print(resident.peak() - before)
"""


def test_the_peak_counts_from_where_the_scales_were_settled() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    assert 60 < float(done.stdout) < 72
