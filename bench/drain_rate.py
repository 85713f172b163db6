"""How fast the outbox moves into SQL: ``python -m bench.drain_rate '{"check_ins": 10000, …}'``."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import uvloop

from bench.apart import own_store, run_measure
from bench.crowd import AT_MS, COMMUNITY, make_event, open_inbox
from bot.day import CommunityCalendar
from bot.model import Community
from bot.storage.drain import Drain
from bot.storage.redis.check_ins import CheckIns
from bot.storage.redis.client import connect
from bot.storage.redis.keys import Keys
from bot.storage.sql.database import Database, embedded_url

_ZONE = ZoneInfo("Asia/Shanghai")


def measure(amounts: dict[str, Any]) -> dict[str, float]:
    """Check members in, then drain; return `entries` and `counters` written, and the `seconds` it took."""
    with own_store(amounts["store_core"]) as (url, data_dir):
        return uvloop.run(_measure(url, data_dir, amounts["check_ins"]))


async def _measure(url: str, data_dir: Path, check_ins: int) -> dict[str, float]:
    redis, keys = await connect(url), Keys(64)
    database = await Database.open(embedded_url(data_dir))
    await _check_in_all(CheckIns(redis, keys), open_inbox(redis), check_ins)
    drain = Drain(redis, keys, database)
    entries = await drain.backlog()
    begun_s = time.perf_counter()
    await drain.flush_all()
    seconds = time.perf_counter() - begun_s
    left = await drain.backlog()
    await database.close()
    await redis.close()
    if left:
        raise SystemExit(f"{left} entries were not drained")
    return {"entries": entries, "counters": check_ins, "seconds": seconds}


async def _check_in_all(store: CheckIns, inbox: Any, count: int) -> None:
    community = Community(id=COMMUNITY, name="鲜奶社群", channels=("app",), zone=_ZONE)
    day = CommunityCalendar(_ZONE).day_of(AT_MS)
    for start in range(0, count, 500):
        tickets = [
            inbox.ticket(make_event(number, member=number), COMMUNITY, day)
            for number in range(start, min(start + 500, count))
        ]
        await asyncio.gather(*(store.check_in(ticket, community) for ticket in tickets))


if __name__ == "__main__":
    run_measure(measure)
