"""A checkpoint comes back to the last bit, or is refused and the one before it is used."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from training.engine import device
from training.engine.checkpoints import CheckpointError, Checkpoints


def folder(tmp_path: Path) -> tuple[Checkpoints, list[str]]:
    said: list[str] = []
    return Checkpoints(tmp_path / "checkpoints", say=said.append), said


def test_a_tree_of_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    checkpoints, _ = folder(tmp_path)
    state = {
        "weights": {"a": torch.randn(2, 3), "scalar": torch.tensor(1.5, dtype=torch.float64)},
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}, 1: {}}, "groups": [{"lr": 0.1, "betas": [0.9, 0.95]}]},
        "numbers": [1, 0.1 + 0.2, None, True, "text"],
        "empty": torch.zeros(0),
    }
    checkpoints.save(3, state)
    step, found = checkpoints.load_latest() or (0, {})
    assert step == 3
    assert found["numbers"] == state["numbers"]
    assert list(found["optimizer"]["state"]) == [0, 1]
    assert torch.equal(found["weights"]["a"], state["weights"]["a"])  # type: ignore[index,call-overload]
    assert found["weights"]["scalar"].dtype == torch.float64
    assert found["empty"].shape == (0,)


def test_every_source_of_chance_goes_on_where_it_was(tmp_path: Path) -> None:
    checkpoints, _ = folder(tmp_path)
    device.seed_everything(5)
    checkpoints.save(1, {"rng": device.rng_state()})

    def draw() -> list[float]:
        return [random.random(), float(np.random.random()), float(torch.rand(())), random.gauss(0, 1)]

    first = draw()
    device.restore_rng_state(checkpoints.load(1)["rng"])
    assert draw() == first


def test_the_last_two_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints, _ = folder(tmp_path)
    for step in range(1, 7):
        checkpoints.save(step, {"step": step}, best=(2, 0.5) if step >= 2 else None)
    assert checkpoints.steps() == [2, 5, 6]
    assert checkpoints.best() == (2, 0.5)
    assert not list(checkpoints.folder.glob(".tmp*"))


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "hashes.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_used(tmp_path: Path, name: str, damage: str) -> None:
    checkpoints, said = folder(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"step": step, "w": torch.ones(4)})
    file = checkpoints.folder / "step-00000002" / name
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:-3] if damage == "cut" else content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    found = checkpoints.load_latest()
    assert found is not None
    assert (found[0], found[1]["step"]) == (1, 1)
    assert "step 2 is refused" in said[0]


def test_a_half_written_checkpoint_is_never_seen(tmp_path: Path) -> None:
    checkpoints, _ = folder(tmp_path)
    (checkpoints.folder / ".tmp-123").mkdir()
    (checkpoints.folder / ".tmp-123" / "state.json").write_text("{}")
    assert checkpoints.load_latest() is None


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    checkpoints, _ = folder(tmp_path)
    checkpoints.save(1, {"value": "old"})
    checkpoints.save(1, {"value": "new"})
    assert checkpoints.load(1) == {"value": "new"}


def test_something_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    checkpoints, _ = folder(tmp_path)
    with pytest.raises(CheckpointError, match="/model/layer"):
        checkpoints.save(1, {"model": {"layer": object()}})
    assert checkpoints.steps() == []
