"""Whether the process is alive, ready, and what it counts: ``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from aiohttp import web

from bot.errors import StoreError
from bot.metrics import Metrics
from bot.storage.drain import Drain
from bot.storage.redis.client import RedisClient
from bot.storage.sql.database import Database

_PATIENCE_S = 2.0


class Health:
    """Answers whoever watches over the process."""

    def __init__(self, redis: RedisClient, database: Database, drain: Drain, metrics: Metrics) -> None:
        self._redis = redis
        self._database = database
        self._drain = drain
        self._metrics = metrics

    def add_routes(self, app: web.Application) -> None:
        """Add the three addresses."""
        app.router.add_get("/healthz", self.alive)
        app.router.add_get("/readyz", self.ready)
        app.router.add_get("/metrics", self.figures)

    async def alive(self, _: web.Request) -> web.Response:
        """Say that the event loop turns."""
        return web.json_response({"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """Say of each dependency whether it answers; 503 when one does not."""
        states = {
            "redis": await _state(self._redis.call("PING")),
            "sql": await _state(self._database.ping()),
        }
        well = all(state == "ok" for state in states.values())
        body: dict[str, object] = {"status": "ready" if well else "not ready", **states}
        if states["redis"] == "ok":
            body["outbox_entries"] = await self._drain.backlog()
        return web.json_response(body, status=200 if well else 503)

    async def figures(self, _: web.Request) -> web.Response:
        """Return the figures for Prometheus."""
        try:
            self._metrics.outbox_length.set(await self._drain.backlog())
        except StoreError:
            self._metrics.outbox_length.set(float("nan"))
        return web.Response(
            body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )


async def _state(asked: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await asked
    except (StoreError, TimeoutError) as error:
        return str(error) or "no answer in time"
    return "ok"
