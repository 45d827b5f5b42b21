"""Text and conversations as a file holds them. Text is taken as it is, zero-width characters and all, or not at all."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from labeling.services.imports import reasons
from labeling.services.imports.reasons import Refused

MAX_RESPONSE_CHARS = 200_000
MAX_MESSAGES = 200
ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "customer": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
Messages = list[dict[str, str]]


def checked(text: str, *, where: str) -> str:
    """The text, unchanged. Postgres holds no NUL, and half a surrogate pair is no character."""
    if "\0" in text:
        raise Refused(reasons.CANNOT_BE_STORED, f"{where} holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused(reasons.CANNOT_BE_STORED, f"{where} holds half a surrogate pair at {error.start}") from None
    return text


def short(value: Any, limit: int) -> str:
    """A name or id as text that fits its column; a longer one ends in its hash, so that two never become one."""
    if value is None or isinstance(value, dict | list):
        return ""
    text = checked(str(value).strip(), where="a name")
    if len(text) <= limit:
        return text
    return text[: limit - 17] + "…" + hashlib.sha256(text.encode()).hexdigest()[:16]


def conversation(value: Any) -> Messages:
    """Messages that end with the user's, from text, from messages, or from messages as JSON text in a cell."""
    if value is None:
        raise Refused(reasons.NO_PROMPT)
    value = _from_json_cell(value)
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise Refused(reasons.NOT_A_CONVERSATION, f"the prompt is a {type(value).__name__}")
    if len(value) > MAX_MESSAGES:
        raise Refused(reasons.PROMPT_TOO_LONG, f"more than {MAX_MESSAGES} messages")
    messages = [_message(item, number) for number, item in enumerate(value, start=1)]
    if messages[-1]["role"] != "user":
        raise Refused(reasons.NOT_THE_USERS_TURN)
    if not messages[-1]["content"].strip():
        raise Refused(reasons.NO_PROMPT, "only white space")
    return messages


def _from_json_cell(value: Any) -> Any:
    """Messages that a CSV cell holds as JSON; any other value as it is: “[MASK] is …” and “[1, 2]” stay text."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    parsed = json_list(value) or [None]
    are_messages = all(isinstance(item, dict) and {"content", "value"} & set(item) for item in parsed)
    return parsed if are_messages else value


def _message(item: Any, number: int) -> dict[str, str]:
    if not isinstance(item, Mapping):
        raise Refused(reasons.NOT_A_CONVERSATION, f"message {number} is a {type(item).__name__}")
    role = item.get("role", item.get("from"))
    content = item.get("content", item.get("value"))
    known = ROLES.get(role.strip().lower()) if isinstance(role, str) else None
    if known is None:
        raise Refused(reasons.NOT_A_CONVERSATION, f"message {number} has no role that is known")
    if not isinstance(content, str):
        raise Refused(reasons.NOT_A_CONVERSATION, f"message {number} has no text")
    return {"role": known, "content": checked(content, where=f"message {number}")}


def json_list(cell: str) -> list[Any] | None:
    """The list that a CSV cell holds as JSON; None if it holds none."""
    try:
        parsed = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, list) else None
