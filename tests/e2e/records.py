"""What is in the stores of a running server, read beside it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from bot.clock import SystemClock
from bot.communities import Communities
from bot.config import load_config, resolve_communities
from bot.storage.drain import Drain
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.sql import tables
from bot.storage.sql.database import Database
from bot.storage.verify import verify

Row = dict[str, Any]
_SHARDS = 64
_PASSING = ("lease", "token", "pace")  # kept by background work, whatever comes in


class Records:
    """Both stores of one server."""

    def __init__(self, redis: RedisClient, database: Database) -> None:
        self.redis, self.database = redis, database
        self._keys = Keys(_SHARDS)
        self._drain = Drain(redis, self._keys, database)

    async def rows(self, table: Table, **equal: object) -> list[Row]:
        """Rows of a table whose columns are `equal`, in the order of the primary key."""
        query = select(table).order_by(*table.primary_key.columns)
        for column, value in equal.items():
            query = query.where(table.c[column] == value)
        return [dict(row._mapping) for row in await self.database.fetch(query)]

    async def drained(self, **equal: object) -> Drained:
        """What SQL holds of members, of all that has happened up to now."""
        await self.drain()
        return Drained(
            ledger=await self.rows(tables.ledger, **equal),
            check_ins=await self.rows(tables.check_ins, **equal),
            activity=await self.rows(tables.activity, **equal),
        )

    async def drain(self) -> None:
        """Move what waits in Redis to SQL, as every process does that wants to read."""
        await self._drain.flush_all()

    async def until_drained(self, limit_s: float = 15.0) -> None:
        """Wait until the server has moved all but the counters, which it lets wait; then move those."""

        async def nothing_waits() -> bool:
            return await self._drain.backlog() == 0

        await until(nothing_waits, "the drain", limit_s)
        await self.drain()

    async def free_drain(self) -> None:
        """End the lease of a process that was killed while it drained, so that another drains at once."""
        await self.redis.call("DEL", self._keys.shared("lease", "drain"))

    async def disagreements(self, config: Path) -> list[str]:
        """What `verify` finds, without the time a program needs to start."""
        communities = Communities(resolve_communities(load_config(config, os.environ)))
        found = await verify(self.redis, self._keys, self.database, self._drain, communities, SystemClock())
        return [str(one) for one in found]

    async def everything(self) -> dict[str, object]:
        """Every row and every key with its value: equal before and after what had no effect."""
        await self.drain()
        state: dict[str, object] = {}
        for table in tables.metadata.sorted_tables:
            state[table.name] = await self.rows(table)
        async for chunk in self.redis.scan("*"):
            names = [name for name in chunk if not any(word in name for word in _PASSING)]
            values = await asyncio.gather(*(self.redis.call("DUMP", name) for name in names))
            state.update(zip(names, values, strict=True))
        return state


class Drained:
    """Rows of SQL, in the order of their keys."""

    def __init__(self, ledger: list[Row], check_ins: list[Row], activity: list[Row]) -> None:
        self.ledger, self.check_ins, self.activity = ledger, check_ins, activity

    @property
    def deltas(self) -> list[tuple[str, int]]:
        """(reason, points) of every ledger row."""
        return [(row["reason"], row["delta"]) for row in self.ledger]

    @property
    def messages(self) -> int:
        """How many messages were counted."""
        return sum(row["messages"] for row in self.activity)


async def until(condition: Callable[[], Awaitable[bool]], what: str, limit_s: float = 15.0) -> float:
    """Wait until `condition` holds, at most `limit_s`; return how many seconds it took."""
    begun_s = time.monotonic()
    while not await condition():
        assert time.monotonic() - begun_s < limit_s, f"not within {limit_s:g} s: {what}"
        await asyncio.sleep(0.01)
    return time.monotonic() - begun_s
