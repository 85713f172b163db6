"""The community's day: by the wall clock of its zone, without gaps and without overlaps."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.clock import from_ms, to_ms
from bot.day import CommunityCalendar

# With and without daylight saving, by whole and half hours, at midnight (São Paulo, Santiago) and at night;
# Apia and Kwajalein have left out a whole day.
ZONES = (
    "Asia/Shanghai", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe",
    "America/Sao_Paulo", "America/Santiago", "Pacific/Apia", "Pacific/Kwajalein", "Africa/Casablanca",
    "Atlantic/Azores",
)  # fmt: skip
STARTS = st.times().map(lambda at: at.replace(second=0, microsecond=0))
INSTANTS = st.integers(to_ms(datetime(1971, 1, 1, tzinfo=UTC)), to_ms(datetime(2037, 12, 31, tzinfo=UTC)))
SKIPPED = to_ms(datetime(2011, 12, 30, 15, tzinfo=UTC))


def at(zone: str, text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


@given(st.sampled_from(ZONES), STARTS, INSTANTS)
@example("Pacific/Apia", time(6), SKIPPED)
@example("Pacific/Apia", time(0), SKIPPED)
def test_every_instant_lies_in_exactly_one_day_and_days_follow_each_other(
    zone: str, day_start: time, at_ms: int
) -> None:
    calendar = CommunityCalendar(ZoneInfo(zone), day_start)
    day = calendar.day_of(at_ms)

    assert day.starts_at_ms <= at_ms < day.ends_at_ms
    assert calendar.day(day.date) == day
    before, after = calendar.day(day.date - timedelta(days=1)), calendar.day(day.date + timedelta(days=1))
    assert (before.ends_at_ms, after.starts_at_ms) == (day.starts_at_ms, day.ends_at_ms)
    assert (before.number, after.number) == (day.number - 1, day.number + 1)
    assert timedelta(milliseconds=day.ends_at_ms - day.starts_at_ms) <= timedelta(hours=49)


@given(st.sampled_from(ZONES), STARTS, st.lists(INSTANTS, max_size=8))
def test_a_day_does_not_depend_on_what_was_asked_before(
    zone: str, day_start: time, instants: list[int]
) -> None:
    used = CommunityCalendar(ZoneInfo(zone), day_start)
    for at_ms in instants:
        assert used.day_of(at_ms) == CommunityCalendar(ZoneInfo(zone), day_start).day_of(at_ms)


@pytest.mark.parametrize(
    ("zone", "day_start", "instant", "day"),
    [
        ("Asia/Shanghai", "00:00", "2026-03-02T23:59:59.999", "2026-03-02"),
        ("Asia/Shanghai", "00:00", "2026-03-03T00:00:00", "2026-03-03"),
        ("Asia/Shanghai", "04:00", "2026-03-03T03:59:59.999", "2026-03-02"),
        ("Asia/Shanghai", "04:00", "2026-03-03T04:00:00", "2026-03-03"),
        ("Europe/Berlin", "00:00", "2026-03-29T23:59:59", "2026-03-29"),
        ("Europe/Berlin", "02:30", "2026-03-29T03:29:59", "2026-03-28"),  # 02:30 does not come that night
        ("Europe/Berlin", "02:30", "2026-03-29T03:30:00", "2026-03-29"),
        ("Europe/Berlin", "02:30", "2026-10-25T02:29:59", "2026-10-24"),
        ("Europe/Berlin", "02:30", "2026-10-25T02:30:00", "2026-10-25"),  # the first of two
        ("America/Sao_Paulo", "00:00", "2018-11-04T01:00:00", "2018-11-04"),  # midnight did not come
        ("America/Sao_Paulo", "00:00", "2018-11-03T23:59:59", "2018-11-03"),
    ],
)
def test_the_day_begins_when_the_wall_clock_first_shows_its_start(
    zone: str, day_start: str, instant: str, day: str
) -> None:
    calendar = CommunityCalendar(ZoneInfo(zone), time.fromisoformat(day_start))
    assert calendar.day_of(at(zone, instant)).iso == day


def test_the_second_of_two_equal_times_is_of_the_day_that_has_begun() -> None:
    second = datetime(2026, 10, 25, 2, 15, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
    calendar = CommunityCalendar(ZoneInfo("Europe/Berlin"), time(2, 30))
    assert calendar.day_of(to_ms(second)).iso == "2026-10-25"


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-03-30", 24), ("2026-10-25", 25)]
)
def test_the_day_the_clocks_change_is_shorter_or_longer(day: str, hours: int) -> None:
    found = CommunityCalendar(ZoneInfo("Europe/Berlin")).day(date.fromisoformat(day))
    assert found.ends_at_ms - found.starts_at_ms == hours * 3_600_000


@pytest.mark.parametrize(
    ("day", "week", "month"),
    [
        ("2026-03-02", "2026-W10", "2026-03"),
        ("2026-03-01", "2026-W09", "2026-03"),
        ("2025-12-29", "2026-W01", "2025-12"),  # the Monday of the first week lies in the old year
        ("2027-01-03", "2026-W53", "2027-01"),
    ],
)
def test_a_day_knows_its_week_and_month(day: str, week: str, month: str) -> None:
    found = CommunityCalendar(ZoneInfo("Asia/Shanghai")).day(date.fromisoformat(day))
    assert (found.week, found.month, found.iso, found.date) == (week, month, day, date.fromisoformat(day))


def test_the_number_of_a_day_counts_from_1970() -> None:
    calendar = CommunityCalendar(ZoneInfo("Asia/Shanghai"))
    assert [calendar.day(date(1970, 1, 1)).number, calendar.day(date(2026, 3, 2)).number] == [0, 20514]
    assert calendar.day_of(0).iso == "1970-01-01"


def test_local_time_is_what_the_wall_clock_shows() -> None:
    calendar = CommunityCalendar(ZoneInfo("Asia/Kathmandu"), time(4))
    instant = at("Asia/Kathmandu", "2026-03-02T03:15:00")
    assert calendar.local(instant).isoformat() == "2026-03-02T03:15:00+05:45"
    assert from_ms(instant).tzinfo is UTC
