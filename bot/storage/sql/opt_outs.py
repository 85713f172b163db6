"""Who wants nothing unprompted, as history knows it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from bot.storage.sql.entries import entry_of
from bot.storage.sql.tables import opt_outs

if TYPE_CHECKING:
    from bot.storage.sql.database import Database

_COLUMNS = opt_outs.c


@dataclass(frozen=True, slots=True)
class Wish:
    """The latest wish of one receiver (`bot.storage.redis.decency`); `entry` is its outbox id."""

    community: str
    receiver: str
    opted_out: bool
    entry: str

    @property
    def stored(self) -> str:
        """The wish as the live state keeps it."""
        return f"{int(self.opted_out)} {self.entry}"


class WishHistory:
    """Reads what was drained of the wishes; every method raises as `Database.read` does."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def all(self, community: str) -> AsyncIterator[tuple[Wish, ...]]:
        """Yield the wishes of a community, by receiver, in chunks."""
        query = select(_COLUMNS.community, _COLUMNS.receiver, _COLUMNS.opted_out, _COLUMNS.position)
        query = query.where(_COLUMNS.community == community).order_by(_COLUMNS.receiver)
        async for rows in self._database.stream(query):
            yield tuple(Wish(row[0], row[1], bool(row[2]), entry_of(row[3])) for row in rows)

    async def among(self, community: str, receivers: Sequence[str]) -> dict[str, Wish]:
        """Return the wishes of a few receivers, by receiver."""
        query = select(_COLUMNS.community, _COLUMNS.receiver, _COLUMNS.opted_out, _COLUMNS.position)
        query = query.where(_COLUMNS.community == community, _COLUMNS.receiver.in_(receivers))
        rows = await self._database.fetch(query)
        return {row[1]: Wish(row[0], row[1], bool(row[2]), entry_of(row[3])) for row in rows}
