"""The queue of late handlers: events that were acknowledged before their answer was ready.

An event on the queue is leased. The process that deferred it renews the lease while its handler runs; when
that process dies the lease ends and any other takes the event and runs the handler again. A sorted set of
leases serves here rather than a stream's consumer group, because the first worker must hold the entry from
the moment it is queued (`docs/decisions/0003-leased-queue.md`).
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.answer_ids import answer_id
from bot.errors import ConversationMovedError
from bot.storage.redis.client import RedisClient
from bot.storage.redis.conversations import Change, change_args, change_key
from bot.storage.redis.deliveries import Delivery
from bot.storage.redis.keys import Keys
from bot.storage.redis.new_delivery import delivery_args, delivery_keys
from bot.storage.redis.script_all import script_all
from bot.storage.redis.streams import POLL_GRACE_MS, STREAM_KEPT_MS


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event whose handler must be run again; `taken` counts how often it was, this time included."""

    id: str
    shard: int
    event: bytes
    taken: int


class LateQueue:
    """Typed access to the queue, by shard."""

    def __init__(self, redis: RedisClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def take(self, now_ms: int, lease_ms: int, *, most: int = 16) -> list[QueuedEvent]:
        """Take events whose lease has ended, up to `most` of each shard; one shared round trip."""
        args = (now_ms, now_ms + lease_ms, most)
        calls = [
            ([self._keys.of_shard(shard, name) for name in ("late", "late_events", "late_taken")], args)
            for shard in range(self._keys.shards)
        ]
        taken = await script_all(self._redis, "late_take", calls)
        return [
            QueuedEvent(id=rows[i].decode(), shard=shard, event=rows[i + 1], taken=rows[i + 2])
            for shard, rows in enumerate(taken)
            for i in range(0, len(rows), 3)
        ]

    async def renew(self, community: str, event_id: str, until_ms: int) -> None:
        """Keep the lease of an event whose handler still runs here; no effect once it is finished."""
        await self._redis.call("ZADD", f"{self._keys.prefix(community)}late", "XX", until_ms, event_id)

    async def finish(
        self,
        community: str,
        event_id: str,
        delivery: Delivery | None = None,
        due_ms: int = 0,
        change: Change | None = None,
        *,
        showable: bool = True,
    ) -> bool:
        """Take an event off the queue and hand its reply to delivery; whether this call was the one.

        The same step makes `change` of the member's conversation. Where polls show the answer, they get
        `POLL_GRACE_MS` to take it, and `delivery` is due after that; unless it is not `showable`: then they
        are told that it goes another way.

        Raises:
            ConversationMovedError: The conversation is not the one that `change` was made for.
        """
        prefix = self._keys.prefix(community)
        done: int = await self._redis.script(
            "late_done",
            [
                f"{prefix}late",
                f"{prefix}late_events",
                f"{prefix}late_taken",
                change_key(prefix, change),
                *delivery_keys(prefix, delivery),
                f"{prefix}stream:{answer_id(event_id)}",
            ],
            [
                event_id,
                POLL_GRACE_MS if showable else 0,
                STREAM_KEPT_MS,
                *change_args(change),
                *delivery_args(delivery, due_ms),
            ],
        )
        if done < 0:
            raise ConversationMovedError("another message of the member was answered meanwhile")
        return done == 1
