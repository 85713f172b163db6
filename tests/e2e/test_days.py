"""A message counts on the community-day it was sent on, by CreateTime, zone and day start, not by receipt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.sandbox.vendor import Sandbox
from tests.e2e.conftest import Running
from tests.e2e.lines import Line
from tests.e2e.records import Records

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")
CHANNELS = {"app": SHANGHAI, "newyork": NEW_YORK, "night": SHANGHAI}  # night: the day starts at 04:00

Expected = tuple[str, int]  # day, streak after this message; 0 where it changes nothing

AUTUMN = datetime(2025, 11, 2, tzinfo=NEW_YORK)  # 25 hours long


def local(channel: str, text: str, fold: int = 0) -> datetime:
    """An instant by the clock of the channel's community."""
    return datetime.fromisoformat(text).replace(tzinfo=CHANNELS[channel], fold=fold).astimezone(UTC)


# (channel, [(when it was sent by the local clock, fold), …] in the order of arrival, [what comes of it, …])
CASES: dict[str, tuple[str, Sequence[tuple[str, int]], Sequence[Expected | None]]] = {
    "two seconds around midnight": (
        "app",
        [("2026-11-16T23:59:59", 0), ("2026-11-17T00:00:01", 0), ("2026-11-17T23:59:59", 0)],
        [("2026-11-16", 1), ("2026-11-17", 2), None],
    ),
    "sent before midnight, received after a younger one": (
        "app",
        [("2026-11-18T00:00:01", 0), ("2026-11-17T23:59:59", 0), ("2026-11-16T12:00:00", 0)],
        [("2026-11-18", 1), ("2026-11-17", 2), ("2026-11-16", 3)],
    ),
    "seven days late": (
        "app",
        [("2026-11-10T08:00:00", 0), ("2026-11-12T08:00:00", 0), ("2026-11-11T08:00:00", 0)],
        [("2026-11-10", 1), ("2026-11-12", 1), ("2026-11-11", 3)],
    ),
    "a day that starts at four": (
        "night",
        [
            ("2026-11-16T23:59:59", 0),
            ("2026-11-17T00:00:01", 0),
            ("2026-11-17T03:59:59", 0),
            ("2026-11-17T04:00:00", 0),
            ("2026-11-18T03:59:59", 0),
        ],
        [("2026-11-16", 1), None, None, ("2026-11-17", 2), None],
    ),
    "a new year": (
        "app",
        [("2025-12-31T23:59:59", 0), ("2026-01-01T00:00:00", 0)],
        [("2025-12-31", 1), ("2026-01-01", 2)],
    ),
    "a leap day": (
        "app",
        [("2024-02-28T23:59:59", 0), ("2024-02-29T12:00:00", 0), ("2024-03-01T00:00:01", 0)],
        [("2024-02-28", 1), ("2024-02-29", 2), ("2024-03-01", 3)],
    ),
    "a spring day of 23 hours": (
        "newyork",
        [
            ("2025-03-08T23:59:59", 0),
            ("2025-03-09T00:00:01", 0),
            ("2025-03-09T01:59:59", 0),
            ("2025-03-09T03:00:00", 0),
            ("2025-03-09T23:59:59", 0),
            ("2025-03-10T00:00:01", 0),
        ],
        [("2025-03-08", 1), ("2025-03-09", 2), None, None, None, ("2025-03-10", 3)],
    ),
    "an autumn day of 25 hours": (
        "newyork",
        [
            ("2025-11-01T23:59:59", 0),
            ("2025-11-02T00:00:01", 0),
            ("2025-11-02T01:30:00", 0),
            ("2025-11-02T01:30:00", 1),
            ("2025-11-02T23:59:59", 0),
            ("2025-11-03T00:00:01", 0),
        ],
        [("2025-11-01", 1), ("2025-11-02", 2), None, None, None, ("2025-11-03", 3)],
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_check_in_counts_on_the_day_it_was_sent_on(
    single: Running, records: Records, vendor: Sandbox, name: str
) -> None:
    channel, sent, expected = CASES[name]
    member = f"m{list(CASES).index(name)}"
    instants = [local(channel, text, fold) for text, fold in sent]
    async with Line(single.server.base) as line:
        for at in instants:
            callback = vendor.build_callback(channel, member, "签到", at=at)
            assert (await line.post(channel, callback)).status == 200
    drained = await records.drained(member=f"{channel}:{member}")

    done = [one for one in expected if one is not None]
    rows = sorted(drained.check_ins, key=lambda row: row["total"])  # in the order of arrival
    assert [(row["day"].isoformat(), row["streak"]) for row in rows] == done
    whens = [int(at.timestamp()) * 1000 for at, one in zip(instants, expected, strict=True) if one]
    assert [row["at_ms"] for row in rows] == whens
    paid = [row for row in drained.ledger if row["reason"] == "check_in"]
    assert sorted(row["day"].isoformat() for row in paid) == sorted(day for day, _ in done)
    bonus = [row["delta"] for row in drained.ledger if row["reason"] == "milestone"]
    assert bonus == ([10] if max(streak for _, streak in done) >= 3 else [])


async def test_messages_count_on_the_day_they_were_sent_on_also_after_younger_ones(
    single: Running, records: Records, vendor: Sandbox
) -> None:
    """In the autumn night the hour from one to two comes twice; both belong to the same day."""
    midnight = AUTUMN.astimezone(UTC)
    hours = [0, 1, 2, 24, 25, 26, -1]  # since midnight; the day has 25
    async with Line(single.server.base) as line:
        for hour in sorted(hours, reverse=True):
            at = midnight + timedelta(hours=hour, seconds=1)
            callback = vendor.build_callback("newyork", "counted", "没有人回答", at=at)
            assert (await line.post("newyork", callback)).status == 200
    drained = await records.drained(member="newyork:counted")
    counts = {row["day"].isoformat(): row["messages"] for row in drained.activity}
    assert counts == {"2025-11-01": 1, "2025-11-02": 4, "2025-11-03": 2}


async def test_the_answer_names_the_day_when_it_is_not_today(single: Running, vendor: Sandbox) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1, seconds=5)
    async with Line(single.server.base) as line:
        answer = await line.post("app", vendor.build_callback("app", "reader", "签到", at=yesterday))
    assert yesterday.astimezone(SHANGHAI).date().isoformat() in vendor.open_answer("app", answer.body)
