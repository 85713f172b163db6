"""The HTTP response to a callback, which leaves in one piece.

aiohttp builds a response from a dictionary of headers, decides about compression, chunks and cookies, and
writes it in two steps. The answer to a callback knows all of that beforehand; written as one piece it is the
same bytes at a fifth of the time (`docs/benchmarks.md`).
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import SERVER_SOFTWARE, HttpVersion11

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b"


@lru_cache(maxsize=1)
def _head_end(second: int) -> bytes:
    """Return what every head of one second ends with: ``Date``, ``Server`` and the empty line."""
    return f"Date: {formatdate(second, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n".encode()


class CallbackResponse(web.StreamResponse):
    """Status 200 with a body of bytes.

    Written as one piece for the request every platform makes: a POST by HTTP/1.1 that keeps the connection.
    Any other gets aiohttp's own response instead.
    """

    def __init__(self, body: bytes, media_type: str) -> None:
        """Answer with `body`, of the type `media_type`."""
        super().__init__()
        self._answer = body
        self._media_type = media_type
        self._instead: web.Response | None = None

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open after this response (aiohttp)."""
        return True if self._instead is None else self._instead.keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write all of it (aiohttp)."""
        body = self._answer
        if not _is_usual(request):
            self._instead = web.Response(body=body, content_type=self._media_type)
            return await self._instead.prepare(request)
        writer = request.writer
        await writer.write(_HEAD % (self._media_type.encode(), len(body), _head_end(int(time.time())), body))
        await writer.drain()  # returns at once, unless the peer does not read
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Write what `prepare` has not written yet (aiohttp)."""
        if self._instead is not None:
            await self._instead.write_eof(data)


def _is_usual(request: web.BaseRequest) -> bool:
    return request.method == "POST" and request.keep_alive and request.version == HttpVersion11
