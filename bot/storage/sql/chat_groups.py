"""The chat groups of a community: those an event came from, and those made by us through a platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import case, select, tuple_

from bot.storage.sql.pages import Page, check_limit, decode_cursor, paged
from bot.storage.sql.tables import chat_groups

if TYPE_CHECKING:
    from bot.storage.sql.database import Database

SEEN, MADE = "seen", "made"
_COLUMNS = chat_groups.c
_GROUP = (
    _COLUMNS.community, _COLUMNS.channel, _COLUMNS.chat_id, _COLUMNS.name, _COLUMNS.origin,
    _COLUMNS.first_seen_ms, _COLUMNS.last_seen_ms,
)  # fmt: skip
_KEY = (_COLUMNS.community, _COLUMNS.channel, _COLUMNS.chat_id)


@dataclass(frozen=True, slots=True)
class ChatGroup:
    """One group.

    Attributes:
        community: Community id.
        channel: The channel it is a group of.
        chat_id: The group as the platform names it.
        name: What we named it; empty for one that was only seen.
        origin: seen (an event came from it) or made (by us).
        first_seen_ms: When it was first seen or was made, Unix milliseconds.
        last_seen_ms: When the last event came from it, or when it was made.
    """

    community: str
    channel: str
    chat_id: str
    name: str
    origin: str
    first_seen_ms: int
    last_seen_ms: int

    @property
    def id(self) -> str:
        """``<channel>:<chat_id>``, as members' ids are."""
        return f"{self.channel}:{self.chat_id}"


class ChatGroupStore:
    """Reads groups, and writes those that we make; the drain writes those that are seen.

    Every method raises as `Database.read` and `Database.write` do.
    """

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    async def page(
        self, community: str, *, channel: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[ChatGroup]:
        """Return a community's groups by channel and chat id.

        Raises:
            RefusedError: `cursor` is not one of this list.
        """
        query = select(*_GROUP).where(_COLUMNS.community == community)
        if channel is not None:
            query = query.where(_COLUMNS.channel == channel)
        if cursor is not None:
            query = query.where(tuple_(_COLUMNS.channel, _COLUMNS.chat_id) > decode_cursor(cursor, str, str))
        query = query.order_by(_COLUMNS.channel, _COLUMNS.chat_id).limit(check_limit(limit) + 1)
        groups = [ChatGroup(*row) for row in await self._database.fetch(query)]
        return paged(groups, limit, lambda group: (group.channel, group.chat_id))

    async def get(self, community: str, channel: str, chat_id: str) -> ChatGroup | None:
        """Return one group; None where it is unknown."""
        query = select(*_GROUP).where(
            _COLUMNS.community == community, _COLUMNS.channel == channel, _COLUMNS.chat_id == chat_id
        )
        rows = await self._database.fetch(query)
        return ChatGroup(*rows[0]) if rows else None

    async def find(self, channel: str, chat_id: str) -> ChatGroup | None:
        """Return a group of any community; None where it is unknown."""
        query = select(*_GROUP).where(_COLUMNS.channel == channel, _COLUMNS.chat_id == chat_id)
        rows = await self._database.fetch(query.order_by(_COLUMNS.origin).limit(1))  # made before seen
        return ChatGroup(*rows[0]) if rows else None

    async def made(self, community: str, channel: str, chat_id: str, name: str, at_ms: int) -> None:
        """Keep a group that we made, or gave another name.

        Dies here: nothing is kept, or all of it. Comes twice: the last name stays, the first instant too.
        """
        statement = self._database.insert(chat_groups)
        row = {
            "community": community,
            "channel": channel,
            "chat_id": chat_id,
            "name": name,
            "origin": MADE,
            "first_seen_ms": at_ms,
            "last_seen_ms": at_ms,
        }
        last_seen_ms, new = _COLUMNS.last_seen_ms, statement.excluded
        changed = {
            "name": new.name,
            "origin": new.origin,
            "last_seen_ms": case((last_seen_ms > new.last_seen_ms, last_seen_ms), else_=new.last_seen_ms),
        }
        async with self._database.write() as connection:
            await connection.execute(
                statement.on_conflict_do_update(index_elements=list(_KEY), set_=changed), row
            )
