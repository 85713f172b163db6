"""Check-ins as history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from bot.storage.sql.tables import check_ins

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import date

    from sqlalchemy import Select

    from bot.storage.sql.database import Database

_COLUMNS = check_ins.c


@dataclass(frozen=True, slots=True)
class CheckIn:
    """One check-in.

    Attributes:
        community: Community id.
        member: Member id.
        day: The community-day it counts for; with `made_up` an earlier day than that of `at_ms`.
        at_ms: When it was made, Unix milliseconds.
        cause: The event id that made it.
        streak: Days in a row up to `day`, as answered then.
        total: Check-ins of the member in all, as answered then.
        rank: Place among the members of that day, 1 for the first; 0 for one made up.
        points: Points it gave, bonuses included.
        made_up: Whether a make-up card paid for it.
    """

    community: str
    member: str
    day: date
    at_ms: int
    cause: str
    streak: int
    total: int
    rank: int
    points: int
    made_up: bool


class CheckInHistory:
    """Reads what was drained of the check-ins; every method raises as `Database.read` does."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def of_member(
        self, community: str, member: str, from_day: date, to_day: date
    ) -> tuple[CheckIn, ...]:
        """Return a member's check-ins of the days `from_day` to `to_day`, both included, by day."""
        query = _all_of(community).where(_COLUMNS.member == member, _COLUMNS.day.between(from_day, to_day))
        return tuple(CheckIn(*row) for row in await self._database.fetch(query))

    async def stream(self, community: str) -> AsyncIterator[tuple[CheckIn, ...]]:
        """Yield every check-in of a community by member and day, in chunks."""
        async for rows in self._database.stream(_all_of(community)):
            yield tuple(CheckIn(*row) for row in rows)


def _all_of(community: str) -> Select[Any]:
    query = select(check_ins).where(_COLUMNS.community == community)
    return query.order_by(_COLUMNS.member, _COLUMNS.day)
