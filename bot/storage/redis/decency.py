"""What people do not want to be told unprompted, and how much they were told today.

Wishes (opt-outs, mutes) live in a hash per community and go to SQL through the outbox; `run.py rebuild`
brings them back. Counts live for a community-day and are gone with Redis' memory: then a day may have more.

A receiver is a member id, ``group:<channel>:<chat id>``, or ``*`` for the whole community.
Redis away: `StoreUnavailableError`; nothing is sent and no wish is acknowledged.
"""

from __future__ import annotations

from enum import StrEnum

from bot.day import Day
from bot.storage.redis.client import RedisClient
from bot.storage.redis.deliveries import Delivery
from bot.storage.redis.keys import Keys
from bot.storage.redis.points import cause_mark

EVERYBODY = "*"
"""The receiver that stands for the whole community."""

_KEPT_MS = 3 * 86_400_000


class Admission(StrEnum):
    """Whether an unprompted delivery may be sent now."""

    GO = "go"
    OPTED_OUT = "opted_out"
    CAPPED = "capped"


def group_receiver(channel: str, chat_id: str) -> str:
    """Return how wishes and counts name a group."""
    return f"group:{channel}:{chat_id}"


def receiver_of(delivery: Delivery) -> str:
    """Return how wishes and counts name the receiver of a delivery."""
    if delivery.group_id:
        return group_receiver(delivery.channel, delivery.group_id)
    return delivery.member or f"{delivery.channel}:{delivery.user_id}"


def wishes_key(keys: Keys, community: str) -> str:
    """Return the key of the community's wishes."""
    return keys.key("wishes", community)


class DecencyStore:
    """Wishes and counts."""

    def __init__(self, redis: RedisClient, keys: Keys, *, event_memory_ms: int) -> None:
        """Remember the events that made wishes for `event_memory_ms`."""
        self._redis = redis
        self._keys = keys
        self._memory_ms = event_memory_ms

    async def admit(self, delivery: Delivery, day: Day, most: int) -> Admission:
        """Ask for one unprompted delivery, and count it on `day`, once; at most `most` per receiver."""
        community = delivery.community
        word = await self._redis.script(
            "decency_admit",
            [
                f"{self._keys.prefix(community)}delivery:{delivery.id}",
                wishes_key(self._keys, community),
                self._keys.key("unprompted", community, day.iso),
            ],
            [receiver_of(delivery), most, _KEPT_MS],
        )
        return Admission(word.decode())

    async def put_wish(
        self, community: str, receiver: str, *, opted_out: bool, cause: str, at_ms: int, operator: str
    ) -> bool:
        """Note that a receiver wants nothing unprompted, or wants it again; once per `cause`.

        Returns False when that cause was noted before.
        """
        return bool(
            await self._redis.script(
                "opt_out",
                [
                    wishes_key(self._keys, community),
                    f"{self._keys.prefix(community)}outbox",
                    self._keys.key("once", community, "wish", cause_mark(cause, receiver)),
                ],
                [community, receiver, int(opted_out), at_ms, operator, self._memory_ms],
            )
        )

    async def is_opted_out(self, community: str, receiver: str) -> bool:
        """Whether this very receiver wants nothing unprompted."""
        wish = await self._redis.call("HGET", wishes_key(self._keys, community), receiver)
        return bool(wish) and wish.startswith(b"1")
