"""Making runs, and what people do to them: queue, clone, cancel, resume, note."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from labeling.models import EvaluationFile, Model, Project, Round, Run, RunFile, RunInput, Snapshot, Stage, User
from labeling.services.runs.claims import ring
from labeling.services.runs.states import State, Superseded, note, transition
from training.contract import configs
from training.contract.configs import ConfigError, FieldSpec

Files = Mapping[str, EvaluationFile]
NO_FILES: Files = {}
HUB_NAME = re.compile(r"^[\w-][\w.-]*/[\w-][\w.-]*$")


class RunError(ValueError):
    """What cannot be done with a run; the text says why."""


@dataclass(frozen=True)
class Upload:
    """An archive that was uploaded: where it lies in storage."""

    key: str


@dataclass(frozen=True)
class Folder:
    """A folder right below PODIUM_MODEL_IMPORT_DIR."""

    name: str


Input = Snapshot | Model | Upload | Folder


def create(
    *,
    project: Project,
    stage: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, Input],
    files: Files = NO_FILES,
    user: User | None,
    preset: str = "",
    name: str = "",
    text: str = "",
    round: Round | None = None,
    idempotency_key: str = "",
) -> Run:
    """Queue a run and ring for it. Raises ConfigError, naming the field, when the stage would not take it.

    With a key that a run of the project has already, that run is returned: a form sent twice makes one run.
    """
    key = idempotency_key or uuid.uuid4().hex
    if earlier := Run.objects.filter(project=project, idempotency_key=key).first():
        return earlier
    run = Run(
        project=project,
        stage=stage,
        name=name.strip() or unused_name(project=project, stage=stage),
        preset=preset,
        config=check(project=project, stage=stage, config=config, inputs=inputs, files=files),
        note=text,
        round=round,
        created_by=user,
        idempotency_key=key,
    )
    run.full_clean(validate_constraints=False)
    try:
        with transaction.atomic():
            return _save_and_queue(run, inputs, files)
    except IntegrityError:  # the same form, a moment earlier
        return Run.objects.get(project=project, idempotency_key=key)


def check(
    *,
    project: Project,
    stage: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, Input],
    files: Files = NO_FILES,
) -> dict[str, Any]:
    """The config as it will be stored: complete, checked, without paths. Raises ConfigError naming the field."""
    specs = {spec.name: spec for spec in configs.specs(configs.EVERY_STAGE[stage])}
    for name, value in inputs.items():
        if name not in specs or not specs[name].input:
            raise ConfigError(name, "is not an input of this stage")
        _check_input(specs[name], value, project=project)
    for name, file in files.items():
        if name not in specs or specs[name].input != "file" or file.kind != name or file.project_id != project.pk:
            raise ConfigError(name, "is not a file of this project for this field")
    given = {*inputs, *files}
    for name, text in config.items():
        if name in specs and specs[name].input and name not in given:
            _check_text_input(specs[name], text)
    if stage == Stage.GENERATE and "model" not in inputs:
        raise ConfigError("model", "must be given: responses belong to a model")
    if stage == Stage.SCORE:
        _check_different(inputs)
    complete = configs.dump(configs.build(stage, {**config, **{name: f"inputs/{name}" for name in given}}))
    return {name: value for name, value in complete.items() if name not in given}


def unused_name(*, project: Project, stage: str) -> str:
    """“sft-3”: numbered per stage."""
    number = Run.objects.filter(project=project, stage=stage).count() + 1
    taken = set(Run.objects.filter(project=project, stage=stage).values_list("name", flat=True))
    while f"{stage}-{number}" in taken:
        number += 1
    return f"{stage}-{number}"


def cancel(run: Run, *, user: User) -> None:
    """At once when nobody works on it; else its worker asks the stage to write a checkpoint and stop."""
    to = State.CANCELLING if run.state == State.RUNNING else State.CANCELLED
    _by_person(run, to=to, user=user)


def resume(run: Run, *, user: User | None) -> None:
    """Queue a failed or cancelled run again. It keeps its run directory and goes on from the last checkpoint."""
    try:
        with transaction.atomic():
            _by_person(run, to=State.QUEUED, user=user, attempt=0)
            transaction.on_commit(lambda: ring(run.pk))
    except IntegrityError:
        raise RunError("A copy of this run is on its way already.") from None


def annotate(run: Run, *, note: str, tags: list[str]) -> None:
    Run.objects.filter(pk=run.pk).update(note=note, tags=tags)
    run.refresh_from_db()


def changes_from_preset(run: Run) -> dict[str, Any]:
    """The options that differ from the run's preset, with the preset's values."""
    if run.preset not in configs.PRESETS:
        return {}
    preset = configs.preset(run.stage, run.preset)
    return {name: preset[name] for name, value in run.config.items() if name in preset and preset[name] != value}


def _save_and_queue(run: Run, inputs: Mapping[str, Input], files: Files) -> Run:
    run.save()
    RunInput.objects.bulk_create(_run_input(run, name, value) for name, value in inputs.items())
    RunFile.objects.bulk_create(RunFile(run=run, name=name, file=file) for name, file in files.items())
    actor = _actor(run.created_by)
    note(run_id=run.pk, from_state="", to_state=State.DRAFT, fence=0, actor=actor)
    transition(run, to=State.QUEUED, actor=actor)
    transaction.on_commit(lambda: ring(run.pk))
    return run


def _run_input(run: Run, name: str, value: Input) -> RunInput:
    if isinstance(value, Upload):
        return RunInput(run=run, name=name, upload=value.key)
    if isinstance(value, Folder):
        return RunInput(run=run, name=name, folder=value.name)
    return RunInput(run=run, name=name, **{"model" if isinstance(value, Model) else "snapshot": value})


def _check_input(spec: FieldSpec, value: Input, *, project: Project) -> None:
    if isinstance(value, Upload | Folder):
        if spec.input != ("archive" if isinstance(value, Upload) else "folder"):
            raise ConfigError(spec.name, f"must be a {spec.input}")
        return
    if value.project_id != project.pk:
        raise ConfigError(spec.name, "is of another project")
    if isinstance(value, Snapshot):
        if spec.input != f"snapshot:{value.kind}":
            raise ConfigError(spec.name, f"must be {spec.input.replace(':', ' of kind ')}, not {value.kind}")
        if value.resolved.state != Snapshot.State.READY:
            raise ConfigError(spec.name, f"snapshot “{value.name}” is not ready")
        return
    wanted = Model.Kind.REWARD if spec.input == "reward_model" else Model.Kind.POLICY
    if spec.input.startswith(("snapshot", "archive", "folder")) or value.kind != wanted:
        raise ConfigError(spec.name, f"must be a {Model.Kind(wanted).label.lower()}, not {value.name}")


def _check_different(inputs: Mapping[str, Input]) -> None:
    """The stage sees folders, and cannot tell that two of them hold one model."""
    seen: list[Input] = []
    for name, value in inputs.items():
        if value in seen:
            raise ConfigError(name, "is the same model as another one here")
        seen.append(value)


def _check_text_input(spec: FieldSpec, value: Any) -> None:
    """A person may name a model of the hub, but never a path on the worker's disk."""
    if not value or (spec.input == "model" and (value == "tiny" or HUB_NAME.fullmatch(str(value)))):
        return
    what = "a file" if spec.input == "file" else "a model or a snapshot"
    raise ConfigError(spec.name, f"must be {what} of this project")


def _by_person(run: Run, *, to: str, user: User | None, **changes: Any) -> None:
    try:
        transition(run, to=to, actor=_actor(user), **changes)
    except Superseded:
        raise RunError("The run has changed meanwhile; look again.") from None


def _actor(user: User | None) -> str:
    return str(user) if user else "podium"
