"""``communities``: what is configured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bot.api.cursors import position_of
from bot.api.endpoint import Call, Endpoint, Listed, ListQuery, Query, Shown
from bot.api.parts import ApiParts
from bot.model import Community
from bot.storage.sql.pages import encode_cursor


class CommunityShown(Shown):
    """A community, as configured."""

    id: str
    name: str
    channels: Annotated[list[str], Field(description="Names of the channels that belong to it whole.")]
    time_zone: Annotated[str, Field(description="IANA name.")]
    day_start: Annotated[str, Field(description="When a community-day begins, `HH:MM`.")]
    today: Annotated[str, Field(description="The running community-day, `YYYY-MM-DD`.")]
    language: str
    managers: Annotated[list[str], Field(description="Member ids with the manager role.")]


class CommunityList(Listed[CommunityShown]):
    """Communities in the order of the configuration."""


async def list_communities(call: Call[ListQuery, None]) -> CommunityList:
    """List the communities the token may see."""
    visible = [known for known in call.parts.communities if call.caller.may_see(known.id)]
    first = position_of(call.query.cursor)
    following = first + call.query.limit
    return CommunityList(
        items=[_shown(call.parts, community) for community in visible[first:following]],
        next_cursor=encode_cursor(following) if following < len(visible) else None,
    )


async def get_community(call: Call[Query, None]) -> CommunityShown:
    """Return one community."""
    return _shown(call.parts, call.community)


def _shown(parts: ApiParts, community: Community) -> CommunityShown:
    return CommunityShown(
        id=community.id,
        name=community.name,
        channels=list(community.channels),
        time_zone=community.zone.key,
        day_start=community.day_start.strftime("%H:%M"),
        today=parts.communities.calendar(community).day_of(parts.clock.now_ms()).iso,
        language=community.language,
        managers=sorted(community.managers),
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/communities",
        list_communities,
        "List the communities the token may see.",
        query=ListQuery,
        answer=CommunityList,
    ),
    Endpoint(
        "GET", "/communities/{community}", get_community, "Return one community.", answer=CommunityShown
    ),
)
