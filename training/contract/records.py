"""The rows that travel between the web application and the engine, and the snapshot folder that holds them.

A snapshot folder is `data.parquet` and `manifest.json`. The parquet columns of each kind are `COLUMNS[kind]`, in that
order. The content hash covers the rows, not the parquet bytes: the same rows give the same hash on any machine.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Final, Self

SCHEMA_VERSION: Final = 1
SPLITS: Final = ("train", "valid", "test")
ROLES: Final = ("system", "user", "assistant")
MIN_RESPONSES: Final = 2
MAX_RESPONSES: Final = 32


class RecordError(ValueError):
    """A row that does not keep the contract. `field` names the offending field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str

    def __post_init__(self) -> None:
        _check_text("role", self.role)
        _check_choice("role", self.role, ROLES)
        _check_text("content", self.content)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What all rows share: strict reading from a dict, and writing back to one."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a checked row. Raises RecordError for missing, unknown or wrong fields."""
        known = {item.name for item in fields(cls)}
        needed = {item.name for item in fields(cls) if item.default is MISSING}
        for name in sorted(needed - set(values)):
            raise RecordError(name, "is missing")
        for name in sorted(set(values) - known):
            raise RecordError(name, f"is not a field of {cls.__name__}")
        return cls(**{name: _read(name, value) for name, value in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """The row as plain lists, strings and numbers, in the order of the parquet columns."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class RewardRow(Row):
    """One labeler's ranking of the K responses of one prompt. Rank 1 is best; ties share a number."""

    prompt_id: str
    prompt: list[Message]
    responses: list[str]
    ranks: list[int]
    labeler: str
    weight: float
    split: str
    held_out: bool
    category: str = ""
    language: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        _check_prompt(self)
        _check_texts("responses", self.responses)
        if not MIN_RESPONSES <= len(self.responses) <= MAX_RESPONSES:
            raise RecordError(
                "responses", f"must hold {MIN_RESPONSES} to {MAX_RESPONSES} texts, not {len(self.responses)}"
            )
        _check_ranks(self.ranks, num_responses=len(self.responses))
        _check_text("labeler", self.labeler)
        _check_weight(self.weight)
        if not isinstance(self.held_out, bool):
            raise RecordError("held_out", "must be true or false")


@dataclass(frozen=True, kw_only=True)
class DemonstrationRow(Row):
    """One written answer to one prompt: what SFT learns from."""

    prompt_id: str
    prompt: list[Message]
    response: str
    split: str
    category: str = ""
    language: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        _check_prompt(self)
        _check_text("response", self.response)


@dataclass(frozen=True, kw_only=True)
class PromptRow(Row):
    """One prompt without an answer: what PPO and generation start from."""

    prompt_id: str
    prompt: list[Message]
    split: str
    category: str = ""
    language: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        _check_prompt(self)


@dataclass(frozen=True, kw_only=True)
class AnsweredRow(Row):
    """One prompt with its responses, each different text once: what reward models score."""

    prompt_id: str
    prompt: list[Message]
    responses: list[str]
    split: str
    category: str = ""
    language: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        _check_prompt(self)
        _check_texts("responses", self.responses)
        if not self.responses or len(set(self.responses)) < len(self.responses):
            raise RecordError("responses", "must hold at least one text, and none of them twice")


@dataclass(frozen=True, kw_only=True)
class TextRow(Row):
    """One piece of plain pretraining text."""

    text: str
    split: str
    source: str = ""

    def __post_init__(self) -> None:
        _check_text("text", self.text)
        _check_choice("split", self.split, SPLITS)
        _check_text("source", self.source)


@dataclass(frozen=True, kw_only=True)
class ResponseRow(Row):
    """One sampled response. `error` is empty unless the sample failed; then it says why and `text` is empty."""

    FINISH_REASONS: ClassVar[tuple[str, ...]] = ("stop", "length", "error")

    prompt_id: str
    sample_index: int
    text: str
    finish_reason: str
    num_tokens: int
    error: str = ""

    def __post_init__(self) -> None:
        _check_id("prompt_id", self.prompt_id)
        _check_count("sample_index", self.sample_index)
        _check_text("text", self.text)
        _check_choice("finish_reason", self.finish_reason, self.FINISH_REASONS)
        _check_count("num_tokens", self.num_tokens)
        _check_text("error", self.error)
        if (self.finish_reason == "error") != bool(self.error):
            raise RecordError("error", "must say why exactly when finish_reason is 'error'")


@dataclass(frozen=True, kw_only=True)
class ScoreRow(Row):
    """What reward models say of one response, which is named by its prompt and the hash of its text."""

    prompt_id: str
    response_sha256: str
    scores: list[float]

    def __post_init__(self) -> None:
        _check_id("prompt_id", self.prompt_id)
        _check_sha256("response_sha256", self.response_sha256)
        if not isinstance(self.scores, list) or not self.scores:
            raise RecordError("scores", "must hold a number of each model")
        if not all(isinstance(score, float) and math.isfinite(score) for score in self.scores):
            raise RecordError("scores", "must be finite numbers")

    @classmethod
    def of(cls, prompt_id: str, response: str, scores: list[float]) -> Self:
        """The row of a response's text."""
        named = hashlib.sha256(response.encode("utf-8")).hexdigest()
        return cls(prompt_id=prompt_id, response_sha256=named, scores=scores)


ROW_TYPES: Final[dict[str, type[Row]]] = {
    "reward": RewardRow,
    "sft": DemonstrationRow,
    "prompts": PromptRow,
    "text": TextRow,
    "responses": AnsweredRow,
}

_PROMPT = {"prompt_id": "string", "prompt": "list<struct<role: string, content: string>>"}
_ORIGIN = {"category": "string", "language": "string", "source": "string"}

#: Parquet columns of each kind of snapshot, in order; types in Arrow's notation; no nulls anywhere ("" means unknown).
COLUMNS: Final[dict[str, dict[str, str]]] = {
    "reward": _PROMPT
    | {
        "responses": "list<string>",
        "ranks": "list<int32>",
        "labeler": "string",
        "weight": "double",
        "split": "string",
        "held_out": "bool",
    }
    | _ORIGIN,
    "sft": _PROMPT | {"response": "string", "split": "string"} | _ORIGIN,
    "prompts": _PROMPT | {"split": "string"} | _ORIGIN,
    "text": {"text": "string", "split": "string", "source": "string"},
    "responses": _PROMPT | {"responses": "list<string>", "split": "string"} | _ORIGIN,
}


@dataclass(frozen=True, kw_only=True)
class SnapshotManifest:
    """`manifest.json` of a snapshot folder. `sha256` is the content hash of the rows in file order."""

    kind: str
    sha256: str
    num_rows: int
    schema_version: int = SCHEMA_VERSION
    stats: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_choice("kind", self.kind, tuple(ROW_TYPES))
        _check_sha256("sha256", self.sha256)
        _check_count("num_rows", self.num_rows)
        if self.schema_version != SCHEMA_VERSION:
            raise RecordError("schema_version", f"is {self.schema_version}; this engine reads {SCHEMA_VERSION}")

    def to_dict(self) -> dict[str, Any]:
        """The manifest as plain JSON values."""
        return asdict(self)


def read_snapshot_manifest(folder: Path) -> SnapshotManifest:
    """Read `folder/manifest.json`. Raises RecordError when it is missing, not JSON, or not a snapshot's."""
    path = folder / "manifest.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return SnapshotManifest(**values)
    except FileNotFoundError:
        raise RecordError("manifest.json", f"not found in {folder}") from None
    except (json.JSONDecodeError, TypeError) as error:
        raise RecordError("manifest.json", f"{path} is not a snapshot manifest: {error}") from None


def canonical_line(row: Mapping[str, Any]) -> bytes:
    """One row as its canonical JSON line: sorted keys, no spaces, real UTF-8, ended by LF."""
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8") + b"\n"


def content_sha256(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 of the canonical JSON lines of the rows, in the order given."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(canonical_line(row))
    return digest.hexdigest()


def _read(name: str, value: Any) -> Any:
    if name == "prompt" and isinstance(value, list):
        return [_read_message(item) for item in value]
    if name == "weight" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # 1 and 1.0 must give the same content hash
    return value


def _read_message(value: Any) -> Message:
    if isinstance(value, Message):
        return value
    if not isinstance(value, Mapping) or set(value) != {"role", "content"}:
        raise RecordError("prompt", "must be a list of {role, content}")
    return Message(role=value["role"], content=value["content"])


def _check_prompt(row: RewardRow | DemonstrationRow | PromptRow | AnsweredRow) -> None:
    _check_id("prompt_id", row.prompt_id)
    if not isinstance(row.prompt, list) or not all(isinstance(item, Message) for item in row.prompt):
        raise RecordError("prompt", "must be a list of {role, content}")
    if not row.prompt:
        raise RecordError("prompt", "must hold at least one message")
    _check_choice("split", row.split, SPLITS)
    for name in ("category", "language", "source"):
        _check_text(name, getattr(row, name))


def _check_ranks(ranks: Any, *, num_responses: int) -> None:
    if not isinstance(ranks, list) or len(ranks) != num_responses:
        raise RecordError("ranks", f"must be a list of {num_responses} numbers, one per response")
    if any(isinstance(rank, bool) or not isinstance(rank, int) or rank < 1 for rank in ranks):
        raise RecordError("ranks", "must be whole numbers from 1 (best)")


def _check_weight(weight: Any) -> None:
    if isinstance(weight, bool) or not isinstance(weight, float) or not math.isfinite(weight) or weight <= 0:
        raise RecordError("weight", "must be a number above 0")


def _check_id(name: str, value: Any) -> None:
    _check_text(name, value)
    if not value:
        raise RecordError(name, "must not be empty")


def _check_sha256(name: str, value: Any) -> None:
    _check_text(name, value)
    if len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise RecordError(name, "must be 64 lower-case hexadecimal digits")


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise RecordError(name, f"must be text, not {type(value).__name__}")


def _check_texts(name: str, values: Any) -> None:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise RecordError(name, "must be a list of texts")


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RecordError(name, "must be a whole number from 0")


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise RecordError(name, f"must be one of {', '.join(choices)}, not {value!r}")
