"""Moves what Redis holds for history into SQL, exactly once in effect.

Read a batch of a shard's outbox, write it in one SQL transaction, delete it from the outbox.
Dies between write and delete: the batch is written again and changes nothing, because entry ids are unique
keys and the rest is absolute. Two drains at once: the same. Redis or SQL away: the entries wait in Redis.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from datetime import date

from bot.background import wait_for
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.redis.members import COUNTER_NAMES
from bot.storage.sql.database import Database
from bot.storage.sql.activity import ActivityRow
from bot.storage.sql.drained import write_drained
from bot.storage.sql.entries import DrainedEntry

_BATCH = 500
_PAUSE_S = 0.25
_LEASE_MS = 5_000


class Drain:
    """Drains shards, on request or in the background of whichever process holds the lease."""

    def __init__(
        self,
        redis: RedisClient,
        keys: Keys,
        database: Database,
        on_drained: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._database = database
        self._on_drained = on_drained
        self._locks = [asyncio.Lock() for _ in range(keys.shards)]
        self._owner = f"{os.getpid()}-{secrets.token_hex(4)}"

    async def flush(self, community: str) -> None:
        """Write everything of the community's shard that has happened up to now."""
        await self.flush_shard(self._keys.shard(community))

    async def flush_all(self) -> None:
        """Write everything of every shard."""
        for shard in range(self._keys.shards):
            await self.flush_shard(shard)

    async def flush_shard(self, shard: int) -> None:
        """Write everything of one shard that has happened up to now."""
        async with self._locks[shard]:
            while await self._batch(shard) == _BATCH:
                pass

    async def run(self, stop: asyncio.Event) -> None:
        """Drain all shards again and again while this process holds the lease; a last time at the end."""
        while True:
            ended = await wait_for(stop, _PAUSE_S)
            if await self._redis.script("lease", [self._keys.shared("lease", "drain")], [self._owner, _LEASE_MS]):
                await self._round()
            if ended:
                return

    async def backlog(self) -> int:
        """Return how many entries wait in the outboxes."""
        lengths = await asyncio.gather(
            *(self._redis.call("XLEN", self._outbox(shard)) for shard in range(self._keys.shards))
        )
        return sum(lengths)

    async def _round(self) -> None:
        """Look at every shard in one shared round trip, and drain those that hold something."""
        shards = range(self._keys.shards)
        waiting = await asyncio.gather(
            *(self._redis.call("XLEN", self._outbox(shard)) for shard in shards),
            *(self._redis.call("SCARD", self._unwritten(shard)) for shard in shards),
        )
        for shard in shards:
            if waiting[shard] or waiting[shard + len(shards)]:
                await self.flush_shard(shard)

    async def _batch(self, shard: int) -> int:
        rows = await self._redis.call("XRANGE", self._outbox(shard), "-", "+", "COUNT", _BATCH)
        names = await self._redis.call("SRANDMEMBER", self._unwritten(shard), _BATCH)
        if not rows and not names:
            return 0
        entries = [_entry(shard, stream_id, fields) for stream_id, fields in rows]
        counters = await asyncio.gather(*(self._counters(shard, name) for name in names))
        activity = [
            _activity(name.decode(), values) for name, values in zip(names, counters, strict=True) if any(values)
        ]
        await write_drained(self._database, entries, activity)
        if rows:
            await self._redis.call("XDEL", self._outbox(shard), *(stream_id for stream_id, _ in rows))
            self._on_drained(len(rows))
        await asyncio.gather(
            *(self._written(shard, name, values) for name, values in zip(names, counters, strict=True))
        )
        return max(len(rows), len(names))

    async def _counters(self, shard: int, name: bytes) -> list[int]:
        values = await self._redis.call("HMGET", self._day(shard, name), *COUNTER_NAMES)
        return [int(value or 0) for value in values]

    async def _written(self, shard: int, name: bytes, values: list[int]) -> None:
        pairs: list[str | int] = []
        for counter, value in zip(COUNTER_NAMES, values, strict=True):
            pairs += [counter, value]
        await self._redis.script(
            "activity_written", [self._unwritten(shard), self._day(shard, name)], [name, *pairs]
        )

    def _outbox(self, shard: int) -> str:
        return self._keys.of_shard(shard, "outbox")

    def _unwritten(self, shard: int) -> str:
        return self._keys.of_shard(shard, "unwritten")

    def _day(self, shard: int, name: bytes) -> str:
        return self._keys.of_shard(shard, f"day:{name.decode()}")


def _entry(shard: int, stream_id: bytes, fields: list[bytes]) -> DrainedEntry:
    """Return one outbox entry; its id holds the shard, so it is unique over all outboxes."""
    texts = [field.decode() for field in fields]
    values = dict(zip(texts[::2], texts[1::2], strict=True))
    kind = values.pop("kind", "")
    return DrainedEntry(id=f"{shard:02d}-{stream_id.decode()}", kind=kind, fields=values)


def _activity(name: str, values: list[int]) -> ActivityRow:
    """Read ``<community>:<group or ->:<member>:<YYYY-MM-DD>``; a member's id holds colons of its own."""
    community, group, rest = name.split(":", 2)
    member, _, day = rest.rpartition(":")
    return ActivityRow(
        community=community,
        group_id="" if group == "-" else group,
        member=member,
        day=date.fromisoformat(day),
        messages=values[0],
        check_ins=values[1],
        plays=values[2],
        events=values[3],
        last_at_ms=values[4],
    )
