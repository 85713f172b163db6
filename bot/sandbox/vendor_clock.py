"""The vendor's own clock, which tests and scenarios can move against ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.clock import Clock


class VendorClock:
    """A clock with an offset for the vendor's checks and another one for what it signs, milliseconds."""

    def __init__(self, clock: Clock) -> None:
        """Follow `clock`, without an offset."""
        self._clock = clock
        self._offset_ms = 0
        self._stamp_offset_ms = 0

    @property
    def offset_ms(self) -> int:
        """How far the vendor's checks are ahead of us, milliseconds; behind where negative."""
        return self._offset_ms

    def reset(self) -> None:
        """Tell our time again."""
        self._offset_ms = self._stamp_offset_ms = 0

    def now_ms(self) -> int:
        """Return the instant by which tokens, windows, rates and addresses end."""
        return self._clock.now_ms() + self._offset_ms

    def stamp_ms(self) -> int:
        """Return the instant that callbacks are signed with."""
        return self._clock.now_ms() + self._stamp_offset_ms

    def move(self, by_ms: int, *, stamps: bool) -> None:
        """Move the checks by `by_ms`, and with `stamps` what is signed too."""
        self._offset_ms += by_ms
        if stamps:
            self._stamp_offset_ms += by_ms
