"""The bucket by its real protocol: a server of another maker on a loopback port, and the client of the product."""

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.exceptions import RetriesExceededError
from botocore.exceptions import EndpointConnectionError
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client
from django.urls import reverse
from moto.server import ThreadedMotoServer

from config.files import Place
from config.s3 import _os_errors
from labeling.models import Model
from labeling.services import artifacts
from tests.labeling.conftest import People

from .machines import Machines, kept, log_rows, named, steps, work

LARGE = bytes(range(256)) * 80_000  # 20 MB: more than one part


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, settings: Any, request: Any) -> Any:
    """An empty bucket that the storages are in, and a client of its own that looks into it."""
    name = f"bucket-{abs(hash(request.node.name))}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)  # type: ignore[call-overload]
    client.create_bucket(Bucket=name)
    place = Place(f"s3://{name}/team/podium", endpoint, "us-east-1", "key", "secret")
    settings.STORAGES = settings.STORAGES | place.storages(Path("unused"))

    def keys_in_it() -> set[str]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=name)
        return {item["Key"] for page in pages for item in page.get("Contents", [])}

    return keys_in_it


@pytest.fixture
def machines(s3: Any, fake_stage: Any, settings: Any, tmp_path: Path) -> Machines:
    found = Machines(settings, tmp_path)
    found.at("web")
    return found


@pytest.mark.django_db(transaction=True)
def test_a_run_goes_from_machine_to_machine_over_s3_and_the_web_shows_it(
    machines: Machines, s3: Any, make_run: Any, client: Client, people: People
) -> None:
    run = make_run()
    first = machines.at("a", always_die_at=6)
    work(run)
    assert {f"team/podium/artifacts/{key}" for key in named(run)} == {key for key in s3() if "/checkpoints/" in key}
    assert len(kept(run)) == 1
    shutil.rmtree(first)
    second = machines.at("b")
    work(run)
    assert (run.state, steps(run)) == ("succeeded", [1, 2, 3, 4, 5, 6])
    assert log_rows(run).count("fake reward begins") == 2
    assert kept(run) == set()

    shutil.rmtree(second)
    machines.at("web")
    client.force_login(people.manager)
    weights = f"weights of {run.uid}".encode()
    answer = client.get(reverse("run_file", args=["tea", run.uid, "outputs/model/model.safetensors"]))
    assert answer["Content-Length"] == str(len(weights))
    assert b"".join(answer.streaming_content) == weights
    page = client.get(reverse("run_files", args=["tea", run.uid]) + "?show=outputs/report.json").content.decode()
    assert "&quot;accuracy&quot;: 0.75" in page
    archive = client.get(reverse("model_archive", args=["tea", Model.objects.get(run=run).uid]))
    with zipfile.ZipFile(io.BytesIO(b"".join(archive.streaming_content))) as files:
        assert files.read("model.safetensors") == weights


def test_a_large_file_goes_in_parts_and_comes_back_the_same_in_each_way(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    artifacts.put_file(source=tmp_path / "large", name="models/m/large")
    artifacts.put_file(source=tmp_path / "large", name="models/m/large")  # again: replaced, not another name
    assert s3() == {"team/podium/artifacts/models/m/large"}
    artifacts.fetch_file("models/m/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == LARGE
    with artifacts.storage().open("models/m/large") as file:
        assert file.size == len(LARGE)
        assert file.read(300) == LARGE[:300]
        assert b"".join(file.chunks()) == LARGE[300:]


def test_an_upload_is_read_in_any_order(s3: Any) -> None:
    name = storages["default"].save("imports/table", ContentFile(LARGE))
    assert s3() == {"team/podium/uploads/imports/table"}
    with storages["default"].open(name) as file:
        file.seek(-10, io.SEEK_END)
        assert file.read() == LARGE[-10:]
        file.seek(0)
        assert file.read(5) == LARGE[:5]


def test_more_files_than_one_answer_lists_are_all_there_and_all_go(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # S3 itself lists a thousand
    for number in range(35):
        artifacts.storage().save(f"runs/r/checkpoints/{number % 3}/{number}", ContentFile(b"x"))
    assert len(list(artifacts.names("runs/r"))) == 35
    assert artifacts.folders("runs/r/checkpoints") == ["0", "1", "2"]
    artifacts.delete_folder("runs/r")
    assert s3() == set()


def test_what_is_not_there_is_said_as_a_disk_says_it(s3: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        artifacts.storage().open("nothing")
    with pytest.raises(FileNotFoundError):
        storages["default"].open("nothing")
    with pytest.raises(FileNotFoundError):
        artifacts.fetch_file("nothing", tmp_path / "here" / "x")
    with pytest.raises(FileNotFoundError):
        artifacts.fetch_folder("nothing", tmp_path / "here" / "x")
    assert list((tmp_path / "here").iterdir()) == []
    assert not artifacts.storage().exists("nothing")
    artifacts.storage().delete("nothing")


def test_a_server_that_is_away_is_an_os_error(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "PATIENCE_SECONDS", 0.0)
    place = Place("s3://bucket", "http://127.0.0.1:9", "us-east-1", "key", "secret")
    settings.STORAGES = settings.STORAGES | place.storages(Path("unused"))
    (tmp_path / "file").write_bytes(b"x")
    for attempt in (
        lambda: artifacts.storage().exists("x"),
        lambda: artifacts.storage().save("x", ContentFile(b"x")),
        lambda: artifacts.storage().open("x"),
        lambda: artifacts.storage().delete("x"),
        lambda: artifacts.folders("x"),
        lambda: artifacts.put_file(source=tmp_path / "file", name="x"),
        lambda: artifacts.fetch_file("x", tmp_path / "y"),
    ):
        with pytest.raises(OSError, match="the storage does not answer"):
            attempt()


@pytest.mark.parametrize(
    "error", [RetriesExceededError(TimeoutError("read")), EndpointConnectionError(endpoint_url="http://127.0.0.1:9")]
)
def test_what_the_client_gives_up_on_is_an_os_error_without_a_number(error: Exception) -> None:
    """With a number it would not be tried again."""
    with pytest.raises(OSError, match="x: the storage does not answer") as raised, _os_errors("x"):
        raise error
    assert raised.value.errno is None


def test_paths_are_refused_and_names_cannot_leave_the_prefix(s3: Any) -> None:
    assert not artifacts.is_folder()
    for name in ("../../other", "/../x"):
        with pytest.raises(SuspiciousOperation):
            artifacts.storage().exists(name)


@pytest.mark.parametrize(
    ("endpoint", "start"),
    [("http://minio:9000", "http://minio:9000/bucket/"), ("", "https://bucket.s3.")],
)
def test_a_server_of_ones_own_finds_the_bucket_in_the_path_and_amazon_in_the_name(
    settings: Any, endpoint: str, start: str
) -> None:
    """A name such as bucket.minio stands in nobody's DNS."""
    place = Place("s3://bucket", endpoint, "us-east-1", "key", "secret")
    settings.STORAGES = settings.STORAGES | place.storages(Path("unused"))
    assert artifacts.storage().url("x").startswith(start)


def test_no_checksum_of_amazons_own_kind_is_sent(s3: Any, tmp_path: Path) -> None:
    """Other makers refuse it."""
    sent: list[Any] = []
    (tmp_path / "file").write_bytes(b"x")
    storage: Any = artifacts.storage()
    storage.connection.meta.client.meta.events.register(
        "before-send.s3.PutObject", lambda request, **_: sent.append(request)
    )
    artifacts.put_file(source=tmp_path / "file", name="x")
    assert [request.method for request in sent] == ["PUT"]
    assert not [name for name in sent[0].headers if "checksum" in name.lower() or "trailer" in name.lower()]
