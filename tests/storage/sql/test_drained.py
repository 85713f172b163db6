from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.storage.sql.activity import ActivityHistory, ActivityRow
from bot.storage.sql.check_ins import CheckInHistory
from bot.storage.sql.database import Database
from bot.storage.sql.deliveries import DeliveryHistory
from bot.storage.sql.drained import DrainedEntry, read_faults, write_drained
from bot.storage.sql.ledger import LedgerHistory
from bot.storage.sql.members import Member, MemberHistory
from tests.storage.sql.entry_makers import (
    check_in_entry,
    delivery_entry,
    ledger_entry,
    member_entry,
    move_entry,
    round_entry,
)
from tests.storage.sql.rows import clear, everything

DAY = date(2026, 5, 4)


def _counted(member: str = "app:ana", **fields: int) -> ActivityRow:
    counts = {"messages": 1, "check_ins": 0, "plays": 0, "events": 0, "last_at_ms": 1000} | fields
    return ActivityRow("milk", "", member, DAY, **counts)


async def test_an_entry_handed_over_twice_is_written_once(database: Database) -> None:
    batch = [ledger_entry(1), check_in_entry(2), member_entry(3), delivery_entry(4)]
    batch += [round_entry(5), move_entry(6)]
    assert await write_drained(database, batch, [_counted()]) == 0
    once = await everything(database)
    assert await write_drained(database, batch, [_counted()]) == 0
    assert await everything(database) == once
    assert {name: len(rows) for name, rows in once.items() if rows} == {
        "ledger": 1,
        "check_ins": 1,
        "members": 1,
        "deliveries": 1,
        "rounds": 1,
        "round_moves": 1,
        "activity": 1,
    }


async def test_nothing_to_write_asks_nothing_of_the_database(database: Database) -> None:
    await database.close()
    assert await write_drained(database, [], []) == 0


async def test_all_fields_of_a_ledger_entry_arrive(database: Database) -> None:
    fields = {
        "delta": "-50",
        "reason": "reversal",
        "cause": "api:7",
        "balance": "-9000000000000000000",
        "rule": "check_in.points",
        "operator": "app:boss",
        "note": "改正 ✓",
        "round": "r1",
        "reverses": "07-1-1",
    }
    await write_drained(database, [ledger_entry(5, **fields)], [])
    history = LedgerHistory(database)
    [chunk] = [chunk async for chunk in history.stream("milk")]
    [row] = chunk
    assert row.balance_after == -9_000_000_000_000_000_000
    assert row.day == DAY
    assert row.entry.id == "07-1777852800000-5"
    assert (row.entry.delta, row.entry.reason, row.entry.cause) == (-50, "reversal", "api:7")
    assert (row.entry.rule, row.entry.operator, row.entry.note) == ("check_in.points", "app:boss", "改正 ✓")
    assert (row.entry.round, row.entry.reverses) == ("r1", "07-1-1")
    assert await history.get(row.entry.id) == row.entry


async def test_all_fields_of_a_check_in_arrive(database: Database) -> None:
    await write_drained(database, [check_in_entry(1, made_up="1", rank="0")], [])
    [check_in] = await CheckInHistory(database).of_member("milk", "app:ana", DAY, DAY)
    assert check_in.made_up is True
    assert (check_in.streak, check_in.total, check_in.rank, check_in.points) == (3, 12, 0, 20)
    assert (check_in.day, check_in.at_ms, check_in.cause) == (DAY, 1_777_852_800_001, "app:ana:1")


async def test_an_older_state_never_replaces_a_newer_one(database: Database) -> None:
    """A drain that died may come back with what another has overtaken."""
    left = member_entry(20, left_at_ms="1777852900000", name="安娜二")
    await write_drained(database, [left, delivery_entry(21, state="delivered", next_part="1")], [])
    await write_drained(database, [member_entry(3), delivery_entry(4)], [])

    member = await MemberHistory(database).get("milk", "app:ana")
    assert member is not None
    assert (member.name, member.left_at_ms) == ("安娜二", 1_777_852_900_000)
    delivery = await DeliveryHistory(database).get("d1")
    assert delivery is not None
    assert (delivery.state, delivery.next_part) == ("delivered", 1)


async def test_the_order_of_a_stream_is_by_number_not_by_letter(database: Database) -> None:
    """Sequence number 10 follows 9, and a later millisecond follows both."""
    states = [delivery_entry(9), delivery_entry(10, state="dead", reason="45015")]
    await write_drained(database, states[::-1], [])
    found = await DeliveryHistory(database).get("d1")
    assert found is not None
    assert (found.state, found.reason) == ("dead", "45015")

    later = delivery_entry(0, state="delivered")
    later = DrainedEntry("07-1777852800001-0", later.kind, later.fields)
    await write_drained(database, [later], [])
    await write_drained(database, states, [])
    found = await DeliveryHistory(database).get("d1")
    assert found is not None
    assert found.state == "delivered"


async def test_who_comes_back_is_a_member_again(database: Database) -> None:
    await write_drained(database, [member_entry(1, left_at_ms="5")], [])
    await write_drained(database, [member_entry(2, joins="2")], [])
    member = await MemberHistory(database).get("milk", "app:ana")
    assert member is not None
    assert (member.left_at_ms, member.joins) == (None, 2)


async def test_what_is_unknown_of_a_member_stays_unknown(database: Database) -> None:
    await write_drained(database, [member_entry(1, joined_at_ms="", joins="", name="")], [])
    assert await MemberHistory(database).get("milk", "app:ana") == Member(
        "milk", "app:ana", "app", "ana", "", None, None, 0, None, None
    )


async def test_activity_makes_a_member_known_and_says_when_they_were_seen(database: Database) -> None:
    counted = [_counted("app:a:b", last_at_ms=500), _counted("app:a:b", last_at_ms=300)]
    await write_drained(database, [], counted)
    await write_drained(database, [member_entry(1, member="app:a:b", user_id="a:b")], [])
    member = await MemberHistory(database).get("milk", "app:a:b")
    assert member is not None
    assert (member.channel, member.user_id, member.name) == ("app", "a:b", "安娜")
    assert (member.first_seen_ms, member.last_seen_ms) == (300, 500)


async def test_counters_keep_their_greatest_value(database: Database) -> None:
    """A reading that was overtaken, or a Redis that lost its memory, cannot lower them."""
    await write_drained(database, [], [_counted(messages=5, plays=1, last_at_ms=900)])
    await write_drained(database, [], [_counted(messages=3, plays=2, last_at_ms=800)])
    [chunk] = [chunk async for chunk in ActivityHistory(database).stream("milk")]
    assert chunk == (_counted(messages=5, plays=2, last_at_ms=900),)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (ledger_entry(1, delta="ten"), "delta: not a whole number of 64 bits"),
        (ledger_entry(1, delta="1_0"), "delta: not a whole number of 64 bits"),
        (ledger_entry(1, delta="١"), "delta: not a whole number of 64 bits"),
        (ledger_entry(1, delta=""), "delta: not a whole number of 64 bits"),
        (ledger_entry(1, balance="9223372036854775808"), "balance: not a whole number of 64 bits"),
        (ledger_entry(1, delta="0"), "delta: nothing changed"),
        (ledger_entry(1, day="2026-02-30"), "day: not a day YYYY-MM-DD"),
        (ledger_entry(1, day="20260504"), "day: not a day YYYY-MM-DD"),
        (ledger_entry(1, member=""), "member: empty"),
        (ledger_entry(1, cause="测" * 171), "cause: longer than 512 bytes"),
        (check_in_entry(1, made_up="yes"), "made_up: neither 0 nor 1"),
        (delivery_entry(1, state="lost"), "state: unknown"),
        (round_entry(1, state="lost"), "state: unknown"),
        (round_entry(1, once="2"), "once: neither 0 nor 1"),
        (round_entry(1, pot="much"), "pot: not a whole number of 64 bits"),
        (round_entry(1, shares="10 much"), "shares: not whole numbers"),
        (round_entry(1, day=""), "day: not a day YYYY-MM-DD"),
        (move_entry(1, number=""), "number: not a whole number of 64 bits"),
        (move_entry(1, member=""), "member: empty"),
        (DrainedEntry("07-1-1", "gift", {}), "kind: unknown"),
        (DrainedEntry("07-1-1", "ledger", {}), "delta: missing"),
        (DrainedEntry("seven", "ledger", ledger_entry(1).fields), "id: not <shard>-<stream id>"),
        (DrainedEntry("07-9999999999999-1", "ledger", ledger_entry(1).fields), "id: not <shard>-<stream id>"),
    ],
)
async def test_an_entry_that_cannot_be_read_is_kept_aside_and_stops_nothing(
    database: Database, entry: DrainedEntry, problem: str
) -> None:
    assert await write_drained(database, [entry, ledger_entry(2)], []) == 1
    [fault] = await read_faults(database)
    assert (fault.id, fault.problem) == (entry.id, problem)
    assert json.loads(fault.raw) == {"kind": entry.kind, "fields": dict(entry.fields)}
    assert await LedgerHistory(database).get(ledger_entry(2).id) is not None

    assert await write_drained(database, [entry], []) == 1
    assert len(await read_faults(database)) == 1


async def test_counters_of_a_member_with_an_endless_id_are_kept_aside(database: Database) -> None:
    endless = _counted("app:" + "x" * 3000)
    assert await write_drained(database, [], [endless, endless, _counted()]) == 2
    [fault] = await read_faults(database)
    assert fault.problem == "an id: longer than 512 bytes"
    assert json.loads(fault.raw)["member"] == endless.member


async def test_no_text_of_a_person_can_stop_the_drain(database: Database) -> None:
    """PostgreSQL takes no NUL, UTF-8 no half of a surrogate pair; a ledger entry is not given up for that."""
    note = "a\x00b\ud800c"
    batch = [
        ledger_entry(1, note=note, cause="api:\x00"),
        member_entry(2, name=note + "长" * 1000),
        delivery_entry(3, parts=note, reason=note),
        DrainedEntry("07-1-1", "ledger\x00", {"\x00": "\ud800"}),
    ]
    assert await write_drained(database, batch, []) == 1
    history = LedgerHistory(database)
    entry = await history.get(ledger_entry(1).id)
    assert entry is not None
    assert (entry.note, entry.cause) == ("a\ufffdb\ufffdc", "api:\ufffd")
    assert await history.by_cause("milk", "api:\x00") == (entry,)
    member = await MemberHistory(database).get("milk", "app:ana")
    assert member is not None
    assert len(member.name) == 128


_communities = st.sampled_from(["milk", "tea"])
_members = st.sampled_from(["app:ana", "app:bo", "oa:ana"])
_days = st.integers(0, 3).map(lambda days: (DAY + timedelta(days)).isoformat())
_amounts = st.integers(-3, 3).map(str)  # 0 is malformed in a ledger


@st.composite
def _streams(draw: st.DrawFn) -> list[DrainedEntry]:
    """One outbox: entries of all kinds, in order, over few members, so that they meet."""
    return [_draw_entry(draw, number) for number in range(draw(st.integers(1, 14)))]


def _draw_entry(draw: st.DrawFn, number: int) -> DrainedEntry:
    whose = {"community": draw(_communities), "member": draw(_members)}
    match draw(st.sampled_from(["ledger", "check_in", "member", "delivery", "round", "move", "unheard of"])):
        case "ledger":
            return ledger_entry(number, **whose, delta=draw(_amounts))
        case "check_in":
            return check_in_entry(number, **whose, day=draw(_days))
        case "member":
            return member_entry(number, **whose, joins=draw(_amounts), name=draw(_members))
        case "delivery":
            return delivery_entry(number, id=draw(st.sampled_from(["d1", "d2"])), attempts=draw(_amounts))
        case "round":
            return round_entry(number, id=draw(st.sampled_from(["r1", "r2"])), pot=draw(_amounts))
        case "move":
            return move_entry(number, number=draw(st.integers(0, 2).map(str)), member=whose["member"])
        case kind:
            return DrainedEntry(f"07-1777852800000-{number}", kind, whose)


_readings = st.lists(
    st.builds(
        ActivityRow,
        community=_communities,
        group_id=st.sampled_from(["", "g1"]),
        member=_members,
        day=st.just(DAY),
        messages=st.integers(0, 9),
        check_ins=st.integers(0, 1),
        plays=st.integers(0, 9),
        events=st.integers(0, 9),
        last_at_ms=st.integers(0, 99),
    ),
    max_size=6,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(entries=_streams(), readings=_readings, data=st.data())
async def test_drained_in_any_pieces_any_number_of_times_is_drained_once(
    database: Database, entries: list[DrainedEntry], readings: list[ActivityRow], data: st.DataObject
) -> None:
    """A drain goes on from where the deletions stand, which may be anywhere before where the writes stand."""
    await clear(database)
    await write_drained(database, entries, readings)
    once = await everything(database)

    await clear(database)
    written = 0
    while written < len(entries):
        start = data.draw(st.integers(0, written), label="start")
        end = data.draw(st.integers(written + 1, len(entries)), label="end")
        again = data.draw(st.permutations(readings), label="readings")
        await write_drained(database, entries[start:end], again)
        written = end
    assert await everything(database) == once
