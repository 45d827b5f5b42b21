"""Inputs, results and room on machines that share a bucket and no disk; and a folder, where nothing is copied."""

import io
import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from labeling.models import Model, Run, RunEvent
from labeling.services import artifacts, model_folders, runs
from labeling.services.runs import workdir
from labeling.services.runs.workdir import run_dir_of
from tests.labeling.conftest import People

from .bucket import Bucket
from .machines import ALL_STEPS, Machines, bucket, lines, machines, run, steps, work

__all__ = ["bucket", "machines", "run"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)


def test_the_web_machine_shows_log_files_report_and_model_of_a_run_elsewhere(
    machines: Machines, run: Run, client: Client, people: People
) -> None:
    worker = machines.at("gpu")
    work(run)
    shutil.rmtree(worker)
    machines.at("web")
    client.force_login(people.manager)

    def get(name: str, *arguments: Any, query: str = "") -> Any:
        return client.get(reverse(name, args=["tea", *arguments]) + query)

    def body(answer: Any) -> bytes:
        assert answer.status_code == 200
        return b"".join(answer.streaming_content)

    assert body(get("run_log_text", run.uid)).decode() == lines(*ALL_STEPS)
    assert "step 6" in get("run_log", run.uid).content.decode()
    assert "&quot;accuracy&quot;: 0.75" in get("run_files", run.uid, query="?show=outputs/report.json").content.decode()
    answer = get("run_file", run.uid, "outputs/model/model.safetensors")
    weights = f"weights of {run.uid}".encode()
    assert answer["Content-Length"] == str(len(weights))
    assert body(answer) == weights
    model = Model.objects.get(run=run)
    with zipfile.ZipFile(io.BytesIO(body(get("model_archive", model.uid)))) as archive:
        assert archive.read("model.safetensors") == weights
    assert not (machines.tmp_path / "web" / "cache").exists(), "what is only shown is not copied to this machine"


def test_inputs_are_fetched_once_for_all_runs_of_a_machine_and_checked(
    machines: Machines, make_run: Any, make_snapshot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, fetched = make_snapshot(), []
    fetch = artifacts.fetch_file
    monkeypatch.setattr(artifacts, "fetch_file", lambda name, target: (fetched.append(name), fetch(name, target))[1])
    machines.at("a")
    first, second = make_run(snapshot=snapshot), make_run(snapshot=snapshot)
    for each in (first, second):
        work(each)
        assert each.state == "succeeded"
    assert len(fetched) == len(set(fetched)) == 4, "two of the model, two of the snapshot"
    weights = run_dir_of(second).inputs / "init_model" / "model.safetensors"
    weights.write_text("other weights")
    third = make_run(snapshot=snapshot)
    work(third)
    assert third.state == "queued"
    assert "its files are not those that were registered" in RunEvent.objects.filter(run=third).last().message  # type: ignore[union-attr]


def test_half_a_copy_of_an_input_is_no_copy(machines: Machines, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch = artifacts.fetch_file

    def cut(name: str, target: Path) -> None:
        if name.endswith("model.safetensors"):
            raise OSError("connection reset")
        fetch(name, target)

    machines.at("a")
    monkeypatch.setattr(artifacts, "fetch_file", cut)
    work(run)
    assert (run.state, run.attempt) == ("queued", 1)
    monkeypatch.setattr(artifacts, "fetch_file", fetch)
    work(run)
    assert run.state == "succeeded"
    assert not list((machines.tmp_path / "a" / "cache").rglob(".part-*"))


def test_a_machine_keeps_no_run_that_is_done_or_went_elsewhere(machines: Machines, make_run: Any) -> None:
    done, moved, failed, waiting, last = (make_run() for _ in range(5))
    machines.at("a")
    work(done)
    machines.at("a", always_die_at=3)
    work(moved)
    machines.at("a", fail_at=3)
    work(failed)
    machines.at("b", fail_at=3)
    work(moved)
    machines.at("a", always_die_at=3)
    work(waiting)
    machines.at("a")
    work(last)
    left = {path.name for path in (machines.tmp_path / "a" / "runs").iterdir() if path.is_dir()}
    assert left == {str(run.uid) for run in (failed, waiting, last)}


def test_copies_of_inputs_go_when_no_run_here_reads_them_and_a_week_has_passed(
    machines: Machines, make_run: Any, make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = time.time() - 8 * 86_400
    machines.at("a", fail_at=2)
    waiting = make_run()
    work(waiting)
    old, new = make_model("old"), make_model("new")
    for model in (old, new):
        artifacts.local_folder(model.storage_key)
    cache = artifacts.cache()
    for folder in ("models/old", "models/base"):
        os.utime(cache / folder, (long_ago, long_ago))
    fetched: list[str] = []
    monkeypatch.setattr(artifacts, "fetch_file", lambda name, target: fetched.append(name))
    work(make_run(inputs={"init_model": new, "dataset": waiting.inputs.get(name="dataset").snapshot}))
    assert {folder.name for folder in (cache / "models").iterdir()} == {"base", "new"}, "the failed run may be resumed"
    assert fetched == [], "what is not old stays, though no run reads it yet"


def test_model_folders_and_archives_come_from_the_bucket_for_one_run_alone(
    machines: Machines, bucket: Path, people: People
) -> None:
    for name in ("small", "no-model"):
        (bucket / "import" / name).mkdir(parents=True)
        (bucket / "import" / name / "weights.safetensors").write_text("weights")
    (bucket / "import" / "small" / "config.json").write_text("{}")
    (bucket / "uploads").mkdir()
    (bucket / "uploads" / "zip").write_text("an archive")
    assert model_folders.names() == ["small"]
    machines.at("a")
    for inputs, name, wanted in (
        ({"folder": runs.Folder("small")}, "folder/config.json", "{}"),
        ({"archive": runs.Upload("uploads/zip")}, "archive", "an archive"),
    ):
        run = runs.create(project=people.project, stage="fetch", config={}, inputs=inputs, user=people.manager)  # type: ignore[arg-type]
        claim = runs.claim(run.pk)
        assert claim is not None
        for _ in range(2):
            run_dir = workdir.prepare(run, claim)
        assert (run_dir.inputs / name).read_text() == wanted
    assert not artifacts.cache().exists()
    with pytest.raises(model_folders.NoSuchFolder, match="is no folder in import/ of the storage"):
        model_folders.key_of("../small")


def test_where_the_storage_is_a_folder_nothing_is_copied_but_the_result(
    make_run: Any, fake_stage: Any, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, saved = make_run(), []
    put = artifacts.put_file
    monkeypatch.setattr(artifacts, "put_file", lambda source, name: (saved.append(name), put(source=source, name=name)))
    fake_stage(always_die_at=5)
    work(run)
    fake_stage()
    work(run)
    assert (run.state, steps(run), run.checkpoint) == ("succeeded", ALL_STEPS, {})
    assert len(saved) == len(set(saved))
    assert {name.split("/")[2] for name in saved} == {str(run.fence)}
    assert artifacts.folders(f"runs/{run.uid}") == [str(run.fence)]
    assert (run_dir_of(run).inputs / "init_model").resolve() == Path(artifacts.storage().path("models/base"))
    assert not artifacts.cache().exists()


def test_a_machine_that_is_set_up_tries_the_storage(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call_command("try_storage", stdout=(said := io.StringIO()))
    assert said.getvalue() == "The storage takes files, gives them back and removes them.\n"
    assert not [path for path in bucket.rglob("*") if path.is_file()]
    monkeypatch.setattr(Bucket, "delete", lambda self, name: None)
    with pytest.raises(CommandError, match="it was removed, and is still there"):
        call_command("try_storage")
    monkeypatch.setattr(Bucket, "_save", lambda self, name, content: name)
    with pytest.raises(CommandError, match="No such file"):
        call_command("try_storage")
