"""The durable outbox of deliveries: queued, leased, retried, delivered or dead; nothing is silently dropped.

A delivery is created in the same step as the decision that asks for it (`scripts/lib/deliver.lua`), lives in
its community's shard while it is queued, and its every change goes to SQL through the outbox. When it ends,
only its id stays in Redis for a while (`memory_ms`), so that a repeat of its cause does not send it again.

Order: the deliveries of one receiver (a chat group of a channel, else one person there) within one community
are due one after the other, in the order of their creation; answers among themselves and what nobody asked
for (`Delivery.feature`) among itself, so that no answer waits for an announcement that waits for the morning.
What is due together is claimed by age, answers first.

Lanes: a delivery that only the holder of a channel's long connection can carry waits in that channel's own
lane (`due@<channel>`), where no other process looks for work; all others wait in `due`.

Leases: claiming a delivery moves its due time to the end of the lease. That number is the proof of every
later step (`held_ms`), because each claim sets a higher one; a sender that died is followed by any other when
its lease ends. A crash between the platform's answer and `part_sent` repeats that one part, no other.

Redis away: `StoreUnavailableError`; the step may or may not have happened, each may be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from bot.part_codec import decode_parts, encode_parts
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.redis.link import Value

__all__ = [
    "CONNECTION",
    "Delivery",
    "DeliveryStore",
    "decode_parts",
    "delivery_fields",
    "due_key",
    "encode_parts",
]

CONNECTION = "connection"
"""The route of deliveries that only the holder of a long connection can carry."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing on its way to one receiver.

    Attributes:
        id: Unique over all communities, made from its cause.
        community: Community id.
        channel: Name of the channel it is sent through.
        user_id: The person it is for, as the platform names them; empty where it is for a whole group.
        group_id: The chat group it goes to; empty where it goes to the person directly.
        member: The person as the product names them, ``<channel>:<user_id>``, or empty.
        cause: The event id, or ``api:<request_id>``, that asked for it.
        route: Name of the route it takes (`bot/delivery/routes.py`), empty where the channel has none.
        created_at_ms: When it was asked for, Unix milliseconds.
        useful_until_ms: When it is no longer worth sending, Unix milliseconds; 0 for never.
        feature: What asked for it unprompted, a word such as ``api``; empty for an answer to somebody, which
            quiet hours, frequency caps and opt-outs do not bind.
        answer_to: What the platform gave to answer with (`bot.model.Event.answer_to`); a secret.
        not_before_ms: Before when it must not go, Unix milliseconds; 0 for at once.
        parts: The parts as JSON (`encode_parts`), each small enough for the platform.
        state: queued, delivered or dead.
        reason: Why it is not delivered yet, or dead: a code of `bot/delivery/errcodes.py`; else empty.
        attempts: Failed attempts at the present part.
        updated_at_ms: When it last changed, Unix milliseconds; 0 for a new one.
        next_part: How many parts the platform has accepted.
        queued_at_ms: Since when it is queued, Unix milliseconds; a resend starts anew. Only Redis knows it.
    """

    id: str
    community: str
    channel: str
    user_id: str
    member: str
    cause: str
    route: str
    created_at_ms: int
    parts: str = field(repr=False)
    group_id: str = ""
    useful_until_ms: int = 0
    feature: str = ""
    answer_to: str = field(default="", repr=False)
    not_before_ms: int = 0
    state: str = "queued"
    reason: str = ""
    attempts: int = 0
    updated_at_ms: int = 0
    next_part: int = 0
    queued_at_ms: int = 0


_STORED = tuple(one.name for one in fields(Delivery) if one.name not in {"id", "queued_at_ms"})


def delivery_fields(delivery: Delivery) -> tuple[Value, ...]:
    """Return what a script that creates the delivery takes: ``(field, value, …)``.

    It starts queued, without attempts or reason, whatever the object says; `next_part` is kept.
    """
    fresh = {
        "state": "queued",
        "reason": "",
        "attempts": 0,
        "updated_at_ms": delivery.updated_at_ms or delivery.created_at_ms,
    }
    stored: list[Any] = []
    for name in _STORED:  # `dataclasses.asdict` copies every value, which takes ten times as long
        stored += [name, fresh[name] if name in fresh else getattr(delivery, name)]
    return tuple(stored)


def due_key(prefix: str, route: str, channel: str) -> str:
    """Return the sorted set a delivery waits in; `prefix` is its shard's (`Keys.prefix`)."""
    return f"{prefix}due@{channel}" if route == CONNECTION else f"{prefix}due"


class DeliveryStore:
    """Typed access to the deliveries of all shards; `memory_ms` is how long a finished id is remembered."""

    def __init__(self, redis: RedisClient, keys: Keys, *, memory_ms: int) -> None:
        self._redis = redis
        self._keys = keys
        self._memory_ms = memory_ms

    # ------------------------------------------------------------ for those who ask for deliveries

    async def create(self, delivery: Delivery, due_ms: int) -> bool:
        """Queue a delivery; False when its id exists or was finished a short while ago."""
        args = (delivery.id, due_ms, *delivery_fields(delivery))
        return await self._act("delivery_create", delivery, args)

    async def resend(self, delivery: Delivery, now_ms: int) -> bool:
        """Queue a dead delivery again, as SQL knows it, from its first unsent part; False unless dead."""
        stored = delivery_fields(replace(delivery, updated_at_ms=now_ms))
        return await self._act("delivery_resend", delivery, (delivery.id, now_ms, *stored))

    async def get(self, community: str, delivery_id: str) -> Delivery | None:
        """Return a queued delivery; None when there is none or it has ended (its history is SQL's)."""
        key = f"{self._keys.prefix(community)}delivery:{delivery_id}"
        return _delivery(delivery_id, await self._redis.call("HGETALL", key))

    # ------------------------------------------------------------ for senders

    async def due(self, now_ms: int, lane: str = "") -> list[tuple[int, int]]:
        """Return (shard, how many are due) of every shard that has any; one shared round trip.

        `lane` names the channel whose long connection this process holds; empty is the common lane.
        """
        counts = await self._redis.call_many(
            [("ZCOUNT", self._due(shard, lane), "-inf", now_ms) for shard in range(self._keys.shards)]
        )
        return [(shard, count) for shard, count in enumerate(counts) if count]

    async def claim(
        self, shard: int, now_ms: int, until_ms: int, most: int, lane: str = ""
    ) -> list[Delivery]:
        """Claim up to `most` due deliveries of a shard; the lease ends at `until_ms`, after `now_ms`."""
        ids = await self._redis.script("delivery_claim", [self._due(shard, lane)], [now_ms, until_ms, most])
        return await self._read(shard, ids)

    async def _read(self, shard: int, ids: Sequence[bytes]) -> list[Delivery]:
        records = await asyncio.gather(
            *(
                self._redis.call("HGETALL", self._keys.of_shard(shard, f"delivery:{id_.decode()}"))
                for id_ in ids
            )
        )
        # One without a record ended between the two calls, by a sender that had lost its lease.
        deliveries = (_delivery(id_.decode(), record) for id_, record in zip(ids, records, strict=True))
        return [delivery for delivery in deliveries if delivery is not None]

    async def hold(self, delivery: Delivery, held_ms: int, until_ms: int) -> bool:
        """Renew the lease, or give the delivery back until `until_ms`; False when the lease is another's."""
        keys = [due_key(self._keys.prefix(delivery.community), delivery.route, delivery.channel)]
        return bool(await self._redis.script("delivery_hold", keys, [delivery.id, held_ms, until_ms]))

    async def give_back(self, delivery: Delivery, held_ms: int, due_ms: int, now_ms: int) -> bool:
        """Give the delivery back until `due_ms`; False when the lease is another's.

        Of those that wait for the same instant the longest queued is claimed first, and answers before what
        nobody asked for: fractions of the millisecond before it say so.
        """
        due = f"{due_ms - _seniority(delivery, now_ms):.4f}"
        keys = [due_key(self._keys.prefix(delivery.community), delivery.route, delivery.channel)]
        return bool(await self._redis.script("delivery_hold", keys, [delivery.id, held_ms, due]))

    async def overdue(self, now_ms: int, most: int, lane: str = "") -> list[Delivery]:
        """Return up to `most` deliveries of each shard that are no longer worth sending; one round trip."""
        found = await self._redis.call_many(
            [
                ("ZRANGEBYSCORE", f"{self._due(shard, lane)}:until", "-inf", now_ms, "LIMIT", 0, most)
                for shard in range(self._keys.shards)
            ]
        )
        return [
            delivery for shard, ids in enumerate(found) if ids for delivery in await self._read(shard, ids)
        ]

    async def part_sent(
        self, delivery: Delivery, held_ms: int, until_ms: int, part: int, now_ms: int
    ) -> bool:
        """Count part number `part` (from 0) as sent and renew the lease; False when that is another's."""
        args = (delivery.id, held_ms, until_ms, part, now_ms)
        return await self._act("delivery_part", delivery, args, ordered=False)

    async def retry_later(
        self, delivery: Delivery, held_ms: int, due_ms: int, reason: str, now_ms: int, *, counts: bool
    ) -> bool:
        """Give it back until `due_ms`; `counts` adds an attempt. False when the lease is another's."""
        args = (delivery.id, held_ms, due_ms, reason, int(counts), now_ms)
        return await self._act("delivery_retry", delivery, args, ordered=False)

    async def delivered(self, delivery: Delivery, parts: int, now_ms: int) -> bool:
        """End it: the platform has all `parts`, whoever holds the lease. False when it had ended."""
        args = (delivery.id, "", "delivered", "", parts, now_ms, self._memory_ms)
        return await self._act("delivery_finish", delivery, args)

    async def dead(self, delivery: Delivery, held_ms: int, reason: str, next_part: int, now_ms: int) -> bool:
        """End it undelivered, listed with `reason`. False when it had ended or the lease is another's."""
        args = (delivery.id, held_ms, "dead", reason, next_part, now_ms, self._memory_ms)
        return await self._act("delivery_finish", delivery, args)

    async def overdue_dead(self, delivery: Delivery, reason: str, now_ms: int) -> bool:
        """End one that nobody carries: it waits behind another of its receiver, or is due and not claimed.

        False when somebody holds its lease, it waits for an instant to come, or it has ended.
        """
        args = (delivery.id, "none", "dead", reason, delivery.next_part, now_ms, self._memory_ms)
        return await self._act("delivery_finish", delivery, args)

    def shard(self, community: str) -> int:
        """Return the shard of a community's deliveries."""
        return self._keys.shard(community)

    # ------------------------------------------------------------ keys

    def _due(self, shard: int, lane: str) -> str:
        return due_key(self._keys.of_shard(shard, ""), CONNECTION if lane else "", lane)

    async def _act(
        self, script: str, delivery: Delivery, args: Sequence[Value], *, ordered: bool = True
    ) -> bool:
        prefix = self._keys.prefix(delivery.community)
        due = due_key(prefix, delivery.route, delivery.channel)
        stores = (due, f"{due}:order", f"{prefix}outbox") if ordered else (due, f"{prefix}outbox")
        return bool(await self._redis.script(script, [f"{prefix}delivery:{delivery.id}", *stores], args))


def _delivery(delivery_id: str, record: list[bytes]) -> Delivery | None:
    values = {name.decode(): value.decode() for name, value in zip(record[::2], record[1::2], strict=True)}
    for name in ("place", "counted"):  # which only scripts use
        values.pop(name, None)
    if "parts" not in values:
        return None
    # Deliveries of an earlier version have no `not_before_ms`.
    numbers = {name: int(values.pop(name, None) or 0) for name in _NUMBERS}
    return Delivery(id=delivery_id, **values, **numbers)  # type: ignore[arg-type]  # the rest are texts


_NUMBERS = (
    "attempts", "created_at_ms", "updated_at_ms", "useful_until_ms", "next_part", "queued_at_ms",
    "not_before_ms",
)  # fmt: skip
_AGES_MS = 2 * 3_600_000  # ages above it count alike


def _seniority(delivery: Delivery, now_ms: int) -> float:
    """Return from 0 to below 1 how much a delivery comes before others that are due at the same instant."""
    age = min(max(now_ms - delivery.queued_at_ms, 0), _AGES_MS) / _AGES_MS
    return 0.49 * age if delivery.feature else 0.5 + 0.49 * age
