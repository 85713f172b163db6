"""Time as a dependency: one clock is injected everywhere, so that tests own the hour.

Instants are Unix time in milliseconds, UTC (`at_ms`), inside the message path, where an integer is
cheaper than an object; aware `datetime` at the borders. Lengths of real waiting (deadlines, backoff)
use the event loop's monotonic time and are not part of this clock.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells what time it is."""

    def now_ms(self) -> int:
        """Return the present instant: Unix time in milliseconds, UTC."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the machine's present instant in milliseconds."""
        return time.time_ns() // 1_000_000


class FixedClock:
    """A clock that moves only when told to; for tests and the `FakeChat`."""

    def __init__(self, at: datetime) -> None:
        """Start at `at`.

        Raises:
            ValueError: `at` is naive.
        """
        if at.tzinfo is None:
            raise ValueError("a clock needs an aware datetime")
        self._at_ms = to_ms(at)

    def now_ms(self) -> int:
        """Return the instant the clock was set or moved to, in milliseconds."""
        return self._at_ms

    def move(self, length: timedelta) -> None:
        """Move the clock by `length`, backwards if it is negative."""
        self._at_ms += round(length.total_seconds() * 1000)

    def set(self, at: datetime) -> None:
        """Set the clock to the aware instant `at`."""
        self._at_ms = to_ms(at)


def to_ms(at: datetime) -> int:
    """Return an aware datetime as Unix milliseconds."""
    return int(at.astimezone(UTC).timestamp() * 1000)


def from_ms(at_ms: int) -> datetime:
    """Return Unix milliseconds as an aware UTC datetime."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
