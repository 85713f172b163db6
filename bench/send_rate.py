"""How fast deliveries leave: ``python -m bench.send_rate '{"deliveries": 9000, "turns": 3, …}'``.

One process with one sender, to a vendor that accepts at once and limits that do not hold it back; in turn
with it the same number of bare aiohttp calls, as many at a time. Every message has to arrive once and in
order.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
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
from bot.errors import BotError
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
Arrived = Mapping[str, Sequence[str]]
"""Who got what, in the order of its arrival."""

_AT_ONCE = 64
_MEMORY_MS = 60_000
_ARRIVAL_LIMIT_S = 10.0
_UNBOUND = ChannelAbilities(
    "wecom_app", replace(WECOM_APP, rates=(), concurrency=_AT_ONCE), None, can_send=True
)


class SendError(BotError):
    """Messages did not leave."""


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


async def create_all(redis: RedisClient, keys: Keys, count: int, first: int = 0) -> None:
    """Queue `count` deliveries that are due now, in the order of their numbers, which begin with `first`."""
    store, now_ms = DeliveryStore(redis, keys, memory_ms=_MEMORY_MS), SystemClock().now_ms()
    made = deliveries(count, now_ms, first)
    for start in range(0, count, 500):
        await asyncio.gather(*(store.create(one, now_ms) for one in made[start : start + 500]))


async def queue_deliveries(url: str, count: int, first: int) -> None:
    """Queue deliveries, as `create_all` does, in the Redis at `url`, for whoever sends from there."""
    redis = await connect(url)
    try:
        await create_all(redis, Keys(64), count, first)
    finally:
        await redis.close()


def take_arrived(port: int) -> Arrived:
    """Return what has arrived at the vendor at `port` since this was last asked."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/seen") as response:
        arrived: Arrived = orjson.loads(response.read())
    return arrived


def await_arrival(port: int) -> Arrived:
    """Wait until something has arrived; return what `take_arrived` does.

    Raises:
        SendError: Nothing came within ten seconds.
    """
    ends_s = time.monotonic() + _ARRIVAL_LIMIT_S
    while time.monotonic() < ends_s:
        if arrived := take_arrived(port):
            return arrived
        time.sleep(0.01)
    raise SendError(f"no message arrived within {_ARRIVAL_LIMIT_S:.0f} s")


def joined(before: Arrived, after: Arrived) -> Arrived:
    """Return what arrived in two spans as one."""
    return {name: [*before.get(name, ()), *after.get(name, ())] for name in {*before, *after}}


def arrival_faults(arrived: Arrived) -> list[str]:
    """Return what is wrong with what arrived: something twice, or out of its receiver's order."""
    faults = []
    if any(len(set(texts)) != len(texts) for texts in arrived.values()):
        faults.append("a message arrived twice")
    if any(sorted(texts) != list(texts) for texts in arrived.values()):
        faults.append("messages of one receiver arrived out of order")
    return faults


def measure(amounts: dict[str, Any]) -> dict[str, Any]:
    """Send, in turn with bare calls.

    Return how many were `sent` in each turn, the `seconds` each turn took, and the `bare_seconds` of as many
    calls alone beside it.
    """
    with own_store(amounts["store_core"]) as (url, data_dir), tempfile.TemporaryDirectory() as folder:
        vendor = ServerProcess.start(
            ("-m", "bench.servers.vendor"), amounts["store_core"], Path(folder) / "vendor.log"
        )
        try:
            return uvloop.run(
                _measure(
                    url, data_dir, vendor.port, amounts["deliveries"] // amounts["turns"], amounts["turns"]
                )
            )
        finally:
            vendor.stop()


async def _measure(url: str, data_dir: Path, port: int, count: int, turns: int) -> dict[str, Any]:
    redis, keys = await connect(url), Keys(64)
    database = await Database.open(embedded_url(data_dir))
    stop = asyncio.Event()
    drain = asyncio.create_task(Drain(redis, keys, database).run(stop))
    seconds, bare_seconds = [], []
    async with open_session() as session:
        client = WecomClient(
            session, TokenStore(redis, keys), SystemClock(), channel=CHANNEL, corp_id="ww", agent_id=1,
            secret="s", api_base=f"http://127.0.0.1:{port}",
        )  # fmt: skip
        for turn in range(turns):
            await create_all(redis, keys, count, turn * count)
            seconds.append(await _send(redis, keys, client, count))
            _check(await asyncio.to_thread(take_arrived, port), count)
            bare_seconds.append(await _bare(session, f"http://127.0.0.1:{port}", count))
            await asyncio.to_thread(take_arrived, port)
    stop.set()
    await drain
    await database.close()
    await redis.close()
    return {"sent": count, "seconds": seconds, "bare_seconds": bare_seconds}


async def _send(redis: RedisClient, keys: Keys, client: WecomClient, count: int) -> float:
    """Run a sender until `count` deliveries have ended; return the seconds that took."""
    stop, left = asyncio.Event(), count

    def note(_channel: str, outcome: str) -> None:
        nonlocal left
        left -= outcome in {"delivered", "dead"}
        if not left:
            stop.set()

    sender = Sender(
        DeliveryStore(redis, keys, memory_ms=_MEMORY_MS), PaceStore(redis, keys), {CHANNEL: client},
        {CHANNEL: _UNBOUND}, SystemClock(), patience=Patience(), most_at_once=_AT_ONCE, on_outcome=note,
    )  # fmt: skip
    begun_s = time.perf_counter()
    await sender.run(stop)
    return time.perf_counter() - begun_s


def _check(arrived: Arrived, count: int) -> None:
    faults, found = arrival_faults(arrived), sum(map(len, arrived.values()))
    if found != count:
        faults.append(f"{found} of {count} messages arrived")
    if faults:
        raise SystemExit("; ".join(faults))


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
