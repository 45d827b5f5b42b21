"""Checkpoints: everything a run needs to go on as if it had never been stopped.

    checkpoints/step-00000120/tensors.safetensors   every tensor of the state
                              state.json            everything else
                              hashes.json           SHA-256 of both, written last
    checkpoints/best.json                           which step was the best so far, and its value

A checkpoint is written to a temporary folder, fsynced, hashed, renamed. One whose hashes do not agree is refused and
the one before it is used, which is said. The last two and the best are kept. No pickle: tensors are safetensors, the
rest is JSON.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.contract.rundir import file_sha256, read_json, write_json
from training.engine.processes import ALONE, Processes

KEEP_LAST: Final = 2
_FILES: Final = ("tensors.safetensors", "state.json")


class CheckpointError(RuntimeError):
    """A checkpoint that is damaged, or a state that cannot be kept in one."""


class Checkpoints:
    """The `checkpoints/` folder of a run. `say` takes a line for the run's log. Of several processes the main one
    writes, and the others wait until it is done; all read."""

    def __init__(self, folder: Path, *, say: Callable[[str], None], processes: Processes = ALONE) -> None:
        self.folder = folder
        self._say = say
        self._processes = processes
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, step: int, state: Mapping[str, Any], *, best: tuple[int, float] | None = None) -> None:
        """Keep `state`: a tree of dicts, lists, numbers, strings, None, tensors and numpy arrays.

        `best` is (step, value) of the best step so far, which may be this one: its checkpoint is not pruned.
        """
        if self._processes.is_main:
            self._save(step, state, best)
        self._processes.wait()

    def _save(self, step: int, state: Mapping[str, Any], best: tuple[int, float] | None) -> None:
        for unfinished in self.folder.glob(".tmp-*"):  # of a process that was killed while it wrote
            shutil.rmtree(unfinished)
        temporary = self.folder / f".tmp-{os.getpid()}"
        temporary.mkdir()
        _write_state(temporary, state)
        final = self._path(step)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        _fsync(self.folder)
        if best:
            write_json(self.folder / "best.json", {"step": best[0], "value": best[1]})
        self._prune()

    def load_latest(self) -> tuple[int, dict[str, Any]] | None:
        """The newest checkpoint that is whole, as (step, state), or None. Damaged ones are named in the log."""
        for step in reversed(self.steps()):
            try:
                return step, self.load(step)
            except CheckpointError as error:
                self._say(f"checkpoint of step {step} is refused ({error}); trying the one before it")
        return None

    def load(self, step: int) -> dict[str, Any]:
        """One checkpoint's state. Raises CheckpointError when it is damaged."""
        folder = self._path(step)
        hashes = _read_hashes(folder)
        for name in _FILES:
            path = folder / name
            if not path.is_file() or file_sha256(path) != hashes.get(name):
                raise CheckpointError(f"{name} is missing or changed")
        tree = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        state: dict[str, Any] = _unpack(tree, load_file(folder / "tensors.safetensors"))
        return state

    def best(self) -> tuple[int, float] | None:
        """Step and value of the best checkpoint, or None."""
        values = read_json(self.folder / "best.json")
        return None if values is None else (int(values["step"]), float(values["value"]))

    def steps(self) -> list[int]:
        """The steps that have a checkpoint, ascending."""
        return sorted(int(path.name.removeprefix("step-")) for path in self.folder.glob("step-*"))

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _prune(self) -> None:
        best = self.best()
        kept = {*self.steps()[-KEEP_LAST:], best[0] if best else None}
        for step in self.steps():
            if step not in kept:
                shutil.rmtree(self._path(step))


def _write_state(folder: Path, state: Mapping[str, Any]) -> None:
    tensors: dict[str, Tensor] = {}
    tree = _pack(state, tensors, "")
    save_file(tensors, folder / "tensors.safetensors")
    (folder / "state.json").write_text(json.dumps(tree, allow_nan=True), encoding="utf-8")
    for name in _FILES:
        _fsync(folder / name)
    write_json(folder / "hashes.json", {name: file_sha256(folder / name) for name in _FILES})
    _fsync(folder)


def _read_hashes(folder: Path) -> dict[str, Any]:
    try:
        hashes = read_json(folder / "hashes.json")
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    if hashes is None:
        raise CheckpointError("hashes.json is missing")
    return hashes


def _pack(value: Any, tensors: dict[str, Tensor], path: str) -> Any:
    """The JSON form of a state; tensors go to `tensors` and leave their name behind."""
    if isinstance(value, np.ndarray):
        return {"#numpy": _pack(torch.from_numpy(value.astype(np.int64)), tensors, path), "dtype": str(value.dtype)}
    if isinstance(value, Tensor):
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {"#tensor": path}
    if isinstance(value, Mapping):
        items = [[key, _pack(item, tensors, f"{path}/{key}")] for key, item in value.items()]
        return {"#dict": items}  # pairs, because JSON would turn the optimizer's whole-number keys into text
    if isinstance(value, list | tuple):
        return [_pack(item, tensors, f"{path}/{index}") for index, item in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CheckpointError(f"{path}: a {type(value).__name__} cannot be kept in a checkpoint")


def _unpack(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(tree, list):
        return [_unpack(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "#tensor" in tree:
        return tensors[tree["#tensor"]]
    if "#numpy" in tree:
        return _unpack(tree["#numpy"], tensors).numpy().astype(tree["dtype"])
    return {key: _unpack(item, tensors) for key, item in tree["#dict"]}


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
