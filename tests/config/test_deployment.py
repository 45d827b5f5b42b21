"""docker-compose.yml and Dockerfile, as far as they can be checked where there is no container engine."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.embedded import ROOT
from config.files import S3_VARIABLES
from config.servers import Postgres

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKER: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.worker.yml").read_text())["services"]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.worker.yml"])
def test_the_compose_file_follows_the_compose_specification(file: str) -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    outcome = subprocess.run([BIN / "hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize("secret", ["DJANGO_SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "PODIUM_ALLOWED_HOSTS"])
def test_a_secret_is_required_and_never_defaulted(secret: str) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    uses = re.findall(rf"\$\{{{secret}([^}}]*)\}}", text)
    assert uses
    assert all(use.startswith(":?") for use in uses), uses


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"migrate"}))
def test_every_lasting_service_has_a_health_check_and_comes_back(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_training_waits_for_a_profile_and_its_own_image() -> None:
    assert SERVICES["gpu"]["profiles"] == ["gpu"]
    assert SERVICES["gpu"]["build"]["target"] == "train"
    assert SERVICES["gpu"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert {SERVICES[name]["build"]["target"] for name in ("web", "worker", "beat", "migrate")} == {"web"}


def test_a_worker_elsewhere_gets_addresses_and_keys_of_the_bucket_and_nothing_else_of_the_site() -> None:
    for name in ("gpu", "cpu"):
        service = WORKER[name]
        assert service["profiles"] == [name]
        assert service["environment"]["PODIUM_ENV"] == "worker"
        given = set(service["environment"]) - {"PODIUM_ENV"}
        assert given == {"DATABASE_URL", "REDIS_URL", "PODIUM_STORAGE", *S3_VARIABLES}
        needed = {key for key, value in service["environment"].items() if ":?" in value}
        assert needed == {"DATABASE_URL", "REDIS_URL", "PODIUM_STORAGE"}
        assert "-Q gpu " in service["command"][-1]
        assert service["build"]["target"] == "train"
    assert WORKER["gpu"]["deploy"] == SERVICES["gpu"]["deploy"]


def test_every_process_of_the_site_is_told_of_the_bucket_when_there_is_one() -> None:
    for name in ("web", "worker", "beat", "gpu", "cpu", "migrate"):
        assert {"PODIUM_STORAGE", *S3_VARIABLES} <= set(SERVICES[name]["environment"])


def test_both_images_hold_what_a_bucket_needs() -> None:
    assert re.findall(r'"\.\[([a-z0-9,]+)\]"', (ROOT / "Dockerfile").read_text()) == ["web,s3", "web,s3,train"]


def test_only_the_site_is_reachable_from_outside_and_only_from_this_machine() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"web"}
    assert SERVICES["web"]["ports"] == ["${PODIUM_BIND:-127.0.0.1:8000}:8000"]


def test_postgres_sorts_as_the_embedded_one_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[str]] = []
    server = Postgres(folder=tmp_path, fresh=True, password="x")
    monkeypatch.setattr(server, "_once", lambda command, text="": commands.append(command))
    server._initdb(tmp_path, tmp_path / "password")
    options = SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split()
    assert set(options) == {part for part in commands[0] if "locale" in part or "encoding" in part}


def test_the_broker_keeps_its_queue_on_disk() -> None:
    assert "--appendonly yes" in SERVICES["redis"]["command"][-1]
    assert "redis:/data" in SERVICES["redis"]["volumes"]


def test_an_image_does_not_run_as_root_and_holds_no_data_of_ours() -> None:
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    for stage in stages[-2:]:
        assert "\nUSER 10001\n" in stage
    allowed = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert (ROOT / ".dockerignore").read_text().startswith("*\n")
    assert not {"!.podium/", "!.git/", "!.env", "!tests/"} & set(allowed)
