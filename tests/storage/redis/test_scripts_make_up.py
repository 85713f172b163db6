from __future__ import annotations

from dataclasses import replace

from bot.storage.redis.check_ins import CardRefused, MadeUp
from bot.storage.redis.points import Span
from tests.storage.live import MILK, RULES, Live, at_once, day, event


async def test_fifty_deliveries_of_one_event_at_once_use_one_card(processes: list[Live]) -> None:
    live = processes[0]
    await live.grant("app:ana", 100)
    same = event()
    results = await at_once(processes[number % 4].make_up(same) for number in range(50))
    assert set(results) == {MadeUp(None, day(1), streak=1, total=1, cost=20, balance=80)}
    assert await live.balance() == 80
    assert len(await live.outbox("check_in")) == 1


async def test_fifty_events_at_once_use_no_more_cards_than_the_month_allows(processes: list[Live]) -> None:
    live = processes[0]
    await live.grant("app:ana", 1000)
    results = await at_once(processes[number % 4].make_up(event()) for number in range(50))
    done = [result for result in results if result.refused is None]
    assert {result.day for result in done} == {day(1), day(2), day(3)}
    assert all(result.limit == 3 for result in results if result.refused is CardRefused.MONTH_LIMIT)
    # Three days made up are a streak of three: 10 points of milestone for 3 cards of 20.
    assert await live.balance() == 1000 - 3 * 20 + 10
    assert len(await live.outbox("check_in")) == 3


async def test_fifty_events_at_once_spend_no_more_than_there_is(processes: list[Live]) -> None:
    live = processes[0]
    await live.grant("app:ana", 50)
    unlimited = [
        replace(one, community=replace(MILK, check_in=replace(RULES, make_up_per_month=31, milestones=())))
        for one in processes
    ]
    results = await at_once(unlimited[number % 4].make_up(event()) for number in range(50))
    assert len([result for result in results if result.refused is None]) == 2
    poor = [result for result in results if result.refused is CardRefused.TOO_FEW_POINTS]
    assert {(result.cost, result.balance, result.day) for result in poor} == {(20, 10, day(3))}
    assert await live.balance() == 10


async def test_the_latest_missed_day_is_made_up_and_joins_the_days_around_it(live: Live) -> None:
    for back in (4, 3, 1, 0):
        await live.check_in(event(day=day(back)))
    result = await live.make_up(event())
    assert (result.day, result.streak, result.total) == (day(2), 5, 5)
    assert (result.cost, result.bonus, result.balance) == (20, 10, 40 - 20 + 10)
    assert not (await live.check_in(event(day=day(2)))).done


async def test_a_repeat_is_told_its_own_result_whatever_happened_since(live: Live) -> None:
    await live.grant("app:ana", 100)
    first_event = event()
    first = await live.make_up(first_event)
    await live.make_up(event())
    await live.grant("app:ana", 500)
    dearer = replace(live, community=replace(MILK, check_in=replace(RULES, make_up_cost=99)))
    assert await dearer.make_up(first_event) == first


async def test_nothing_missed_uses_no_card(live: Live) -> None:
    for back in range(8):
        await live.check_in(event(day=day(back)))
    assert (await live.make_up(event())).refused is CardRefused.NOTHING_MISSED
    off = replace(live, community=replace(MILK, check_in=replace(RULES, make_up_days_back=0)))
    assert (await off.make_up(event("bob"))).refused is CardRefused.NOTHING_MISSED


async def test_a_free_card_needs_no_points_not_even_those_that_a_reversal_took(live: Live) -> None:
    free = replace(live, community=replace(MILK, check_in=replace(RULES, make_up_cost=0)))
    await free.grant("app:ana", -5, reverses="00-1-0")
    result = await free.make_up(event())
    assert (result.refused, result.cost, result.balance) == (None, 0, -5)
    assert [entry["reason"] for entry in await free.outbox("ledger")] == ["reversal"]


async def test_cards_count_for_the_month_of_the_day_that_is_made_up(live: Live) -> None:
    """On the 2nd of a month, the 1st is this month's, the days before are the last one's."""
    await live.grant("app:ana", 1000)
    second = day(18)
    assert second.day == 2
    results = [await live.make_up(event(day=second)) for _ in range(5)]
    assert [result.day for result in results] == [day(19), day(20), day(21), day(22), day(23)]
    assert [result.refused for result in results] == [None] * 4 + [CardRefused.MONTH_LIMIT]


async def test_the_price_is_posted_on_the_day_of_the_message(live: Live) -> None:
    await live.grant("app:ana", 100)
    happened = event()
    await live.make_up(happened)
    [entry] = [entry for entry in await live.outbox("ledger") if entry["reason"] == "make_up"]
    assert (entry["delta"], entry["day"], entry["rule"], entry["cause"]) == (
        "-20",
        day(0).isoformat(),
        f"day:{day(1)}",
        happened.id,
    )
    placed = await live.points.place("milk", Span.DAY, live.calendar.day(day(0)), "app:ana")
    assert placed is not None
    assert placed.points == 80
    [check_in] = await live.outbox("check_in")
    assert (check_in["day"], check_in["made_up"], check_in["rank"]) == (day(1).isoformat(), "1", "0")
