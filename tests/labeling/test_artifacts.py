"""Files in storage, whatever it is: replaced and never doubled, fetched once, waited for only where that helps."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from labeling.services import artifacts
from tests.labeling.runs.bucket import Bucket
from tests.labeling.runs.conftest import _own_folders
from tests.labeling.runs.machines import bucket

__all__ = ["_own_folders", "bucket"]  # fixtures


def put(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "source").write_text(text)
    artifacts.put_file(source=tmp_path / "source", name=name)


def test_a_file_that_is_there_is_replaced_in_a_folder_too(tmp_path: Path) -> None:
    put(tmp_path, "runs/r/1/log.txt", "half")
    put(tmp_path, "runs/r/1/log.txt", "whole")
    assert list(artifacts.names("runs/r")) == ["1/log.txt"]
    assert artifacts.storage().open("runs/r/1/log.txt").read() == b"whole"


def test_a_disk_that_is_full_is_not_waited_for(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that is away has no number of an error; this machine's own disk has one, and waiting would not help."""
    tries: list[str] = []

    def full(self: Bucket, name: str, mode: str = "rb") -> Any:
        tries.append(name)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Bucket, "_open", full)
    with pytest.raises(OSError, match="No space left"):
        artifacts.fetch_file("models/m/config.json", tmp_path / "config.json")
    assert len(tries) == 1


def test_a_bucket_that_is_away_is_asked_again(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "models/m/config.json", "{}")
    opened, tries = Bucket._open, []

    def away(self: Bucket, name: str, mode: str = "rb") -> Any:
        tries.append(name)
        if len(tries) < 3:
            raise OSError("no route to host")
        return opened(self, name, mode)

    monkeypatch.setattr(Bucket, "_open", away)
    artifacts.fetch_file("models/m/config.json", tmp_path / "config.json")
    assert (tmp_path / "config.json").read_text() == "{}"


def test_a_copy_that_is_asked_for_counts_as_used_just_now(bucket: Path, settings: Any, tmp_path: Path) -> None:
    settings.PODIUM_HOME = tmp_path / "home"
    put(tmp_path, "models/m/config.json", "{}")
    copy = artifacts.local_folder("models/m")
    os.utime(copy, (0, 0))
    assert artifacts.local_folder("models/m") == copy
    assert copy.stat().st_mtime > 0


def test_two_processes_that_fetch_the_same_have_one_copy(
    bucket: Path, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PODIUM_HOME = tmp_path / "home"
    put(tmp_path, "models/m/config.json", "{}")
    fetch = artifacts.fetch_file

    def another_is_first(name: str, target: Path) -> None:
        monkeypatch.setattr(artifacts, "fetch_file", fetch)
        artifacts.fetch_folder("models/m", artifacts.cache() / "models/m")
        fetch(name, target)

    monkeypatch.setattr(artifacts, "fetch_file", another_is_first)
    copy = artifacts.local_folder("models/m")
    assert [path.name for path in copy.iterdir()] == ["config.json"]
    assert [path.name for path in copy.parent.iterdir()] == ["m"], "no half copy stays beside it"


def test_a_storage_that_gives_back_something_else_is_found_out(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Bucket._save

    def spoil(self: Bucket, name: str, content: Any) -> str:
        saved = save(self, name, content)
        (self.location / name).write_bytes(b"something else")
        return saved

    monkeypatch.setattr(Bucket, "_save", spoil)
    with pytest.raises(OSError, match="what is read is not what was written"):
        artifacts.try_out()
