"""The live stores and their history together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, select, text

from bot.clock import FixedClock
from bot.model import LedgerEntry
from bot.storage.drain import Drain
from bot.storage.rebuild import Rebuilt, rebuild
from bot.storage.sql import tables
from bot.storage.sql.activity import ActivityHistory
from bot.storage.sql.database import Database
from bot.storage.sql.ledger import LedgerHistory
from bot.storage.verify import LIST_LIMIT, Disagreement, verify
from tests.storage.live import MEMORY_MS, NOW_MS, TODAY, Live, utc


@dataclass(slots=True)
class Scene:
    """The live stores, their history and a drain between them."""

    live: Live
    database: Database
    drain: Drain

    async def balance_by_ledger(self, member: str = "app:ana") -> int:
        sums = {}
        async for rows in LedgerHistory(self.database).sums(["milk"]):
            sums.update({row.member: row.points for row in rows})
        return sums.get(member, 0)

    async def entries(self, member: str = "app:ana") -> list[LedgerEntry]:
        found: list[LedgerEntry] = []
        async for rows in LedgerHistory(self.database).stream("milk"):
            found.extend(row.entry for row in rows if row.entry.member == member)
        return found

    async def count(self, table: str) -> int:
        rows = await self.database.fetch(select(func.count()).select_from(tables.metadata.tables[table]))
        return int(rows[0][0])

    async def messages(self, on: date = TODAY) -> dict[str, int]:
        found = {}
        async for rows in ActivityHistory(self.database).days("milk", on, on):
            found.update({row.member: row.messages for row in rows})
        return found

    async def verify(self, most: int = LIST_LIMIT) -> list[Disagreement]:
        live = self.live
        return await verify(
            live.redis, live.keys, self.database, self.drain, live.communities, clock(), most=most
        )

    async def rebuild(self) -> Rebuilt:
        live = self.live
        return await rebuild(
            live.redis, live.keys, self.database, self.drain, live.communities, clock(),
            event_memory_ms=MEMORY_MS,
        )  # fmt: skip

    async def lose_memory(self) -> None:
        """Let Redis forget everything, after history has been told."""
        await self.drain.flush_all()
        async for names in self.live.redis.scan("hq:*"):
            for name in names:
                await self.live.redis.call("DEL", name)

    async def alter(self, statement: str) -> None:
        """Change the database behind the product's back."""
        async with self.database.write() as connection:
            await connection.execute(text(statement))


def clock() -> FixedClock:
    return FixedClock(utc(NOW_MS))


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    """Wait until a condition holds that other tasks or processes bring about."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - a store is asked, there is no event to wait for
            await asyncio.sleep(0.005)


async def equals(figure: Awaitable[int], expected: int) -> bool:
    return await figure == expected
