"""Files of a model on the Hugging Face hub: listed, then fetched one by one, in pieces, each checked against its hash.

Two addresses of the hub are enough for that: what a commit holds, and one of its files. No token is sent.
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from huggingface_hub import constants

from training.contract.modelfiles import why_refused
from training.contract.rundir import file_sha256

PIECE: Final = 1 << 20
TIMEOUT_S: Final = 60.0
#: The hub says in a header why it refuses.
REASONS: Final = {
    "RepoNotFound": "the hub has no public model of this name",
    "GatedRepo": "its owner wants everybody to agree to terms first: download it by hand, and import the folder",
    "RevisionNotFound": "it has no such revision",
}


class HubError(ValueError):
    """What the hub does not give, with the reason."""


@dataclass(frozen=True)
class HubFile:
    """One file of a commit. `sha256` is "" for small files, which the hub keeps by another hash."""

    name: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class HubModel:
    """A commit of a model: what of it is taken, and what is left where it is."""

    repo: str
    commit: str
    files: list[HubFile]
    left: list[str]


def find(repo: str, revision: str) -> HubModel:
    """Look a model up. Files in folders, pickles and code are never fetched. Raises HubError."""
    address = f"api/models/{repo}/revision/{urllib.parse.quote(revision, safe='')}?blobs=true"
    try:
        with _ask(address) as answer:
            info = json.load(answer)
        found = [_file(item) for item in info["siblings"]]
        commit = str(info["sha"])
    except (OSError, http.client.HTTPException) as error:
        raise HubError(f"{repo}: {_reason(error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HubError(f"{repo}: the hub's answer cannot be read ({error!r})") from error
    taken = [item for item in found if _is_taken(item.name)]
    return HubModel(repo, commit, taken, sorted(item.name for item in found if not _is_taken(item.name)))


def fetch(model: HubModel, file: HubFile, folder: Path, *, tick: Callable[[int], None]) -> None:
    """Fetch one file, whole or not at all. `tick` gets the size of each piece. Raises HubError.

    One that is there already with the right size and hash is kept.
    """
    target = folder / file.name
    if target.is_file() and _is_right(target, file):
        tick(file.num_bytes)
        return
    part = folder / f".{file.name}.part"
    try:
        with _ask(f"{model.repo}/resolve/{model.commit}/{urllib.parse.quote(file.name)}") as answer:
            _copy(answer, part, file, tick)
    except (OSError, http.client.HTTPException) as error:
        raise HubError(f"{file.name} did not come whole: {_reason(error)}") from error
    if not _is_right(part, file):
        raise HubError(f"{file.name} is not what the hub says it is: its size or hash differs")
    part.replace(target)


def _ask(address: str) -> Any:
    if constants.HF_HUB_OFFLINE:
        raise HubError("HF_HUB_OFFLINE is set, so the hub is not asked")
    url = f"{constants.ENDPOINT}/{address}"
    if not url.startswith(("https://", "http://")):
        raise HubError(f"{constants.ENDPOINT} is no address of a hub")
    return urllib.request.urlopen(url, timeout=TIMEOUT_S)  # noqa: S310 - checked above


def _copy(source: IO[bytes], part: Path, file: HubFile, tick: Callable[[int], None]) -> None:
    with part.open("wb") as out:
        while piece := source.read(PIECE):
            out.write(piece)
            if out.tell() > file.num_bytes:
                raise HubError(f"{file.name} is larger than the hub says")
            tick(len(piece))


def _file(item: dict[str, Any]) -> HubFile:
    sha256 = str((item.get("lfs") or {}).get("sha256", ""))
    return HubFile(name=str(item["rfilename"]), num_bytes=int(item["size"]), sha256=sha256)


def _is_taken(name: str) -> bool:
    return "/" not in name and not name.startswith(".") and not why_refused(name)


def _is_right(path: Path, file: HubFile) -> bool:
    return path.stat().st_size == file.num_bytes and (not file.sha256 or file_sha256(path) == file.sha256)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return REASONS.get(error.headers.get("X-Error-Code", ""), f"the hub answered {error.code}")
    return f"the hub did not answer ({error})"
