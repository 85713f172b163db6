"""What history says of a few members at once: what `verify` compares and `rebuild` restores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import BigInteger, Select, cast, func, select, union

from bot.storage.sql import tables
from bot.storage.sql.database import Database

_SOURCES = (tables.members.c, tables.ledger.c, tables.check_ins.c)


@dataclass(slots=True)
class MemberFigures:
    """One member of one community; empty for one of whom history knows nothing.

    Attributes:
        points: Sum of the ledger.
        by_day: Sum of the ledger by community-day, for the days asked for.
        check_ins: Days checked in on, each with whether a make-up card paid for it.
        known: Whether history has met the member themselves, not only points given to them.
        name: Their name, empty where no platform told.
        joined_at_ms: When they last joined, Unix milliseconds; None where it was not observed.
        left_at_ms: When they left; None while they are there.
        joins: How often they joined, as far as observed.
    """

    points: int = 0
    by_day: dict[date, int] = field(default_factory=dict)
    check_ins: list[tuple[date, bool]] = field(default_factory=list)
    known: bool = False
    name: str = ""
    joined_at_ms: int | None = None
    left_at_ms: int | None = None
    joins: int = 0


async def read_members(
    database: Database, community: str, members: Sequence[str], since: date
) -> dict[str, MemberFigures]:
    """Return the figures of `members`, all of one state of the database; `by_day` from `since` on.

    Raises:
        StoreUnavailableError: The database did not answer.
    """
    figures = {member: MemberFigures() for member in members}
    async with database.read() as connection:
        for member, points in await connection.execute(_sums(community, members)):
            figures[member].points = points
        for member, day, points in await connection.execute(_sums_by_day(community, members, since)):
            figures[member].by_day[day] = points
        for member, day, made_up in await connection.execute(_days(community, members)):
            figures[member].check_ins.append((day, made_up))
        for member, *row in await connection.execute(_rows(community, members)):
            found = figures[member]
            found.known = True
            found.name, found.joined_at_ms, found.left_at_ms, found.joins = row
    return figures


async def known_members(database: Database, community: str) -> AsyncIterator[list[str]]:
    """Yield everybody of whom history knows anything, by id, in chunks.

    Raises:
        StoreUnavailableError: The database did not answer.
    """
    found = union(*(select(row.member).where(row.community == community) for row in _SOURCES))
    async for rows in database.stream(found.order_by("member")):
        yield [row.member for row in rows]


async def unknown_members(database: Database, community: str, members: Sequence[str]) -> list[str]:
    """Return those of a few members of whom history knows nothing.

    Raises:
        StoreUnavailableError: The database did not answer.
    """
    found = union(
        *(select(row.member).where(row.community == community, row.member.in_(members)) for row in _SOURCES)
    )
    known = {row.member for row in await database.fetch(found)}
    return [member for member in dict.fromkeys(members) if member not in known]


def _sums(community: str, members: Sequence[str]) -> Select[Any]:
    entry = tables.ledger.c
    return (
        select(entry.member, cast(func.sum(entry.delta), BigInteger))
        .where(entry.community == community, entry.member.in_(members))
        .group_by(entry.member)
    )


def _sums_by_day(community: str, members: Sequence[str], since: date) -> Select[Any]:
    entry = tables.ledger.c
    return (
        select(entry.member, entry.day, cast(func.sum(entry.delta), BigInteger))
        .where(entry.community == community, entry.member.in_(members), entry.day >= since)
        .group_by(entry.member, entry.day)
    )


def _days(community: str, members: Sequence[str]) -> Select[Any]:
    row = tables.check_ins.c
    return select(row.member, row.day, row.made_up).where(row.community == community, row.member.in_(members))


def _rows(community: str, members: Sequence[str]) -> Select[Any]:
    row = tables.members.c
    return select(row.member, row.name, row.joined_at_ms, row.left_at_ms, row.joins).where(
        row.community == community, row.member.in_(members)
    )
