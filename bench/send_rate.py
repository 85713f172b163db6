"""How fast deliveries leave: ``python -m bench.send_rate '{"deliveries": 10000, "store_core": 1}'``.

One process with one sender, to a vendor that accepts at once and limits that do not hold it back; beside it
the same number of bare aiohttp calls, as many at a time. Every message has to arrive once and in order.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop

from bench.apart import own_store, run_measure
from bench.process import ServerProcess
from bot.clock import SystemClock
from bot.delivery.courier import Patience
from bot.delivery.http import open_session
from bot.delivery.routes import WECOM_APP, ChannelAbilities
from bot.delivery.sender import Sender
from bot.delivery.wecom import WecomClient
from bot.model import Text
from bot.part_codec import encode_parts
from bot.storage.drain import Drain
from bot.storage.redis.client import RedisClient, connect
from bot.storage.redis.deliveries import Delivery, DeliveryStore
from bot.storage.redis.keys import Keys
from bot.storage.redis.pacing import PaceStore
from bot.storage.redis.tokens import TokenStore
from bot.storage.sql.database import Database, embedded_url

RECEIVERS = 100
CHANNEL, COMMUNITY = "app", "milk"
_AT_ONCE = 64
_UNBOUND = ChannelAbilities(
    "wecom_app", replace(WECOM_APP, rates=(), concurrency=_AT_ONCE), None, can_send=True
)


def deliveries(count: int, now_ms: int, first: int = 0) -> list[Delivery]:
    """Return `count` deliveries of one short text each, to `RECEIVERS` people in turn."""
    return [
        Delivery(
            id=f"bench{number}",
            community=COMMUNITY,
            channel=CHANNEL,
            user_id=f"member{number % RECEIVERS}",
            member=f"{CHANNEL}:member{number % RECEIVERS}",
            cause=f"api:bench{number}",
            route="active",
            created_at_ms=now_ms,
            parts=encode_parts((Text(f"{number:08d}"),)),
        )
        for number in range(first, first + count)
    ]


async def create_all(redis: RedisClient, keys: Keys, count: int) -> None:
    """Queue `count` deliveries that are due now, in the order of their numbers."""
    store, now_ms = DeliveryStore(redis, keys, memory_ms=60_000), SystemClock().now_ms()
    made = deliveries(count, now_ms)
    for start in range(0, count, 500):
        await asyncio.gather(*(store.create(one, now_ms) for one in made[start : start + 500]))


async def queue_deliveries(url: str, count: int) -> None:
    """Queue `count` deliveries in the Redis at `url`, for whoever sends from there."""
    redis = await connect(url)
    try:
        await create_all(redis, Keys(64), count)
    finally:
        await redis.close()


def measure(amounts: dict[str, Any]) -> dict[str, float]:
    """Send; return how many were `sent`, the `seconds` it took, and the `bare_seconds` of calls alone."""
    with own_store(amounts["store_core"]) as (url, data_dir), tempfile.TemporaryDirectory() as folder:
        vendor = ServerProcess.start(
            ("-m", "bench.servers.vendor"), amounts["store_core"], Path(folder) / "vendor.log"
        )
        try:
            return uvloop.run(
                _measure(url, data_dir, f"http://127.0.0.1:{vendor.port}", amounts["deliveries"])
            )
        finally:
            vendor.stop()


async def _measure(url: str, data_dir: Path, base: str, count: int) -> dict[str, float]:
    redis, keys, clock = await connect(url), Keys(64), SystemClock()
    database = await Database.open(embedded_url(data_dir))
    stop = asyncio.Event()
    async with open_session() as session:
        client = WecomClient(
            session, TokenStore(redis, keys), clock, channel=CHANNEL, corp_id="ww", agent_id=1, secret="s",
            api_base=base,
        )  # fmt: skip
        await create_all(redis, keys, count)
        sender = Sender(
            DeliveryStore(redis, keys, memory_ms=60_000), PaceStore(redis, keys), {CHANNEL: client},
            {CHANNEL: _UNBOUND}, clock, patience=Patience(), most_at_once=_AT_ONCE,
        )  # fmt: skip
        drain = asyncio.create_task(Drain(redis, keys, database).run(stop))
        begun_s = time.perf_counter()
        await sender.run_once()
        seconds = time.perf_counter() - begun_s
        stop.set()
        await drain
        await _check(session, base, count)
        bare_seconds = await _bare(session, base, count)
    await database.close()
    await redis.close()
    return {"sent": count, "seconds": seconds, "bare_seconds": bare_seconds}


async def _check(session: aiohttp.ClientSession, base: str, count: int) -> None:
    async with session.get(f"{base}/seen") as response:
        seen: dict[str, list[str]] = orjson.loads(await response.read())
    arrived = sum(map(len, seen.values()))
    in_order = all(texts == sorted(set(texts)) for texts in seen.values())
    if arrived != count or not in_order:
        raise SystemExit(f"{arrived} of {count} messages arrived, each receiver's in order: {in_order}")


async def _bare(session: aiohttp.ClientSession, base: str, count: int) -> float:
    body = orjson.dumps({"touser": "x", "agentid": 1, "msgtype": "text", "text": {"content": "00000000"}})
    numbers = iter(range(count))

    async def call() -> None:
        for _ in numbers:
            async with session.post(f"{base}/cgi-bin/message/send?access_token=bench", data=body) as response:
                orjson.loads(await response.read())

    begun_s = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(_AT_ONCE)))
    return time.perf_counter() - begun_s


if __name__ == "__main__":
    run_measure(measure)
