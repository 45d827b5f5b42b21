"""A stage's process does not hold libraries that it does not use, and can still use each of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.training import tiny_world
from tests.training.tiny_world import ROOT

STAGE = """
import json
import sys
from training import ppo
from training.cli import run_stage
from training.engine.runlog import RunLog

UNUSED = ("scipy", "boto3", "sympy", "torch._dynamo.eval_frame", "torch.distributed.tensor", "pyarrow")
step_done = RunLog.step_done

def watched(log, step):
    step_done(log, step)
    print(json.dumps([name for name in UNUSED if name in sys.modules]))

RunLog.step_done = watched
raise SystemExit(run_stage("ppo", ppo.main))
"""

LATER = """
import sys
from training.engine import models, sharding
import transformers.utils
import pyarrow, scipy.optimize, sympy, torch.distributed.tensor
assert "boto3" not in sys.modules, "it is still hidden"
assert transformers.utils.is_scipy_available()
assert transformers.utils.is_torch_distributed_available()
assert sharding.is_spread(object()) is False
"""


def script(text: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", text, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_a_stage_that_trains_holds_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    world = tiny_world.build(tmp_path / "world")
    config = tmp_path / "config.json"
    config.write_text(json.dumps(world.ppo | {"num_episodes": 16, "num_valid_prompts": 0}))
    lines = script(STAGE, "--config", str(config), "--run-dir", str(tmp_path / "run"))
    assert [json.loads(line) for line in lines if line.startswith("[")] == [[], []]


def test_what_was_left_out_can_be_used_later() -> None:
    script(LATER)


def test_the_compiler_comes_when_something_compiles_and_knows_what_it_was_told_before() -> None:
    script((Path(__file__).parent / "late_compiling.py").read_text())
