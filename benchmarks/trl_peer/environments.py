"""The peers' environments: made once, below .peers/, which git ignores.

    python benchmarks/trl_peer/environments.py            makes those that are missing

On a machine that cannot install packages, PODIUM_PEER_TRL_REWARD and PODIUM_PEER_TRL_PPO name interpreters that have
them.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".peers"
SAME: Final = ("torch==2.13.0", "transformers==5.23.0", "accelerate==1.15.0", "datasets==5.2.0")
PACKAGES: Final = {
    "trl-reward": ("trl==1.16.0", *SAME),
    "trl-ppo": ("trl==1.12.0", *SAME),  # the last release with PPOTrainer
}


def python(name: str) -> Path:
    """The interpreter of an environment; it may not be there yet."""
    return FOLDER / name / "bin" / "python"


def make(name: str) -> Path:
    """Make the environment unless its packages are all there; returns its interpreter."""
    if given := os.environ.get("PODIUM_PEER_" + name.upper().replace("-", "_")):
        return Path(given)
    done = FOLDER / name / "packages.txt"
    wanted = "\n".join(PACKAGES[name])
    if not (done.exists() and done.read_text() == wanted):
        print(f"making .peers/{name}: {', '.join(PACKAGES[name])}", file=sys.stderr, flush=True)
        venv.create(FOLDER / name, with_pip=True, clear=True)
        pip = [str(python(name)), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, "--upgrade", "pip"], check=True)
        subprocess.run([*pip, "--no-compile", *PACKAGES[name]], check=True)
        done.write_text(wanted)
    return python(name)


if __name__ == "__main__":
    for each in PACKAGES:
        print(make(each))
