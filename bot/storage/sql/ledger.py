"""The ledger as history: pages, causes and sums of its entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, and_, case, cast, func, select, tuple_

from bot.model import LedgerEntry
from bot.storage.sql.pages import Page, check_limit, decode_cursor, encode_cursor, within_int64
from bot.storage.sql.tables import ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from datetime import date

    from sqlalchemy import Select

    from bot.storage.sql.database import Database, Record

_COLUMNS = ledger.c
_ENTRY = (
    _COLUMNS.id, _COLUMNS.community, _COLUMNS.member, _COLUMNS.delta, _COLUMNS.reason, _COLUMNS.cause,
    _COLUMNS.at_ms, _COLUMNS.rule, _COLUMNS.operator, _COLUMNS.note, _COLUMNS.round, _COLUMNS.reverses,
)  # fmt: skip
# Newest first. Entries of one instant keep the order in which Redis made them; the id settles the rest.
_NEWEST_FIRST = (_COLUMNS.at_ms, _COLUMNS.position, _COLUMNS.id)


@dataclass(frozen=True, slots=True)
class MemberSum:
    """Points of one member: `points` is the sum of all entries, `gained` of those above 0."""

    community: str
    member: str
    points: int
    gained: int


@dataclass(frozen=True, slots=True)
class DayEntry:
    """A ledger entry with its community-day and the balance Redis had after it."""

    entry: LedgerEntry
    day: date
    balance_after: int


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Several ledger entries where there must be one; `entries` is how many."""

    member: str
    cause: str
    reason: str
    rule: str
    entries: int


class LedgerHistory:
    """Reads what was drained of the ledger; every method raises as `Database.read` does."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def page(
        self,
        community: str,
        *,
        member: str | None = None,
        reason: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[LedgerEntry]:
        """Return entries of `community`, newest first; `since_ms` is included, `until_ms` is not.

        Raises:
            RefusedError: `cursor` is not one of this list.
        """
        query = select(*_ENTRY, _COLUMNS.position).where(_COLUMNS.community == community)
        if member is not None:
            query = query.where(_COLUMNS.member == member)
        if reason is not None:
            query = query.where(_COLUMNS.reason == reason)
        if since_ms is not None:
            query = query.where(_COLUMNS.at_ms >= within_int64(since_ms))
        if until_ms is not None:
            query = query.where(_COLUMNS.at_ms < within_int64(until_ms))
        if cursor is not None:
            query = query.where(tuple_(*_NEWEST_FIRST) < decode_cursor(cursor, int, int, str))
        query = query.order_by(*(column.desc() for column in _NEWEST_FIRST)).limit(check_limit(limit) + 1)
        rows = await self._database.fetch(query)
        shown = rows[:limit]
        last = shown[-1] if len(rows) > limit else None
        next_cursor = None if last is None else encode_cursor(last.at_ms, last.position, last.id)
        return Page(tuple(_entry(row) for row in shown), next_cursor)

    async def get(self, entry_id: str) -> LedgerEntry | None:
        """Return the entry of that id, None when it is unknown or not drained yet."""
        rows = await self._database.fetch(select(*_ENTRY).where(_COLUMNS.id == entry_id))
        return _entry(rows[0]) if rows else None

    async def by_cause(self, community: str, cause: str) -> tuple[LedgerEntry, ...]:
        """Return every entry one cause made, in the order they were made."""
        query = select(*_ENTRY).where(_COLUMNS.community == community, _COLUMNS.cause == cause)
        rows = await self._database.fetch(query.order_by(_COLUMNS.position, _COLUMNS.id))
        return tuple(_entry(row) for row in rows)

    async def sums(self, communities: Iterable[str]) -> AsyncIterator[tuple[MemberSum, ...]]:
        """Yield the sum of every member of the communities, in chunks: the balance as the ledger has it."""
        for community in communities:
            async for rows in self._database.stream(_sums_of(community)):
                yield tuple(MemberSum(community, *row) for row in rows)

    async def sums_between(
        self, community: str, from_day: date, to_day: date
    ) -> AsyncIterator[tuple[MemberSum, ...]]:
        """Yield what every member made from `from_day` to `to_day`, both included, in chunks."""
        query = _sums_of(community).where(_COLUMNS.day.between(from_day, to_day))
        async for rows in self._database.stream(query):
            yield tuple(MemberSum(community, *row) for row in rows)

    async def duplicates(self, community: str) -> AsyncIterator[tuple[Duplicate, ...]]:
        """Yield what one cause did to one member more than once for one reason and rule, in chunks."""
        # By the columns of an index first, so that nothing needs to be sorted: a check-in may reach two
        # milestones, else there are none.
        several = (
            select(_COLUMNS.cause, _COLUMNS.member, _COLUMNS.reason)
            .where(_COLUMNS.community == community)
            .group_by(_COLUMNS.cause, _COLUMNS.member, _COLUMNS.reason)
            .having(func.count() > 1)
            .subquery()
        )
        same = and_(
            _COLUMNS.cause == several.c.cause,
            _COLUMNS.member == several.c.member,
            _COLUMNS.reason == several.c.reason,
        )
        what = (_COLUMNS.member, _COLUMNS.cause, _COLUMNS.reason, _COLUMNS.rule)
        query = (
            select(*what, func.count())
            .join_from(several, ledger, same)
            .where(_COLUMNS.community == community)
            .group_by(*what, _COLUMNS.round)  # one event may make a move in each of two rounds
            .having(func.count() > 1)
        )
        async for rows in self._database.stream(query):
            yield tuple(Duplicate(*row) for row in rows)

    async def stream(self, community: str, *, since_ms: int = 0) -> AsyncIterator[tuple[DayEntry, ...]]:
        """Yield the entries of a community since an instant, oldest first, in chunks."""
        query = select(*_ENTRY, _COLUMNS.day, _COLUMNS.balance_after)
        query = query.where(_COLUMNS.community == community, _COLUMNS.at_ms >= since_ms)
        async for rows in self._database.stream(query.order_by(*_NEWEST_FIRST)):
            yield tuple(DayEntry(_entry(row), row.day, row.balance_after) for row in rows)


def _sums_of(community: str) -> Select[Any]:
    gained = case((_COLUMNS.delta > 0, _COLUMNS.delta), else_=0)
    return (
        select(_COLUMNS.member, _whole_sum(_COLUMNS.delta), _whole_sum(gained))
        .where(_COLUMNS.community == community)
        .group_by(_COLUMNS.member)
        .order_by(_COLUMNS.member)
    )


def _whole_sum(column: Any) -> Any:
    return cast(func.sum(column), BigInteger)  # PostgreSQL sums BIGINT to NUMERIC


def _entry(row: Record) -> LedgerEntry:
    return LedgerEntry(
        id=row.id,
        community=row.community,
        member=row.member,
        delta=row.delta,
        reason=row.reason,
        cause=row.cause,
        at_ms=row.at_ms,
        rule=row.rule,
        operator=row.operator,
        note=row.note,
        round=row.round,
        reverses=row.reverses,
    )
