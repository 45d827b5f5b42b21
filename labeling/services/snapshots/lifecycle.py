"""Asking for a snapshot, finding its files, and ringing again for those whose worker died."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import transaction

from labeling.models import Project, Snapshot, User
from labeling.services import artifacts, bell, locks

FILTERS = (
    "use_cases", "languages", "datasets", "splits", "since", "until", "with_held_out", "adjudicated", "streams",
    "text_key", "evaluation", "wave",
)  # fmt: skip


class SnapshotError(ValueError):
    """A snapshot that cannot be made; the text says why."""


def create(
    *, project: Project, kind: str, name: str, filters: Mapping[str, Any] | None = None, user: User | None = None
) -> Snapshot:
    """Queue a snapshot and ring for it once the row is committed."""
    unknown = set(filters or {}) - set(FILTERS)
    if unknown:
        raise SnapshotError(f"There is no filter called {', '.join(sorted(unknown))}.")
    snapshot = Snapshot(
        project=project,
        kind=kind,
        name=unused_name(project=project, name=name),
        filters={key: value for key, value in (filters or {}).items() if value or value is False},
        created_by=user,
    )
    snapshot.full_clean(validate_constraints=False)
    with transaction.atomic():
        snapshot.save()
        transaction.on_commit(lambda: ring(snapshot.pk))
    return snapshot


def unused_name(*, project: Project, name: str) -> str:
    """The name, with a number behind it when the project already has a snapshot of that name."""
    taken = set(Snapshot.objects.filter(project=project, name__startswith=name[:110]).values_list("name", flat=True))
    candidates = [name, *(f"{name[:110]} {number}" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)


def ring(snapshot_id: int) -> None:
    bell.ring("build_snapshot", snapshot_id)


def retry(snapshot: Snapshot) -> None:
    """Queue a failed snapshot again."""
    with transaction.atomic():
        changed = Snapshot.objects.filter(pk=snapshot.pk, state=Snapshot.State.FAILED).update(
            state=Snapshot.State.QUEUED, error="", finished_at=None, num_done=0
        )
        if changed != 1:
            raise SnapshotError("Only a failed snapshot can be tried again.")
        transaction.on_commit(lambda: ring(snapshot.pk))


def sweep() -> int:
    """Ring for every snapshot that waits or whose builder died. A builder holds a lock while it lives."""
    waiting = list(
        Snapshot.objects.filter(state__in=[Snapshot.State.QUEUED, Snapshot.State.BUILDING]).values_list("pk", flat=True)
    )
    abandoned = [pk for pk in waiting if not locks.is_held(locks.Kind.SNAPSHOT, pk)]
    for pk in abandoned:
        ring(pk)
    return len(abandoned)


def folder(snapshot: Snapshot) -> Path:
    """A local folder with `data.parquet` and `manifest.json`."""
    snapshot = snapshot.resolved
    if snapshot.state != Snapshot.State.READY:
        raise SnapshotError(f"Snapshot “{snapshot.name}” is not ready yet.")
    return artifacts.local_folder(snapshot.storage_key)
