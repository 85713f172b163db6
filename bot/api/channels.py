"""``channels``: what each configured channel can do and cannot do, in fields and in plain sentences."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bot.api.access import communities_of
from bot.api.cursors import position_of
from bot.api.endpoint import Call, Endpoint, Listed, ListQuery, Query, Shown
from bot.api.parts import ApiParts
from bot.api.problem import ProblemError
from bot.config import Channel
from bot.delivery.ability_words import sentences
from bot.delivery.routes import Abilities, Scope
from bot.storage.sql.pages import encode_cursor


class RateShown(Shown):
    """A limit that is kept by waiting."""

    most: int
    per_s: float
    over: Annotated[str, Field(description="receiver (one person or group) or channel (all it sends).")]
    persons: Annotated[bool, Field(description="Whether a message to a group counts once per member.")]


class WindowShown(Shown):
    """How much may be sent after the receiver did something."""

    act: str
    most: int
    within_s: float


class WayShown(Shown):
    """What holds in a direct chat, or in a group: one row of the table."""

    group_messages: Annotated[str, Field(description="What it hears of groups: all, mentions, nothing.")]
    direct_messages: Annotated[str, Field(description="Who can write to it one to one; empty for nobody.")]
    join_events: Annotated[list[str], Field(description="Events that tell of people coming and going.")]
    inviter: Annotated[str, Field(description="How it learns who invited; empty where it cannot.")]
    replies_in_group: bool
    direct_send: Annotated[str, Field(description="Whom it can write to one to one; empty for nobody.")]
    group_send: Annotated[str, Field(description="Which groups it can write to unprompted; empty for none.")]
    send_later: Annotated[str, Field(description="When it can speak unprompted; empty where it cannot.")]
    human_confirmation: Annotated[bool, Field(description="Whether a person must confirm each sending.")]
    deadline_s: Annotated[float, Field(description="For an answer in the HTTP response; 0 where none.")]
    passive_parts: Annotated[list[str], Field(description="Kinds an answer in the HTTP response can be.")]
    passive_events: Annotated[list[str], Field(description="Reports that take such an answer.")]
    later: Annotated[str, Field(description="Way of what is late or unprompted; empty where there is none.")]
    active_parts: Annotated[list[str], Field(description="Kinds that way takes.")]
    text_limit_bytes: int
    markdown_limit_bytes: int
    most_articles: int
    joins_texts: Annotated[bool, Field(description="Whether texts in a row go as one message.")]
    mentions: Annotated[bool, Field(description="Whether people can be mentioned.")]
    rates: list[RateShown]
    windows: list[WindowShown]
    drops_duplicates_s: Annotated[float, Field(description="How far back it drops a repeated message.")]
    most_sends: Annotated[int, Field(description="Messages that may follow one question; 0 for any number.")]
    answer_for_s: Annotated[float, Field(description="How long a question can be answered; 0 for ever.")]
    concurrency: Annotated[int, Field(description="Calls that one process makes at a time.")]


class SentencesShown(Shown):
    """The same in plain words."""

    can: list[str]
    cannot: list[str]
    can_zh: list[str]
    cannot_zh: list[str]


class ChannelAbilitiesShown(Shown):
    """One configured channel."""

    name: str
    kind: str
    mode: Annotated[str | None, Field(description="callback, long_connection, encrypted, …; null for none.")]
    communities: Annotated[list[str], Field(description="Those its chats belong to.")]
    can_send: Annotated[bool, Field(description="Whether it has the secret that sending needs.")]
    direct: Annotated[WayShown | None, Field(description="In a direct chat; null where there is none.")]
    group: Annotated[WayShown | None, Field(description="In a group; null where there is none.")]
    words: SentencesShown


class ChannelList(Listed[ChannelAbilitiesShown]):
    """Channels in the order of the configuration."""


async def list_channels(call: Call[ListQuery, None]) -> ChannelList:
    """List the channels of the communities the token may see."""
    parts, caller = call.parts, call.caller
    visible = [
        (channel, communities)
        for channel in parts.config.channels
        if (communities := communities_of(parts, channel.name, caller))
    ]
    first = position_of(call.query.cursor)
    following = first + call.query.limit
    return ChannelList(
        items=[_shown(parts, *known) for known in visible[first:following]],
        next_cursor=encode_cursor(following) if following < len(visible) else None,
    )


async def get_channel(call: Call[Query, None]) -> ChannelAbilitiesShown:
    """Say what one channel can do and cannot do."""
    name = call.path["channel"]
    for channel in call.parts.config.channels:
        if channel.name == name and (communities := communities_of(call.parts, channel.name, call.caller)):
            return _shown(call.parts, channel, communities)
    raise ProblemError("not_found", f"there is no channel {name!r}; `channels` lists all")


def _shown(parts: ApiParts, channel: Channel, communities: list[str]) -> ChannelAbilitiesShown:
    known = parts.abilities[channel.name]
    said = sentences(known)
    return ChannelAbilitiesShown(
        name=channel.name,
        kind=channel.kind,
        mode=getattr(channel, "mode", None),
        communities=communities,
        can_send=known.can_send,
        direct=None if known.direct is None else _way(known.direct),
        group=None if known.group is None else _way(known.group),
        words=SentencesShown(can=said.can, cannot=said.cannot, can_zh=said.can_zh, cannot_zh=said.cannot_zh),
    )


def _way(row: Abilities) -> WayShown:
    return WayShown(
        group_messages=row.group_sight.value,
        direct_messages=row.direct_messages,
        join_events=list(row.join_events),
        inviter=row.inviter,
        replies_in_group=row.group_reply,
        direct_send=row.direct_send,
        group_send=row.group_send,
        send_later=row.send_later,
        human_confirmation=row.human_confirmation,
        deadline_s=row.deadline_s,
        passive_parts=sorted(row.passive_parts),
        passive_events=sorted(row.passive_events),
        later=row.later.value,
        active_parts=sorted(row.active_parts),
        text_limit_bytes=row.text_limit_bytes,
        markdown_limit_bytes=row.markdown_limit_bytes,
        most_articles=row.most_articles,
        joins_texts=row.joins_texts,
        mentions=row.mentions,
        rates=[
            RateShown(most=rate.most, per_s=rate.per_ms / 1000, over=rate.scope.value, persons=rate.persons)
            for rate in sorted(row.rates, key=lambda rate: (rate.scope is Scope.CHANNEL, rate.per_ms))
        ],
        windows=[
            WindowShown(act=window.act, most=window.most, within_s=window.per_ms / 1000)
            for window in row.windows
        ],
        drops_duplicates_s=row.drops_duplicates_ms / 1000,
        most_sends=row.most_sends,
        answer_for_s=row.answer_for_ms / 1000,
        concurrency=row.concurrency,
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/channels",
        list_channels,
        "List channels with what each can do and cannot do.",
        query=ListQuery,
        answer=ChannelList,
    ),
    Endpoint(
        "GET",
        "/channels/{channel}",
        get_channel,
        "Say what one channel can do and cannot do.",
        answer=ChannelAbilitiesShown,
    ),
)
