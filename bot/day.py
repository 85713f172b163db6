"""The community's day: everything that is daily means this day, never the server's.

A community-day begins at `day_start` by the wall clock of the community's zone. It is decided by instants:
day D is everything from the first instant whose wall clock shows `day_start` on D up to the same of D + 1,
so days never overlap or run backwards when the clocks change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.clock import from_ms, to_ms

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Day:
    """One community-day.

    Attributes:
        date: Its calendar date.
        iso: The date as YYYY-MM-DD.
        number: Days since 1970-01-01.
        starts_at_ms: Its first instant, Unix ms.
        ends_at_ms: The first instant of the next, Unix ms.
    """

    date: date
    iso: str
    number: int
    starts_at_ms: int
    ends_at_ms: int

    @property
    def week(self) -> str:
        """The ISO week it lies in, ``YYYY-Www``."""
        year, week, _ = self.date.isocalendar()
        return f"{year}-W{week:02d}"

    @property
    def month(self) -> str:
        """The month it lies in, ``YYYY-MM``."""
        return self.iso[:7]


class CommunityCalendar:
    """Tells which community-day an instant belongs to; remembers the last days asked for."""

    def __init__(self, zone: ZoneInfo, day_start: time = time(0)) -> None:
        self.zone = zone
        self._day_start = day_start
        self._latest = self._day(date(1970, 1, 2))

    def day_of(self, at_ms: int) -> Day:
        """Return the community-day of the instant `at_ms` (Unix ms)."""
        day = self._latest
        if not day.starts_at_ms <= at_ms < day.ends_at_ms:
            day = self._find(at_ms)
            self._latest = day
        return day

    def day(self, on: date) -> Day:
        """Return the community-day of the calendar date `on`."""
        return self._day(on)

    def local(self, at_ms: int) -> datetime:
        """Return the instant as the community's wall clock shows it."""
        return from_ms(at_ms).astimezone(self.zone)

    def _find(self, at_ms: int) -> Day:
        on = self.local(at_ms).date()
        for days in (0, -1, 1, -2):  # the last where a zone has left out a whole date
            day = self._day(on + timedelta(days=days))
            if day.starts_at_ms <= at_ms < day.ends_at_ms:
                return day
        raise AssertionError(f"no community-day holds {at_ms}")  # days are contiguous

    def _day(self, on: date) -> Day:
        return Day(
            date=on,
            iso=on.isoformat(),
            number=(on - _EPOCH).days,
            starts_at_ms=self._start_ms(on),
            ends_at_ms=self._start_ms(on + timedelta(days=1)),
        )

    def _start_ms(self, on: date) -> int:
        # fold=0: the first of two equal wall-clock times; a time that was skipped maps to the same
        # instant as the wall clock an hour later, which is where the day really begins.
        start = datetime.combine(on, self._day_start, tzinfo=self.zone)
        return to_ms(start.astimezone(UTC))
