"""The run directory, made ready for a stage: inputs fetched and checked, config written once."""

from pathlib import Path
from typing import Any

from django.conf import settings

from labeling.models import EvaluationFile, Run, RunInput
from labeling.services import artifacts, evaluation_files, model_folders, registry, snapshots
from labeling.services.runs import takeover
from labeling.services.runs.claims import Claim
from training.contract import configs
from training.contract.configs import ConfigError
from training.contract.records import read_snapshot_manifest
from training.contract.rundir import RunDir, RunDirError, file_sha256, write_json


def run_dir_of(run: Run) -> RunDir:
    return RunDir(settings.RUNS_DIR / str(run.uid))


def prepare(run: Run, claim: Claim) -> RunDir:
    """Harmless when it has been done before. Raises ConfigError, RunDirError, or OSError when a file is not there."""
    run_dir = run_dir_of(run)
    run_dir.create()
    takeover.take_over(run, claim, run_dir)
    inputs = list(run.inputs.select_related("snapshot__same_as", "model"))
    files = list(run.files.select_related("file"))
    found = {item.name: _fetch(item, run_dir) for item in inputs}
    found |= {given.name: _fetch_file(given.file, run_dir.inputs / given.name) for given in files}
    write_json(run_dir.inputs / "hashes.json", found)
    if not run_dir.config_path.exists():
        paths = {name: f"inputs/{name}" for name in found}
        write_json(run_dir.config_path, configs.dump(configs.build(run.stage, run.config | paths)))
    return run_dir


def _fetch(item: RunInput, run_dir: RunDir) -> dict[str, Any]:
    """Link an input's folder into the run directory, and say what it is."""
    if item.model:
        _link(run_dir.inputs / item.name, registry.folder(item.model))
        return {"model": str(item.model.uid), "name": item.model.name, "sha256": item.model.sha256}
    if item.upload:
        return _fetch_upload(item, run_dir)
    if item.folder:
        _place_folder(item.folder, run_dir.inputs / item.name)
        return {"folder": item.folder}
    assert item.snapshot is not None  # noqa: S101 - the row's CHECK
    folder = snapshots.folder(item.snapshot)
    found, wanted = read_snapshot_manifest(folder).sha256, item.snapshot.resolved.sha256
    if found != wanted:
        raise RunDirError(f"{item.name}: snapshot “{item.snapshot}” should hold {wanted}, and its files say {found}")
    _link(run_dir.inputs / item.name, folder)
    return {"snapshot": str(item.snapshot.uid), "name": item.snapshot.name, "sha256": wanted}


def _fetch_file(file: EvaluationFile, link: Path) -> dict[str, Any]:
    _link(link, evaluation_files.local_path(file))
    return {"file": str(file.uid), "name": file.filename, "sha256": file.sha256}


def _fetch_upload(item: RunInput, run_dir: RunDir) -> dict[str, Any]:
    """Read once, and large: a copy is made for this run alone."""
    if not artifacts.storage().exists(item.upload):
        raise ConfigError(item.name, "is no longer here: it was taken in, or refused. Upload it again")
    path = run_dir.inputs / item.name
    if artifacts.is_folder():
        _link(path, Path(artifacts.storage().path(item.upload)))
    elif not path.exists():
        artifacts.fetch_file(item.upload, path)
    return {"upload": item.upload, "sha256": file_sha256(path)}


def _place_folder(name: str, path: Path) -> None:
    try:
        key = model_folders.key_of(name)
        if key is None:
            _link(path, model_folders.local(name))
        elif not path.exists():
            artifacts.fetch_folder(key, path)
    except model_folders.NoSuchFolder as error:
        raise ConfigError("folder", str(error)) from None


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target.resolve(), target_is_directory=target.is_dir())
