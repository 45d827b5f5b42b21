"""Fetch: a model from elsewhere, checked, and taken in as safetensors alone.

    python -m training.fetch --config fetch.json --run-dir runs/fetch-1

From an archive, a folder, or the Hugging Face hub. Files are copied under names of their own, in pieces; then their
headers are checked against each other, and the model is loaded once as later stages will load it, so that what
cannot be used is refused here. Pickles and code of the model's own are never read, whatever brings them.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from training.cli import Result, run_stage
from training.contract import archives, modelfiles
from training.contract.archives import Member
from training.contract.configs import FetchConfig
from training.contract.modelfiles import ModelFilesError
from training.contract.rundir import RunDir, file_sha256
from training.engine import hub, models, processes
from training.engine.runlog import Cancelled, RunLog
from training.engine.text import load_text

MIB: Final = 2**20
Tick = Callable[[int], None]


def main(config: FetchConfig, run_dir: RunDir, log: RunLog) -> Result:
    """The whole stage, top to bottom."""
    processes.refuse_several("fetch")
    # 1. Bring the files, each whole or not at all. Nothing is registered before the manifest is written.
    folder = run_dir.outputs / "model"
    folder.mkdir(exist_ok=True)
    log.phase("copy")
    source = _bring(config, folder, log)

    # 2. Check them against each other, without loading anything.
    log.phase("check")
    facts = modelfiles.inspect(folder)
    log.say(f"{facts.architecture}, {facts.num_parameters:,} parameters, {facts.num_bytes:,} bytes: a {facts.kind}")

    # 3. Load it once, as later stages will.
    log.phase("load")
    load_text(str(folder))
    models.load_as_it_is(folder, kind=facts.kind)
    log.say("its tokenizer and its weights can be read, and none is missing")

    summary = {
        "kind": facts.kind,
        "architecture": facts.architecture,
        "num_parameters": facts.num_parameters,
        "num_bytes": facts.num_bytes,
        **source,
    }
    return Result(summary=summary, inputs={name: value for name, value in source.items() if name != "left_out"})


def _bring(config: FetchConfig, folder: Path, log: RunLog) -> dict[str, Any]:
    """Copy the files into `folder`; returns what is known of where they come from."""
    max_bytes = int(config.max_gib * 2**30)
    if config.archive:
        return _bring_archive(Path(config.archive), folder, max_bytes=max_bytes, log=log)
    if config.folder:
        return _bring_folder(Path(config.folder), folder, max_bytes=max_bytes, log=log)
    return _bring_from_hub(config, folder, max_bytes=max_bytes, log=log)


def _bring_archive(path: Path, folder: Path, *, max_bytes: int, log: RunLog) -> dict[str, Any]:
    with path.open("rb") as file, archives.opened(file, max_bytes=max_bytes) as members:
        modelfiles.check_names(member.name for member in members)
        _unpack(members, folder, max_bytes=max_bytes, log=log)
    return {"source": "archive", "archive_sha256": file_sha256(path)}


def _bring_folder(path: Path, folder: Path, *, max_bytes: int, log: RunLog) -> dict[str, Any]:
    members = list(_files_of(path))
    modelfiles.check_names(member.name for member in members)
    _unpack(members, folder, max_bytes=max_bytes, log=log)
    return {"source": "folder", "folder": path.resolve().name}  # a web run reads it through a link called `folder`


def _bring_from_hub(config: FetchConfig, folder: Path, *, max_bytes: int, log: RunLog) -> dict[str, Any]:
    found = hub.find(config.repo, config.revision)
    log.say(f"{found.repo} at {found.commit}: {len(found.files)} files, {len(found.left)} left out")
    _refuse_without_safetensors(found)
    modelfiles.check_names(file.name for file in found.files)
    _check_size(sum(file.num_bytes for file in found.files), max_bytes)
    tick = _progress(sum(file.num_bytes for file in found.files), log)
    for file in found.files:
        hub.fetch(found, file, folder, tick=tick)
    _keep_only({file.name for file in found.files}, folder)
    return {"source": "hub", "repo": found.repo, "commit": found.commit, "left_out": found.left}


def _refuse_without_safetensors(found: hub.HubModel) -> None:
    if not any(file.name.endswith(".safetensors") for file in found.files):
        why = next((f": {name} {modelfiles.why_refused(name)}" for name in found.left if name.endswith(".bin")), "")
        raise ModelFilesError(f"{found.repo} has no safetensors{why}.")


def _unpack(members: list[Member], folder: Path, *, max_bytes: int, log: RunLog) -> None:
    total = sum(member.num_bytes for member in members)
    _check_size(total, max_bytes)
    tick, left = _progress(total, log), max_bytes
    for member in members:
        log.say(f"{member.name}, {member.num_bytes:,} bytes")
        left -= archives.write(member, folder, most_bytes=left, tick=tick)
    _keep_only({member.name for member in members}, folder)


def _files_of(path: Path) -> Iterator[Member]:
    """Plain files of a folder. A link could lead to any file that the worker may read."""
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() or not entry.is_file():
            raise ModelFilesError(f"{entry.name} is a link or a folder. A model's files lie side by side.")
        yield Member(entry.name, entry.stat().st_size, partial(_opened, entry.path))


def _opened(path: str) -> IO[bytes]:
    return open(path, "rb")


def _check_size(num_bytes: int, max_bytes: int) -> None:
    if num_bytes > max_bytes:
        raise ModelFilesError(f"It has {num_bytes / 2**30:,.1f} GiB; at most {max_bytes / 2**30:,.1f} are taken.")


def _progress(total: int, log: RunLog) -> Tick:
    """A step is a MiB. A cancel is heard at every piece."""
    log.plan(max(1, -(-total // MIB)))
    done = 0

    def tick(num_bytes: int) -> None:
        nonlocal done
        if log.cancel_asked:
            raise Cancelled
        done += num_bytes
        log.step_done(min(done, total) // MIB)

    return tick


def _keep_only(names: set[str], folder: Path) -> None:
    """What an earlier start left and this one did not bring."""
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


if __name__ == "__main__":
    raise SystemExit(run_stage("fetch", main))
