"""How much may be sent: every documented rate of the vendors, the Official Account's window.

Source: WeCom, access_token (general call limits), self-built app, appchat, group robot, AI bot; Official
Account, customer-service messages, allowances by the user's action.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000
# Calls that left in time may arrive closer together than they left: the vendors' counting is not known to
# the second, and a test on a busy machine must not depend on it.
_JITTER_MS = 1_000

MESSAGE_ALLOWANCE = (5, 48 * _HOUR_MS)
"""Customer-service messages after a message of the user, and for how many milliseconds."""
ACTION_ALLOWANCE = (3, _MINUTE_MS)
"""The same after a menu click, a follow or a scan."""
ACTIONS = frozenset({"subscribe", "SCAN", "CLICK"})
"""Events of an Official Account that open the short allowance."""


@dataclass(slots=True)
class Span:
    """At most `most` within any `per_ms` milliseconds, less a second; `name` says which length it is."""

    name: str
    most: int
    per_ms: int
    _spent: deque[tuple[int, int]] = field(default_factory=deque)
    _sum: int = 0

    def has_room(self, at_ms: int, weight: int) -> bool:
        """Whether `weight` more fits at `at_ms`."""
        while self._spent and self._spent[0][0] <= at_ms - self.per_ms + _JITTER_MS:
            self._sum -= self._spent.popleft()[1]
        return self._sum + weight <= self.most

    def take(self, at_ms: int, weight: int) -> None:
        """Count `weight`."""
        self._spent.append((at_ms, weight))
        self._sum += weight


class Rate:
    """Several spans that hold together; what is over one of them is not counted in any."""

    __slots__ = ("_spans",)

    def __init__(self, *spans: tuple[str, int, int]) -> None:
        """Allow at most `most` per `per_ms` in each span (name, most, per_ms)."""
        self._spans = tuple(Span(*span) for span in spans)

    def over(self, at_ms: int, weight: int = 1) -> str:
        """Count `weight` and return "", or return the name of the span that has no room for it."""
        full = next((span.name for span in self._spans if not span.has_room(at_ms, weight)), "")
        if not full:
            for span in self._spans:
                span.take(at_ms, weight)
        return full


def member_rate() -> Rate:
    """Return what one member may get from one app; what is over is dropped without a word."""
    return Rate(("per_minute", 30, _MINUTE_MS), ("per_hour", 1000, _HOUR_MS))


def bot_rate() -> Rate:
    """Return what an AI bot may send into one chat, answers and unprompted messages together."""
    return Rate(("per_minute", 30, _MINUTE_MS), ("per_hour", 1000, _HOUR_MS))


def upload_rate() -> Rate:
    """Return how many uploads a long connection may begin."""
    return Rate(("per_minute", 30, _MINUTE_MS), ("per_hour", 1000, _HOUR_MS))


def robot_rate() -> Rate:
    """Return what one robot may send."""
    return Rate(("per_minute", 20, _MINUTE_MS))


def call_rate() -> Rate:
    """Return how often one company may call one API."""
    return Rate(("per_minute", 10_000, _MINUTE_MS), ("per_hour", 150_000, _HOUR_MS))


def app_group_member_rate() -> Rate:
    """Return what one member receives from groups made by apps; what is over is dropped silently."""
    return Rate(("per_minute", 200, _MINUTE_MS), ("per_day", 10_000, _DAY_MS))


def app_group_rate() -> Rate:
    """Return the person-times that one company may send into such groups, the smallest companies' hour."""
    return Rate(("persons_per_minute", 20_000, _MINUTE_MS), ("persons_per_hour", 150_000, _HOUR_MS))


def bad_call_rate() -> Rate:
    """Return the calls with bad parameters after which a company is blocked."""
    return Rate(("per_hour", 2000, _HOUR_MS))


def daily_rate(most: int) -> Rate:
    """Return a limit of `most` per day."""
    return Rate(("per_day", most, _DAY_MS))


def minute_rate(most: int) -> Rate:
    """Return a limit of `most` per minute."""
    return Rate(("per_minute", most, _MINUTE_MS))


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
