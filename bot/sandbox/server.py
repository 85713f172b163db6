"""Two ways to run a sandbox: inside an aiohttp application, or on a loopback port of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from aiohttp import web

from bot.sandbox.cgi_bin import VendorApi
from bot.sandbox.guard import loopback_only
from bot.sandbox.page import Page
from bot.sandbox.root import add_root
from bot.sandbox.vendor import Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.clock import Clock
    from bot.sandbox.channel import SandboxChannel
    from bot.sandbox.courier import Settings


def mount_sandbox(app: web.Application, sandbox: Sandbox, *, allow_remote: bool = False) -> None:
    """Serve `sandbox` at ``/sandbox/``, ``/cgi-bin/`` and as WebSocket at ``/``, and close it with `app`.

    Without asking for a WebSocket, ``/`` leads to the chat page.

    `sandbox.callback_base` must be set before somebody speaks.
    """
    # The same address serves both, unless `SandboxServer` knows better.
    sandbox.own_base = sandbox.own_base or sandbox.callback_base
    guard = loopback_only(allow_remote=allow_remote)
    page, vendor_api = web.Application(middlewares=[guard]), web.Application(middlewares=[guard])
    page.add_routes(Page(sandbox).routes())
    vendor_api.add_routes(VendorApi(sandbox).routes())
    app.router.add_get("/sandbox", _to_page)
    add_root(app, guard, sandbox.connections.serve)
    app.add_subapp("/sandbox/", page)
    app.add_subapp("/cgi-bin/", vendor_api)

    async def end_streams(_: web.Application) -> None:
        sandbox.feed.end()
        await sandbox.connections.aclose()

    async def close(_: web.Application) -> None:
        await sandbox.aclose()

    # Open event streams would hold a stopping server up: they end first.
    app.on_shutdown.append(end_streams)
    app.on_cleanup.append(close)


async def _to_page(_: web.Request) -> web.StreamResponse:
    raise web.HTTPPermanentRedirect("/sandbox/")


class SandboxServer:
    """A sandbox on its own loopback port, as an async context.

    ``async with SandboxServer(channels, callback_base=…) as server:`` gives `server.sandbox` and
    `server.api_base`, the address that goes into the channels' ``api_base``.
    """

    def __init__(
        self,
        channels: Sequence[SandboxChannel] = (),
        *,
        callback_base: str = "",
        settings: Settings | None = None,
        clock: Clock | None = None,
        sandbox: Sandbox | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_remote: bool = False,
    ) -> None:
        """Make a sandbox of `channels`, or take `sandbox`; port 0 is any free one."""
        self.sandbox = sandbox or Sandbox(
            channels, callback_base=callback_base, settings=settings, clock=clock
        )
        self._host, self._port, self._allow_remote = host, port, allow_remote
        self._runner: web.AppRunner | None = None

    @property
    def api_base(self) -> str:
        """scheme://host:port of this server; its page is at ``/sandbox/`` below it."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def __aenter__(self) -> Self:
        """Start listening."""
        app = web.Application()
        mount_sandbox(app, self.sandbox, allow_remote=self._allow_remote)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self._host, self._port)
            await site.start()
        except (OSError, asyncio.CancelledError):
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        self.sandbox.own_base = self.api_base
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and close the sandbox."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
