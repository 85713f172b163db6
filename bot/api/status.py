"""``status``: what runs, and how it is."""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from bot.api.access import communities_of
from bot.api.endpoint import Call, Endpoint, Query, Shown
from bot.api.parts import ApiParts
from bot.api.times import Instant, rfc3339, rfc3339_or_none
from bot.channels import abilities_of_channel
from bot.config import Channel
from bot.delivery.routes import ChannelAbilities, Route
from bot.errors import CommandRefusedError, StoreError
from bot.storage.sql.last_events import last_event_ms

_PATIENCE_S = 2.0
_SILENCE_DAYS = 7
_FAR_MS = 1 << 52  # later than any delivery is due


class AbilitiesShown(Shown):
    """What a kind of channel can do."""

    group_messages: Annotated[
        str, Field(description="Which messages of a group it sees: all, mentions, nothing.")
    ]
    direct_messages: Annotated[str, Field(description="Who writes to it one to one; empty for nobody.")]
    join_events: list[str]
    inviter_observable: bool
    replies_inline: Annotated[
        bool, Field(description="Whether an answer goes in the answer to the callback.")
    ]
    inline_deadline_s: float
    sends_later: Annotated[str, Field(description="active, window, or empty where it cannot.")]
    text_limit_bytes: int


class ChannelShown(Shown):
    """One configured account of a platform."""

    name: str
    kind: str
    communities: Annotated[list[str], Field(description="Those its chats belong to.")]
    has_secret: Annotated[bool, Field(description="Whether it can send later at all.")]
    last_event_at: Annotated[
        Instant | None,
        Field(
            description=f"When the latest event was sent; null when the last {_SILENCE_DAYS} days had none."
        ),
    ]
    abilities: AbilitiesShown


class RedisShown(Shown):
    """The live state."""

    state: Literal["ok", "away"]
    embedded: bool
    warning: Annotated[str | None, Field(description="What may be lost, where its settings risk it.")]
    outbox_entries: Annotated[int | None, Field(description="Entries that wait to be written to SQL.")]
    queued_deliveries: int | None


class SqlShown(Shown):
    """The history."""

    state: Literal["ok", "away"]
    embedded: bool


class Status(Shown):
    """What runs, and how it is."""

    version: str
    started_at: Annotated[Instant, Field(description="Of the process that answers.")]
    uptime_s: int
    redis: RedisShown
    sql: SqlShown
    channels: list[ChannelShown]


async def get_status(call: Call[Query, None]) -> Status:
    """Say what runs and how it is; of channels those the token may see."""
    parts, zone = call.parts, ZoneInfo(call.parts.config.locale.time_zone)
    redis, sql = await asyncio.gather(_redis(parts), _sql(parts))
    return Status(
        version=_version(),
        started_at=rfc3339(parts.started_at_ms, zone),
        uptime_s=(parts.clock.now_ms() - parts.started_at_ms) // 1000,
        redis=redis,
        sql=sql,
        channels=[
            await _channel(parts, channel, communities, is_readable=sql.state == "ok")
            for channel in parts.config.channels
            if (communities := communities_of(parts, channel.name, call.caller))
        ],
    )


def _version() -> str:
    try:
        return version("huoqun")
    except PackageNotFoundError:  # run from a checkout
        return "checkout"


# ---------------------------------------------------------------- stores


async def _redis(parts: ApiParts) -> RedisShown:
    embedded = parts.config.storage.redis.embedded
    try:
        async with asyncio.timeout(_PATIENCE_S):
            backlog, queued, warning = await asyncio.gather(
                parts.stores.drain.backlog(),
                parts.deliveries.due(_FAR_MS),
                _warning(parts, embedded=embedded),
            )
    except (StoreError, TimeoutError):
        return RedisShown(
            state="away", embedded=embedded, warning=None, outbox_entries=None, queued_deliveries=None
        )
    return RedisShown(
        state="ok",
        embedded=embedded,
        warning=warning,
        outbox_entries=backlog,
        queued_deliveries=sum(count for _, count in queued),
    )


async def _warning(parts: ApiParts, *, embedded: bool) -> str | None:
    """Say what an own Redis without append-only file may lose; the embedded one always has it."""
    if embedded:
        return None
    try:
        info: bytes = await parts.redis.call("INFO", "persistence", key=parts.keys.shared("status"))
    except CommandRefusedError:
        return "Redis does not tell whether it is persistent: INFO is not allowed"
    if b"aof_enabled:1" in info:
        return None
    return (
        "Redis writes no append-only file: what it acknowledged since its last snapshot is lost when it "
        "stops; set `appendonly yes`"
    )


async def _sql(parts: ApiParts) -> SqlShown:
    embedded = parts.config.storage.database.embedded
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await parts.database.ping()
    except (StoreError, TimeoutError):
        return SqlShown(state="away", embedded=embedded)
    return SqlShown(state="ok", embedded=embedded)


# ---------------------------------------------------------------- channels


async def _channel(
    parts: ApiParts, channel: Channel, communities: list[str], *, is_readable: bool
) -> ChannelShown:
    abilities = abilities_of_channel(channel)
    return ChannelShown(
        name=channel.name,
        kind=channel.kind,
        communities=communities,
        has_secret=abilities.can_send,
        last_event_at=await _last_event_at(parts, channel.name, communities) if is_readable else None,
        abilities=_abilities(abilities),
    )


async def _last_event_at(parts: ApiParts, channel: str, communities: list[str]) -> str | None:
    latest: int | None = None
    for community in communities:
        known = parts.communities.get(community)
        assert known is not None
        today = parts.communities.calendar(known).day_of(parts.clock.now_ms()).date
        found = await last_event_ms(parts.database, community, channel, today, days_back=_SILENCE_DAYS)
        latest = max(filter(None, (latest, found)), default=None)
    return rfc3339_or_none(latest, ZoneInfo(parts.config.locale.time_zone))


def _abilities(abilities: ChannelAbilities) -> AbilitiesShown:
    row = abilities.direct or abilities.group
    assert row is not None, "every kind has a row"
    return AbilitiesShown(
        group_messages=row.group_sight.value,
        direct_messages=row.direct_messages,
        join_events=list(row.join_events),
        inviter_observable=bool(row.inviter),
        replies_inline=bool(row.passive_parts),
        inline_deadline_s=row.deadline_s,
        sends_later=(row.later if abilities.can_send else Route.NONE).value,
        text_limit_bytes=row.text_limit_bytes,
    )


ENDPOINTS = (Endpoint("GET", "/status", get_status, "Say what runs, and how it is.", answer=Status),)
