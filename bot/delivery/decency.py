"""Useful before noisy: what nobody asked for waits in quiet hours, is capped, and respects who opted out.

Answers are bound by none of this: only deliveries with a `feature` are asked about.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bot.clock import from_ms, to_ms
from bot.day import CommunityCalendar
from bot.storage.redis.decency import Admission, DecencyStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.communities import Communities
    from bot.storage.redis.deliveries import Delivery

_MINUTES_PER_DAY = 1440
_NO_CAP = 1_000_000_000
_UTC = CommunityCalendar(ZoneInfo("UTC"))
_MOST_SPANS_IN_A_ROW = 16  # then there is no hour of the day that is not quiet


@dataclass(frozen=True, slots=True)
class Admitted:
    """What to do with an unprompted delivery: wait until an instant (Unix ms), end for a reason, or go."""

    wait_until_ms: int = 0
    reason: str = ""


class DecencyGate:
    """Decides whether an unprompted delivery may be sent now."""

    def __init__(self, store: DecencyStore, communities: Communities) -> None:
        """Ask `store`, by the rules of `communities`."""
        self._store = store
        self._communities = communities

    async def ask(self, delivery: Delivery, now_ms: int) -> Admitted:
        """Return what holds now; a delivery that may go is counted, once.

        A community that is configured no more has no hours and no caps: only the wishes of its people count.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        community = self._communities.get(delivery.community)
        if community is None:
            return _admitted(await self._store.admit(delivery, _UTC.day_of(now_ms), _NO_CAP))
        rules, calendar = community.decency, self._communities.calendar(community)
        quiet_until_ms = quiet_until(rules.quiet_hours, community.zone, now_ms)
        if quiet_until_ms:
            late = delivery.useful_until_ms and quiet_until_ms > delivery.useful_until_ms
            if late or quiet_until_ms < 0:
                return Admitted(reason="quiet_hours")
            return Admitted(wait_until_ms=quiet_until_ms)
        most = rules.group_per_day if delivery.group_id else rules.member_per_day
        return _admitted(await self._store.admit(delivery, calendar.day_of(now_ms), most))


def _admitted(admission: Admission) -> Admitted:
    return Admitted(reason="" if admission is Admission.GO else admission.value)


def quiet_until(spans: Sequence[str], zone: ZoneInfo, at_ms: int) -> int:
    """Return when the quiet hours end that hold at an instant; 0 where none do, -1 where they never end.

    `spans` are ``HH:MM-HH:MM`` by the wall clock of `zone`, the begin in, the end out; one may pass midnight.
    On the days the clocks change the wall clock rules.
    """
    until_ms = at_ms
    for _ in range(_MOST_SPANS_IN_A_ROW):
        ends = [end_ms for span in spans if (end_ms := _end(span, zone, until_ms))]
        if not ends:
            return until_ms if until_ms > at_ms else 0
        until_ms = max(ends)
    return -1


def _end(span: str, zone: ZoneInfo, at_ms: int) -> int:
    """Return when a span ends that holds at an instant, 0 where it does not."""
    begin, end = (_minute(text) for text in span.split("-"))
    local = from_ms(at_ms).astimezone(zone)
    minute = local.hour * 60 + local.minute
    if begin < end:
        if not begin <= minute < end:
            return 0
        day = local.date()
    elif minute >= begin:
        day = local.date() + timedelta(days=1)
    elif minute < end:
        day = local.date()
    else:
        return 0
    ends = datetime(day.year, day.month, day.day, end // 60 % 24, end % 60, tzinfo=zone)
    # fold=0 is the first of two equal times; the second, when that has passed already.
    end_ms = to_ms(ends.astimezone(UTC))
    return end_ms if end_ms > at_ms else to_ms(ends.replace(fold=1).astimezone(UTC))


def _minute(text: str) -> int:
    hour, _, minute = text.partition(":")
    return (int(hour) * 60 + int(minute)) % _MINUTES_PER_DAY
