"""Models that people bring: an uploaded archive, a folder of this machine, a name on the hub.

Each becomes a run of the stage `fetch`, because a worker has torch to look at a model with and the web has not. A
model is in the registry when that run has succeeded, and not a byte of it before.
"""

import uuid
from typing import Any

from django.conf import settings
from django.core.files import File

from labeling.models import Project, Run, Stage, User
from labeling.services import artifacts, runs
from labeling.services.runs.creation import Input
from training.contract import archives, modelfiles

UPLOADS = "uploads"


def from_archive(*, project: Project, upload: "File[bytes]", name: str, user: User, key: str) -> Run:
    """Look through an archive, keep it, and queue its import. Raises ModelFilesError, naming what is refused."""
    if earlier := Run.objects.filter(project=project, idempotency_key=key).first():
        return earlier
    _look_through(upload)
    upload.seek(0)
    place = artifacts.storage().save(f"{UPLOADS}/{uuid.uuid4()}", upload)  # a name of ours, never the uploader's
    try:
        run = _queue(project, name=name, user=user, key=key, inputs={"archive": runs.Upload(place)})
    except Exception:
        artifacts.storage().delete(place)
        raise
    if not run.inputs.filter(upload=place).exists():  # the same form, a moment earlier
        artifacts.storage().delete(place)
    return run


def from_folder(*, project: Project, folder: str, name: str, user: User, key: str) -> Run:
    return _queue(project, name=name or folder, user=user, key=key, inputs={"folder": runs.Folder(folder)})


def from_hub(*, project: Project, repo: str, revision: str, name: str, user: User, key: str) -> Run:
    name = name or repo.partition("/")[2]
    return _queue(project, name=name, user=user, key=key, config={"repo": repo, "revision": revision})


def _look_through(file: Any) -> None:
    """What can be refused without unpacking is refused at once; the stage looks at everything again."""
    with archives.opened(file, max_bytes=settings.MAX_MODEL_BYTES) as members:
        modelfiles.check_names(member.name for member in members)


def _queue(
    project: Project,
    *,
    name: str,
    user: User,
    key: str,
    inputs: dict[str, Input] | None = None,
    config: dict[str, Any] | None = None,
) -> Run:
    limit = {"max_gib": min(10_000.0, max(0.001, settings.MAX_MODEL_BYTES / 2**30))}
    return runs.create(
        project=project,
        stage=Stage.FETCH,
        config=limit | (config or {}),
        inputs=inputs or {},
        user=user,
        name=name[:120],
        idempotency_key=key,
    )
