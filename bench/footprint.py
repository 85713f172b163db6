"""What Redis keeps per event: ``python -m bench.footprint '{…}'``; by difference of INFO's used_memory."""

from __future__ import annotations

from typing import Any

import uvloop

from bench.apart import own_store, run_measure
from bench.crowd import drop_expired, make_event, open_inbox, take_all, used_bytes
from bot.storage.redis.client import connect

_FEW_MEMBERS = 100


def measure(amounts: dict[str, Any]) -> dict[str, float]:
    """Return the bytes per remembered event id, and per kept answer (id included in neither)."""
    with own_store(amounts["store_core"]) as (url, _):
        return uvloop.run(_measure(url, amounts["seen"], amounts["kept"]))


async def _measure(url: str, seen: int, kept: int) -> dict[str, float]:
    redis = await connect(url)
    # Members and their counters are there before; what grows is what events leave behind.
    await take_all(open_inbox(redis, 1), (make_event(number, number) for number in range(_FEW_MEMBERS)))
    await drop_expired(redis)
    before = await used_bytes(redis)
    events = (make_event(number, number % _FEW_MEMBERS) for number in range(1000, 1000 + seen))
    await take_all(open_inbox(redis, 1), events)
    await drop_expired(redis)
    per_seen = (await used_bytes(redis) - before) / seen
    before = await used_bytes(redis)
    events = (make_event(number, number % _FEW_MEMBERS) for number in range(10**7, 10**7 + kept))
    await take_all(open_inbox(redis), events)
    per_kept = (await used_bytes(redis) - before) / kept - per_seen
    await redis.close()
    return {"seen_bytes": per_seen, "answer_bytes": per_kept}


if __name__ == "__main__":
    run_measure(measure)
