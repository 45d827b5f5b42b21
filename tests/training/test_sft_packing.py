"""Packing in the SFT stage: the losses of padded rows, whatever shares a forward pass; the log says which it is."""

from pathlib import Path
from typing import Any

import pytest

from tests.training import preference_world
from tests.training.preference_world import TINY, Snapshots
from tests.training.tiny_world import curve, run

pytestmark = pytest.mark.slow
# At the preset's 0.02 a few steps of Adam make a hundredfold of what rounding differs by.
CALM: dict[str, Any] = {"pretrain_learning_rate": 1e-3}


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    return preference_world.build(tmp_path_factory.mktemp("snapshots"), num_prompts=20)


def losses(snapshots: Snapshots, folder: Path, **changes: Any) -> list[float]:
    shared = CALM | {"dataset": str(snapshots.sft), "num_epochs": 2, "batch_size": 6, "micro_batch_size": 6}
    config = TINY | shared | changes
    assert run("sft", config, folder) == 0, (folder / "log.txt").read_text()
    return [values.get("sft/loss") or values["pretrain/loss"] or 0.0 for _, values in curve(folder)]


def test_sft_learns_the_same_packed_and_padded_and_by_small_and_large_passes(
    snapshots: Snapshots, tmp_path: Path
) -> None:
    packed = losses(snapshots, tmp_path / "packed")
    padded = losses(snapshots, tmp_path / "padded", packing=False)
    small = losses(snapshots, tmp_path / "small", max_forward_tokens=64)
    assert packed == pytest.approx(padded, rel=1e-5)
    assert small == pytest.approx(packed, rel=1e-5)
    assert small != packed  # they do share their forward passes otherwise
    assert "rows are packed" in (tmp_path / "packed" / "log.txt").read_text()
    assert "packing is off" in (tmp_path / "padded" / "log.txt").read_text()
