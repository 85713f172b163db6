"""Which rankings Redis keeps, and which days' ledger entries each of them sums."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from bot.day import CommunityCalendar
from bot.storage.redis.keys import Keys
from bot.storage.redis.points import Span, board_keys

_DAY_MS = 86_400_000
# As scripts/lib/ledger.lua keeps them, from their first entry on.
_KEPT_DAYS = {Span.DAY: 35, Span.WEEK: 70, Span.MONTH: 400}
# A sender's clock may be ahead: a board may have been begun a day before its span.
_MARGIN_DAYS = 2


@dataclass(frozen=True, slots=True)
class Board:
    """One ranking: the sums of the days from `first` to `last`, both included.

    `keep_ms` is how long it lives, 0 for ever; `name` is for people.
    """

    key: str
    name: str
    first: date
    last: date
    keep_ms: int


def kept_boards(keys: Keys, community: str, calendar: CommunityCalendar, now_ms: int) -> list[Board]:
    """Return the rankings of which every entry must still be in Redis, the one of all time first."""
    today = calendar.day_of(now_ms).date
    all_time = board_keys(keys, community, calendar.day(today))[-1]
    boards = {all_time: Board(all_time, "all", date.min, date.max, 0)}
    longest = max(_KEPT_DAYS.values())
    for back in range(-1, longest):  # tomorrow too, for the same clocks
        on = today - timedelta(days=back)
        for span, key in zip(Span, board_keys(keys, community, calendar.day(on)), strict=True):
            kept_days = _KEPT_DAYS.get(span)
            if kept_days is None or key in boards:
                continue
            first, last = _days_of(span, on)
            if first >= today - timedelta(days=kept_days - 1 - _MARGIN_DAYS):
                name = f"{span.value} {key.rpartition(':')[2]}"
                boards[key] = Board(key, name, first, last, kept_days * _DAY_MS)
    return list(boards.values())


def earliest_day(boards: list[Board]) -> date:
    """Return the first day that any of the boards but the one of all time sums."""
    return min(board.first for board in boards if board.keep_ms)


def _days_of(span: Span, on: date) -> tuple[date, date]:
    """Return the first and last day of the span that `on` lies in."""
    if span is Span.WEEK:
        monday = on - timedelta(days=on.weekday())
        return monday, monday + timedelta(days=6)
    if span is Span.MONTH:
        first = on.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return on, on
