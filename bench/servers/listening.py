"""An aiohttp application on a free loopback port, as its documentation runs one, without an access log."""

from __future__ import annotations

import asyncio

from aiohttp import web


async def serve(app: web.Application) -> None:
    """Serve until the process is ended."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    port = runner.addresses[0][1]
    print(f"ready http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()
