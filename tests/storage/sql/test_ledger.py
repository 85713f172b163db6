from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import RefusedError
from bot.model import LedgerEntry
from bot.storage.sql.database import Database
from bot.storage.sql.drained import write_drained
from bot.storage.sql.ledger import LedgerHistory, MemberSum
from bot.storage.sql.pages import encode_cursor
from tests.storage.sql.entry_makers import ledger_entry
from tests.storage.sql.rows import clear

AT_MS = 1_777_852_800_000


async def _all_pages(history: LedgerHistory, limit: int) -> list[LedgerEntry]:
    found: list[LedgerEntry] = []
    cursor = None
    while True:
        page = await history.page("milk", limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def _sums(history: LedgerHistory, *communities: str) -> dict[tuple[str, str], tuple[int, int]]:
    chunks = [chunk async for chunk in history.sums(communities)]
    return {(one.community, one.member): (one.points, one.gained) for chunk in chunks for one in chunk}


async def test_a_page_holds_the_newest_entries_of_the_community_only(database: Database) -> None:
    await write_drained(database, [ledger_entry(n) for n in range(5)], [])
    await write_drained(database, [ledger_entry(9, community="tea")], [])
    page = await LedgerHistory(database).page("milk", limit=3)
    assert [entry.at_ms - AT_MS for entry in page.items] == [4, 3, 2]
    assert page.next_cursor is not None
    rest = await LedgerHistory(database).page("milk", limit=3, cursor=page.next_cursor)
    assert [entry.at_ms - AT_MS for entry in rest.items] == [1, 0]
    assert rest.next_cursor is None


async def test_entries_of_one_instant_keep_the_order_in_which_they_were_made(database: Database) -> None:
    entries = [ledger_entry(n, at_ms=str(AT_MS), note=str(n)) for n in (11, 9, 10, 2)]
    await write_drained(database, entries, [])
    found = await _all_pages(LedgerHistory(database), limit=1)
    assert [entry.note for entry in found] == ["11", "10", "9", "2"]


async def test_a_page_can_be_narrowed_by_member_reason_and_time(database: Database) -> None:
    entries = [
        ledger_entry(1),
        ledger_entry(2, member="app:bo"),
        ledger_entry(3, reason="grant"),
        ledger_entry(4),
    ]
    await write_drained(database, entries, [])
    history = LedgerHistory(database)

    async def places(**filters: Any) -> list[int]:
        page = await history.page("milk", **filters)
        return [entry.at_ms - AT_MS for entry in page.items]

    assert await places(member="app:ana") == [4, 3, 1]
    assert await places(member="app:ana", reason="check_in") == [4, 1]
    assert await places(reason="grant") == [3]
    assert await places(since_ms=AT_MS + 2, until_ms=AT_MS + 4) == [3, 2]
    assert await places(since_ms=-(10**30), until_ms=10**30) == [4, 3, 2, 1]
    assert await places(member="nobody") == []


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "天",
        "bm90anNvbg",
        encode_cursor(1, 2),
        encode_cursor("1", 2, "3"),
        encode_cursor(1, 2, 3),
        "e30",
    ],
)
async def test_a_cursor_of_no_page_of_ours_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(RefusedError, match="cursor"):
        await LedgerHistory(database).page("milk", cursor=cursor)


async def test_a_cursor_may_hold_any_text(database: Database) -> None:
    await write_drained(database, [ledger_entry(1)], [])
    page = await LedgerHistory(database).page("milk", cursor=encode_cursor(2**63 - 1, 0, "\x00'"))
    assert len(page.items) == 1


async def test_a_page_of_nothing_is_a_fault_of_the_caller(database: Database) -> None:
    with pytest.raises(ValueError, match="one item or more"):
        await LedgerHistory(database).page("milk", limit=0)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    instants=st.lists(st.integers(0, 4), max_size=25),
    late=st.lists(st.integers(0, 5), max_size=3),
    limit=st.integers(1, 8),
)
async def test_the_pages_are_the_whole_list_also_when_entries_arrive_meanwhile(
    database: Database, instants: list[int], late: list[int], limit: int
) -> None:
    """What was there at the first page is seen once, in order; what came later may be seen, once."""
    await clear(database)
    history = LedgerHistory(database)
    entries = [ledger_entry(n, at_ms=str(at)) for n, at in enumerate(instants)]
    await write_drained(database, entries, [])
    whole = [entry.id for entry in await _all_pages(history, limit=1000)]
    by_place = sorted(range(len(instants)), key=lambda n: (instants[n], n), reverse=True)
    assert whole == [entries[n].id for n in by_place]

    page = await history.page("milk", limit=limit)
    found = [entry.id for entry in page.items]
    for number, at in enumerate(late):
        await write_drained(database, [ledger_entry(100 + number, at_ms=str(at))], [])
        if page.next_cursor is None:
            break
        page = await history.page("milk", limit=limit, cursor=page.next_cursor)
        found += [entry.id for entry in page.items]
    while page.next_cursor is not None:
        page = await history.page("milk", limit=limit, cursor=page.next_cursor)
        found += [entry.id for entry in page.items]

    assert [entry for entry in found if entry in whole] == whole
    assert len(set(found)) == len(found)


async def test_a_cause_leads_to_all_its_entries(database: Database) -> None:
    both = [ledger_entry(9, cause="e1"), ledger_entry(10, cause="e1", reason="milestone")]
    await write_drained(
        database, [*both, ledger_entry(11), ledger_entry(12, cause="e1", community="tea")], []
    )
    found = await LedgerHistory(database).by_cause("milk", "e1")
    assert [entry.reason for entry in found] == ["check_in", "milestone"]
    assert await LedgerHistory(database).by_cause("milk", "e2") == ()


async def test_an_entry_nobody_wrote_is_not_found(database: Database) -> None:
    assert await LedgerHistory(database).get("07-1-1") is None


async def test_the_sums_are_the_balances_of_every_member(database: Database) -> None:
    entries = [ledger_entry(n, member=f"app:{n % 700}", delta=str(n % 5 - 7)) for n in range(1500)]
    await write_drained(database, [*entries, ledger_entry(1500, community="tea", delta="3")], [])
    history = LedgerHistory(database)
    expected: dict[tuple[str, str], tuple[int, int]] = {}
    for n in range(1500):
        points, gained = expected.get(("milk", f"app:{n % 700}"), (0, 0))
        expected["milk", f"app:{n % 700}"] = (points + n % 5 - 7, gained)
    assert await _sums(history, "milk") == expected
    assert await _sums(history, "tea", "nobody") == {("tea", "app:ana"): (3, 3)}
    assert await _sums(history) == {}


async def test_sums_between_days_include_both_ends(database: Database) -> None:
    days = ["2026-05-03", "2026-05-04", "2026-05-06", "2026-05-07"]
    deltas = ["1", "10", "-4", "1000"]
    await write_drained(
        database, [ledger_entry(n, day=days[n], delta=deltas[n]) for n in range(len(days))], []
    )
    history = LedgerHistory(database)
    chunks = [chunk async for chunk in history.sums_between("milk", date(2026, 5, 4), date(2026, 5, 6))]
    assert chunks == [(MemberSum("milk", "app:ana", points=6, gained=10),)]


async def test_a_sum_may_pass_what_a_float_can_hold(database: Database) -> None:
    entries = [ledger_entry(n, delta=str(2**61 - 1)) for n in range(2)]
    await write_drained(database, entries, [])
    assert await _sums(LedgerHistory(database), "milk") == {("milk", "app:ana"): (2**62 - 2, 2**62 - 2)}


async def test_a_stream_tells_the_whole_story_oldest_first_since_an_instant(database: Database) -> None:
    await write_drained(database, [ledger_entry(n) for n in range(1200)], [])
    history = LedgerHistory(database)
    chunks = [chunk async for chunk in history.stream("milk", since_ms=AT_MS + 100)]
    assert len(chunks) > 1
    assert [row.entry.at_ms - AT_MS for chunk in chunks for row in chunk] == list(range(100, 1200))


async def test_streams_broken_off_leave_the_database_usable(database: Database) -> None:
    await write_drained(database, [ledger_entry(n) for n in range(1200)], [])
    history = LedgerHistory(database)
    for _ in range(20):  # more often than there are connections
        async for chunk in history.stream("milk"):
            assert len(chunk) == 500
            break
    assert (await history.page("milk")).items
