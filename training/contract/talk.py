"""Talking to models through files: what a worker asks of the stage `talk`, and how far its answers are.

    talk/requests.jsonl      the worker appends: ask, stop or end, one JSON line each
    talk/replies/ID.json     the stage replaces it whenever the answer ID has grown

A half-written line is as if it were not there until the rest of it comes. A reply is always whole. Nothing here
outlives a start of the stage: the worker clears the desk, and asks again what is still open.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from training.contract.records import Message
from training.contract.rundir import RunDir, RunDirError

OPEN: Final = "answering"
OVER: Final = ("done", "stopped", "failed")
FINISH_REASONS: Final = ("stop", "length")
_ID: Final = re.compile(r"[0-9a-f-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One answer that is wanted. `model` is 0 for the first, 1 for the second.

    What it says depends on the seed, `prompt_id` and `sample_index` alone, as in the stage `generate`.
    """

    id: str
    model: int
    prompt_id: str
    sample_index: int
    messages: tuple[Message, ...]
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Leave the answer `id` as far as it is."""

    id: str


@dataclass(frozen=True, kw_only=True)
class End:
    """End once no answer is open, because of `reason`, which goes into the summary."""

    reason: str


Request = Ask | Stop | End
_OTHERS: Final[dict[str, type[Stop] | type[End]]] = {"stop": Stop, "end": End}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer as far as it is. `seconds` is the time since its first token was begun.

    `finish_reason` is "stop" or "length" when it is done, else "". `reward` is None without a reward model, or when
    that cannot read the answer; `note` says why. `error` is why it failed.
    """

    state: str
    text: str = ""
    num_tokens: int = 0
    seconds: float = 0.0
    finish_reason: str = ""
    reward: float | None = None
    note: str = ""
    error: str = ""

    def __post_init__(self) -> None:
        if self.state not in (OPEN, *OVER):
            raise RunDirError(f"state: must be one of {', '.join((OPEN, *OVER))}, not {self.state!r}")
        if (self.state == "failed") != bool(self.error):
            raise RunDirError("error: must be given exactly when the state is failed")
        if (self.state == "done") != (self.finish_reason in FINISH_REASONS):
            raise RunDirError("finish_reason: must be given exactly when the state is done")

    @property
    def is_over(self) -> bool:
        """Nothing will be added to it."""
        return self.state in OVER


class Desk:
    """Both sides of the counter. Reading goes on where the last reading ended."""

    def __init__(self, run_dir: RunDir) -> None:
        self.folder = run_dir.path / "talk"
        self.requests_path = self.folder / "requests.jsonl"
        self.replies = self.folder / "replies"
        self._offset = 0

    def clear(self) -> None:
        """For the worker, before it starts the stage: an empty desk."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.replies.mkdir(parents=True)
        self._offset = 0

    def hand_over(self, request: Request) -> None:
        """Append one request, as one write."""
        line = {"kind": type(request).__name__.lower(), **asdict(request)}
        with self.requests_path.open("ab") as file:
            file.write((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", errors="replace"))

    def new_requests(self) -> Iterator[Request]:
        """The whole lines that were not read before. Raises RunDirError for one that is no request."""
        try:
            with self.requests_path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            self._offset += len(line)
            yield _request(line)

    def put(self, id: str, reply: Reply) -> None:
        """Replace the reply: a reader sees the old one or the new one. Not fsynced, for it is worth no disk's time:
        after a crash of the machine the answer is sampled again."""
        path = self._path(id)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(reply), ensure_ascii=False, allow_nan=False), "utf-8", errors="replace")
        os.replace(temporary, path)

    def reply(self, id: str) -> Reply | None:
        """The reply as it is now; None when there is none yet. Raises RunDirError for what is no reply."""
        try:
            text = self._path(id).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            return Reply(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise RunDirError(f"replies/{id}.json: {error}") from None

    def _path(self, id: str) -> Path:
        if not _ID.fullmatch(id):
            raise RunDirError(f"id: {id!r} is none")
        return self.replies / f"{id}.json"


def _request(line: bytes) -> Request:
    try:
        values: Mapping[str, Any] = json.loads(line)
        kind = values["kind"]
        rest = {name: value for name, value in values.items() if name != "kind"}
        if kind == "ask":
            return Ask(**rest | {"messages": tuple(Message(**message) for message in rest["messages"])})
        return _OTHERS[kind](**rest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunDirError(f"requests.jsonl: {error!r} in {line[:200]!r}") from None
