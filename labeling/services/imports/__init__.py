"""Files that people bring: looked at first, then read in whole batches, counted by reason, safe to run twice."""

from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction

from labeling.models import ImportBatch, Project, User
from labeling.services import bell, files
from labeling.services.files import FileError
from labeling.services.imports import reading, running
from labeling.services.imports.reading import Preview
from labeling.services.imports.tally import Tally

__all__ = [
    "FileError",
    "Preview",
    "Tally",
    "cell",
    "earlier",
    "forget",
    "preview",
    "receive",
    "run",
    "run_file",
    "start",
    "sweep",
    "tally",
]


def receive(*, project: Project, kind: str, upload: "File[bytes]", user: User, options: dict[str, Any]) -> ImportBatch:
    """Keep an uploaded file, to be looked at. Raises FileError when it cannot be read as a whole."""
    filename = (upload.name or "")[-255:] or "file"  # for showing and for its ending; never used as a path
    facts = files.inspect(upload, filename=filename)
    batch = ImportBatch(
        project=project,
        kind=kind,
        filename=filename,
        file_sha256=facts.sha256,
        created_by=user,
        options=options,
        counts={"num_lines": facts.num_lines},
    )
    upload.seek(0)
    batch.file_key = default_storage.save(f"imports/{batch.uid}", upload)  # a name of ours, never the uploader's
    batch.save()
    return batch


def preview(batch: ImportBatch) -> Preview:
    with default_storage.open(batch.file_key) as file:
        return reading.preview(batch, file)


def start(batch: ImportBatch) -> bool:
    """From looked at (or failed) to running, and tell a worker; False if somebody was faster."""
    states = [ImportBatch.State.PREVIEW, ImportBatch.State.FAILED]
    waiting = ImportBatch.objects.filter(pk=batch.pk, state__in=states)
    with transaction.atomic():
        changed = waiting.update(state=ImportBatch.State.RUNNING, error="")
        if changed:
            transaction.on_commit(lambda: bell.ring("run_import", batch.pk))
    return bool(changed)


def run(batch_id: int) -> None:
    """What the job does. Harmless when delivered twice: rows are counted in the transaction that writes them."""
    batch = ImportBatch.objects.select_related("project").get(pk=batch_id)
    with running.alone(batch) as is_alone:
        if is_alone and batch.state == ImportBatch.State.RUNNING:
            _run_alone(batch)


def _run_alone(batch: ImportBatch) -> None:
    if not batch.file_key:
        running.fail(
            batch, "The command that read this file was stopped. Run it again: what is here is not taken twice."
        )
        return
    try:
        with default_storage.open(batch.file_key) as file:
            running.run(batch, file)
    except FileNotFoundError:
        running.fail(batch, "The uploaded file is gone from the storage.")


def sweep() -> None:
    """Ring for every import that should run: where a worker reads it already, the new one leaves it alone."""
    for batch_id in ImportBatch.objects.filter(state=ImportBatch.State.RUNNING).values_list("pk", flat=True):
        bell.ring("run_import", batch_id)


def run_file(*, project: Project, kind: str, path: Path, options: dict[str, Any]) -> ImportBatch:
    """What the commands do: a file of this machine, read at once. Raises FileError before anything is written."""
    with path.open("rb") as file:
        facts = files.inspect(file, filename=path.name)
        batch = ImportBatch.objects.create(
            project=project,
            kind=kind,
            filename=path.name[:255],
            file_sha256=facts.sha256,
            options=options,
            counts={"num_lines": facts.num_lines},
        )
        with running.alone(batch):
            return running.run(batch, file)


def forget(batch: ImportBatch) -> bool:
    """Drop a file that was looked at and not wanted."""
    deleted, _ = ImportBatch.objects.filter(pk=batch.pk, state=ImportBatch.State.PREVIEW).delete()
    if deleted and batch.file_key:
        default_storage.delete(batch.file_key)
    return bool(deleted)


def earlier(batch: ImportBatch) -> ImportBatch | None:
    """The last time the very same file was read into this project."""
    same = ImportBatch.objects.filter(project=batch.project_id, file_sha256=batch.file_sha256, kind=batch.kind)
    return same.filter(state=ImportBatch.State.DONE).exclude(pk=batch.pk).first()


def tally(batch: ImportBatch) -> Tally:
    return Tally.of(num_taken=batch.num_taken, num_refused=batch.num_refused, counts=batch.counts)


def cell(text: str) -> str:
    """Safe in a spreadsheet: a cell that would start a formula there starts with an apostrophe instead."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
