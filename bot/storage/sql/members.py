"""Members as history: who is or was there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, true, union

from bot.storage.sql.pages import Page, check_limit, decode_cursor, paged
from bot.storage.sql.tables import members

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import ColumnElement, FromClause, Select

    from bot.storage.sql.database import Database

_COLUMNS = members.c
_MEMBER = (
    _COLUMNS.community, _COLUMNS.member, _COLUMNS.channel, _COLUMNS.user_id, _COLUMNS.name,
    _COLUMNS.joined_at_ms, _COLUMNS.left_at_ms, _COLUMNS.joins, _COLUMNS.first_seen_ms, _COLUMNS.last_seen_ms,
)  # fmt: skip
_KNOWN_BY = (_COLUMNS.member, _COLUMNS.user_id, _COLUMNS.name)
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a community, also one who left.

    Attributes:
        community: Community id.
        member: Member id, ``<channel>:<user_id>``.
        channel: The channel that knows them.
        user_id: What the platform calls them.
        name: Their name, empty where no platform told.
        joined_at_ms: When they last joined, Unix milliseconds; None where it was not observed.
        left_at_ms: When they left; None while they are there.
        joins: How often they joined, as far as observed.
        first_seen_ms: The earliest counted act of theirs that a drain met; None before any.
        last_seen_ms: The latest one.
    """

    community: str
    member: str
    channel: str
    user_id: str
    name: str
    joined_at_ms: int | None
    left_at_ms: int | None
    joins: int
    first_seen_ms: int | None
    last_seen_ms: int | None


class MemberHistory:
    """Reads what was drained of the members; every method raises as `Database.read` does."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def page(
        self, community: str, *, prefix: str = "", cursor: str | None = None, limit: int = 50
    ) -> Page[Member]:
        """Return members by id, leavers included; with `prefix` whose name, member id or user id begins so.

        Raises:
            RefusedError: `cursor` is not one of this list.
        """
        conditions: list[ColumnElement[bool]] = [true()]
        if prefix:
            conditions = [_starts_with(column, prefix) for column in _KNOWN_BY]
        found = _union(community, conditions)
        query = select(found).order_by(found.c.member).limit(check_limit(limit) + 1)
        if cursor is not None:
            query = query.where(found.c.member > decode_cursor(cursor, str)[0])
        items = [Member(*row) for row in await self._database.fetch(query)]
        return paged(items, limit, lambda item: (item.member,))

    async def get(self, community: str, member: str) -> Member | None:
        """Return the member of that id, None when nobody of that id was ever seen."""
        rows = await self._database.fetch(_all_of(community).where(_COLUMNS.member == member))
        return Member(*rows[0]) if rows else None

    async def find(self, community: str, who: str, *, limit: int = 20) -> tuple[Member, ...]:
        """Return up to `limit` members whose name, member id or user id is exactly `who`, by id."""
        found = _union(community, [column == who for column in _KNOWN_BY])
        query = select(found).order_by(found.c.member).limit(limit)
        return tuple(Member(*row) for row in await self._database.fetch(query))

    async def stream(self, community: str) -> AsyncIterator[tuple[Member, ...]]:
        """Yield every member of a community by id, in chunks."""
        async for rows in self._database.stream(_all_of(community).order_by(_COLUMNS.member)):
            yield tuple(Member(*row) for row in rows)


def _all_of(community: str) -> Select[Any]:
    return select(*_MEMBER).where(_COLUMNS.community == community)


def _union(community: str, conditions: list[ColumnElement[bool]]) -> FromClause:
    # A union lets each condition use its own index and drops who is found twice.
    return union(*(_all_of(community).where(condition) for condition in conditions)).subquery()


def _starts_with(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    # Text compares by code point, so a range says the same as LIKE, uses the index and knows no wildcards.
    return (column >= prefix) & (column < prefix + _LAST_CHARACTER)
