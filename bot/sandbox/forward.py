"""For worker processes: ``/sandbox/…`` and ``/cgi-bin/…`` passed on to the process that has the sandbox."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from yarl import URL

from bot.sandbox.guard import loopback_only

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
    app.cleanup_ctx.append(forwarder.run)
    app.on_shutdown.append(forwarder.end_streams)


async def _to_page(_: web.Request) -> web.StreamResponse:
    raise web.HTTPPermanentRedirect("/sandbox/")


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
