"""Moves what Redis holds for history into SQL, exactly once in effect.

Read a batch of the outboxes and of the counters that changed, write it in one SQL transaction, then delete it
from Redis. What happens when

* the process dies between write and delete: the batch is written again and changes nothing, because entry ids
  are unique keys and the rest is absolute;
* two drains work at once: the same. One of all processes drains in the background, by a lease; any process
  may `flush` before it reads history;
* Redis or SQL is away: the entries wait in Redis, and the next round finds them;
* SQL refuses what an entry holds, or it cannot be read: it goes to `drain_faults`, the others go on.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack

import structlog

from bot.background import wait_for
from bot.errors import RowRefusedError
from bot.storage.drain_batch import BATCH, Batch, read_activity, read_entry, unreadable_entry
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.redis.link import Value
from bot.storage.redis.members import COUNTER_NAMES
from bot.storage.redis.script_all import ScriptCall, script_all
from bot.storage.slices import in_slices
from bot.storage.sql.activity import ActivityRow
from bot.storage.sql.database import Database
from bot.storage.sql.drained import write_drained, write_fault
from bot.storage.sql.entries import DrainedEntry

_ROWS_PER_TRANSACTION = 2_000  # some 0.1 s of SQLite's one writer
_PAUSE_S = 0.25
# Counters are absolute: written six times less often they cost a sixth; who reads them flushes first.
_COUNTERS_EVERY_S = 1.5
_LEASE_MS = 5_000
_RELEASE_MS = 1

_log = structlog.get_logger("huoqun")


class Drain:
    """Drains shards, on request or in the background of whichever process holds the lease."""

    def __init__(
        self,
        redis: RedisClient,
        keys: Keys,
        database: Database,
        on_drained: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Drain from `redis` to `database`; `on_drained` is told how many entries each batch had."""
        self._redis = redis
        self._keys = keys
        self._database = database
        self._on_drained = on_drained
        self._locks = [asyncio.Lock() for _ in range(keys.shards)]
        self._next_flush: dict[int, asyncio.Task[None]] = {}
        self._cursors = [b"0"] * keys.shards
        self._owner = f"{os.getpid()}-{secrets.token_hex(4)}"

    # ------------------------------------------------------------ on request

    async def flush(self, community: str) -> None:
        """Write everything of the community's shard that has happened up to now.

        Raises:
            StoreUnavailableError: Redis or SQL is away; nothing is lost.
        """
        await self.flush_shard(self._keys.shard(community))

    async def flush_all(self) -> None:
        """Write everything of every shard; raises as `flush` does."""
        for shard in await self._waiting():
            await self.flush_shard(shard)

    async def flush_shard(self, shard: int) -> None:
        """Write everything of one shard that has happened up to now; raises as `flush` does.

        All who ask while a flush runs share the next one.
        """
        flush = self._next_flush.get(shard)
        if flush is None or flush.done():  # done: it was cancelled before it began
            flush = self._next_flush[shard] = asyncio.create_task(self._flush(shard), name=f"flush {shard}")
        await asyncio.shield(flush)

    async def _flush(self, shard: int) -> None:
        async with self._locks[shard]:
            del self._next_flush[shard]  # from here on, what happens is the next flush's
            newest = await self._redis.call("XREVRANGE", self._outbox(shard), "+", "-", "COUNT", 1)
            until = newest[0][0] if newest else b"0-1"
            batch = await self._read(shard, until, b"0")
            await self._move([batch])
            while not batch.is_last:
                batch = await self._read(shard, until, None if batch.cursor == b"0" else batch.cursor)
                await self._move([batch])

    async def backlog(self) -> int:
        """Return how many entries wait in the outboxes."""
        return sum(await self._redis.call_many(self._lengths()))

    # ------------------------------------------------------------ in the background

    async def run(self, stop: asyncio.Event) -> None:
        """Drain all shards again and again while this process holds the lease; a last time at the end.

        Raises:
            StoreError: A store is away; start it again.
        """
        loop = asyncio.get_running_loop()
        more_waits, counters_due_s = False, loop.time()
        while True:
            ended = await wait_for(stop, 0 if more_waits else _PAUSE_S)
            with_counters = ended or loop.time() >= counters_due_s
            more_waits = await self._round(with_counters=with_counters)
            if with_counters and not more_waits:
                counters_due_s = loop.time() + _COUNTERS_EVERY_S
            if ended and not more_waits:
                await self._lease(_RELEASE_MS)
                return

    async def _round(self, *, with_counters: bool) -> bool:
        """Write one batch of every shard that holds something; whether this process is to go on at once."""
        if not await self._lease(_LEASE_MS):
            return False
        more_waits = False
        for group in _grouped(await self._waiting(with_counters=with_counters)):
            async with AsyncExitStack() as stack:
                for shard in group:
                    await stack.enter_async_context(self._locks[shard])
                batches = await asyncio.gather(
                    *(
                        self._read(shard, b"+", self._cursors[shard] if with_counters else None)
                        for shard in group
                    )
                )
                await self._move(batches)
            for batch in batches if with_counters else ():
                # Going on where the last look ended, so that counters that always change hide no others.
                self._cursors[batch.shard] = batch.cursor
            more_waits = more_waits or not all(batch.is_last for batch in batches)
            if not await self._lease(_LEASE_MS):
                return False
        return more_waits

    async def _lease(self, length_ms: int) -> bool:
        key = self._keys.shared("lease", "drain")
        return bool(await self._redis.script("lease", [key], [self._owner, length_ms]))

    async def _waiting(self, *, with_counters: bool = True) -> dict[int, int]:
        """Return how much every shard that holds anything holds; one shared round trip."""
        shards = range(self._keys.shards)
        asked = self._lengths()
        if with_counters:
            asked += [("SCARD", self._unwritten(shard)) for shard in shards]
        found = await self._redis.call_many(asked)
        held = {shard: sum(found[shard :: len(shards)]) for shard in shards}
        return {shard: count for shard, count in held.items() if count}

    def _lengths(self) -> list[tuple[Value, ...]]:
        return [("XLEN", self._outbox(shard)) for shard in range(self._keys.shards)]

    # ------------------------------------------------------------ one batch

    async def _read(self, shard: int, until: bytes, cursor: bytes | None) -> Batch:
        """Read a batch of a shard: entries up to `until`, counters from `cursor` on (None: no counters)."""
        rows, (after, names) = await asyncio.gather(
            self._redis.call("XRANGE", self._outbox(shard), "-", until, "COUNT", BATCH),
            _nothing() if cursor is None else self._changed(shard, cursor),
        )
        batch = Batch(shard, [], [row[0] for row in rows], [], [], [], after)
        async for some_rows in in_slices(rows):
            batch.entries.extend(read_entry(shard, *row) for row in some_rows)
        async for some_names in in_slices(list(dict.fromkeys(names))):  # a scan may name one twice
            values = await self._redis.call_many([self._counters(shard, name) for name in some_names])
            for name, counts in zip(some_names, values, strict=True):
                _add_counters(batch, name, counts)
        return batch

    async def _move(self, batches: Sequence[Batch]) -> None:
        """Write batches in one transaction, then delete them from Redis."""
        entries = [entry for batch in batches for entry in batch.entries]
        activity = [row for batch in batches for row in batch.activity]
        faults = await self._write(entries, activity) if entries or activity else 0
        if faults:
            await _log.awarning("drained entries could not be read, see drain_faults", count=faults)
        await asyncio.gather(
            *(
                self._redis.call("XDEL", self._outbox(batch.shard), *batch.stream_ids)
                for batch in batches
                if batch.stream_ids
            ),
            *(
                self._redis.call("SREM", self._unwritten(batch.shard), *batch.unreadable)
                for batch in batches
                if batch.unreadable
            ),
        )
        counted = [(batch.shard, *counted) for batch in batches for counted in batch.counted]
        async for some in in_slices(counted):
            await script_all(self._redis, "activity_written", [self._written(*one) for one in some])
        moved = sum(len(batch.stream_ids) for batch in batches)
        if moved:
            self._on_drained(moved)

    async def _write(self, entries: Sequence[DrainedEntry], activity: Sequence[ActivityRow]) -> int:
        """Write what can be written and keep the rest as faults; return how many could not be read.

        A batch that SQL refuses is halved until the refused one stands alone; the order stays.
        """
        try:
            return await write_drained(self._database, entries, activity)
        except RowRefusedError as error:
            if len(entries) + len(activity) == 1:
                await write_fault(self._database, entries[0] if entries else activity[0], str(error))
                return 1
        half, other_half = (len(entries) + 1) // 2, len(activity) // 2
        faults = await self._write(entries[:half], activity[:other_half])
        return faults + await self._write(entries[half:], activity[other_half:])

    async def _changed(self, shard: int, cursor: bytes) -> tuple[bytes, list[bytes]]:
        after, names = await self._redis.call("SSCAN", self._unwritten(shard), cursor, "COUNT", BATCH)
        return after, names

    def _counters(self, shard: int, name: bytes) -> tuple[Value, ...]:
        return ("HMGET", self._keys.of_shard(shard, "day:").encode() + name, *COUNTER_NAMES)

    def _written(self, shard: int, name: str, counts: Sequence[bytes | None]) -> ScriptCall:
        pairs = [part for pair in zip(COUNTER_NAMES, counts, strict=True) for part in pair]
        keys = [self._unwritten(shard), self._keys.of_shard(shard, f"day:{name}")]
        return keys, [name, *(part or b"0" for part in pairs)]

    def _outbox(self, shard: int) -> str:
        return self._keys.of_shard(shard, "outbox")

    def _unwritten(self, shard: int) -> str:
        return self._keys.of_shard(shard, "unwritten")


def _add_counters(batch: Batch, name: bytes, counts: list[bytes | None]) -> None:
    """Add what one member's day counted, as it was read, to a batch."""
    try:
        text = name.decode()
        row = read_activity(text, counts)
    except ValueError:  # not ours, yet it must not stop the others
        batch.entries.append(unreadable_entry(batch.shard, name))
        batch.unreadable.append(name)
        return
    batch.counted.append((text, counts))
    if row is not None:
        batch.activity.append(row)


async def _nothing() -> tuple[bytes, list[bytes]]:
    return b"0", []


def _grouped(waiting: dict[int, int]) -> Iterable[list[int]]:
    """Yield the shards in groups that fill a transaction."""
    group: list[int] = []
    rows = 0
    for shard, count in waiting.items():
        count_now = min(count, BATCH)
        if group and rows + count_now > _ROWS_PER_TRANSACTION:
            yield group
            group, rows = [], 0
        group.append(shard)
        rows += count_now
    if group:
        yield group
