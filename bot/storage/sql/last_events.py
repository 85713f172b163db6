"""When something was last heard of a channel, as far as history knows."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import func, select

from bot.storage.sql.database import Database
from bot.storage.sql.tables import activity

_COLUMNS = activity.c


async def last_event_ms(
    database: Database, community: str, channel: str, today: date, *, days_back: int
) -> int | None:
    """Return when the latest counted event of `channel` in `community` was sent, Unix ms.

    Looks at one community-day after the other, from tomorrow (a platform's clock may be ahead) back to
    `days_back` days before `today`, so that a busy day is the only one read. None where all are silent.
    """
    for back in range(-1, days_back + 1):
        query = select(func.max(_COLUMNS.last_at_ms)).where(
            _COLUMNS.community == community,
            _COLUMNS.day == today - timedelta(days=back),
            _COLUMNS.member >= f"{channel}:",
            _COLUMNS.member < f"{channel};",
        )
        found = (await database.fetch(query))[0][0]
        if found is not None:
            return int(found)
    return None
