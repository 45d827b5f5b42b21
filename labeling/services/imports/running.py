"""An import from beginning to end: one transaction per batch of rows, which also keeps how far it got.

A crash leaves whole batches, and the next start goes on behind the last one. Who reads an import holds a lock that
ends with the process, so that a sweeper can tell an import that runs from one whose worker is gone.
"""

import logging
from contextlib import AbstractContextManager
from typing import IO

from django.db import transaction
from django.db.models.functions import Now

from labeling.models import ImportBatch, ImportRefusal
from labeling.services import files, locks, prompts
from labeling.services.imports.columns import Reader
from labeling.services.imports.reading import Import, batches, drafts_of, import_of, reader_of
from labeling.services.imports.taking import Refusal
from labeling.services.imports.tally import Tally

log = logging.getLogger(__name__)
State = ImportBatch.State
OUR_FAULT = "Something went wrong here, not in the file. What is counted was taken; start it again for the rest."


def alone(batch: ImportBatch) -> AbstractContextManager[bool]:
    """Whether nobody else reads this import; nobody will until the block ends, or this process does."""
    return locks.alone(locks.Kind.IMPORT, batch.pk)


def run(batch: ImportBatch, file: IO[bytes]) -> ImportBatch:
    """Read the whole file. A file that cannot be read to its end leaves the import failed, with what was taken."""
    ImportBatch.objects.filter(pk=batch.pk).exclude(state=State.DONE).update(
        state=State.RUNNING, error="", finished_at=None
    )
    try:
        facts = files.inspect(file, filename=batch.filename)
        if facts.sha256 != batch.file_sha256:
            raise files.FileError("The file is not the one that was looked at before: its content has changed.")
        _read_all(batch, file)
    except files.FileError as error:
        _finish(batch, State.FAILED, str(error))
    except Exception:
        _finish(batch, State.FAILED, OUR_FAULT)
        raise
    else:
        _finish(batch, State.DONE, "")
    batch.refresh_from_db()
    return batch


def _read_all(batch: ImportBatch, file: IO[bytes]) -> None:
    reading, reader = import_of(batch), reader_of(batch)
    for lines in batches(files.read(file, filename=batch.filename)):
        if not _take(batch, reading, reader, lines):
            log.info("import %s was ended by another worker", batch.uid)
            return


@transaction.atomic
def _take(batch: ImportBatch, reading: Import, reader: Reader, lines: list[files.Line]) -> bool:
    """These rows, and the count of them, or nothing. False once the import is no longer running."""
    prompts.lock(batch.project)
    locked = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if locked.state != State.RUNNING:
        return False
    tally = Tally.of(num_taken=locked.num_taken, num_refused=locked.num_refused, counts=locked.counts)
    rest = [line for line in lines if line.number > tally.last_line]
    if rest:
        drafts, refused = drafts_of(reading, reader, rest)
        taken, more = reading.sift(drafts)
        tally.add(drafts=taken, refusals=[*refused, *more], made=reading.write(taken), last_line=rest[-1].number)
        _save(locked, tally, [*refused, *more])
    return True


def _save(batch: ImportBatch, tally: Tally, refusals: list[Refusal]) -> None:
    ImportRefusal.objects.bulk_create(
        ImportRefusal(batch=batch, line=item.line, reason=item.reason[:60], detail=_storable(item.detail))
        for item in refusals
    )
    batch.num_rows, batch.num_taken, batch.num_refused = tally.num_rows, tally.num_taken, tally.num_refused
    batch.counts |= tally.as_counts()
    batch.save(update_fields=["num_rows", "num_taken", "num_refused", "counts"])


def _storable(detail: str) -> str:
    """A detail may quote the file, and so hold what made the row unfit."""
    return detail.replace("\0", "\ufffd").encode("utf-8", errors="replace").decode("utf-8")[:500]


def fail(batch: ImportBatch, error: str) -> None:
    _finish(batch, State.FAILED, error)


def _finish(batch: ImportBatch, state: str, error: str) -> None:
    ImportBatch.objects.filter(pk=batch.pk, state=State.RUNNING).update(state=state, error=error, finished_at=Now())
