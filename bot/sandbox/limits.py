"""How much one person may be sent: WeCom's silent rate limit, the Official Account's window.

Source: WeCom, sending application messages, per member and app; Official Account, customer-service
messages, allowances by the user's action.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

PER_MINUTE = 30
PER_HOUR = 1000
_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000

MESSAGE_ALLOWANCE = (5, 48 * _HOUR_MS)
"""Customer-service messages after a message of the user, and for how many milliseconds."""
ACTION_ALLOWANCE = (3, _MINUTE_MS)
"""The same after a menu click, a follow or a scan."""
ACTIONS = frozenset({"subscribe", "SCAN", "CLICK"})
"""Events of an Official Account that open the short allowance."""


@dataclass(slots=True)
class SendRate:
    """What one WeCom member got lately; what is over the limit is dropped without a word."""

    _sent_ms: deque[int] = field(default_factory=lambda: deque(maxlen=PER_HOUR))

    def spend(self, at_ms: int) -> bool:
        """Count one message, or return False when the minute's or the hour's limit is reached."""
        while self._sent_ms and self._sent_ms[0] <= at_ms - _HOUR_MS:
            self._sent_ms.popleft()
        in_last_minute = sum(sent > at_ms - _MINUTE_MS for sent in self._sent_ms)
        if len(self._sent_ms) >= PER_HOUR or in_last_minute >= PER_MINUTE:
            return False
        self._sent_ms.append(at_ms)
        return True


@dataclass(slots=True)
class _Allowance:
    left: int
    until_ms: int


@dataclass(slots=True)
class Window:
    """What may still be sent to one follower of an Official Account."""

    _by_message: _Allowance = field(default_factory=lambda: _Allowance(0, 0))
    _by_action: _Allowance = field(default_factory=lambda: _Allowance(0, 0))

    def on_message(self, at_ms: int) -> None:
        """Open the long allowance: the user sent a message."""
        count, length_ms = MESSAGE_ALLOWANCE
        self._by_message = _Allowance(count, at_ms + length_ms)

    def on_event(self, event: str, at_ms: int) -> None:
        """Open the short allowance where the user's action grants one."""
        if event in ACTIONS:
            count, length_ms = ACTION_ALLOWANCE
            self._by_action = _Allowance(count, at_ms + length_ms)

    def spend(self, at_ms: int) -> int:
        """Use one message up and return 0, else the vendor's error code: 45015 closed, 45047 used up."""
        is_open = [
            allowance for allowance in (self._by_action, self._by_message) if at_ms < allowance.until_ms
        ]
        for allowance in is_open:
            if allowance.left > 0:
                allowance.left -= 1
                return 0
        return 45047 if is_open else 45015
