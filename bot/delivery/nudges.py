"""Wakes a sender of this process when something for it has just been queued here, before it would look."""

from __future__ import annotations

import asyncio


class Nudges:
    """One signal per lane (the name of a channel)."""

    def __init__(self) -> None:
        self._lanes: dict[str, asyncio.Event] = {}

    def lane(self, name: str) -> asyncio.Event:
        """Return the signal of a lane; whoever waits for it clears it."""
        return self._lanes.setdefault(name, asyncio.Event())

    def wake(self, name: str) -> None:
        """Say that something waits in a lane; harmless where nobody listens."""
        self.lane(name).set()
