"""Two measured processes take turns, and whoever is left goes on alone."""

import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = """
import sys, time
from trl_peer import turns
name, num, said = sys.argv[1], int(sys.argv[2]), sys.argv[3]
for number in range(num):
    turns.wait()
    with open(said, "a") as file:
        file.write(name)
    time.sleep(0.02)
    with open(said, "a") as file:
        file.write("." if number + 1 < num else "!")
    turns.give()
turns.wait()
turns.end()
"""


def said_by(tmp_path: Path, **updates: int) -> str:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from trl_peer import turns
    finally:
        sys.path.remove(str(BENCHMARKS))
    said, file = tmp_path / "said", tmp_path / "turn"
    turns.begin(file, "a")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, own, str(updates[own]), str(said)],
            cwd=BENCHMARKS,
            env=os.environ | turns.environment(file, own=own, other=other),
        )
        for own, other in (("b", "a"), ("a", "b"))
    ]
    assert [process.wait(timeout=60) for process in started] == [0, 0]
    return said.read_text()


def test_each_waits_until_the_other_has_done_its_update(tmp_path: Path) -> None:
    assert said_by(tmp_path, a=3, b=3) == "a.b.a.b.a!b!"


def test_who_is_left_waits_for_nobody(tmp_path: Path) -> None:
    assert said_by(tmp_path, a=1, b=4) == "a!b.b.b.b!"


def test_without_a_file_nobody_waits() -> None:
    code = "from trl_peer import turns; turns.wait(); turns.give(); turns.end(); print('done')"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_TURN")}
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, env=clean, capture_output=True, text=True)
    assert done.stdout == "done\n", done.stderr
