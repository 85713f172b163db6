"""Members as the live state knows them: arrivals, leaves, names, today's figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.day import Day
from bot.model import Community, Event
from bot.storage.redis.client import RedisClient
from bot.storage.redis.inbox import NO_GROUP
from bot.storage.redis.keys import Keys

COUNTER_NAMES = ("messages", "check_ins", "plays", "events", "last_at")


class Greeting(StrEnum):
    """How an arriving member is to be greeted."""

    FIRST = "first"
    RETURNING = "returning"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class LiveMember:
    """What Redis knows of a member; times in Unix ms, None where nothing was observed."""

    points: int
    name: str
    joined_at_ms: int | None
    left_at_ms: int | None
    joins: int


@dataclass(frozen=True, slots=True)
class Counters:
    """A member's figures of one day in one group."""

    messages: int = 0
    check_ins: int = 0
    plays: int = 0
    events: int = 0


class Members:
    """Typed access to members."""

    def __init__(self, redis: RedisClient, keys: Keys, *, event_memory_ms: int) -> None:
        self._redis = redis
        self._keys = keys
        self._memory_ms = event_memory_ms

    async def arrive(self, event: Event, digest: bytes, community: Community, day: Day) -> Greeting:
        """Note that the sender follows (Subscribed) or opens the chat (Entered); say how to greet them."""
        greeting: bytes = await self._redis.script(
            "arrive",
            [
                self._keys.key("member", community.id, event.member_id),
                f"{self._keys.prefix(community.id)}outbox",
                self._keys.key("once", community.id, "arrive", digest.hex()),
            ],
            [
                community.id, event.member_id, event.channel, event.user_id, event.sent_at_ms, day.iso,
                event.content.name, self._memory_ms,
            ],
        )  # fmt: skip
        return Greeting(greeting.decode())

    async def leave(self, event: Event, community: Community) -> None:
        """Note that the sender has left."""
        await self._redis.script(
            "leave",
            [
                self._keys.key("member", community.id, event.member_id),
                f"{self._keys.prefix(community.id)}outbox",
            ],
            [community.id, event.member_id, event.channel, event.user_id, event.sent_at_ms],
        )

    async def names(self, community: str, members: Sequence[str]) -> dict[str, str]:
        """Return what members call themselves, by member id; empty where that is not known."""
        found = await self._redis.call_many(
            [("HGET", self._keys.key("member", community, member), "name") for member in members]
        )
        return {member: (name or b"").decode() for member, name in zip(members, found, strict=True)}

    async def get(self, community: str, member: str) -> LiveMember:
        """Return what is known of a member; an unknown one has no points and no times."""
        points, name, joined_at, left_at, joins = await self._redis.call(
            "HMGET",
            self._keys.key("member", community, member),
            "points", "name", "joined_at", "left_at", "joins",
        )  # fmt: skip
        return LiveMember(
            points=int(points or 0),
            name=(name or b"").decode(),
            joined_at_ms=int(joined_at) if joined_at else None,
            left_at_ms=int(left_at) if left_at else None,
            joins=int(joins or 0),
        )

    async def counters(self, community: str, member: str, day: Day, group: str = "") -> Counters:
        """Return the member's figures of one community-day in a group, or in the direct chat."""
        values = await self._redis.call(
            "HMGET",
            self._keys.key("day", community, group or NO_GROUP, member, day.iso),
            *COUNTER_NAMES[:4],
        )
        return Counters(*(int(value or 0) for value in values))
