"""The stage that takes a model in: from an archive, a folder, or a hub that runs here; and what it refuses."""

import hashlib
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from tests.training import tiny_world
from training.contract.rundir import RunDir
from training.engine import hub
from training.engine.models import load_policy, load_reward
from training.engine.text import load_text

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tiny_world.World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


@pytest.fixture
def policy(world: tiny_world.World, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world.policy, tmp_path / "policy"))


def failure(run_dir: Path) -> str:
    status = RunDir(run_dir).read_status()
    assert status is not None
    assert status.error is not None
    return status.error["message"]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_becomes_a_model_that_later_stages_read(policy: Path, tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    assert tiny_world.run("fetch", {"folder": str(policy)}, run_dir.path) == 0
    model = run_dir.outputs / "model"
    assert names(model) == names(policy)
    load_policy(str(model), load_text(str(model)))

    manifest = run_dir.verify_manifest()
    assert manifest["summary"].items() >= {"kind": "policy", "source": "folder", "folder": "policy"}.items()
    assert manifest["summary"]["num_parameters"] == sum(
        tensor.numel() for tensor in load_file(policy / "model.safetensors").values()
    )


def test_a_reward_model_in_an_archive_is_known_as_one(world: tiny_world.World, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "judge"), "zip", world.reward.parent, world.reward.name)
    assert tiny_world.run("fetch", {"archive": archive}, tmp_path / "run") == 0
    summary = RunDir(tmp_path / "run").verify_manifest()["summary"]
    assert (summary["kind"], summary["source"]) == ("reward", "archive")
    assert summary["archive_sha256"] == hashlib.sha256(Path(archive).read_bytes()).hexdigest()
    model = tmp_path / "run" / "outputs" / "model"
    load_reward(str(model), load_text(str(model)))


def test_a_model_that_lacks_a_weight_is_refused_and_leaves_no_manifest(policy: Path, tmp_path: Path) -> None:
    weights = load_file(policy / "model.safetensors")
    name = next(name for name in weights if "mlp" in name)
    del weights[name]
    save_file(weights, policy / "model.safetensors", metadata={"format": "pt"})
    assert tiny_world.run("fetch", {"folder": str(policy)}, tmp_path / "run") == 1
    assert f"among them {name}" in failure(tmp_path / "run")
    assert RunDir(tmp_path / "run").read_manifest() is None


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("pytorch_model.bin", b"\x80\x04.", "pytorch_model.bin is a pickle"),
        ("modeling.py", b"print(1)", "modeling.py is code"),
    ],
)
def test_pickles_and_code_are_refused_before_a_file_is_copied(
    policy: Path, tmp_path: Path, name: str, data: bytes, says: str
) -> None:
    (policy / name).write_bytes(data)
    assert tiny_world.run("fetch", {"folder": str(policy)}, tmp_path / "run") == 1
    assert says in failure(tmp_path / "run")
    assert names(tmp_path / "run" / "outputs" / "model") == set()


def test_a_link_in_a_folder_is_refused(policy: Path, tmp_path: Path) -> None:
    (policy / "LICENSE").symlink_to("/etc/hostname")
    assert tiny_world.run("fetch", {"folder": str(policy)}, tmp_path / "run") == 1
    assert "LICENSE is a link" in failure(tmp_path / "run")


def test_a_model_larger_than_is_taken_is_refused(policy: Path, tmp_path: Path) -> None:
    (policy / "README.md").write_bytes(b"x" * 2_000_000)
    assert tiny_world.run("fetch", {"folder": str(policy), "max_gib": 0.001}, tmp_path / "run") == 1
    assert "at most 0.0 are taken" in failure(tmp_path / "run")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "hello")
    assert tiny_world.run("fetch", {"archive": str(tmp_path / "a.zip")}, tmp_path / "run") == 1
    assert "There is no config.json" in failure(tmp_path / "run")


@pytest.mark.parametrize(
    "given", [{}, {"folder": "a", "repo": "a/b"}, {"repo": "../etc"}, {"repo": "a/b", "revision": "a..b"}]
)
def test_a_config_without_one_right_source_is_refused(given: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert tiny_world.run("fetch", given, tmp_path / "run") == 1


class FakeHub:
    """A hub with one model; keeps what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.lie: dict[str, bytes] = {}
        self.error: tuple[int, str] | None = None
        self.asked: list[str] = []

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(path)
        if self.error:
            return self.error[0], {"X-Error-Code": self.error[1]}, b""
        if path == "/api/models/owner/small/revision/main?blobs=true":
            return 200, {}, json.dumps({"sha": COMMIT, "siblings": [self.entry(name) for name in self.files]}).encode()
        name = path.removeprefix(f"/owner/small/resolve/{COMMIT}/")
        return 200, {}, self.lie.get(name, self.files[name])

    def entry(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        lfs = {"lfs": {"sha256": hashlib.sha256(data).hexdigest()}} if name.endswith(("safetensors", "bin")) else {}
        return {"rfilename": name, "size": len(data), **lfs}


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch, world: tiny_world.World) -> Iterator[FakeHub]:
    found = FakeHub()
    found.files = {path.name: path.read_bytes() for path in world.policy.iterdir()}
    found.files |= {
        "pytorch_model.bin": b"pickle",
        "onnx/model.onnx": b"x",
        ".gitattributes": b"x",
        "README.md": b"# It",
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, data = found.answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_of_the_hub_comes_as_safetensors_alone_and_is_held_to_its_commit(
    fake_hub: FakeHub, tmp_path: Path, world: tiny_world.World
) -> None:
    assert tiny_world.run("fetch", {"repo": "owner/small"}, tmp_path / "run") == 0
    assert names(tmp_path / "run" / "outputs" / "model") == {*names(world.policy), "README.md"}
    assert not any("bin" in path or "onnx" in path for path in fake_hub.asked)
    summary = RunDir(tmp_path / "run").verify_manifest()["summary"]
    assert (summary["repo"], summary["commit"]) == ("owner/small", COMMIT)
    assert summary["left_out"] == [".gitattributes", "onnx/model.onnx", "pytorch_model.bin"]


def test_a_model_of_the_hub_with_pickles_alone_is_refused_by_name(fake_hub: FakeHub, tmp_path: Path) -> None:
    del fake_hub.files["model.safetensors"]
    assert tiny_world.run("fetch", {"repo": "owner/small"}, tmp_path / "run") == 1
    assert "has no safetensors: pytorch_model.bin is a pickle" in failure(tmp_path / "run")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_what_differs_from_what_the_hub_promised_is_refused(fake_hub: FakeHub, tmp_path: Path, name: str) -> None:
    data = fake_hub.files[name]
    for lie in (data[:-1], data + b"x"):
        fake_hub.lie[name] = lie
        folder = tmp_path / str(len(lie))
        assert tiny_world.run("fetch", {"repo": "owner/small"}, folder) == 1
        assert name in failure(folder)
    fake_hub.lie["model.safetensors"] = bytes(len(fake_hub.files["model.safetensors"]))
    assert tiny_world.run("fetch", {"repo": "owner/small"}, tmp_path / "zeros") == 1


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, "RepoNotFound", "no public model of this name"),
        (403, "GatedRepo", "agree to terms"),
        (404, "RevisionNotFound", "no such revision"),
        (500, "", "answered 500"),
    ],
)
def test_what_the_hub_refuses_is_said_in_words(
    fake_hub: FakeHub, tmp_path: Path, status: int, code: str, says: str
) -> None:
    fake_hub.error = (status, code)
    assert tiny_world.run("fetch", {"repo": "owner/small"}, tmp_path / "run") == 1
    assert says in failure(tmp_path / "run")


def test_a_resumed_fetch_does_not_ask_again_for_what_is_whole(fake_hub: FakeHub, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "outputs" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(fake_hub.files["model.safetensors"])
    (folder / ".config.json.part").write_bytes(b"half")
    (folder / "old.json").write_bytes(b"{}")
    assert tiny_world.run("fetch", {"repo": "owner/small"}, tmp_path / "run") == 0
    assert not any(path.endswith("model.safetensors") for path in fake_hub.asked)
    assert not {"old.json", ".config.json.part"} & names(folder)


def test_offline_means_that_no_hub_is_asked(fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(hub.HubError, match="HF_HUB_OFFLINE"):
        hub.find("owner/small", "main")
    assert fake_hub.asked == []
