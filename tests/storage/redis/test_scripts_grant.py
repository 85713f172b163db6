from __future__ import annotations

import pytest

from bot.errors import RefusedError
from bot.storage.redis.points import MOST_POINTS, Granted, Placed, Span
from tests.storage.live import Live, at_once, day


async def test_the_same_order_fifty_times_at_once_has_one_effect(processes: list[Live]) -> None:
    results = await at_once(
        processes[number % 4].grant("app:ana", 7, cause="api:same") for number in range(50)
    )
    assert [result.again for result in results].count(False) == 1
    assert {result.balance for result in results} == {7}
    assert await processes[0].balance() == 7
    assert len(await processes[0].outbox("ledger")) == 1


async def test_one_cause_may_pay_several_members(live: Live) -> None:
    for member in ("app:ana", "app:bob"):
        assert await live.grant(member, 5, cause="api:prize") == Granted(5, again=False)


async def test_fifty_takers_at_once_never_bring_a_balance_below_zero(processes: list[Live]) -> None:
    live = processes[0]
    await live.grant("app:ana", 105)

    async def take(number: int) -> bool:
        try:
            await processes[number % 4].grant("app:ana", -10)
        except RefusedError:
            return False
        return True

    assert (await at_once(take(number) for number in range(50))).count(True) == 10
    assert await live.balance() == 5


async def test_an_order_that_was_refused_may_be_carried_out_later(live: Live) -> None:
    with pytest.raises(RefusedError, match="has 0 points"):
        await live.grant("app:ana", -10, cause="api:1")
    await live.grant("app:ana", 10)
    assert await live.grant("app:ana", -10, cause="api:1") == Granted(0, again=False)


async def test_an_entry_is_taken_back_once_whoever_orders_it(processes: list[Live]) -> None:
    """And even below zero, when the points were spent meanwhile."""
    live = processes[0]
    await live.grant("app:ana", 30)
    await live.grant("app:ana", -20)
    results = await at_once(
        processes[number % 4].grant("app:ana", -30, reverses="03-1-0") for number in range(50)
    )
    assert [result.again for result in results].count(False) == 1
    assert await live.balance() == -20
    assert [entry["reverses"] for entry in await live.outbox("ledger")] == ["", "", "03-1-0"]


@pytest.mark.parametrize("delta", [0, MOST_POINTS + 1, -MOST_POINTS - 1])
async def test_no_points_and_too_many_are_refused(live: Live, delta: int) -> None:
    with pytest.raises(RefusedError, match="whole number from 1"):
        await live.grant("app:ana", delta)


async def test_rankings_show_the_best_first_and_nobody_at_or_below_zero(live: Live) -> None:
    for member, delta in (("app:ana", 20), ("app:bob", 30), ("app:cyd", 20), ("app:dan", 5)):
        await live.grant(member, delta)
    await live.grant("app:dan", -5)
    await live.grant("app:eve", -1, reverses="03-1-0")
    today = live.calendar.day(day(0))
    for span in Span:
        rows = await live.points.ranking("milk", span, today)
        assert rows == [Placed(1, "app:bob", 30), Placed(2, "app:cyd", 20), Placed(2, "app:ana", 20)]
    assert await live.points.place("milk", Span.WEEK, today, "app:ana") == Placed(2, "app:ana", 20)
    assert await live.points.place("milk", Span.WEEK, today, "app:dan") is None


async def test_what_was_written_with_an_order_arrives_in_the_ledger(live: Live) -> None:
    note = '晒单 ✓ "quoted" \\ \n第二行'
    await live.grant("app:ana", 5, cause="api:1", note=note)
    [entry] = await live.outbox("ledger")
    assert entry["note"] == note
    assert (entry["operator"], entry["delta"], entry["balance"]) == ("token:ops", "5", "5")
