"""The house rules hold, and each of them fails on a violation that is planted in a copy of the tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLANTED = {
    "1 The engine knows nothing of the web": ("training/engine/planted.py", "import django"),
    "2 The web side meets the engine only at training.contract": ("labeling/planted.py", "import training.engine.text"),
    "3 The contract needs the standard library alone": ("training/contract/planted.py", "import numpy"),
    "4 Stages, then the command line, then the engine, then the contract": (
        "training/sft.py",
        "import training.reward",
    ),
    "5 Urls, doors, forms, services, rows": ("labeling/services/planted.py", "import labeling.views"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "300"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("house")
    for package in ("config", "labeling", "training"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "demo", "recipes")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_tree_keeps_its_contracts() -> None:
    outcome = lint(ROOT)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize("contract", PLANTED)
def test_each_contract_fails_on_a_planted_violation(contract: str, copy: Path) -> None:
    place, line = PLANTED[contract]
    before = (copy / place).read_text() if (copy / place).exists() else ""
    (copy / place).write_text(f"{before}\n{line}\n")
    outcome = lint(copy)
    (copy / place).write_text(before)
    assert outcome.returncode != 0
    assert f"{contract} BROKEN" in outcome.stdout
