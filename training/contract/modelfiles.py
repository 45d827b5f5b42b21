"""A model folder that somebody brings: which files may be in it, and whether they are what their names say.

Weights come as safetensors alone. A pickle can run code when it is read, and so can a folder that brings code of its
own: both are refused by name, whatever else is there. Nothing here loads a model; the headers alone are read.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

MOST_FILES: Final = 300
MOST_TEXT_BYTES: Final = 200_000_000
MOST_HEADER_BYTES: Final = 100_000_000
TAKEN: Final = (".safetensors", ".json", ".txt", ".model", ".md", ".jinja", ".tiktoken")
TAKEN_NAMES: Final = ("LICENSE", "LICENCE", "NOTICE", "README", "USE_POLICY")
_PICKLE: Final = "is a pickle, and a pickle can run code when it is read"
_CODE: Final = "is code, and a model's own code is never run"
_OTHER: Final = "holds weights in a form that is not read here"
REFUSED: Final[dict[str, str]] = {
    **dict.fromkeys((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npz", ".npy"), _PICKLE),
    **dict.fromkeys((".py", ".pyc", ".so", ".sh", ".ipynb"), _CODE),
    **dict.fromkeys((".h5", ".msgpack", ".onnx", ".gguf", ".ggml", ".tflite", ".pb", ".ot"), _OTHER),
}
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
#: Bytes of one number of each type that safetensors knows.
DTYPES: Final[dict[str, int]] = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
}


class ModelFilesError(ValueError):
    """Files that are not taken; the text names the file and says why."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What the files of a folder say of the model. `kind` is "policy" or "reward"."""

    kind: str
    architecture: str
    num_parameters: int
    num_bytes: int


def why_refused(name: str) -> str:
    """Why a file of this name is not taken, or "" when it is. Only the name counts here."""
    suffix = Path(name).suffix.lower()
    if suffix in TAKEN or (not suffix and name.upper() in TAKEN_NAMES):
        return ""
    return REFUSED.get(suffix, "is not a kind of file that a model has")


def check_names(names: Iterable[str]) -> None:
    """Raises ModelFilesError that names what is not taken, or says what is missing."""
    found = sorted(names)
    refused = [(name, why) for name in found if (why := why_refused(name))]
    if refused:
        name, why = refused[0]
        others = f" (and {len(refused) - 1} more like it)" if len(refused) > 1 else ""
        raise ModelFilesError(f"{name} {why}{others}. Save the model as safetensors, and leave the rest out.")
    if len(found) > MOST_FILES:
        raise ModelFilesError(f"There are {len(found)} files; a model has at most {MOST_FILES}.")
    _check_needed(set(found))


def inspect(folder: Path) -> ModelFacts:
    """Check a folder's files against each other. Raises ModelFilesError."""
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise ModelFilesError(f"{path.name} is not a plain file.")
        if path.suffix != ".safetensors" and path.stat().st_size > MOST_TEXT_BYTES:
            raise ModelFilesError(f"{path.name} is larger than {MOST_TEXT_BYTES // 1_000_000} MB.")
    check_names(path.name for path in paths)
    config = _json(folder / "config.json")
    for name in ("config.json", "tokenizer_config.json"):
        if (folder / name).exists() and "auto_map" in _json(folder / name):
            raise ModelFilesError(f"{name} wants code of the model's own to be run (auto_map), and it never is.")
    kind, architecture = _kind(config)
    return ModelFacts(
        kind=kind,
        architecture=architecture,
        num_parameters=_count_parameters(folder),
        num_bytes=sum(path.stat().st_size for path in paths),
    )


def read_header(path: Path) -> dict[str, list[int]]:
    """Names and shapes of a safetensors file's tensors, after checking that they fill the file without gap or overlap.

    https://github.com/huggingface/safetensors#format. Raises ModelFilesError.
    """
    try:
        tensors, end = _read_tensors(path)
        spans = sorted((item["data_offsets"][0], item["data_offsets"][1]) for item in tensors.values())
        for item in tensors.values():
            start, stop = item["data_offsets"]
            if stop - start != prod(item["shape"]) * DTYPES[item["dtype"]] or min(item["shape"], default=0) < 0:
                raise ValueError("a tensor has not the size that its shape says")
        if [start for start, _ in spans] != [0, *(stop for _, stop in spans)][: len(spans)] or spans[-1][1] != end:
            raise ValueError("its tensors leave gaps, overlap, or go past the end")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelFilesError(f"{path.name} is not a whole safetensors file: {error}.") from None
    return {name: item["shape"] for name, item in tensors.items()}


def _read_tensors(path: Path) -> tuple[dict[str, Any], int]:
    """The header's entries, and how many bytes follow it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MOST_HEADER_BYTES):
            raise ValueError("its header does not fit into it")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    if not header:
        raise ValueError("there is no tensor in it")
    return header, size - 8 - length


def _check_needed(names: set[str]) -> None:
    if "adapter_config.json" in names:
        raise ModelFilesError("This is an adapter, not a model: merge it into the model that it was trained on first.")
    if "config.json" not in names:
        raise ModelFilesError("There is no config.json.")
    if not names & {WEIGHTS, INDEX}:
        raise ModelFilesError(f"There are no weights: {WEIGHTS}, or {INDEX} and the files that it names.")
    if not names & set(TOKENIZERS):
        raise ModelFilesError(f"There is no tokenizer: none of {', '.join(TOKENIZERS)}.")


def _count_parameters(folder: Path) -> int:
    if not (folder / INDEX).exists():
        return sum(prod(shape) for shape in read_header(folder / WEIGHTS).values())
    wanted = _json(folder / INDEX).get("weight_map")
    if not isinstance(wanted, Mapping) or not wanted:
        raise ModelFilesError(f"{INDEX} has no weight_map.")
    shapes: dict[str, list[int]] = {}
    for name in sorted(set(map(str, wanted.values()))):
        if "/" in name or "\\" in name or not (folder / name).is_file():
            raise ModelFilesError(f"{INDEX} names {name}, which is not there.")
        shapes |= read_header(folder / name)
    if missing := sorted(set(wanted) - set(shapes)):
        raise ModelFilesError(f"{INDEX} names the tensor {missing[0]}, which is in none of the files.")
    return sum(prod(shape) for shape in shapes.values())


def _kind(config: Mapping[str, Any]) -> tuple[str, str]:
    """What the model can be here, by its architecture."""
    architectures = config.get("architectures")
    name = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    if name.endswith(("ForCausalLM", "LMHeadModel")):
        return "policy", name
    if name.endswith("ForSequenceClassification"):
        labels = config.get("id2label")
        num_labels = config.get("num_labels", len(labels) if isinstance(labels, Mapping) else 2)
        if num_labels == 1:
            return "reward", name
        raise ModelFilesError(f"It has {num_labels} labels; a reward model has one.")
    raise ModelFilesError(
        f"config.json says that it is a {name or 'model without an architecture'}. Language models (…ForCausalLM) and"
        " reward models (…ForSequenceClassification with one label) are taken."
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ModelFilesError(f"{path.name} is not a JSON object.")
    return values
