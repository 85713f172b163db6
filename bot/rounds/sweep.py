"""Ends rounds whose time is up: one process of all does it for each, and another if that one dies."""

from __future__ import annotations

import asyncio

import structlog

from bot.background import wait_for
from bot.clock import Clock
from bot.communities import Communities
from bot.rounds.life import RoundLife

_POLL_S = 0.5
_LEASE_MS = 15_000

_log = structlog.get_logger("huoqun")


class RoundSweeper:
    """Looks for rounds whose time is up."""

    def __init__(self, life: RoundLife, communities: Communities, clock: Clock) -> None:
        """End the rounds of `communities` by `life`."""
        self._life = life
        self._communities = communities
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Look until told to stop.

        Raises:
            StoreError: Redis is away; start it again.
        """
        while not await wait_for(stop, _POLL_S):
            await self.sweep()

    async def sweep(self) -> int:
        """End every round whose time is up by now, and return how many there were."""
        now_ms = self._clock.now_ms()
        due = await self._life.store.due(now_ms, now_ms + _LEASE_MS)
        for community_id, round_id in due:
            community = self._communities.get(community_id)
            if community is None:  # left out of the configuration; it may come back
                continue
            try:
                ended = await self._life.end(community, round_id, "time")
            except (RuntimeError, ValueError) as error:
                await _log.aerror("round could not be ended", round=round_id, exc_info=error)
                continue
            if ended is None:
                await _log.aerror("round of a game that is not played here", round=round_id)
        return len(due)
