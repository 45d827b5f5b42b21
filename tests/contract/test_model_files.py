"""Model folders and archives that people bring: what is taken, and every way in which one could do harm."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.contract import archives, modelfiles
from training.contract.modelfiles import ModelFilesError

CONFIG = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}
Files = dict[str, bytes]


def tensors(**shapes: list[int]) -> bytes:
    """A safetensors file of fp32 zeros."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    return sealed(header, end)


def sealed(header: dict[str, Any], num_bytes: int) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * num_bytes


def policy(**changes: bytes | None) -> Files:
    """The files of a small policy, with changes; None takes a file away."""
    files: dict[str, bytes | None] = {
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors": tensors(a=[2, 3], b=[5]),
        "tokenizer.json": b"{}",
    }
    files |= {name.replace("__", "."): data for name, data in changes.items()}
    return {name: data for name, data in files.items() if data is not None}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Files], Path]:
    def write(files: Files) -> Path:
        folder = tmp_path / "model"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        return folder

    return write


def zipped(files: Files, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file


def tarred(files: Files, mode: str = "w:gz") -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


def unpacked(file: io.BytesIO, folder: Path, max_bytes: int = 10_000_000) -> dict[str, bytes]:
    folder.mkdir()
    with archives.opened(file, max_bytes=max_bytes) as members:
        for member in members:
            archives.write(member, folder, most_bytes=max_bytes, tick=lambda _: None)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(file: io.BytesIO, folder: Path, max_bytes: int = 10_000_000) -> str:
    with pytest.raises(ModelFilesError) as caught:
        unpacked(file, folder, max_bytes)
    return str(caught.value)


# The folder


def test_a_whole_folder_says_what_model_it_is(write: Any) -> None:
    facts = modelfiles.inspect(write(policy()))
    assert (facts.kind, facts.architecture, facts.num_parameters) == ("policy", "GPT2LMHeadModel", 11)
    assert facts.num_bytes == sum(map(len, policy().values()))


def test_a_model_in_several_files_is_counted_over_its_index(write: Any) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    files = policy(model__safetensors=None) | {
        "model.safetensors.index.json": json.dumps(index).encode(),
        "model-1.safetensors": tensors(a=[4]),
        "model-2.safetensors": tensors(b=[3, 2]),
    }
    assert modelfiles.inspect(write(files)).num_parameters == 10


@pytest.mark.parametrize(
    ("name", "weight_map", "says"),
    [
        ("missing file", {"a": "model-2.safetensors"}, "names model-2.safetensors, which is not there"),
        ("missing tensor", {"z": "model-1.safetensors"}, "names the tensor z"),
        ("other folder", {"a": "../model-1.safetensors"}, "which is not there"),
        ("nothing", {}, "has no weight_map"),
    ],
)
def test_an_index_that_does_not_fit_its_files_is_refused(write: Any, name: str, weight_map: Any, says: str) -> None:
    files = policy(model__safetensors=None) | {
        "model.safetensors.index.json": json.dumps({"weight_map": weight_map}).encode(),
        "model-1.safetensors": tensors(a=[4]),
    }
    with pytest.raises(ModelFilesError, match=says):
        modelfiles.inspect(write(files))


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "policy"),
        ({"architectures": ["GPT2ForSequenceClassification"], "id2label": {"0": "LABEL_0"}}, "reward"),
        ({"architectures": ["GPT2ForSequenceClassification"], "num_labels": 1}, "reward"),
    ],
)
def test_the_architecture_says_the_kind(write: Any, config: dict[str, Any], kind: str) -> None:
    assert modelfiles.inspect(write(policy(config__json=json.dumps(config).encode()))).kind == kind


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"architectures": ["BertForMaskedLM"]}, "it is a BertForMaskedLM"),
        ({}, "without an architecture"),
        ({"architectures": ["GPT2ForSequenceClassification"]}, "It has 2 labels"),
        (CONFIG | {"auto_map": {"AutoModel": "modeling.Evil"}}, "code of the model's own"),
        ([1], "config.json is not a JSON object"),
    ],
)
def test_a_config_that_is_no_models_or_wants_code_is_refused(write: Any, config: Any, says: str) -> None:
    with pytest.raises(ModelFilesError, match=says):
        modelfiles.inspect(write(policy(config__json=json.dumps(config).encode())))


def test_a_tokenizer_that_wants_code_is_refused(write: Any) -> None:
    with pytest.raises(ModelFilesError, match=r"tokenizer_config\.json wants code"):
        modelfiles.inspect(write(policy(tokenizer_config__json=b'{"auto_map": {}}')))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pytorch_model.bin", "is a pickle"),
        ("Weights.PT", "is a pickle"),
        ("data.pkl", "is a pickle"),
        ("modeling_evil.py", "is code"),
        ("model.gguf", "holds weights in a form that is not read"),
        ("run.exe", "is not a kind of file"),
        ("noise", "is not a kind of file"),
    ],
)
def test_what_is_no_part_of_a_model_is_refused_by_name_and_reason(write: Any, name: str, says: str) -> None:
    with pytest.raises(ModelFilesError, match=rf"{name} {says}"):
        modelfiles.inspect(write(policy() | {name: b"x"}))


@pytest.mark.parametrize(
    ("missing", "says"),
    [("config__json", "no config.json"), ("model__safetensors", "no weights"), ("tokenizer__json", "no tokenizer")],
)
def test_what_is_missing_is_named(write: Any, missing: str, says: str) -> None:
    with pytest.raises(ModelFilesError, match=says):
        modelfiles.inspect(write(policy(**{missing: None})))


def test_an_adapter_is_told_to_be_merged_first(write: Any) -> None:
    with pytest.raises(ModelFilesError, match="merge it"):
        modelfiles.inspect(write(policy(adapter_config__json=b"{}")))


def test_a_link_in_a_folder_is_not_followed(write: Any, tmp_path: Path) -> None:
    folder = write(policy())
    (tmp_path / "secret").write_text("s")
    (folder / "LICENSE").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelFilesError, match="LICENSE is not a plain file"):
        modelfiles.inspect(folder)


GOOD = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        (1 << 40).to_bytes(8, "little"),
        sealed(GOOD, 8)[:-1],
        sealed(GOOD, 9),
        sealed({"__metadata__": {}}, 0),
        sealed({"a": GOOD["a"] | {"shape": [3]}}, 8),
        sealed({"a": GOOD["a"] | {"dtype": "F99"}}, 8),
        sealed({"a": GOOD["a"] | {"shape": [-2]}}, 8),
        sealed({"a": GOOD["a"] | {"data_offsets": [4, 12]}}, 12),
        sealed(GOOD | {"b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, 12),
        sealed({"a": [1]}, 8),
        len(b"[1]").to_bytes(8, "little") + b"[1]",
    ],
    ids=range(13),
)
def test_a_safetensors_file_that_is_not_whole_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelFilesError, match=r"model\.safetensors is not a whole safetensors file"):
        modelfiles.read_header(tmp_path / "model.safetensors")


# Archives


@pytest.mark.parametrize("pack", [zipped, tarred, lambda files: tarred(files, "w")], ids=["zip", "tar.gz", "tar"])
@pytest.mark.parametrize("top", ["", "my-model/"])
def test_an_archive_of_a_folder_is_unpacked_as_it_was(tmp_path: Path, pack: Any, top: str) -> None:
    file = pack({f"{top}{name}": data for name, data in policy().items()})
    assert unpacked(file, tmp_path / "out") == policy()


def test_what_a_system_leaves_in_archives_is_left_out(tmp_path: Path) -> None:
    files = {f"m/{name}": data for name, data in policy().items()} | {
        "__MACOSX/._config.json": b"x",
        "m/.DS_Store": b"x",
    }
    assert unpacked(zipped(files), tmp_path / "out") == policy()


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    "name", ["../evil.json", "a/../../evil.json", "/etc/evil.json", "..\\evil.json", "C:evil.json", "a\n.json"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, pack: Any, name: str) -> None:
    says = refused(pack({name: b"{}"}), tmp_path / "out")
    assert "leads elsewhere" in says or "folder within a folder" in says
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["out"]


def test_a_model_lies_in_one_folder(tmp_path: Path) -> None:
    assert "within a folder" in refused(zipped({"a/b/config.json": b"{}"}), tmp_path / "one")
    assert "side by side" in refused(zipped({"a/config.json": b"{}", "config2.json": b"{}"}), tmp_path / "two")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("config.json")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    assert "is a link" in refused(file, tmp_path / "out")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("config.json")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert "is a link" in refused(file, tmp_path / "out")


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("config.json"))
    assert "twice" in refused(file, tmp_path / "out")


def test_an_archive_that_says_it_is_too_large_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    says = refused(zipped({"config.json": b"0" * 2_000_000}), tmp_path / "out", max_bytes=1_000_000)
    assert "unpack to more" in says
    assert list((tmp_path / "out").iterdir()) == []


def test_an_archive_that_lies_about_its_size_is_stopped(tmp_path: Path) -> None:
    file = zipped({"config.json": b"0" * 5_000_000})
    with (
        archives.opened(file, max_bytes=10_000_000) as (member,),
        pytest.raises(ModelFilesError, match="becomes larger"),
    ):
        archives.write(member, tmp_path, most_bytes=1_000_000, tick=lambda _: None)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_that_is_cut_short_leaves_no_file_that_looks_whole(tmp_path: Path, pack: Any) -> None:
    whole = pack({"model.safetensors": bytes(range(256)) * 4000}).getvalue()
    for length in (0, 10, len(whole) // 2, len(whole) - 30):
        folder = tmp_path / str(length)
        assert refused(io.BytesIO(whole[:length]), folder)
        assert not (folder / "model.safetensors").exists()


def test_a_zip_whose_bytes_were_changed_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"tokenizer.json": bytes(range(256)) * 50}).getvalue())
    data[120] ^= 0xFF
    assert "tokenizer.json cannot be unpacked" in refused(io.BytesIO(bytes(data)), tmp_path / "out")


def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path) -> None:
    assert "neither a zip nor a tar" in refused(io.BytesIO(b"hello" * 200), tmp_path / "out")


def test_thousands_of_files_are_refused(tmp_path: Path) -> None:
    files = {f"{number}.json": b"{}" for number in range(modelfiles.MOST_FILES + 1)}
    assert "more than 300 files" in refused(zipped(files), tmp_path / "out")
