"""A run that goes from machine to machine, and a web machine that shows it: they share a database and a bucket."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from labeling.models import Model, Run, RunEvent, RunUsage
from labeling.services import artifacts, runs
from labeling.services.runs import supervision
from labeling.services.runs.states import Superseded
from labeling.services.runs.workdir import run_dir_of
from tests.labeling.conftest import People

from .bucket import Bucket
from .machines import ALL_STEPS, Machines, bucket, kept, lines, log_rows, machines, named, run, steps, work
from .test_supervision import when

__all__ = ["bucket", "machines", "run"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)


def stored_log(run: Run) -> str:
    with artifacts.storage().open(f"{run.result['storage_key']}/log.txt") as file:
        return file.read().decode()


def test_a_run_that_dies_on_one_machine_goes_on_from_its_checkpoint_on_another(machines: Machines, run: Run) -> None:
    first = machines.at("a", always_die_at=6)
    work(run)
    assert (run.state, run.attempt, steps(run)) == ("queued", 1, [1, 2, 3, 4, 5])
    times = {row.step: row.time for row in run.metrics.all()}
    shutil.rmtree(first)  # the machine is gone for good

    machines.at("b")
    work(run)
    assert (run.state, run.attempt, steps(run)) == ("succeeded", 2, ALL_STEPS)
    again = {row.step: row.time for row in run.metrics.all()}
    assert [step for step in ALL_STEPS if again[step] == times.get(step)] == [1, 2, 3, 4], "on from the checkpoint"
    assert Model.objects.filter(run=run).count() == 1


def test_log_metrics_and_use_of_the_machine_go_on_and_their_files_are_whole(machines: Machines, run: Run) -> None:
    for name, plan in (("a", {"always_die_at": 4}), ("b", {"always_die_at": 6}), ("c", {})):
        machines.at(name, **plan)
        work(run)
    whole = lines(1, 2, 3) + lines(3, 4, 5) + lines(5, 6)
    assert log_rows(run) == whole
    assert stored_log(run) == whole
    with artifacts.storage().open(f"{run.result['storage_key']}/metrics.jsonl") as file:
        assert [json.loads(line)["step"] for line in file] == ALL_STEPS
    with artifacts.storage().open(f"{run.result['storage_key']}/usage.jsonl") as file:
        seen = [json.loads(line)["values"]["system/cpu_percent"] - 50 for line in file]
    assert seen == [1, 2, 3, 3, 4, 5, 5, 6]
    assert RunUsage.objects.filter(run=run).count() == len(seen)


def test_text_that_is_not_utf8_does_not_shift_the_log_on_the_next_machine(machines: Machines, run: Run) -> None:
    machines.at("a", always_die_at=4)
    log = run_dir_of(run).log_path
    log.parent.mkdir(parents=True)
    log.write_bytes(b"caf\xe9 and a zero \0\n")
    work(run)
    machines.at("b")
    work(run)
    assert log_rows(run) == "caf\ufffd and a zero \ufffd\n" + lines(1, 2, 3) + lines(3, 4, 5, 6)


def test_a_machine_that_had_the_run_before_another_takes_the_others_state(machines: Machines, run: Run) -> None:
    machines.at("a", always_die_at=4)
    work(run)
    machines.at("b", always_die_at=6)
    work(run)
    machines.at("a")
    work(run)
    assert log_rows(run) == lines(1, 2, 3) + lines(3, 4, 5) + lines(5, 6), "from step 4 of b, not from 2 of its own"
    assert (run.state, steps(run)) == ("succeeded", ALL_STEPS)


def test_a_machine_that_had_it_last_goes_on_from_its_own_disk(
    machines: Machines, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.at("a", always_die_at=4)
    work(run)
    fetched: list[str] = []
    monkeypatch.setattr(artifacts, "fetch_file", lambda name, target: fetched.append(name))
    machines.at("a")
    work(run)
    assert (run.state, fetched) == ("succeeded", [])
    assert log_rows(run) == lines(1, 2, 3) + lines(3, 4, 5, 6)


def test_a_run_cancelled_on_one_machine_is_resumed_on_another(machines: Machines, run: Run, people: People) -> None:
    machines.at("a", steps=200, step_s=0.02, checkpoint_every=1000)
    thread = when(lambda: len(steps(run)) >= 3, lambda: runs.cancel(Run.objects.get(pk=run.pk), user=people.manager))
    work(run)
    thread.join()
    assert run.state == "cancelled"
    assert "its stage wrote a checkpoint and stopped" in RunEvent.objects.filter(run=run).last().message  # type: ignore[union-attr]
    reached = steps(run)[-1]

    runs.resume(run, user=people.manager)
    machines.at("b", steps=reached + 3, checkpoint_every=1000)
    work(run)
    assert run.state == "succeeded"
    assert steps(run) == list(range(1, reached + 4))
    assert f"step {reached}\nfake reward begins\nstep {reached + 1}\n" in log_rows(run)


def test_a_worker_that_goes_leaves_its_last_checkpoint_in_the_bucket(machines: Machines, run: Run) -> None:
    machines.at("a", steps=200, step_s=0.02, checkpoint_every=1000)
    thread = when(lambda: len(steps(run)) >= 3, supervision.ask_worker_to_go)
    try:
        work(run)
    finally:
        thread.join()
        supervision._worker_goes[0] = 0
    assert (run.state, run.attempt) == ("queued", 0)
    assert set(run.checkpoint) == {"checkpoints/step"}
    with artifacts.storage().open(run.checkpoint["checkpoints/step"]["key"]) as file:
        assert int(file.read()) == steps(run)[-1]


def test_only_what_the_row_names_stays_in_the_bucket_and_nothing_when_the_run_has_succeeded(
    machines: Machines, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeling.services.runs.saving.LOOSE_SECONDS", 0.0)
    machines.at("a", steps=30, step_s=0.03, checkpoint_every=1, always_die_at=20)
    work(run)
    assert len(kept(run)) == 1
    assert kept(run) == named(run)
    (number,) = {int(key.split("/")[-3]) for key in kept(run)}
    assert number > 3, "copied as they were made, not at the end alone"

    machines.at("b", steps=30)
    work(run)
    assert (run.state, run.checkpoint, kept(run)) == ("succeeded", {}, set())
    assert steps(run) == list(range(1, 31))


def test_a_damaged_checkpoint_is_not_used(machines: Machines, run: Run, bucket: Path) -> None:
    machines.at("a", always_die_at=5)
    work(run)
    (key,) = named(run)
    (bucket / key).write_bytes(b"9")
    machines.at("b")
    work(run)
    assert (run.state, steps(run)) == ("succeeded", ALL_STEPS)
    assert log_rows(run) == lines(1, 2, 3, 4) + lines(*ALL_STEPS), "from the beginning, not from step 9"


def test_a_checkpoint_that_is_made_again_is_not_taken_for_the_damaged_one(
    machines: Machines, run: Run, bucket: Path
) -> None:
    machines.at("a", always_die_at=5)
    work(run)
    (damaged,) = named(run)
    (bucket / damaged).unlink()
    machines.at("b", always_die_at=5)
    work(run)
    (again,) = named(run)
    assert again != damaged
    assert (bucket / again).read_bytes() == b"4"


def test_a_worker_that_lost_its_run_names_and_removes_nothing(
    machines: Machines, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeling.services.runs.saving.LOOSE_SECONDS", 0.0)
    machines.at("a", always_die_at=4)
    work(run)
    before = run.checkpoint
    machines.at("b", steps=300, step_s=0.02, checkpoint_every=1)

    def lose() -> None:
        Run.objects.filter(pk=run.pk).update(fence=99)
        Run.objects.filter(pk=run.pk).update(checkpoint=before)

    thread = when(lambda: 3 in steps(run), lose)
    work(run)
    thread.join()
    assert (run.fence, run.checkpoint) == (99, before)
    assert {entry["key"] for entry in before.values()} <= kept(run)


def test_a_storage_that_is_away_for_a_moment_does_not_disturb_the_stage(
    machines: Machines, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Bucket._save

    def away(self: Bucket, name: str, content: Any) -> str:
        if "/checkpoints/" in name:
            raise OSError("no route to host")
        return save(self, name, content)

    monkeypatch.setattr(Bucket, "_save", away)
    machines.at("a", step_s=0.05)
    work(run)
    assert (run.state, steps(run), run.attempt) == ("succeeded", ALL_STEPS, 1)


def test_a_result_waits_for_a_storage_that_is_away_for_a_moment(
    machines: Machines, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, tries = Bucket._save, []

    def away(self: Bucket, name: str, content: Any) -> str:
        if name.endswith("manifest.json") and len(tries) < 3:
            tries.append(name)
            raise OSError("no route to host")
        return save(self, name, content)

    monkeypatch.setattr(Bucket, "_save", away)
    machines.at("a")
    work(run)
    assert (run.state, run.attempt, len(tries)) == ("succeeded", 1, 3)


def test_a_last_checkpoint_that_stays_on_the_machine_is_said_in_the_history(
    machines: Machines, run: Run, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.at("a", steps=200, step_s=0.02, checkpoint_every=1000)

    def cancel() -> None:
        monkeypatch.setattr(Bucket, "_save", lambda *_: (_ for _ in ()).throw(OSError("no route to host")))
        runs.cancel(Run.objects.get(pk=run.pk), user=people.manager)

    thread = when(lambda: len(steps(run)) >= 3, cancel)
    work(run)
    thread.join()
    message = RunEvent.objects.filter(run=run).last().message  # type: ignore[union-attr]
    assert (run.state, message) == (
        "cancelled",
        "its stage stopped; its last checkpoint did not reach the storage: no route to host",
    )


def test_a_checkpoint_and_the_metrics_up_to_it_are_named_in_one_transaction(
    machines: Machines, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at after each tick: no checkpoint is named whose steps have no rows."""
    monkeypatch.setattr("labeling.services.runs.saving.LOOSE_SECONDS", 0.0)
    seen: list[tuple[int, int]] = []
    tick = supervision.Mirror.tick

    def look(self: Any, **options: Any) -> str:
        state = tick(self, **options)
        row = Run.objects.get(pk=run.pk)
        if entry := row.checkpoint.get("checkpoints/step"):
            with artifacts.storage().open(entry["key"]) as file:
                seen.append((int(file.read()), steps(run)[-1]))
        return state

    monkeypatch.setattr(supervision.Mirror, "tick", look)
    machines.at("a", steps=40, step_s=0.01, checkpoint_every=1)
    work(run)
    assert len({named for named, _ in seen}) > 3
    assert all(in_checkpoint <= in_rows for in_checkpoint, in_rows in seen)


def test_a_void_claim_names_no_checkpoint(machines: Machines, run: Run, tmp_path: Path) -> None:
    claim = runs.claim(run.pk)
    assert claim is not None
    Run.objects.filter(pk=run.pk).update(fence=7)
    mirror = supervision.Mirror(claim=claim, run_dir=run_dir_of(run))
    with pytest.raises(Superseded):
        mirror.tick(saved={"checkpoints/step": {"key": "k", "sha256": "s", "bytes": 1}})
    run.refresh_from_db()
    assert run.checkpoint == {}
    connection.close()
