"""When a keyword rule answers: hours and weekdays as spans of the week, by the wall clock of a zone.

A window ``22:00-02:00`` passes midnight and belongs to the weekday on which it began: with weekday 1 it
is open on Monday from 22:00 and on Tuesday until 02:00. The begin counts, the end does not. On the days the
clocks change the wall clock rules: an hour that is skipped never opens, one that comes twice opens twice.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from bot.model import KeywordRule

MINUTES_PER_DAY = 1440
MINUTES_PER_WEEK = 7 * MINUTES_PER_DAY
EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24:00))", re.ASCII)

Spans = tuple[tuple[int, int], ...]
"""Open spans of a week in minutes since Monday 00:00: begin (in), end (out), rising, apart."""


def parse_window(text: str) -> tuple[int, int]:
    """Return begin and end of ``HH:MM-HH:MM`` in minutes since midnight; past midnight ends above 1440.

    Raises:
        ValueError: `text` is no such window, or begin and end are equal.
    """
    found = _WINDOW.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not HH:MM-HH:MM")
    begin = int(found[1]) * 60 + int(found[2])
    end = MINUTES_PER_DAY if found[5] else int(found[3]) * 60 + int(found[4])
    if begin == end:
        raise ValueError(f"{text!r} begins when it ends")
    return begin, end if end > begin else end + MINUTES_PER_DAY


def weekly_spans(hours: Sequence[str], weekdays: Sequence[int]) -> Spans | None:
    """Return when such a rule is open, None for always.

    Raises:
        ValueError: An entry of `hours` is no window, or one of `weekdays` is not 1 to 7.
    """
    if not hours and not weekdays:
        return None
    if wrong := [day for day in weekdays if day not in EVERY_DAY]:
        raise ValueError(f"{wrong[0]} is not a weekday from 1 (Monday) to 7")
    windows = [parse_window(window) for window in hours] or [(0, MINUTES_PER_DAY)]
    spans = _joined(
        ((day - 1) * MINUTES_PER_DAY + begin, (day - 1) * MINUTES_PER_DAY + end)
        for day in set(weekdays or EVERY_DAY)
        for begin, end in windows
    )
    return None if spans == ((0, MINUTES_PER_WEEK),) else spans


def is_open(spans: Spans, minute: int) -> bool:
    """Tell whether the minute of the week lies in one of `spans`."""
    return any(begin <= minute < end for begin, end in spans)


def closed_because(rule: KeywordRule, minute: int) -> tuple[str, Mapping[str, str | int]]:
    """Return why `rule` is closed at this minute of the week: ``wrong_weekday`` or ``outside_hours``.

    With it goes what the clock shows, as `weekday` and `time`.
    """
    day, in_day = divmod(minute, MINUTES_PER_DAY)
    on_other_days = weekly_spans(rule.hours, ())
    reason = "wrong_weekday" if on_other_days is None or is_open(on_other_days, minute) else "outside_hours"
    return reason, {"weekday": day + 1, "time": f"{in_day // 60:02}:{in_day % 60:02}"}


def minute_of_week(at_ms: int, zone: ZoneInfo) -> int:
    """Return the minutes since Monday 00:00 that the wall clock of `zone` shows at an instant."""
    local = datetime.fromtimestamp(at_ms / 1000, zone)
    return local.weekday() * MINUTES_PER_DAY + local.hour * 60 + local.minute


def _joined(spans: Iterable[tuple[int, int]]) -> Spans:
    """Sort spans, join those that touch, and carry what passes Sunday's midnight to Monday."""
    within: list[tuple[int, int]] = []
    for begin, end in spans:
        within.append((begin, min(end, MINUTES_PER_WEEK)))
        if end > MINUTES_PER_WEEK:
            within.append((0, end - MINUTES_PER_WEEK))
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(within):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return tuple(joined)
