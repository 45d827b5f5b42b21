"""What a finished run leaves: first files in storage, then one transaction that ends the run."""

import json
import logging
import shutil
from collections.abc import Iterator
from typing import Any, TypeVar

from django.db import transaction

from labeling.models import Run, Stage
from labeling.services import artifacts, registry, responses
from labeling.services.runs.claims import Claim, keep, kept_alive
from labeling.services.runs.files import BESIDE
from labeling.services.runs.states import State, transition
from labeling.services.scores import taking
from training.contract.records import ResponseRow, ScoreRow
from training.contract.rundir import RunDir, file_sha256, read_json

RowT = TypeVar("RowT", ResponseRow, ScoreRow)

logger = logging.getLogger(__name__)
REPORT = "outputs/report.json"
RESPONSES = "outputs/responses.jsonl"
SCORES = "outputs/scores.jsonl"


def publish(*, run: Run, claim: Claim, run_dir: RunDir) -> None:
    """Raises RunDirError when the files are not what the manifest says, Superseded when the claim is void.

    The storage key holds the fence, so two workers never write to one place.
    """
    keep(claim)
    with kept_alive(claim):
        manifest = run_dir.verify_manifest()
        key = f"{_home(run)}/{claim.fence}"
        beside = _store(run_dir, manifest=manifest, key=key)
    with transaction.atomic():
        result = {"summary": manifest["summary"], "files": manifest["files"], "storage_key": key, "beside": beside}
        if report := read_json(run_dir.path / REPORT):
            result["report"] = report
        end = {"result": result, "checkpoint": {}} | _at_the_end(run)
        transition(run, to=State.SUCCEEDED, actor=claim.owner, fence=claim.fence, **end)
        _register(run, key=key, manifest=manifest, run_dir=run_dir)
    _drop_earlier_attempts(run, claim)
    drop_uploads(run)
    for folder in (run_dir.checkpoints, run_dir.outputs):  # all that matters is in storage now
        shutil.rmtree(folder, ignore_errors=True)


def _store(run_dir: RunDir, *, manifest: dict[str, Any], key: str) -> dict[str, Any]:
    """Returns size and hash of each file that the manifest does not list itself."""
    for name in manifest["files"]:
        artifacts.put_file(source=run_dir.path / name, name=f"{key}/{name}")
    paths = [run_dir.path / name for name in BESIDE]
    found = [path for path in paths if path.exists()]
    for path in found:
        artifacts.put_file(source=path, name=f"{key}/{path.name}")
    return {path.name: {"sha256": file_sha256(path), "bytes": path.stat().st_size} for path in found}


def _at_the_end(run: Run) -> dict[str, Any]:
    return {"phase": "done", "step": run.num_steps} if run.num_steps else {"phase": "done"}


def _register(run: Run, *, key: str, manifest: dict[str, Any], run_dir: RunDir) -> None:
    if registry.makes_a_model(run):
        registry.register(run=run, key=key, manifest=manifest)
    elif run.stage == Stage.GENERATE:
        model = run.inputs.select_related("model").get(name="model").model
        assert model is not None  # noqa: S101 - creation checked it
        run.result["responses"] = responses.ingest(run=run, model=model, rows=_rows(run_dir, RESPONSES, ResponseRow))
    if SCORES in manifest["files"]:
        run.result["scores"] = taking.take(run=run, rows=_rows(run_dir, SCORES, ScoreRow))
    Run.objects.filter(pk=run.pk).update(result=run.result)


def _rows(run_dir: RunDir, name: str, row_type: type[RowT]) -> Iterator[RowT]:
    with (run_dir.path / name).open(encoding="utf-8") as file:
        for line in file:
            yield row_type.from_dict(json.loads(line))


def _drop_earlier_attempts(run: Run, claim: Claim) -> None:
    """Files of a worker that died while it copied them, and checkpoints."""
    try:
        for fence in artifacts.folders(_home(run)):
            if fence != str(claim.fence):
                artifacts.delete_folder(f"{_home(run)}/{fence}")
    except OSError as error:
        logger.warning("run %s: could not clear up after earlier attempts (%s)", run.pk, error)


def drop_uploads(run: Run) -> None:
    """An uploaded archive has been unpacked, or will never be."""
    for name in run.inputs.exclude(upload="").values_list("upload", flat=True):
        try:
            artifacts.storage().delete(name)
        except OSError as error:
            logger.warning("run %s: could not delete %s (%s)", run.pk, name, error)


def _home(run: Run) -> str:
    return f"runs/{run.uid}"
