"""Takes over late handlers whose process died: every process looks for leases that have ended."""

from __future__ import annotations

import asyncio

import structlog

from bot.background import wait_for
from bot.clock import Clock
from bot.storage.redis.late import LateQueue, QueuedEvent
from bot.work import LEASE_MS, Work

_log = structlog.get_logger("huoqun")
_POLL_S = 1.0
_MOST_TRIES = 5  # an event that ends its process each time must not do so for ever


class LateWorker:
    """Runs the handlers of queued events again."""

    def __init__(self, work: Work, queue: LateQueue, clock: Clock) -> None:
        self._work = work
        self._queue = queue
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Look for work until told to stop."""
        while not await wait_for(stop, _POLL_S):
            await self.look()

    async def look(self) -> None:
        """Take what is free now, from every shard in one shared round trip, and finish it."""
        now_ms = self._clock.now_ms()
        taken = await self._queue.take(now_ms, LEASE_MS)
        await asyncio.gather(*(self._finish(queued) for queued in taken))

    async def _finish(self, queued: QueuedEvent) -> None:
        if queued.taken > _MOST_TRIES:
            await _log.aerror("handler given up", id=queued.id, tries=_MOST_TRIES)
            await self._work.give_up(queued.event)
        else:
            await self._work.run_again(queued.event)
