"""Real human rankings, demonstrations and prompts that lie beside the developers' repository.

Whoever cloned only the repository has none of it: the tests that read it then skip and say so. Where
PODIUM_REAL_DATA=required, as in CI, what is missing is a failure.
"""

import os
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).resolve().parents[2] / "shared" / "data"


def real(name: str) -> Path:
    path = FOLDER / name
    if not path.is_file():
        missing = f"{name} is not beside this clone (../shared/data)"
        if os.environ.get("PODIUM_REAL_DATA") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    return path
