"""One labeler's browser: a kept connection, cookies, a CSRF token. Light, since it shares the machine."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

TIMEOUT = 60.0


class AppError(Exception):
    """The app answered, but not with what was asked for."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        super().__init__(f"HTTP {status}: {body[:300]!r}")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Browser:
    host: str
    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    csrf_header: str = "X-CSRFToken"
    num_reconnected: int = 0
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> Answer:
        return await self.send("GET", path)

    async def post(self, path: str, body: Any) -> Answer:
        return await self.send("POST", path, json.dumps(body).encode(), "application/json")

    async def send(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> Answer:
        """Redirects are answers here. Anything from 400 on is raised."""
        request = self._request(method, path, body, content_type)
        answer = await asyncio.wait_for(self._exchange(request), TIMEOUT)
        if answer.status >= 400:
            raise AppError(answer.status, answer.body)
        return answer

    def twin(self) -> "Browser":
        """A second window of the same person."""
        return Browser(self.host, self.port, dict(self.cookies), self.csrf_header)

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    def _request(self, method: str, path: str, body: bytes, content_type: str) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", "Accept: application/json, text/html"]
        if self.cookies:
            lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        if method != "GET":
            lines += [
                f"Content-Length: {len(body)}",
                f"Content-Type: {content_type}",
                f"Referer: http://{self.host}:{self.port}/",
                f"{self.csrf_header}: {self.cookies.get('csrftoken', '')}",
            ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def _exchange(self, request: bytes) -> Answer:
        """A kept connection that the server has closed meanwhile is opened anew, as browsers do."""
        if self._streams is not None:
            try:
                return await self._ask(request)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                await self.close()
                if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                    raise
                self.num_reconnected += 1
        self._streams = await asyncio.open_connection(self.host, self.port, limit=2**20)
        return await self._ask(request)

    async def _ask(self, request: bytes) -> Answer:
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in head[1:-2]:
            name, _, value = line.partition(":")
            if name.lower() == "set-cookie":
                self._keep_cookie(value)
            headers[name.lower()] = value.strip()
        answer = Answer(int(head[0].split(" ", 2)[1]), headers, await _body(reader, headers))
        if headers.get("connection", "").lower() == "close" or "content-length" not in headers | _chunked(headers):
            await self.close()
        return answer

    def _keep_cookie(self, text: str) -> None:
        name, _, value = text.split(";", 1)[0].partition("=")
        self.cookies[name.strip()] = value


def _chunked(headers: dict[str, str]) -> dict[str, str]:
    return {"content-length": ""} if headers.get("transfer-encoding", "").lower() == "chunked" else {}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if not _chunked(headers):
        return await reader.read()
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readline()
    return b"".join(parts)
