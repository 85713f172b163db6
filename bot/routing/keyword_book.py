"""The keyword indexes of all communities, kept fresh: a rule saved anywhere answers here within a second.

Each change bumps the community's version in SQL, in the transaction of the change. Every process compares
versions twice a second and builds what is new aside, in a thread, then swaps it in.
Dies here: nothing is lost, the version stands in SQL. SQL away: the last indexes go on answering.
"""

from __future__ import annotations

import asyncio

from bot.background import wait_for
from bot.communities import Communities
from bot.model import Event, KeywordRule, TextMessage
from bot.routing.keyword_index import KeywordIndex
from bot.routing.normalise import Normaliser, strip_mentions
from bot.routing.words import words_of
from bot.storage.sql.keyword_rules import KeywordRuleStore

_POLL_S = 0.4


class KeywordBook:
    """Holds one immutable index per community."""

    def __init__(self, rules: KeywordRuleStore, communities: Communities, normaliser: Normaliser) -> None:
        self._rules = rules
        self._communities = communities
        self._normaliser = normaliser
        self._versions: dict[str, int] = {}
        self._indexes = {
            community.id: KeywordIndex.build((), community.zone, normaliser.normalise)
            for community in communities
        }

    def of(self, community_id: str) -> KeywordIndex:
        """Return the community's present index."""
        return self._indexes[community_id]

    def text_of(self, event: Event) -> str:
        """Return the event's text as rules are matched with: normalised, without mentions; '' for no text."""
        content = event.content
        text = content.text if type(content) is TextMessage else words_of(content)
        if not text:
            return ""
        return self._normaliser.normalise(strip_mentions(text) if "@" in text or "＠" in text else text)

    async def refresh(self) -> None:
        """Load what has changed since the last call."""
        for community_id, version in (await self._rules.versions()).items():
            community = self._communities.get(community_id)
            if community is None or self._versions.get(community_id) == version:
                continue
            rules: list[KeywordRule] = []
            async for chunk in self._rules.load(community_id):
                rules.extend(chunk)
            self._indexes[community_id] = await asyncio.to_thread(
                KeywordIndex.build, rules, community.zone, self._normaliser.normalise
            )
            self._versions[community_id] = version

    async def run(self, stop: asyncio.Event) -> None:
        """Refresh until told to stop."""
        while not await wait_for(stop, _POLL_S):
            await self.refresh()
