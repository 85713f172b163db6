"""``members``: who is or was there, with live figures.

What is not observable is null, never 0: no channel kind of today says who invited whom.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from bot.api.cursors import known_cursor
from bot.api.endpoint import Call, Endpoint, Listed, ListQuery, Query, Shown
from bot.api.parts import ApiParts
from bot.api.problem import ProblemError
from bot.api.times import Instant, rfc3339_or_none
from bot.model import Community
from bot.storage.sql.activity import ActivityHistory, ActivityTotals
from bot.storage.sql.members import Member


class MembersQuery(ListQuery):
    """Filters of the list."""

    prefix: Annotated[
        str, Field(max_length=512, description="Those whose name, member id or user id begins so.")
    ] = ""


class Invited(Shown):
    """How many members this one brought in; null where no channel of the community can tell."""

    ever: int | None
    present: Annotated[int | None, Field(description="Of these, how many are still there.")]


class Span(Shown):
    """What a member did in a span of community-days."""

    messages: int
    check_ins: int
    plays: int
    events: Annotated[int, Field(description="Other acts, such as menu clicks.")]


class Activity(Shown):
    """Activity by community-days, today included."""

    today: Span
    last_7_days: Span
    last_30_days: Span


class MemberShown(Shown):
    """A member with live figures."""

    id: Annotated[str, Field(description="`<channel>:<user_id>`.")]
    name: Annotated[str, Field(description="Empty where the platform told none.")]
    channel: str
    user_id: Annotated[str, Field(description="What the platform calls them.")]
    points: int
    streak: Annotated[int, Field(description="Days in a row with a check-in, up to today or yesterday.")]
    check_ins: Annotated[int, Field(description="Days with a check-in in all.")]
    level: Annotated[int | None, Field(description="Growth level; null while the community has none.")]
    joined_at: Annotated[Instant | None, Field(description="Null where it was not observable.")]
    left_at: Annotated[Instant | None, Field(description="Null while they are there.")]
    inviter: Annotated[
        str | None, Field(description="Member id of who brought them; null where it is not observable.")
    ]
    invited: Invited


class MemberDetail(MemberShown):
    """A member with live figures and activity."""

    activity: Activity


class MemberList(Listed[MemberShown]):
    """Members by id, those who left included."""


_INVITES_NOT_OBSERVABLE = Invited(ever=None, present=None)


async def list_members(call: Call[MembersQuery, None]) -> MemberList:
    """List members, those who left included."""
    parts, community, query = call.parts, call.community, call.query
    await parts.stores.drain.flush(community.id)
    with known_cursor():
        page = await parts.stores.member_history.page(
            community.id, prefix=query.prefix, cursor=query.cursor, limit=query.limit
        )
    shown = await asyncio.gather(*(_shown(parts, community, member) for member in page.items))
    return MemberList(items=list(shown), next_cursor=page.next_cursor)


async def get_member(call: Call[Query, None]) -> MemberDetail:
    """Return one member."""
    parts, community, member_id = call.parts, call.community, call.path["member"]
    await parts.stores.drain.flush(community.id)
    member = await _find(parts, community, member_id)
    shown, activity = await asyncio.gather(
        _shown(parts, community, member), _activity(parts, community, member_id)
    )
    return MemberDetail(**dict(shown), activity=activity)


async def _find(parts: ApiParts, community: Community, member_id: str) -> Member:
    member = await parts.stores.member_history.get(community.id, member_id)
    if member is not None:
        return member
    # Somebody who was given points before they were ever seen is known by their ledger alone.
    if (await parts.stores.ledger.page(community.id, member=member_id, limit=1)).items:
        channel, _, user_id = member_id.partition(":")
        return Member(community.id, member_id, channel, user_id, "", None, None, 0, None, None)
    raise ProblemError(
        "not_found",
        f"no member {member_id!r} was ever seen in {community.id}; an id is <channel>:<user_id>, URL-encoded",
    )


async def _shown(parts: ApiParts, community: Community, member: Member) -> MemberShown:
    stores, today = parts.stores, parts.communities.calendar(community).day_of(parts.clock.now_ms())
    points, streak, check_ins = await asyncio.gather(
        stores.points.balance(community.id, member.member),
        stores.check_ins.streak(community.id, member.member, today),
        stores.check_ins.total(community.id, member.member),
    )
    return MemberShown(
        id=member.member,
        name=member.name,
        channel=member.channel,
        user_id=member.user_id,
        points=points,
        streak=streak,
        check_ins=check_ins,
        level=None,
        joined_at=rfc3339_or_none(member.joined_at_ms, community.zone),
        left_at=rfc3339_or_none(member.left_at_ms, community.zone),
        inviter=None,
        invited=_INVITES_NOT_OBSERVABLE,
    )


async def _activity(parts: ApiParts, community: Community, member_id: str) -> Activity:
    today = parts.communities.calendar(community).day_of(parts.clock.now_ms()).date
    spans = [(today - timedelta(days=days - 1), today) for days in (1, 7, 30)]
    history = ActivityHistory(parts.database)
    one, seven, thirty = map(_span, await history.of_member(community.id, member_id, spans))
    return Activity(today=one, last_7_days=seven, last_30_days=thirty)


def _span(totals: ActivityTotals) -> Span:
    return Span(
        messages=totals.messages, check_ins=totals.check_ins, plays=totals.plays, events=totals.events
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/communities/{community}/members",
        list_members,
        "List members by id, those who left included.",
        query=MembersQuery,
        answer=MemberList,
    ),
    Endpoint(
        "GET",
        "/communities/{community}/members/{member}",
        get_member,
        "Return a member with live figures and activity.",
        answer=MemberDetail,
    ),
)
