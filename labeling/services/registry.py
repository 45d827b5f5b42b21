"""Models: registered from runs, promoted, retired, fetched, and traced back to what made them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import transaction

from labeling.models import Model, ModelEvent, Run, Stage, User
from labeling.services import artifacts
from training.contract.rundir import RunDirError, file_sha256

KINDS = {Stage.SFT: Model.Kind.POLICY, Stage.PPO: Model.Kind.POLICY, Stage.REWARD: Model.Kind.REWARD}
#: The input of a stage that its model descends from.
PARENT_INPUTS = {Stage.SFT: "init_model", Stage.REWARD: "init_model", Stage.PPO: "policy_model"}
FOLDER = "outputs/model/"


#: Whose work it is when no person asked for it.
PODIUM = "podium"
Action = ModelEvent.Action


class RegistryError(ValueError):
    """What cannot be done with a model; the text says why."""


def register(*, run: Run, key: str, manifest: Mapping[str, Any]) -> Model:
    """The model that a run left. Its files lie below `key`. Call it inside the transaction that ends the run."""
    summary = manifest["summary"]
    model = Model.objects.create(
        project=run.project,
        name=unused_name(run=run),
        kind=_kind(run, summary),
        parent=_parent(run),
        run=run,
        storage_key=f"{key}/{FOLDER}".rstrip("/"),
        sha256=content_sha256(_files(manifest)),
        num_parameters=summary.get("num_parameters"),
        metrics=dict(summary),
    )
    note(model, Action.REGISTERED, by=run.created_by)
    if model.kind == Model.Kind.POLICY and not Model.objects.filter(project=run.project, is_current=True).exists():
        promote(model)
    return model


def makes_a_model(run: Run) -> bool:
    return run.stage in KINDS or run.stage == Stage.FETCH


def note(model: Model, action: ModelEvent.Action, *, by: User | None) -> None:
    """One line of the model's history."""
    ModelEvent.objects.create(model=model, action=action, actor=str(by)[:120] if by else PODIUM)


def promote(model: Model, *, by: User | None = None) -> None:
    """Make it the policy that samples what is ranked next."""
    if model.kind != Model.Kind.POLICY or model.is_retired:
        raise RegistryError(f"{model.name} cannot become the current policy: it is {_what(model)}.")
    with transaction.atomic():
        # In one order, so that two promotions at once wait for each other.
        list(Model.objects.select_for_update().filter(project=model.project_id, kind=Model.Kind.POLICY).order_by("pk"))
        Model.objects.filter(project=model.project_id, is_current=True).exclude(pk=model.pk).update(is_current=False)
        if Model.objects.filter(pk=model.pk, is_retired=False).update(is_current=True) != 1:
            raise RegistryError(f"{model.name} has been retired meanwhile.")
        if not model.is_current:
            note(model, Action.PROMOTED, by=by)
    model.refresh_from_db()


def retire(model: Model, *, by: User | None = None) -> None:
    """Take it out of the forms. What it made stays."""
    with transaction.atomic():
        if Model.objects.filter(pk=model.pk, is_current=False, is_retired=False).update(is_retired=True) == 1:
            note(model, Action.RETIRED, by=by)
    model.refresh_from_db()
    if model.is_current:
        raise RegistryError(f"{model.name} is the current policy: promote another one first.")


def restore(model: Model, *, by: User | None = None) -> None:
    with transaction.atomic():
        if Model.objects.filter(pk=model.pk, is_retired=True).update(is_retired=False) == 1:
            note(model, Action.RESTORED, by=by)
    model.refresh_from_db()


def annotate(model: Model, *, note: str) -> None:
    Model.objects.filter(pk=model.pk).update(note=note)
    model.refresh_from_db()


def folder(model: Model) -> Path:
    """A local folder with the model's files, each checked against its hash. Raises RunDirError or OSError."""
    if not model.storage_key:
        raise RunDirError(f"{model.name} is known by name only: there are no files of it here")
    path = artifacts.local_folder(model.storage_key)
    files = [item for item in path.rglob("*") if item.is_file()]
    found = content_sha256({item.relative_to(path).as_posix(): file_sha256(item) for item in files})
    if found != model.sha256:
        raise RunDirError(f"{model.name}: its files are not those that were registered")
    return path


def content_sha256(files: Mapping[str, str]) -> str:
    """One hash for a model: of the names and hashes of its files."""
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()


def unused_name(*, run: Run) -> str:
    """The run's name, with a number behind it when the project already has a model of that name."""
    taken = set(
        Model.objects.filter(project=run.project, name__startswith=run.name[:110]).values_list("name", flat=True)
    )
    candidates = [run.name, *(f"{run.name[:110]} {number}" for number in range(2, len(taken) + 3))]
    return next(name for name in candidates if name not in taken)


def _files(manifest: Mapping[str, Any]) -> dict[str, str]:
    files = {
        name.removeprefix(FOLDER): entry["sha256"]
        for name, entry in manifest["files"].items()
        if name.startswith(FOLDER)
    }
    if not files:
        raise RunDirError("outputs/model: missing, so there is no model to register")
    return files


def _kind(run: Run, summary: Mapping[str, Any]) -> str:
    """A stage of the loop makes one kind; what was imported says itself what it is."""
    kind = str(summary.get("kind")) if run.stage == Stage.FETCH else KINDS[Stage(run.stage)]
    if kind not in KINDS.values():
        raise RunDirError(f"manifest.json: {kind!r} is no kind of model")
    return kind


def _parent(run: Run) -> Model | None:
    item = run.inputs.filter(name=PARENT_INPUTS.get(Stage(run.stage), "")).select_related("model").first()
    return item.model if item else None


def _what(model: Model) -> str:
    return "retired" if model.is_retired else f"of the kind “{model.get_kind_display()}”"
