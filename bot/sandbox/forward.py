"""For worker processes: the sandbox's addresses passed on to the process that has it, WebSockets too."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from yarl import URL

from bot.sandbox.guard import loopback_only
from bot.sandbox.root import add_root

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_FRAME_BYTES = 4 * 1024 * 1024
_PASSED_ON = ("Content-Type", "Accept", "Last-Event-ID")
_PASSED_BACK = (
    "Content-Type",
    "Cache-Control",
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "Referrer-Policy",
)


def forward_sandbox(app: web.Application, sandbox_base: str, *, allow_remote: bool = False) -> None:
    """Pass the sandbox's addresses of `app` on to the server at `sandbox_base` (scheme://host:port).

    Answers stream through as they come. The loopback rule is kept here, where the true peer is seen.
    Answers 502 while that server is away.
    """
    forwarder = _Forwarder(sandbox_base)
    guard = loopback_only(allow_remote=allow_remote)
    for prefix in ("/sandbox/", "/cgi-bin/"):
        part = web.Application(middlewares=[guard])
        part.router.add_route("*", "/{tail:.*}", forwarder.pass_on)
        app.add_subapp(prefix, part)
    app.router.add_get("/sandbox", _to_page)
    add_root(app, guard, forwarder.join)
    app.cleanup_ctx.append(forwarder.run)
    app.on_shutdown.append(forwarder.end_streams)


async def _to_page(_: web.Request) -> web.StreamResponse:
    raise web.HTTPPermanentRedirect("/sandbox/")


async def _copy(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    """Pass frames on until `source` ends."""
    with contextlib.suppress(ConnectionError):
        async for message in source:
            if message.type is aiohttp.WSMsgType.TEXT:
                await target.send_str(message.data)
            elif message.type is aiohttp.WSMsgType.PING:
                await target.ping(message.data)
            elif message.type is aiohttp.WSMsgType.PONG:
                await target.pong(message.data)


class _Forwarder:
    def __init__(self, sandbox_base: str) -> None:
        self._base = sandbox_base.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """Hold the HTTP client open while the application lives."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        ) as session:
            self._session = session
            yield
            self._session = None

    async def end_streams(self, _: web.Application) -> None:
        """Cut what is still streaming, so that the worker can stop."""
        for task in list(self._under_way):
            task.cancel()

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Ask the sandbox the same and stream its answer back."""
        assert self._session is not None
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        target = URL(f"{self._base}{request.raw_path}", encoded=True)
        body = await request.read() if request.can_read_body else None
        try:
            async with self._session.request(
                request.method, target, headers=headers, data=body, allow_redirects=False
            ) as answer:
                response = web.StreamResponse(status=answer.status)
                response.headers.update(
                    {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
                )
                await response.prepare(request)
                await self._stream(answer, response)
                return response
        except aiohttp.ClientConnectorError:
            return web.Response(status=502, text="the sandbox's process does not answer")
        except (aiohttp.ClientError, ConnectionError):
            # The sandbox cut the connection, on demand of a fault: so do we.
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)

    async def join(self, request: web.Request) -> web.StreamResponse:
        """Join a WebSocket of a client with one to the sandbox until either side ends it."""
        assert self._session is not None
        try:
            there = await self._session.ws_connect(
                f"{self._base}/", autoping=False, max_msg_size=_FRAME_BYTES
            )
        except aiohttp.ClientError:
            return web.Response(status=502, text="the sandbox's process does not answer")
        async with there:
            here = web.WebSocketResponse(autoping=False, max_msg_size=_FRAME_BYTES, timeout=1.0)
            await here.prepare(request)
            copies = [
                asyncio.create_task(_copy(here, there)), asyncio.create_task(_copy(there, here)),
            ]  # fmt: skip
            self._under_way.update(copies)
            try:
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._under_way.difference_update(copies)
                for copy in copies:
                    copy.cancel()
                await here.close(code=there.close_code or 1001)
        return here

    async def _stream(self, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        async def copy() -> None:
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()

        task = asyncio.create_task(copy())
        self._under_way.add(task)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            self._under_way.discard(task)
        if not task.cancelled():
            task.result()
