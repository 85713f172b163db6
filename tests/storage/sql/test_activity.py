from __future__ import annotations

from datetime import date, timedelta

import pytest

from bot.storage.sql.activity import ActivityHistory, ActivityRow, ActivityTotals
from bot.storage.sql.database import Database
from bot.storage.sql.drained import write_drained

DAY = date(2026, 5, 4)


def _row(group_id: str, member: str, days_ago: int) -> ActivityRow:
    counts = {"messages": 1 + days_ago, "check_ins": 1, "plays": 2, "events": 3, "last_at_ms": 5}
    return ActivityRow("milk", group_id, member, DAY - timedelta(days_ago), **counts)


ROWS = [
    _row(group, member, ago) for group in ("", "g1") for member in ("app:ana", "app:bo") for ago in (0, 6, 30)
]


@pytest.fixture
async def history(database: Database) -> ActivityHistory:
    await write_drained(database, [], ROWS)
    return ActivityHistory(database)


async def test_a_members_spans_are_summed_over_all_chats_both_ends_included(history: ActivityHistory) -> None:
    spans = [(DAY, DAY), (DAY - timedelta(6), DAY), (DAY - timedelta(29), DAY), (DAY, DAY - timedelta(1))]
    totals = await history.of_member("milk", "app:ana", spans)
    assert totals == (
        ActivityTotals(messages=2, check_ins=2, plays=4, events=6),
        ActivityTotals(messages=16, check_ins=4, plays=8, events=12),
        ActivityTotals(messages=16, check_ins=4, plays=8, events=12),
        ActivityTotals(),
    )
    assert await history.of_member("milk", "app:nobody", spans[:1]) == (ActivityTotals(),)
    assert await history.of_member("milk", "app:ana", []) == ()


async def test_rows_of_days_can_be_narrowed_to_a_chat_and_a_member(history: ActivityHistory) -> None:
    async def found(**filters: str) -> list[ActivityRow]:
        chunks = [chunk async for chunk in history.days("milk", DAY - timedelta(6), DAY, **filters)]
        return [row for chunk in chunks for row in chunk]

    in_span = [row for row in ROWS if row.day >= DAY - timedelta(6)]
    by_day = sorted(in_span, key=lambda row: (row.day, row.group_id, row.member))
    assert await found() == by_day
    assert await found(group_id="") == [row for row in by_day if row.group_id == ""]
    assert await found(member="app:bo") == [row for row in by_day if row.member == "app:bo"]
    assert await found(group_id="g1", member="app:bo") == [
        row for row in by_day if (row.group_id, row.member) == ("g1", "app:bo")
    ]


async def test_a_stream_holds_every_row_of_the_community(history: ActivityHistory) -> None:
    chunks = [chunk async for chunk in history.stream("milk")]
    assert [row for chunk in chunks for row in chunk] == sorted(
        ROWS, key=lambda row: (row.group_id, row.member, row.day)
    )
    assert [chunk async for chunk in history.stream("tea")] == []
