"""Wakes the senders of this process when something has just been queued here, before they would look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Wake = Callable[[str], None]


class Nudges:
    """Tells every sender that listens."""

    def __init__(self) -> None:
        self._listeners: list[Wake] = []

    @contextmanager
    def listening(self, wake: Wake) -> Iterator[None]:
        """Call `wake` with the community of everything new while the context lasts."""
        self._listeners.append(wake)
        try:
            yield
        finally:
            self._listeners.remove(wake)

    def wake(self, community: str) -> None:
        """Say that a delivery of `community` has just been created; harmless where nobody listens."""
        for wake in self._listeners:
            wake(community)
