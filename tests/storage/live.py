"""The live stores of one community, as one process has them, and the events its members make."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from bot.communities import Communities
from bot.day import CommunityCalendar, Day
from bot.model import CheckInRules, Community, Content, Event, TextMessage
from bot.storage.redis.check_ins import CheckedIn, CheckIns, MadeUp
from bot.storage.redis.client import RedisClient
from bot.storage.redis.inbox import Inbox, Ticket
from bot.storage.redis.keys import Keys
from bot.storage.redis.keyword_gate import KeywordGate
from bot.storage.redis.late import LateQueue
from bot.storage.redis.members import Members
from bot.storage.redis.points import Granted, Points

T = TypeVar("T")

ZONE = ZoneInfo("Asia/Shanghai")
TODAY = date(2026, 5, 20)
NOW_MS = int(datetime(2026, 5, 20, 12, tzinfo=ZONE).timestamp() * 1000)
RULES = CheckInRules(points=10, milestones=((3, 10), (7, 30)), make_up_cost=20, make_up_per_month=3)
MILK = Community("milk", "鲜奶社群", ("app",), ZONE, check_in=RULES)
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
MEMORY_MS = 3 * DAY_MS

_numbers = itertools.count(1)


def event(
    user_id: str = "ana",
    content: Content | None = None,
    *,
    day: date = TODAY,
    at_ms: int | None = None,
    number: int | None = None,
    group_id: str = "",
) -> Event:
    """Return an event at noon of `day`, or at `at_ms`; every call makes another unless numbered."""
    noon = datetime.combine(day, time(12), ZONE)
    return Event(
        id=f"app:{user_id}:{next(_numbers) if number is None else number}",
        channel="app",
        user_id=user_id,
        account_id="ww0000000000test00",
        group_id=group_id,
        sent_at_ms=int(noon.timestamp() * 1000) if at_ms is None else at_ms,
        content=content or TextMessage("签到"),
    )


def day(days_back: int) -> date:
    return TODAY - timedelta(days=days_back)


@dataclass(slots=True)
class Live:
    """Every store over one connection; `community` may be replaced to change its rules."""

    redis: RedisClient
    keys: Keys
    community: Community = MILK
    rate_per_min: int = 60

    @property
    def communities(self) -> Communities:
        return Communities([self.community])

    @property
    def calendar(self) -> CommunityCalendar:
        return CommunityCalendar(self.community.zone, self.community.day_start)

    @property
    def inbox(self) -> Inbox:
        return Inbox(
            self.redis, self.keys,
            reply_memory_ms=10 * MINUTE_MS, event_memory_ms=MEMORY_MS, member_rate_per_min=self.rate_per_min,
        )  # fmt: skip

    @property
    def late(self) -> LateQueue:
        return LateQueue(self.redis, self.keys)

    @property
    def points(self) -> Points:
        return Points(self.redis, self.keys, event_memory_ms=MEMORY_MS)

    @property
    def check_ins(self) -> CheckIns:
        return CheckIns(self.redis, self.keys)

    @property
    def members(self) -> Members:
        return Members(self.redis, self.keys, event_memory_ms=MEMORY_MS)

    @property
    def gate(self) -> KeywordGate:
        return KeywordGate(self.redis, self.keys, event_memory_ms=MEMORY_MS)

    def day_of(self, happened: Event) -> Day:
        return self.calendar.day_of(happened.sent_at_ms)

    def ticket(self, happened: Event) -> Ticket:
        return self.inbox.ticket(happened, self.community.id, self.day_of(happened))

    # ------------------------------------------------------------ acts

    async def check_in(self, happened: Event) -> CheckedIn:
        return await self.check_ins.check_in(self.ticket(happened), self.community)

    async def make_up(self, happened: Event) -> MadeUp:
        return await self.check_ins.make_up(happened, self.community, self.day_of(happened))

    async def grant(
        self,
        member: str,
        delta: int,
        *,
        cause: str = "",
        reverses: str = "",
        at_ms: int = NOW_MS,
        note: str = "",
    ) -> Granted:
        return await self.points.grant(
            self.community, member, delta,
            reason="reversal" if reverses else "grant", cause=cause or f"api:{next(_numbers)}",
            day=self.calendar.day_of(at_ms), at_ms=at_ms, operator="token:ops", reverses=reverses, note=note,
        )  # fmt: skip

    async def balance(self, user_id: str = "ana") -> int:
        return await self.points.balance(self.community.id, f"app:{user_id}")

    # ------------------------------------------------------------ what waits for SQL

    async def outbox(self, kind: str = "") -> list[dict[str, str]]:
        """Return the outbox entries of the community's shard, or those of one kind, in order."""
        rows = await self.redis.call("XRANGE", f"{self.keys.prefix(self.community.id)}outbox", "-", "+")
        entries = []
        for _, fields in rows:
            texts = [value.decode() for value in fields]
            entries.append(dict(zip(texts[::2], texts[1::2], strict=True)))
        return [entry for entry in entries if not kind or entry["kind"] == kind]


async def at_once(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Run the calls concurrently and return their results in order."""
    return list(await asyncio.gather(*calls))


def utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
