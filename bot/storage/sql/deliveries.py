"""Deliveries as history: what was sent later than inline, what waits, what died."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import func, select, tuple_

from bot.storage.sql.pages import Page, check_limit, decode_cursor, paged
from bot.storage.sql.tables import deliveries

if TYPE_CHECKING:
    from bot.storage.sql.database import Database

_COLUMNS = deliveries.c
_DELIVERY = (
    _COLUMNS.id, _COLUMNS.community, _COLUMNS.channel, _COLUMNS.user_id, _COLUMNS.member, _COLUMNS.cause,
    _COLUMNS.state, _COLUMNS.route, _COLUMNS.reason, _COLUMNS.attempts, _COLUMNS.created_at_ms,
    _COLUMNS.updated_at_ms, _COLUMNS.parts, _COLUMNS.next_part, _COLUMNS.group_id, _COLUMNS.useful_until_ms,
    _COLUMNS.feature, _COLUMNS.answer_to, _COLUMNS.not_before_ms,
)  # fmt: skip
# By the instant of making, which never changes: a delivery that moves on keeps its place between two pages.
_NEWEST_FIRST = (_COLUMNS.created_at_ms, _COLUMNS.id)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One reply on its way.

    Attributes:
        id: Unique.
        community: Community id.
        channel: The channel it goes through.
        user_id: Whom it goes to, as the platform names them.
        member: The same as a member id.
        cause: The event id it answers.
        state: queued | delivered | dead.
        route: How it goes, such as the platform's call.
        reason: Why it is dead or was put off, empty otherwise.
        attempts: How often it was tried.
        created_at_ms: When it was made, Unix milliseconds.
        updated_at_ms: When it last changed.
        parts: What is said, JSON as delivery writes it; not in `repr`.
        next_part: Index of the first part that has not arrived.
        group_id: The chat group it goes to, empty for a direct chat.
        useful_until_ms: When it is no longer worth sending, Unix milliseconds; 0 for never.
        feature: What asked for it unprompted, empty for an answer.
        answer_to: What the platform gave to answer with; a secret.
        not_before_ms: Before when it must not go, Unix milliseconds; 0 for at once.
    """

    id: str
    community: str
    channel: str
    user_id: str
    member: str
    cause: str
    state: str
    route: str
    reason: str
    attempts: int
    created_at_ms: int
    updated_at_ms: int
    parts: str = field(repr=False)
    next_part: int
    group_id: str
    useful_until_ms: int
    feature: str
    answer_to: str = field(repr=False)
    not_before_ms: int


class DeliveryHistory:
    """Reads what was drained of the deliveries; every method raises as `Database.read` does."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._database = database

    async def page(
        self,
        *,
        state: str | None = None,
        community: str | None = None,
        channel: str | None = None,
        group: str | None = None,
        member: str | None = None,
        feature: str | None = None,
        reason: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Delivery]:
        """Return deliveries, the newest made first; of every filter that is given the value must be equal.

        Raises:
            RefusedError: `cursor` is not one of this list.
        """
        query = select(*_DELIVERY)
        filters = (
            (_COLUMNS.state, state), (_COLUMNS.community, community), (_COLUMNS.channel, channel),
            (_COLUMNS.group_id, group), (_COLUMNS.member, member), (_COLUMNS.feature, feature),
            (_COLUMNS.reason, reason),
        )  # fmt: skip
        for column, value in filters:
            if value is not None:
                query = query.where(column == value)
        if cursor is not None:
            query = query.where(tuple_(*_NEWEST_FIRST) < decode_cursor(cursor, int, str))
        query = query.order_by(*(column.desc() for column in _NEWEST_FIRST)).limit(check_limit(limit) + 1)
        items = [Delivery(*row) for row in await self._database.fetch(query)]
        return paged(items, limit, lambda item: (item.created_at_ms, item.id))

    async def queued(self, community: str) -> AsyncIterator[tuple[Delivery, ...]]:
        """Yield the deliveries of a community that are on their way, the first made first, in chunks."""
        query = select(*_DELIVERY).where(_COLUMNS.community == community, _COLUMNS.state == "queued")
        async for rows in self._database.stream(query.order_by(*_NEWEST_FIRST)):
            yield tuple(Delivery(*row) for row in rows)

    async def queued_among(self, ids: Sequence[str]) -> set[str]:
        """Return those of a few deliveries that are on their way."""
        query = select(_COLUMNS.id).where(_COLUMNS.id.in_(ids), _COLUMNS.state == "queued")
        return {row.id for row in await self._database.fetch(query)}

    async def count_dead(self, since_ms: int) -> tuple[tuple[str, int], ...]:
        """Return (reason, how many) of deliveries that died since `since_ms`, the commonest first."""
        count = func.count()
        query = (
            select(_COLUMNS.reason, count)
            .where(_COLUMNS.state == "dead", _COLUMNS.updated_at_ms >= since_ms)
            .group_by(_COLUMNS.reason)
            .order_by(count.desc(), _COLUMNS.reason)
        )
        return tuple((reason, number) for reason, number in await self._database.fetch(query))

    async def get(self, delivery_id: str) -> Delivery | None:
        """Return the delivery of that id, None when it is unknown or not drained yet."""
        rows = await self._database.fetch(select(*_DELIVERY).where(_COLUMNS.id == delivery_id))
        return Delivery(*rows[0]) if rows else None
