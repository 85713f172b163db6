"""Activity as history: what each member did per group and community-day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, cast, func, select

from bot.storage.sql.tables import activity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import date

    from sqlalchemy import Select

    from bot.storage.sql.database import Database, Record

_COLUMNS = activity.c


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """Counts of one member in one chat on one community-day, absolute values.

    `group_id` is empty for the direct chat; `last_at_ms` is when the last counted event was sent.
    """

    community: str
    group_id: str
    member: str
    day: date
    messages: int
    check_ins: int
    plays: int
    events: int
    last_at_ms: int


@dataclass(frozen=True, slots=True)
class ActivityTotals:
    """Counts summed over chats and days."""

    messages: int = 0
    check_ins: int = 0
    plays: int = 0
    events: int = 0


class ActivityHistory:
    """Reads what was drained of the counters; every method raises as `Database.read` does."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def of_member(
        self, community: str, member: str, spans: Sequence[tuple[date, date]]
    ) -> tuple[ActivityTotals, ...]:
        """Return a member's counts over all chats, one sum for each span of days (both ends included)."""
        if not spans:
            return ()
        sums = (
            cast(func.sum(column), BigInteger)
            for column in (_COLUMNS.messages, _COLUMNS.check_ins, _COLUMNS.plays, _COLUMNS.events)
        )
        first, last = min(start for start, _ in spans), max(end for _, end in spans)
        query = (
            select(_COLUMNS.day, *sums)
            .where(_COLUMNS.community == community, _COLUMNS.member == member)
            .where(_COLUMNS.day.between(first, last))
            .group_by(_COLUMNS.day)
        )
        days = await self._database.fetch(query)
        return tuple(_total([row for row in days if start <= row.day <= end]) for start, end in spans)

    async def days(
        self,
        community: str,
        from_day: date,
        to_day: date,
        *,
        group_id: str | None = None,
        member: str | None = None,
    ) -> AsyncIterator[tuple[ActivityRow, ...]]:
        """Yield the rows of the days `from_day` to `to_day`, both included, by day, in chunks."""
        query = select(activity).where(_COLUMNS.community == community)
        query = query.where(_COLUMNS.day.between(from_day, to_day))
        if group_id is not None:
            query = query.where(_COLUMNS.group_id == group_id)
        if member is not None:
            query = query.where(_COLUMNS.member == member)
        async for chunk in self._stream(query.order_by(_COLUMNS.day, _COLUMNS.group_id, _COLUMNS.member)):
            yield chunk

    async def of_members(
        self, community: str, members: Sequence[str], from_day: date, to_day: date
    ) -> tuple[ActivityRow, ...]:
        """Return the rows of a few members on the days `from_day` to `to_day`, both included."""
        query = select(activity).where(_COLUMNS.community == community, _COLUMNS.member.in_(members))
        query = query.where(_COLUMNS.day.between(from_day, to_day))
        return tuple(ActivityRow(*row) for row in await self._database.fetch(query))

    async def stream(self, community: str) -> AsyncIterator[tuple[ActivityRow, ...]]:
        """Yield every row of a community by group, member and day, in chunks."""
        query = select(activity).where(_COLUMNS.community == community)
        async for chunk in self._stream(query.order_by(_COLUMNS.group_id, _COLUMNS.member, _COLUMNS.day)):
            yield chunk

    async def _stream(self, query: Select[Any]) -> AsyncIterator[tuple[ActivityRow, ...]]:
        async for rows in self._database.stream(query):
            yield tuple(ActivityRow(*row) for row in rows)


def _total(days: Sequence[Record]) -> ActivityTotals:
    # A row is the day and its four counts.
    return ActivityTotals(*(sum(row[place] for row in days) for place in range(1, 5)))
