from __future__ import annotations

from dataclasses import replace

from bot.model import CheckInRules
from bot.storage.redis.check_ins import day_results_key
from bot.storage.redis.points import Span
from tests.storage.live import MILK, NOW_MS, RULES, Live, at_once, day, event


async def test_fifty_messages_at_once_check_a_member_in_once_and_pay_once(processes: list[Live]) -> None:
    results = await at_once(processes[number % 4].check_in(event()) for number in range(50))
    live = processes[0]
    assert [result.done for result in results].count(True) == 1
    assert {(result.streak, result.total, result.rank, result.balance) for result in results} == {
        (1, 1, 1, 10)
    }
    assert await live.balance() == 10
    assert len(await live.outbox("ledger")) == len(await live.outbox("check_in")) == 1
    counters = await live.members.counters("milk", "app:ana", live.calendar.day(day(0)))
    assert counters.check_ins == 1


async def test_fifty_deliveries_of_one_message_at_once_all_get_the_result_of_the_first(
    processes: list[Live],
) -> None:
    same = event()
    results = await at_once(processes[number % 4].check_in(same) for number in range(50))
    assert len(set(results)) == 1
    assert results[0].done
    assert len(await processes[0].outbox("ledger")) == 1


async def test_fifty_members_at_once_get_fifty_ranks_and_the_boards_sum_them(processes: list[Live]) -> None:
    results = await at_once(processes[number % 4].check_in(event(f"u{number}")) for number in range(50))
    live = processes[0]
    assert sorted(result.rank for result in results) == list(range(1, 51))
    for span in Span:
        rows = await live.points.ranking("milk", span, live.calendar.day(day(0)), most=100)
        assert [(row.place, row.points) for row in rows] == [(1, 10)] * 50


async def test_days_in_any_order_make_one_streak_and_each_milestone_is_paid_once(live: Live) -> None:
    """The days 5 to 1 with a gap at 3, which a late message closes: 2 + 1 + 2 days."""
    results = [await live.check_in(event(day=day(back))) for back in (5, 4, 2, 1, 3)]
    assert [result.streak for result in results] == [1, 2, 1, 2, 5]
    assert [result.bonus for result in results] == [0, 0, 0, 0, 10]
    assert [result.total for result in results] == [1, 2, 3, 4, 5]
    assert (await live.check_in(event(day=day(0)))).bonus == 0
    result = await live.check_in(event(day=day(6)))
    assert (result.streak, result.bonus, result.points, result.balance) == (7, 30, 40, 110)


async def test_closing_a_gap_can_reach_two_milestones_at_once(live: Live) -> None:
    for back in (7, 6, 4, 3, 2):
        await live.check_in(event(day=day(back)))
    await live.check_in(event(day=day(1)))
    result = await live.check_in(event(day=day(5)))
    assert (result.streak, result.bonus) == (7, 30)
    reasons = [(entry["reason"], entry["rule"]) for entry in await live.outbox("ledger")]
    assert reasons.count(("milestone", "streak:3")) == 1
    assert reasons.count(("milestone", "streak:7")) == 1


async def test_a_streak_crosses_the_edge_of_stored_blocks_and_of_years(live: Live) -> None:
    start = day(0).replace(year=2025, month=12, day=1)
    for number in range(45):
        when = start.fromordinal(start.toordinal() + number)
        result = await live.check_in(event(day=when))
        assert (result.streak, result.total) == (number + 1, number + 1)
    last = start.fromordinal(start.toordinal() + 44)
    assert await live.check_ins.streak("milk", "app:ana", live.calendar.day(last)) == 45
    assert len(await live.check_ins.days("milk", "app:ana", start, last)) == 45


async def test_a_late_message_is_paid_on_the_boards_of_its_own_day(live: Live) -> None:
    late = event(day=day(6))
    await live.check_in(late)
    today, then = live.calendar.day(day(0)), live.calendar.day(day(6))
    assert await live.points.place("milk", Span.DAY, today, "app:ana") is None
    placed = await live.points.place("milk", Span.DAY, then, "app:ana")
    assert placed is not None
    assert placed.points == 10
    [entry] = await live.outbox("ledger")
    assert (entry["day"], entry["at_ms"]) == (day(6).isoformat(), str(late.sent_at_ms))


async def test_when_the_results_of_a_day_are_no_longer_kept_the_calendar_still_knows(live: Live) -> None:
    for back in (9, 8):
        await live.check_in(event(day=day(back)))
    await live.redis.call("DEL", day_results_key(live.keys, "milk", day(9).isoformat()))
    result = await live.check_in(event(day=day(9)))
    assert (result.done, result.streak, result.total, result.rank) == (False, 2, 2, 0)
    assert (result.points, result.balance) == (0, 20)


async def test_a_check_in_that_is_worth_nothing_is_still_one(live: Live) -> None:
    free = replace(live, community=replace(MILK, check_in=CheckInRules(points=0, milestones=())))
    result = await free.check_in(event())
    assert (result.done, result.streak, result.points, result.balance) == (True, 1, 0, 0)
    assert await free.outbox("ledger") == []
    assert len(await free.outbox("check_in")) == 1
    assert not (await free.check_in(event())).done


async def test_the_rank_of_the_day_does_not_count_days_made_up(live: Live) -> None:
    await live.grant("app:bob", 100)
    made_up = await live.make_up(event("bob"))
    assert made_up.day == day(1)
    assert (await live.check_in(event("ana", day=day(1)))).rank == 1


async def test_the_outbox_tells_all_of_a_check_in(live: Live) -> None:
    for back in (2, 1):
        await live.check_in(event(day=day(back)))
    happened = event()
    await live.check_in(happened)
    entries = (await live.outbox())[-3:]
    common = {"community": "milk", "member": "app:ana", "cause": happened.id, "day": day(0).isoformat()}
    common["at_ms"] = str(happened.sent_at_ms)
    ledger = {"operator": "", "note": "", "round": "", "reverses": "", **common}
    assert entries == [
        {"kind": "ledger", "delta": "10", "reason": "check_in", "balance": "30", "rule": "", **ledger},
        {"kind": "ledger", "delta": "10", "reason": "milestone", "balance": "40", "rule": "streak:3"}
        | ledger,
        {"kind": "check_in", "streak": "3", "total": "3", "rank": "1", "points": "20", "made_up": "0"}
        | common,
    ]


async def test_large_numbers_stay_whole(live: Live) -> None:
    most = 1_000_000_000
    rich = replace(live, community=replace(MILK, check_in=replace(RULES, points=most)))
    for _ in range(4):
        await rich.grant("app:ana", most)
    result = await rich.check_in(event(at_ms=NOW_MS))
    assert (result.points, result.balance) == (most, 5 * most)
    placed = await rich.points.place("milk", Span.ALL, rich.calendar.day(day(0)), "app:ana")
    assert placed is not None
    assert placed.points == 5 * most
