"""What one message costs as members and groups grow: ``python -m bench.growth '{…}'``.

The product's inbox is driven directly: a million encrypted callbacks would take longer to make than to take.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import Any

import uvloop

from bench.apart import own_store, run_measure
from bench.crowd import drop_expired, make_event, open_inbox, redis_cpu_us, take_all, used_bytes
from bench.sizes import SEED
from bot.model import Event
from bot.storage.redis.client import RedisClient, connect


def measure(amounts: dict[str, Any]) -> dict[str, list[dict[str, float]]]:
    """Return a row per number of members, and one per number of groups.

    Each row: `count`, `us` wall time per message, `cpu_us` of this process, `redis_us` of Redis, and
    `bytes_each`, what Redis keeps per member or per (group, member).
    """
    with own_store(amounts["store_core"]) as (url, _):
        return uvloop.run(_measure(url, amounts))


async def _measure(url: str, amounts: dict[str, Any]) -> dict[str, list[dict[str, float]]]:
    redis = await connect(url)
    events = amounts["events"]
    by_members, by_groups = [], []
    for count in amounts["member_counts"]:
        everybody = (make_event(number, member=number) for number in range(count))
        by_members.append(await _row(redis, count, everybody, _crowd(events, members=count, groups=0)))
    for count in amounts["group_counts"]:
        # As many (group, member) pairs as groups, at least: that is what the counters are kept by.
        everybody = (make_event(number, member=number % 10_000, group=1 + number) for number in range(count))
        by_groups.append(await _row(redis, count, everybody, _crowd(events, members=10_000, groups=count)))
    await redis.close()
    return {"members": by_members, "groups": by_groups}


def _crowd(events: int, *, members: int, groups: int) -> list[Event]:
    chance = random.Random(f"{SEED} {members} {groups}")
    made = []
    for number in range(10**7, 10**7 + events):
        group = chance.randrange(groups) if groups else -1
        # A member keeps to their groups: the pairs touched are those that exist.
        member = group % members if groups else chance.randrange(members)
        made.append(make_event(number, member, 1 + group))
    return made


async def _row(
    redis: RedisClient, count: int, everybody: Iterable[Event], events: list[Event]
) -> dict[str, float]:
    await redis.call("FLUSHALL", "SYNC")
    inbox = open_inbox(redis, reply_memory_ms=1)  # kept answers would hide what members take
    before = await used_bytes(redis)
    await take_all(inbox, everybody)
    await drop_expired(redis)
    grown = await used_bytes(redis) - before
    wall_s, cpu_s, redis_us = time.perf_counter(), time.process_time(), await redis_cpu_us(redis)
    await take_all(open_inbox(redis), events)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    redis_us = await redis_cpu_us(redis) - redis_us
    each = 1e6 / len(events)
    return {
        "count": count,
        "us": wall_s * each,
        "cpu_us": cpu_s * each,
        "redis_us": redis_us / len(events),
        "bytes_each": grown / count,
    }


if __name__ == "__main__":
    run_measure(measure)
