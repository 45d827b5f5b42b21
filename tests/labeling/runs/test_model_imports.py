"""Models that people bring: three ways in, what is refused at the door, and what the run makes of the rest."""

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from labeling.models import Model, ModelEvent, Run
from labeling.services import artifacts, lineage, model_folders, runs
from tests.contract.test_model_files import policy, zipped
from tests.labeling.conftest import People
from tests.training import tiny_world

ADDRESS = "/p/tea/models/import/"


@pytest.fixture
def manager(client: Client, people: People) -> Client:
    client.force_login(people.manager)
    return client


@pytest.fixture
def root(settings: Any, tmp_path: Path) -> Path:
    settings.MODEL_IMPORT_DIR = tmp_path / "import"
    settings.MODEL_IMPORT_DIR.mkdir()
    return Path(settings.MODEL_IMPORT_DIR)


def archive(files: dict[str, bytes] | None = None) -> SimpleUploadedFile:
    return SimpleUploadedFile("../../my model.zip", zipped(policy() if files is None else files).getvalue())


def send(client: Client, source: str, key: str = "k", **values: Any) -> Any:
    return client.post(
        ADDRESS, {"source": source, f"{source}-key": key, **{f"{source}-{k}": v for k, v in values.items()}}
    )


def uploads() -> list[str]:
    try:
        return sorted(artifacts.storage().listdir("uploads")[1])
    except FileNotFoundError:
        return []


@pytest.mark.django_db
def test_an_archive_is_kept_under_a_name_of_ours_and_its_import_is_queued(manager: Client) -> None:
    answer = send(manager, "archive", file=archive(), name="  mine ")
    run = Run.objects.get()
    assert answer.headers["Location"] == reverse("run", args=["tea", run.uid])
    assert (run.stage, run.state, run.name) == ("fetch", "queued", "mine")
    (kept,) = uploads()
    assert run.inputs.get().upload == f"uploads/{kept}"
    assert "model" not in kept
    assert not Model.objects.exists()


@pytest.mark.django_db
def test_a_form_sent_twice_is_one_import_and_one_upload(manager: Client) -> None:
    first, second = (send(manager, "archive", file=archive()) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert len(uploads()) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("files", "says"),
    [
        (policy() | {"pytorch_model.bin": b"x"}, "pytorch_model.bin is a pickle"),
        ({"../config.json": b"{}"}, "leads elsewhere"),
        (policy(tokenizer__json=None), "There is no tokenizer"),
        ({}, "There is no file"),
    ],
)
def test_what_can_be_refused_at_the_door_is_refused_there(manager: Client, files: Any, says: str) -> None:
    answer = send(manager, "archive", file=archive(files))
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not Run.objects.exists()
    assert uploads() == []


@pytest.mark.django_db
def test_an_upload_larger_than_is_taken_is_refused(manager: Client, settings: Any) -> None:
    settings.MAX_MODEL_BYTES = 100
    assert "At most 100\xa0bytes are taken." in send(manager, "archive", file=archive()).content.decode()
    assert uploads() == []


@pytest.mark.django_db
def test_a_name_on_the_hub_becomes_a_run_and_the_web_asks_nobody(manager: Client) -> None:
    send(manager, "hub", repo="owner/small-model", revision="v1.0")
    run = Run.objects.get()
    assert (run.config["repo"], run.config["revision"], run.name) == ("owner/small-model", "v1.0", "small-model")
    assert not run.inputs.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "asked",
    [
        {"repo": "small"},
        {"repo": "../etc/passwd"},
        {"repo": "a/b/c"},
        {"repo": "a/b", "revision": "../x"},
        {"repo": ""},
    ],
)
def test_what_is_no_name_on_the_hub_is_refused(manager: Client, asked: dict[str, str]) -> None:
    assert send(manager, "hub", **({"revision": "main"} | asked)).status_code == 422
    assert not Run.objects.exists()


@pytest.mark.django_db
def test_only_folders_right_below_the_import_folder_are_offered_and_taken(
    manager: Client, root: Path, tmp_path: Path
) -> None:
    for folder in (root / "small", root / "small" / "inner", tmp_path / "outside"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text("{}")
    (root / "empty").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    assert model_folders.names() == ["small"]
    for name in ("../outside", "link", "small/inner", "/etc", "empty"):
        assert send(manager, "folder", folder=name).status_code == 422
    for name in ("../outside", "link", "small/inner", "/etc", "nothing", "..", "."):
        with pytest.raises(model_folders.NoSuchFolder, match="is no folder in"):
            model_folders.local(name)
    assert not Run.objects.exists()
    assert send(manager, "folder", folder="small").status_code == 302
    assert Run.objects.get().inputs.get().folder == "small"


@pytest.mark.django_db
def test_nobody_but_a_manager_brings_a_model(client: Client, people: People) -> None:
    client.force_login(people.reviewer)
    assert send(client, "hub", repo="a/b", revision="main").status_code == 403
    assert not Run.objects.exists()


@pytest.mark.django_db
def test_the_form_of_the_stages_leads_to_the_page_of_imports(manager: Client) -> None:
    assert manager.get("/p/tea/runs/new/fetch/").headers["Location"] == ADDRESS
    assert manager.get(ADDRESS).status_code == 200
    assert manager.post(ADDRESS, {"source": "elsewhere"}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_refused_import_registers_nothing_and_gives_the_upload_back(
    manager: Client, people: People, fake_stage: Any
) -> None:
    send(manager, "archive", file=archive())
    fake_stage(fail_at=1)
    run = Run.objects.get()
    runs.work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.failure_kind) == ("failed", "failed")
    assert uploads() == []
    assert not Model.objects.exists()

    runs.resume(run, user=people.manager)
    fake_stage()
    runs.work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == (
        "failed",
        "archive: is no longer here: it was taken in, or refused. Upload it again",
    )


@pytest.mark.django_db(transaction=True)
def test_a_stage_that_names_no_kind_of_model_registers_none(manager: Client, fake_stage: Any) -> None:
    send(manager, "archive", file=archive())
    run = Run.objects.get()
    fake_stage(summary={"kind": "poem"})
    for _ in range(run.max_attempts):
        runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "failed"
    assert "is no kind of model" in run.error
    assert not Model.objects.exists()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_an_archive_goes_through_the_real_stage_into_the_registry_and_out_again(
    manager: Client, people: People, tmp_path: Path
) -> None:
    world = tiny_world.build(tmp_path / "world")
    packed = Path(shutil.make_archive(str(tmp_path / "policy"), "gztar", world.policy.parent, world.policy.name))
    send(manager, "archive", file=SimpleUploadedFile("policy.tar.gz", packed.read_bytes()), name="brought")
    runs.work(Run.objects.get().pk)
    run = Run.objects.get()
    assert run.state == "succeeded", run.error
    model = Model.objects.get()
    assert (model.name, model.kind, model.is_current, model.parent) == ("brought", "policy", True, None)
    assert model.num_parameters == run.result["summary"]["num_parameters"] > 1000
    assert uploads() == []
    assert set(ModelEvent.objects.values_list("action", "actor")) == {("registered", "Mira"), ("promoted", "podium")}
    assert lineage.of(model)[0].brought.startswith("an archive with SHA-256")
    assert run.usage.exists()

    answer = manager.get(reverse("model_archive", args=["tea", model.uid]))
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {path.name for path in world.policy.iterdir()} | {"README.md"}
        assert archive.read("model.safetensors") == (world.policy / "model.safetensors").read_bytes()
        assert json.loads(archive.read("config.json"))
