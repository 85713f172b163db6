"""Hours and weekdays of rules, by the wall clock of the community."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.clock import to_ms
from bot.routing.keyword_schedule import is_open, minute_of_week, parse_window, weekly_spans

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")


def open_at(hours: list[str], weekdays: list[int], moment: str, zone: ZoneInfo = SHANGHAI) -> bool:
    """Tell whether such a rule is open at a local ISO time (with an offset: at that instant)."""
    at = datetime.fromisoformat(moment)
    at_ms = to_ms(at if at.tzinfo else at.replace(tzinfo=zone))
    spans = weekly_spans(hours, weekdays)
    return spans is None or is_open(spans, minute_of_week(at_ms, zone))


# 2025-09-01 is a Monday.
@pytest.mark.parametrize(
    ("hours", "weekdays", "moment", "expected"),
    [
        ([], [], "2025-09-03T03:00", True),
        (["09:00-18:00"], [], "2025-09-01T08:59:59.999", False),
        (["09:00-18:00"], [], "2025-09-01T09:00", True),
        (["09:00-18:00"], [], "2025-09-01T17:59:59.999", True),
        (["09:00-18:00"], [], "2025-09-01T18:00", False),
        (["09:00-12:00", "14:00-18:00"], [], "2025-09-01T13:00", False),
        (["09:00-12:00", "14:00-18:00"], [], "2025-09-01T15:00", True),
        (["22:00-24:00"], [], "2025-09-01T23:59:59", True),
        (["22:00-24:00"], [], "2025-09-02T00:00", False),
        (["00:00-24:00"], [], "2025-09-02T00:00", True),
        ([], [1], "2025-09-01T00:00", True),
        ([], [1], "2025-09-01T23:59:59", True),
        ([], [1], "2025-09-02T00:00", False),
        ([], [6, 7], "2025-09-07T12:00", True),
        (["22:00-02:00"], [1], "2025-09-01T01:00", False),
        (["22:00-02:00"], [1], "2025-09-01T22:00", True),
        (["22:00-02:00"], [1], "2025-09-02T01:59", True),
        (["22:00-02:00"], [1], "2025-09-02T02:00", False),
        (["22:00-02:00"], [1], "2025-09-02T23:00", False),
        (["22:00-02:00"], [7], "2025-09-08T01:00", True),
        (["22:00-02:00"], [7], "2025-09-07T01:00", False),
        (["22:00-00:00"], [], "2025-09-07T23:59", True),
        (["22:00-00:00"], [], "2025-09-08T00:00", False),
    ],
)
def test_a_rule_is_open_in_its_windows(
    hours: list[str], weekdays: list[int], moment: str, *, expected: bool
) -> None:
    assert open_at(hours, weekdays, moment) is expected


def test_the_wall_clock_rules_when_clocks_change() -> None:
    """Berlin skips 02:00-03:00 on 2025-03-30 and lives it twice on 2025-10-26, both Sundays."""
    assert not open_at(["02:00-03:00"], [], "2025-03-30T00:59:00+00:00", BERLIN)  # 01:59
    assert not open_at(["02:00-03:00"], [], "2025-03-30T01:00:00+00:00", BERLIN)  # 03:00
    assert open_at(["02:00-03:00"], [7], "2025-10-26T00:30:00+00:00", BERLIN)  # 02:30, summer
    assert open_at(["02:00-03:00"], [7], "2025-10-26T01:30:00+00:00", BERLIN)  # 02:30, winter
    assert not open_at(["02:00-03:00"], [7], "2025-10-26T02:00:00+00:00", BERLIN)  # 03:00


def test_the_zone_decides_the_weekday() -> None:
    assert open_at([], [1], "2025-08-31T16:00:00+00:00")
    assert not open_at([], [1], "2025-08-31T16:00:00+00:00", BERLIN)


@pytest.mark.parametrize(
    "window",
    ["", "9:00-18:00", "09:00", "09:00-18:00 ", "09:00—18:00", "24:00-02:00", "09:00-24:01", "25:00-26:00",
     "09:60-10:00", "０９:00-18:00", "09:00-09:00", "09:00-18:00-20:00", "09:00-18:00\n"],
)  # fmt: skip
def test_what_is_no_window_is_refused(window: str) -> None:
    with pytest.raises(ValueError, match=r"HH:MM-HH:MM|begins when it ends"):
        parse_window(window)


def test_a_weekday_outside_the_week_is_refused() -> None:
    with pytest.raises(ValueError, match="weekday"):
        weekly_spans((), (0,))
    with pytest.raises(ValueError, match="weekday"):
        weekly_spans(("09:00-10:00",), (1, 8))


@pytest.mark.parametrize(
    ("hours", "weekdays"),
    [([], []), (["00:00-24:00"], []), ([], [1, 2, 3, 4, 5, 6, 7]), (["00:00-12:00", "12:00-00:00"], [])],
)
def test_what_is_always_open_costs_nothing(hours: list[str], weekdays: list[int]) -> None:
    assert weekly_spans(hours, weekdays) is None


_MINUTE = st.integers(0, 1439)
_WINDOW = st.tuples(_MINUTE, st.integers(0, 1440)).filter(lambda ends: ends[0] != ends[1])


def written(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@settings(deadline=None)
@given(
    st.lists(_WINDOW, max_size=4),
    st.lists(st.integers(1, 7), max_size=7),
    st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1)),  # noqa: DTZ001  # made aware below
    st.sampled_from([SHANGHAI, BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("UTC")]),
)
def test_spans_agree_with_looking_at_the_clock(
    windows: list[tuple[int, int]], weekdays: list[int], utc: datetime, zone: ZoneInfo
) -> None:
    local = utc.replace(tzinfo=UTC).astimezone(zone)
    minute, today = local.hour * 60 + local.minute, local.isoweekday()
    yesterday = (local.date() - timedelta(days=1)).isoweekday()
    days = weekdays or list(range(1, 8))
    expected = any(
        (today in days and begin <= minute < (end if end > begin else 1440))
        or (yesterday in days and end < begin and minute < end)
        for begin, end in windows or [(0, 1440)]
    )
    hours = [f"{written(begin)}-{written(end)}" for begin, end in windows]
    assert open_at(hours, weekdays, utc.replace(tzinfo=UTC).isoformat(), zone) is expected
