from __future__ import annotations

from datetime import date

from bot.storage.sql.check_ins import CheckInHistory
from bot.storage.sql.database import Database
from bot.storage.sql.drained import write_drained
from tests.storage.sql.entry_makers import check_in_entry


async def test_a_members_days_come_in_order_both_ends_included(database: Database) -> None:
    days = ["2026-05-06", "2026-05-04", "2026-05-05", "2026-05-07", "2026-04-30"]
    entries = [check_in_entry(n, day=day) for n, day in enumerate(days)]
    await write_drained(database, [*entries, check_in_entry(9, member="app:bo")], [])
    history = CheckInHistory(database)
    found = await history.of_member("milk", "app:ana", date(2026, 5, 4), date(2026, 5, 6))
    assert [check_in.day.day for check_in in found] == [4, 5, 6]
    assert await history.of_member("tea", "app:ana", date(2026, 5, 4), date(2026, 5, 6)) == ()


async def test_the_first_check_in_of_a_day_stands(database: Database) -> None:
    await write_drained(database, [check_in_entry(1, points="20")], [])
    await write_drained(database, [check_in_entry(2, points="99")], [])
    [chunk] = [chunk async for chunk in CheckInHistory(database).stream("milk")]
    assert [check_in.points for check_in in chunk] == [20]


async def test_a_stream_goes_by_member_and_day(database: Database) -> None:
    keys = [(f"app:{n % 300:03d}", f"2026-05-0{n // 300 + 1}") for n in range(900)]
    entries = [check_in_entry(n, member=member, day=day) for n, (member, day) in enumerate(keys)]
    await write_drained(database, entries, [])
    chunks = [chunk async for chunk in CheckInHistory(database).stream("milk")]
    assert len(chunks) > 1
    assert [(one.member, one.day.isoformat()) for chunk in chunks for one in chunk] == sorted(keys)
