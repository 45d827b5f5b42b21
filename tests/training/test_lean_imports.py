"""A stage's process does not hold libraries that no stage uses."""

import subprocess
import sys

from tests.training.tiny_world import ROOT

SCRIPT = """
import sys
from training import ppo
from training.engine import lean_imports
import transformers.utils
assert "scipy" not in sys.modules, "it is loaded"
assert transformers.utils.is_scipy_available(), "it cannot be found any more"
import scipy.optimize
"""


def test_scipy_is_installed_and_not_loaded_by_a_stage_and_can_still_be_used() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
