"""What stands at ``/``: the long connections, whose vendor's address has no path, else the chat page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware


def add_root(app: web.Application, guard: Middleware, connect: Handler) -> None:
    """Serve ``/`` and ``/ws`` of `app`: `connect` takes who asks for a WebSocket, others get the page."""

    async def root(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise web.HTTPFound("/sandbox/")
        return await guard(request, connect)

    app.router.add_get("/", root)
    app.router.add_get("/ws", root)
