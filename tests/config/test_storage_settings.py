"""PODIUM_STORAGE: what it makes of STORAGES, what `check` says of half a configuration, and a worker's few needs."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.embedded import ROOT
from config.files import S3_VARIABLES, Place
from labeling import checks

ENDPOINT, REGION, KEY, SECRET = S3_VARIABLES
KEYS = {KEY: "a-key", SECRET: "a-secret"}


def place(**variables: str) -> Place:
    return Place.read(lambda name: variables.get(name, ""))


def said(settings: Any, **variables: str) -> list[str]:
    settings.STORAGE_PLACE = place(**variables)
    return [message.msg for message in checks.storage_is_whole(None)]


def test_without_the_setting_files_are_in_folders() -> None:
    found = place().storages(Path("/home"))
    assert [found[name]["OPTIONS"]["location"] for name in ("default", "artifacts")] == [
        Path("/home/uploads"),
        Path("/home/artifacts"),
    ]


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [("s3://b", "b", ""), ("s3://b/", "b", ""), ("s3://b/team/podium/", "b", "team/podium/")],
)
def test_an_address_of_a_bucket_puts_everything_below_its_prefix(url: str, bucket: str, prefix: str) -> None:
    found = place(PODIUM_STORAGE=url, **KEYS, **{ENDPOINT: "https://s3.example.org", REGION: "eu-1"}).storages(
        Path("/home")
    )
    for name, folder in (("default", "uploads"), ("artifacts", "artifacts")):
        assert found[name]["OPTIONS"] == {
            "bucket_name": bucket,
            "location": f"{prefix}{folder}",
            "endpoint_url": "https://s3.example.org",
            "region_name": "eu-1",
            "access_key": "a-key",
            "secret_key": "a-secret",
        }


def test_what_is_not_given_is_left_to_the_client_and_its_own_defaults() -> None:
    options = place(PODIUM_STORAGE="s3://b").storages(Path("/home"))["default"]["OPTIONS"]
    assert {name: options[name] for name in ("endpoint_url", "region_name", "access_key", "secret_key")} == {
        "endpoint_url": None,
        "region_name": None,
        "access_key": None,
        "secret_key": None,
    }


def test_a_whole_configuration_is_not_complained_about(settings: Any) -> None:
    assert said(settings) == []
    assert said(settings, PODIUM_STORAGE="s3://b/p") == [], "a machine may have a role instead of keys"
    assert said(settings, PODIUM_STORAGE="s3://b/p", **KEYS, **{ENDPOINT: "http://minio:9000"}) == []


@pytest.mark.parametrize("url", ["b/p", "https://b/p", "s3:///p", "s3://key:secret@b/p", "S4://b"])
def test_what_is_no_address_of_a_bucket_is_refused(settings: Any, url: str) -> None:
    assert said(settings, PODIUM_STORAGE=url) == ["PODIUM_STORAGE is no address of a bucket."]


@pytest.mark.parametrize("endpoint", ["minio:9000", "s3.example.org", "ftp://x", "https://"])
def test_an_endpoint_is_an_address(settings: Any, endpoint: str) -> None:
    found = said(settings, PODIUM_STORAGE="s3://b", **{ENDPOINT: endpoint})
    assert found == ["PODIUM_S3_ENDPOINT is no http or https address."]


@pytest.mark.parametrize(("given", "missing"), [(KEY, SECRET), (SECRET, KEY)])
def test_one_key_without_the_other_is_named(settings: Any, given: str, missing: str) -> None:
    assert said(settings, PODIUM_STORAGE="s3://b", **{given: "x"}) == [f"{given} is set, and {missing} is not."]


@pytest.mark.parametrize("name", S3_VARIABLES)
def test_what_belongs_to_a_bucket_is_noticed_without_one(settings: Any, name: str) -> None:
    assert said(settings, **{name: "x"}) == [f"{name} is set, and PODIUM_STORAGE is not."]


@pytest.mark.parametrize("missing", ["storages", "boto3"])
def test_a_missing_package_is_said_with_the_extra_that_brings_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name == missing else object())
    settings.STORAGE_PLACE = place(PODIUM_STORAGE="s3://b")
    (found,) = checks.storage_is_whole(None)
    assert found.hint is not None
    assert "podium[s3]" in found.hint


def test_keys_are_not_printed() -> None:
    assert "a-key" not in repr(place(**KEYS))
    assert "a-secret" not in repr(place(**KEYS))


def manage(tmp_path: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """`manage.py check` on a machine with nothing else in its environment."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = kept | {"PODIUM_HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"} | variables
    command = [sys.executable, "manage.py", "check"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


URLS = {"DATABASE_URL": "postgres://p@127.0.0.1:1/p", "REDIS_URL": "redis://127.0.0.1:1/0"}


def test_a_worker_needs_the_addresses_of_database_broker_and_storage_and_nothing_else(tmp_path: Path) -> None:
    outcome = manage(tmp_path, PODIUM_ENV="worker", PODIUM_STORAGE="s3://b/p", **URLS, **KEYS)
    assert outcome.returncode == 0, outcome.stderr
    assert not (tmp_path / "secret_key").exists()


@pytest.mark.parametrize("missing", sorted(URLS))
def test_a_worker_without_one_of_them_says_which(tmp_path: Path, missing: str) -> None:
    there = {name: url for name, url in URLS.items() if name != missing}
    outcome = manage(tmp_path, PODIUM_ENV="worker", **there)
    assert outcome.returncode != 0
    assert f"Set {missing}: worker has no default." in outcome.stderr


def test_check_stops_at_half_a_storage(tmp_path: Path) -> None:
    outcome = manage(tmp_path, PODIUM_ENV="worker", PODIUM_STORAGE="s3://b/p", **URLS, **{KEY: "x"})
    assert outcome.returncode != 0
    assert "PODIUM_S3_ACCESS_KEY is set, and PODIUM_S3_SECRET_KEY is not." in outcome.stderr
