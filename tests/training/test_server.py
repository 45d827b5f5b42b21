"""The client against a real HTTP server that misbehaves in the ways that servers do."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from training.contract.records import Message
from training.engine import server

MESSAGES = [Message(role="user", content="Grüße!")]
GOOD = {"choices": [{"message": {"content": "Hallo"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 3}}


class Peer:
    """Answers each request with the next scripted (status, headers, body); keeps what it was asked."""

    def __init__(self) -> None:
        self.script: list[tuple[int, dict[str, str], Any]] = []
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.waits: list[float] = []
        self.url = ""

    def ask(self, **changes: Any) -> server.Answer:
        values: dict[str, Any] = {"url": self.url, "model": "m", "key": "", "timeout": 5.0, "retries": 2, **changes}
        target = server.Server(sleep=self.waits.append, **values)
        return server.ask(target, MESSAGES, temperature=0.7, top_p=0.9, max_tokens=11, seed=42)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            peer.requests.append((self.path, dict(self.headers), body))
            status, headers, answer = peer.script.pop(0)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    peer.url = f"http://127.0.0.1:{httpd.server_port}/v1"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield peer
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_a_request_says_everything_that_decides_the_answer(peer: Peer) -> None:
    peer.script = [(200, {}, GOOD)]
    answer = peer.ask(key="secret")
    assert answer == server.Answer(text="Hallo", finish_reason="stop", num_tokens=3)
    path, headers, body = peer.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Grüße!"}],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 11,
        "seed": 42,
        "n": 1,
        "stream": False,
    }


def test_without_a_key_none_is_sent(peer: Peer) -> None:
    peer.script = [(200, {}, GOOD)]
    peer.ask()
    assert "Authorization" not in peer.requests[0][1]


def test_a_busy_server_is_asked_again_after_longer_and_longer_waits(peer: Peer) -> None:
    peer.script = [(503, {}, b"busy"), (429, {"Retry-After": "7"}, b"slow down"), (200, {}, GOOD)]
    assert peer.ask().text == "Hallo"
    assert peer.waits == [1.0, 7.0]


def test_requests_of_all_threads_take_evenly_spaced_turns() -> None:
    waits: list[float] = []
    pace = server.Pace(120, sleep=waits.append, now=lambda: 10.0)
    for _ in range(4):
        pace.wait()
    assert waits == [0.5, 1.0, 1.5]  # the first goes at once


def test_an_idle_minute_saves_up_no_turns() -> None:
    waits: list[float] = []
    times = iter([0.0, 100.0, 100.0])
    pace = server.Pace(60, sleep=waits.append, now=lambda: next(times))
    for _ in range(3):
        pace.wait()
    assert waits == [1.0]


def test_a_try_after_the_first_takes_a_turn_too(peer: Peer) -> None:
    peer.script = [(503, {}, b"busy"), (200, {}, GOOD)]
    turns: list[float] = []
    assert peer.ask(pace=server.Pace(60, sleep=turns.append, now=lambda: 0.0)).text == "Hallo"
    assert turns == [1.0]
    assert len(peer.requests) == 2


def test_a_server_that_stays_busy_is_given_up_with_its_last_reason(peer: Peer) -> None:
    peer.script = [(503, {}, b"first"), (503, {}, b"second"), (503, {}, b"third")]
    with pytest.raises(server.ServerError, match=r"HTTP 503: third \(3 tries\)"):
        peer.ask()
    assert peer.waits == [1.0, 2.0]


def test_a_refusal_is_not_tried_again(peer: Peer) -> None:
    peer.script = [(401, {}, b"bad key")]
    with pytest.raises(server.ServerError, match="HTTP 401: bad key"):
        peer.ask()
    assert len(peer.requests) == 1


def test_a_redirect_is_refused_so_that_the_key_stays_where_it_was_sent(peer: Peer) -> None:
    peer.script = [(302, {"Location": peer.url + "/elsewhere"}, b"")]
    with pytest.raises(server.ServerError, match="HTTP 302"):
        peer.ask(key="secret")
    assert len(peer.requests) == 1


def test_a_server_that_is_not_there_is_named(peer: Peer) -> None:
    with pytest.raises(server.ServerError, match=r"no answer from http://127\.0\.0\.1:9/v1"):
        peer.ask(url="http://127.0.0.1:9/v1", retries=0)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ({"error": "model not found"}, "not a chat completion.*model not found"),
        ({"choices": []}, "not a chat completion"),
        ({"choices": [{"message": {"content": None}, "finish_reason": "tool_calls"}]}, "holds no text"),
        ({"choices": [{"message": {"content": "x"}, "finish_reason": "content_filter"}]}, "'content_filter'"),
    ],
)
def test_a_reply_that_is_no_response_is_an_error_with_its_reason(peer: Peer, reply: Any, reason: str) -> None:
    peer.script = [(200, {}, reply)]
    with pytest.raises(server.ServerError, match=reason):
        peer.ask()


def test_other_addresses_than_web_ones_are_refused(peer: Peer) -> None:
    with pytest.raises(server.ServerError, match="not an http or https address"):
        peer.ask(url="file:///etc")
