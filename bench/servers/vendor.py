"""A vendor that accepts everything at once: tokens and ``message/send``; ``/seen`` says what arrived.

``python -m bench.servers.vendor``
"""

from __future__ import annotations

import orjson
import uvloop
from aiohttp import web

from bench.servers.listening import serve


def _application() -> web.Application:
    seen: dict[str, list[str]] = {}

    async def token(_: web.Request) -> web.Response:
        return web.json_response({"errcode": 0, "access_token": "bench", "expires_in": 7200})

    async def send(request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        seen.setdefault(body["touser"], []).append(body["text"]["content"])
        return web.Response(body=b'{"errcode":0,"errmsg":"ok","msgid":"m"}', content_type="application/json")

    async def tell(_: web.Request) -> web.Response:
        answer = orjson.dumps(seen)
        seen.clear()
        return web.Response(body=answer, content_type="application/json")

    app = web.Application()
    app.router.add_get("/cgi-bin/gettoken", token)
    app.router.add_post("/cgi-bin/message/send", send)
    app.router.add_get("/seen", tell)
    return app


if __name__ == "__main__":
    uvloop.run(serve(_application()))
