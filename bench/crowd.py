"""Events without HTTP and encryption, taken in by the product's own inbox as 50 requests at once would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo

from bot.day import CommunityCalendar
from bot.model import Event, TextMessage
from bot.storage.redis.client import RedisClient
from bot.storage.redis.inbox import Inbox
from bot.storage.redis.keys import Keys

COMMUNITY = "milk"
AT_MS = 1_772_510_400_000  # 2026-03-03 12:00 in Shanghai
ANSWER = "t朝阳鲜奶价格（12345）：会员享九折，满五十元免配送费，欢迎下单。".encode()
_AT_ONCE = 50
_SHARDS = 64
_CALENDAR = CommunityCalendar(ZoneInfo("Asia/Shanghai"))
_CONTENT = TextMessage("朝阳鲜奶价格")


def open_inbox(redis: RedisClient, reply_memory_ms: int = 600_000) -> Inbox:
    """Return an inbox as the product makes it, but for the limit per member, which is out of the way."""
    return Inbox(
        redis,
        Keys(_SHARDS),
        reply_memory_ms=reply_memory_ms,
        event_memory_ms=259_200_000,
        member_rate_per_min=10**9,
    )


def make_event(number: int, member: int, group: int = 0) -> Event:
    """Return message `number`, by that member in that group; group 0 is a direct chat."""
    user_id = f"member{member:07d}"
    return Event(
        id=f"app:{user_id}:{10**18 + number}",
        channel="app",
        user_id=user_id,
        account_id="ww0000000000bench0",
        group_id=f"wr{group:06d}" if group else "",
        sent_at_ms=AT_MS + number,
        content=_CONTENT,
    )


async def take_all(inbox: Inbox, events: Iterable[Event]) -> None:
    """Take every event in and decide its answer, 50 at once, so that they share round trips."""
    source = iter(events)
    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(_take_some(inbox, source))


async def _take_some(inbox: Inbox, source: Iterator[Event]) -> None:
    for event in source:
        ticket = inbox.ticket(event, COMMUNITY, _CALENDAR.day_of(event.sent_at_ms))
        await inbox.take(ticket, AT_MS, ANSWER)


async def drop_expired(redis: RedisClient) -> None:
    """Have Redis drop at once what has expired, which it otherwise does little by little."""
    await asyncio.sleep(0.01)
    cursor = b"0"
    while True:
        cursor, _ = await redis.call("SCAN", cursor, "COUNT", 1000, key="")
        if cursor == b"0":
            return


async def used_bytes(redis: RedisClient) -> int:
    """Return the memory Redis has given out."""
    return await _info(redis, "memory", b"used_memory")


async def redis_cpu_us(redis: RedisClient) -> int:
    """Return the CPU time Redis has used so far, µs."""
    raw = await redis.call("INFO", "cpu")
    figures = dict(line.split(b":", 1) for line in raw.splitlines() if b":" in line)
    return round(1e6 * (float(figures[b"used_cpu_user"]) + float(figures[b"used_cpu_sys"])))


async def _info(redis: RedisClient, section: str, field: bytes) -> int:
    raw = await redis.call("INFO", section)
    return next(int(line.partition(b":")[2]) for line in raw.splitlines() if line.startswith(field + b":"))
