"""Asking a server with OpenAI's chat completions API for one response at a time, with the standard library alone.

One request is one sample: `n` is ignored by some servers, and a failed request then costs one sample, not K.
"""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from training.contract.records import Message

RETRIED_STATUSES: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
MAX_WAIT_SECONDS: Final = 60.0


class ServerError(RuntimeError):
    """No answer, with the reason."""


class BusyError(ServerError):
    """No answer now; a later try may get one. `wait` is what the server asked for, in seconds, or None."""

    def __init__(self, reason: str, *, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass
class Pace:
    """Turns for requests, evenly spaced over the threads that ask: at most `per_minute` of them, 0 for no limit."""

    per_minute: int = 0
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    _next: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self) -> None:
        """Until it is this request's turn."""
        if not self.per_minute:
            return
        with self._lock:
            now = self.now()
            turn = max(now, self._next)
            self._next = turn + 60 / self.per_minute
        if turn > now:
            self.sleep(turn - now)


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where and how to ask. `url` ends with /v1; `key` may be empty."""

    url: str
    model: str
    key: str
    timeout: float
    retries: int
    pace: Pace = field(default_factory=Pace)
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One sampled response. `finish_reason` is stop or length."""

    text: str
    finish_reason: str
    num_tokens: int


def ask(
    server: Server, messages: Sequence[Message], *, temperature: float, top_p: float, max_tokens: int, seed: int
) -> Answer:
    """One response. Tries again, after longer and longer waits, while the server is busy; each try waits for its turn.
    Raises ServerError."""
    body = {
        "model": server.model,
        "messages": [asdict(message) for message in messages],
        "temperature": temperature,
        "top_p": top_p,
        "max_tokens": max_tokens,
        "seed": seed,
        "n": 1,
        "stream": False,
    }
    for attempt in range(server.retries + 1):
        server.pace.wait()
        try:
            return _answer(_post(server, "/chat/completions", body))
        except BusyError as error:
            if attempt == server.retries:
                raise ServerError(f"{error} ({attempt + 1} tries)") from error
            server.sleep(min(MAX_WAIT_SECONDS, error.wait if error.wait is not None else 2.0**attempt))
    raise AssertionError("unreachable")


def _post(server: Server, path: str, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    if server.key:
        headers["Authorization"] = f"Bearer {server.key}"
    url = server.url.rstrip("/") + path
    if not url.startswith(("http://", "https://")):
        raise ServerError(f"{url} is not an http or https address")
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - checked above
    try:
        with _OPENER.open(request, timeout=server.timeout) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as error:
        reason = f"HTTP {error.code}: {error.read(500).decode('utf-8', errors='replace').strip()}"
        if error.code in RETRIED_STATUSES:
            raise BusyError(reason, wait=_wait(error.headers.get("Retry-After"))) from error
        raise ServerError(reason) from error
    except (OSError, json.JSONDecodeError) as error:
        raise BusyError(f"no answer from {server.url}: {error}") from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: following one would hand the key to another address."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER: Final = urllib.request.build_opener(_NoRedirects)


def _answer(reply: Any) -> Answer:
    try:
        choice = reply["choices"][0]
        text, reason = choice["message"]["content"], choice["finish_reason"]
        num_tokens = int((reply.get("usage") or {}).get("completion_tokens") or 0)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ServerError(f"the reply is not a chat completion: {json.dumps(reply)[:300]}") from error
    if not isinstance(text, str):
        raise ServerError(f"the reply holds no text; finish_reason is {reason!r}")
    if reason not in ("stop", "length"):
        raise ServerError(f"the response was not finished: finish_reason is {reason!r}")
    return Answer(text=text, finish_reason=reason, num_tokens=num_tokens)


def _wait(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None  # an HTTP date: our own waiting times do as well
