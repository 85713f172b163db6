"""Callbacks of the long connection become events on the durable queue before anything else happens to them.

The platform does not repeat a callback here, so one that cannot be stored because Redis is away is kept in
memory and stored as soon as it is back. Reading goes on meanwhile until many wait; then the connection fills
up and the platform with it.

Dies here: what was read but not stored is lost with the process; that is the round trip to Redis, as a rule
a millisecond. Comes twice, over another connection too: an event is taken in once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from bot.clock import Clock
from bot.connection.answer_to import answer_to_of
from bot.connection.frames import Frame
from bot.errors import StoreError, StoreUnavailableError
from bot.model import Event
from bot.platforms.protocol import Poll

_log = structlog.get_logger("huoqun")

MOST_WAITING = 256
_PAUSE_S = 0.5
_MOST_REFUSALS = (
    120  # a Redis that is full or loading refuses for a while; one that refuses for a minute means it
)

Decode = Callable[[str, Mapping[str, Any], int, str], Event | Poll]
Accept = Callable[[Event], Awaitable[None]]


class Intake:
    """What one process reads from one channel's connection."""

    def __init__(self, channel: str, decode: Decode, accept: Accept, clock: Clock) -> None:
        """Hand every event to `accept`, which stores it or raises `StoreUnavailableError`."""
        self._channel = channel
        self._decode = decode
        self._accept = accept
        self._clock = clock
        self._room = asyncio.Semaphore(MOST_WAITING)
        self._tasks: set[asyncio.Task[None]] = set()

    async def put(self, frame: Frame) -> None:
        """Take one callback in; waits only where many wait already. The order of calls is that of storing."""
        now_ms = self._clock.now_ms()
        event = self._decode(self._channel, frame.body, now_ms, answer_to_of(frame, now_ms))
        if isinstance(event, Poll):
            return  # of the callback mode; here the platform never asks again
        await self._room.acquire()
        task = asyncio.create_task(self._store(event), name=f"take {event.id}")
        self._tasks.add(task)
        task.add_done_callback(self._stored)

    def _stored(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()

    async def _store(self, event: Event) -> None:
        waited = refusals = 0
        while True:
            try:
                await self._accept(event)
            except StoreError as error:
                refusals += not isinstance(error, StoreUnavailableError)
                if refusals > _MOST_REFUSALS:
                    _log.error("event refused by its store and lost", id=event.id, error=str(error))
                    return
                if not waited:
                    _log.warning("event waits for its store", id=event.id, error=str(error))
                waited += 1
                await asyncio.sleep(_PAUSE_S)
            except Exception:  # noqa: BLE001 - one event's fault must not end the others
                _log.error("event lost by a mistake of ours", id=event.id, exc_info=True, private=True)
                return
            else:
                return

    async def settle(self, grace_s: float) -> None:
        """Wait until everything read is stored; what is not after `grace_s` seconds is lost and named."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=grace_s)
        for task in late:
            _log.error(
                "event lost: its store did not come back before the process ended", task=task.get_name()
            )
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
