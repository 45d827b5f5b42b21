"""Celery functions: fetch an id, call a service. A message holds nothing else."""

from celery import shared_task

from labeling.services import snapshots


@shared_task
def build_snapshot(snapshot_id: int) -> None:
    snapshots.build(snapshot_id)


@shared_task
def sweep_snapshots() -> None:
    snapshots.sweep()
