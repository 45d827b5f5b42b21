"""Copies of checkpoints, without a stage: what is copied, when, and what stays in the bucket."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labeling.models import Run
from labeling.services import runs
from labeling.services.runs import saving, takeover
from labeling.services.runs.claims import Claim
from labeling.services.runs.saving import Saved, Saver
from labeling.services.runs.workdir import run_dir_of
from training.contract.rundir import RunDir, file_sha256, write_bytes

from .bucket import Bucket
from .machines import Machines, bucket, machines, run

__all__ = ["bucket", "machines", "run"]  # fixtures
HOURS = 10_000.0


@pytest.fixture
def saves(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are written to the bucket, in their order."""
    save, seen = Bucket._save, []

    def noted(self: Bucket, name: str, content: Any) -> str:
        seen.append(name)
        return save(self, name, content)

    monkeypatch.setattr(Bucket, "_save", noted)
    return seen


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    found = RunDir(tmp_path / "run")
    found.create()
    return found


@pytest.fixture
def saver(bucket: Path, run_dir: RunDir) -> Iterator[Saver]:
    found = Saver(run=Run(uid=uuid.uuid4()), claim=Claim(run_id=1, fence=3, owner="host:1"), run_dir=run_dir)
    yield found
    found.close()


def checkpoint(run_dir: RunDir, step: int, **files: str) -> None:
    """As the engine leaves one: hashes last."""
    folder = run_dir.checkpoints / f"step-{step}"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    hashes = {name: file_sha256(folder / name) for name in files}
    write_bytes(folder / saving.HASHES, json.dumps(hashes).encode())


def loose(run_dir: RunDir, text: str) -> None:
    write_bytes(run_dir.checkpoints / "fits.json", text.encode())


def until_copied(saver: Saver) -> Saved:
    until = time.monotonic() + 60
    while (found := saver.finished()) is None:
        assert time.monotonic() < until, "nothing was copied"
        time.sleep(0.01)
    return found


def copy(saver: Saver) -> Saved:
    saver.look()
    found = until_copied(saver)
    saver.named(found)
    return found


def in_bucket(bucket: Path) -> dict[str, str]:
    found = sorted(path for path in (bucket / "runs").rglob("*") if path.is_file())
    return {path.relative_to(bucket).as_posix(): path.read_text() for path in found}


def settled(saver: Saver, bucket: Path) -> set[str]:
    """What lies in the bucket when the thread is done."""
    saver.close()
    return set(in_bucket(bucket))


def test_a_whole_checkpoint_is_copied_at_once_and_files_that_grow_only_now_and_then(
    saver: Saver, run_dir: RunDir, saves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "LOOSE_SECONDS", 0.0)
    loose(run_dir, "1")
    copy(saver)
    monkeypatch.setattr(saving, "LOOSE_SECONDS", HOURS)
    loose(run_dir, "2")
    saver.look()
    assert saver.finished() is None
    assert len(saves) == 1
    checkpoint(run_dir, 20, tensors="weights")
    assert set(copy(saver)) == {
        "checkpoints/fits.json",
        "checkpoints/step-20/hashes.json",
        "checkpoints/step-20/tensors",
    }


def test_what_has_not_changed_is_not_copied_again(
    saver: Saver, run_dir: RunDir, saves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "LOOSE_SECONDS", 0.0)
    checkpoint(run_dir, 20, tensors="weights", optimiser="moments")
    first = copy(saver)
    saver.look()
    assert (saver.finished(), len(saves)) == (None, 3)
    checkpoint(run_dir, 40, tensors="other weights")
    second = copy(saver)
    assert {name: second[name] for name in first} == first
    assert [Path(name).name for name in saves[3:]] == ["hashes.json", "tensors"]


def test_a_file_that_changed_is_copied_under_another_name_and_the_old_one_goes(
    saver: Saver, run_dir: RunDir, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "LOOSE_SECONDS", 0.0)
    loose(run_dir, "1")
    first = copy(saver)["checkpoints/fits.json"]["key"]
    loose(run_dir, "2")
    second = copy(saver)["checkpoints/fits.json"]["key"]
    assert first != second
    saver.close()
    assert in_bucket(bucket) == {second: "2"}


def test_what_is_not_yet_at_its_place_is_not_copied(saver: Saver, run_dir: RunDir) -> None:
    checkpoint(run_dir, 20, tensors="weights")
    half = run_dir.checkpoints / ".step-40"
    half.mkdir()
    (half / "tensors").write_text("half of")
    assert set(copy(saver)) == {"checkpoints/step-20/hashes.json", "checkpoints/step-20/tensors"}


def test_a_copy_that_failed_leaves_nothing_and_is_tried_again_after_a_pause(
    saver: Saver, run_dir: RunDir, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, is_away = Bucket._save, True

    def cut(self: Bucket, name: str, content: Any) -> str:
        if is_away and name.endswith("tensors"):
            raise OSError("no route to host")
        return save(self, name, content)

    monkeypatch.setattr(Bucket, "_save", cut)
    monkeypatch.setattr(saving, "RETRY_SECONDS", HOURS)
    checkpoint(run_dir, 20, tensors="weights")
    saver.look()
    wait_for(lambda: saver.finished() is None and saver._not_before > HOURS)
    assert in_bucket(bucket) == {}
    is_away = False
    saver.look()
    assert saver.finished() is None, "not before the pause is over"
    saver._not_before = 0.0
    assert set(copy(saver)) == {"checkpoints/step-20/hashes.json", "checkpoints/step-20/tensors"}


def test_files_that_changed_while_they_were_opened_are_opened_again(
    saver: Saver, run_dir: RunDir, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one copy could hold files of two moments."""
    opened, times = saving._open, []

    def change_meanwhile(*given: Any) -> Any:
        yield from opened(*given)
        times.append(1)
        if len(times) == 1:
            loose(run_dir, "2")
            checkpoint(run_dir, 20, tensors="weights")

    monkeypatch.setattr(saving, "_open", change_meanwhile)
    loose(run_dir, "1")
    found = copy(saver)
    assert set(found) == {"checkpoints/fits.json", "checkpoints/step-20/hashes.json", "checkpoints/step-20/tensors"}
    assert in_bucket(bucket)[found["checkpoints/fits.json"]["key"]] == "2"


def test_a_copy_that_nobody_waits_for_is_given_up_and_leaves_nothing(
    saver: Saver, run_dir: RunDir, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, begun, goes_on = Bucket._save, threading.Event(), threading.Event()

    def slow(self: Bucket, name: str, content: Any) -> str:
        begun.set()
        goes_on.wait(10)
        return save(self, name, content)

    monkeypatch.setattr(Bucket, "_save", slow)
    checkpoint(run_dir, 20, tensors="weights")
    saver.look()
    assert begun.wait(10)
    closing = threading.Thread(target=saver.close)
    closing.start()
    wait_for(saver._stop.is_set)
    goes_on.set()
    closing.join()
    assert in_bucket(bucket) == {}


def test_the_last_copy_takes_what_was_under_way_along_and_leaves_no_more_than_it_names(
    saver: Saver, run_dir: RunDir, bucket: Path, saves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(run_dir, 20, tensors="weights")
    loose(run_dir, "1")
    saver.look()
    until_copied(saver)
    loose(run_dir, "2")
    found = saver.last()
    saver.named(found)
    assert settled(saver, bucket) == {entry["key"] for entry in found.values()}
    assert in_bucket(bucket)[found["checkpoints/fits.json"]["key"]] == "2"
    assert [Path(name).name for name in saves].count("tensors") == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_one_file_that_is_damaged_takes_its_whole_checkpoint_with_it_and_no_other(
    machines: Machines, run: Run, bucket: Path, tmp_path: Path, harm: str
) -> None:
    elsewhere = RunDir(tmp_path / "elsewhere")
    elsewhere.create()
    for step in (20, 40):
        checkpoint(elsewhere, step, optimiser="moments", tensors="weights")
    saver = Saver(run=run, claim=Claim(run_id=run.pk, fence=1, owner="host:1"), run_dir=elsewhere)
    Run.objects.filter(pk=run.pk).update(fence=1, checkpoint=copy(saver))
    saver.close()
    run.refresh_from_db()
    damaged = bucket / run.checkpoint["checkpoints/step-40/optimiser"]["key"]
    damaged.write_text("other moments") if harm == "changed" else damaged.unlink()

    machines.at("b")
    claim = runs.claim(run.pk)
    assert claim is not None
    run_dir = run_dir_of(run)
    takeover.take_over(run, claim, run_dir)
    assert [path.name for path in run_dir.checkpoints.iterdir()] == ["step-20"]
    assert (run_dir.checkpoints / "step-20" / "tensors").read_text() == "weights"
    assert {Path(name).parent.name for name in run.checkpoint} == {"step-20"}


def wait_for(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
