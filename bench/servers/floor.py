"""The floor: an aiohttp application whose one handler reads the body and returns constant bytes.

``python -m bench.servers.floor --body-bytes 300 --loop asyncio``
"""

from __future__ import annotations

import argparse
import asyncio

import uvloop
from aiohttp import web

from bench.servers.listening import serve


def _application(body_bytes: int) -> web.Application:
    body = b"x" * body_bytes

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=body, content_type="application/xml")

    app = web.Application()
    app.router.add_post("/callback/app", answer)
    return app


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--body-bytes", type=int, default=256)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    options = parser.parse_args()
    run = uvloop.run if options.loop == "uvloop" else asyncio.run
    run(serve(_application(options.body_bytes)))


if __name__ == "__main__":
    main()
