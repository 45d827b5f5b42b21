"""Celery functions: fetch an id, call a service. A message holds nothing else."""

from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from labeling.services import (
    assignments,
    evaluations,
    imports,
    kept,
    looks,
    playground,
    rounds,
    runs,
    snapshots,
    workers,
)


@shared_task
def run_import(batch_id: int) -> None:
    imports.run(batch_id)


@shared_task
def sweep_imports() -> None:
    imports.sweep()


@shared_task
def look_through_prompts(look_id: int) -> None:
    looks.run(look_id)


@shared_task
def sweep_looks() -> None:
    looks.sweep()


@shared_task
def build_snapshot(snapshot_id: int) -> None:
    snapshots.build(snapshot_id)
    rounds.advance_all()
    evaluations.advance_all()


@shared_task
def sweep_snapshots() -> None:
    snapshots.sweep()


@shared_task
def make_reports(project_id: int) -> None:
    kept.make_asked(project_id)


@shared_task
def sweep_slots() -> None:
    assignments.expire()


@shared_task
def run_stage(run_id: int) -> None:
    runs.work(run_id)
    playground.settle()
    rounds.advance_all()
    evaluations.advance_all()


@shared_task
def sweep_runs() -> None:
    runs.sweep()
    playground.settle()
    workers.forget()


@shared_task
def advance_rounds() -> None:
    rounds.advance_all()


@shared_task
def advance_evaluations() -> None:
    evaluations.advance_all()


@worker_shutting_down.connect
def ask_worker_to_go(**_: Any) -> None:
    runs.ask_worker_to_go()


_heralds: list[workers.Herald] = []


@worker_ready.connect
def say_that_it_is_here(sender: Any, **_: Any) -> None:
    queues = [queue.name for queue in sender.task_consumer.queues]
    herald = workers.Herald(workers.name_of(sender.hostname), queues, sender.pool.num_processes)
    herald.start()
    _heralds.append(herald)


@worker_shutdown.connect
def say_that_it_goes(**_: Any) -> None:
    for herald in _heralds:
        herald.stop()
