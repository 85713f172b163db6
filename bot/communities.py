"""Which community an event belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bot.day import CommunityCalendar
from bot.model import Community


class Communities:
    """All communities with their calendars; a group's own community comes before its channel's."""

    def __init__(self, communities: Iterable[Community]) -> None:
        self._by_id = {community.id: community for community in communities}
        self._calendars = {
            community.id: CommunityCalendar(community.zone, community.day_start) for community in self
        }
        self._by_group = {pair: community for community in self for pair in community.groups}
        self._by_channel = {name: community for community in self for name in community.channels}

    def __iter__(self) -> Iterator[Community]:
        """Go through the communities in the order of the configuration."""
        return iter(self._by_id.values())

    def find(self, channel: str, group_id: str) -> Community:
        """Return the community of a chat.

        Raises:
            KeyError: The channel belongs to none; the configuration gives every channel one.
        """
        if group_id:
            community = self._by_group.get((channel, group_id))
            if community is not None:
                return community
        return self._by_channel[channel]

    def of_channel(self, channel: str) -> list[Community]:
        """Return the communities that the whole channel or a group of it belongs to."""
        return [
            community
            for community in self
            if channel in community.channels or channel in (name for name, _ in community.groups)
        ]

    def get(self, community_id: str) -> Community | None:
        """Return the community of this id."""
        return self._by_id.get(community_id)

    def calendar(self, community: Community) -> CommunityCalendar:
        """Return the community's days."""
        return self._calendars[community.id]
