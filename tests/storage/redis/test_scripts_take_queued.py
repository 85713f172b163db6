from __future__ import annotations

from bot.storage.redis.inbox import Standing, Taken
from tests.storage.live import DAY_MS, NOW_MS, Live, at_once, event

LEASE_MS = 15_000


async def _take(live: Live, number: int = 1, now_ms: int = NOW_MS) -> Taken:
    ticket = live.ticket(event(number=number))
    return await live.inbox.take_queued(ticket, now_ms, LEASE_MS, b"the event")


async def test_a_new_event_is_counted_acknowledged_and_leased_in_one_step(live: Live) -> None:
    taken = await _take(live)
    assert (taken.standing, taken.this_minute) == (Standing.NEW, 1)
    assert await live.late.take(NOW_MS + LEASE_MS - 1, LEASE_MS) == []
    [queued] = await live.late.take(NOW_MS + LEASE_MS, LEASE_MS)
    assert (queued.id, queued.event, queued.taken) == ("app:ana:1", b"the event", 1)


async def test_of_fifty_deliveries_at_once_one_is_new_and_it_counts_once(processes: list[Live]) -> None:
    taken = await at_once(_take(processes[number % 4]) for number in range(50))
    standings = [one.standing for one in taken]
    assert (standings.count(Standing.NEW), standings.count(Standing.DECIDED)) == (1, 49)
    ticket = processes[0].ticket(event(number=1))
    key = f"{processes[0].keys.prefix('milk')}day:{ticket.counters}"
    assert await processes[0].redis.call("HGET", key, "messages") == b"1"


async def test_a_repeat_after_the_event_was_finished_does_not_bring_it_back(live: Live) -> None:
    await _take(live)
    assert await live.late.finish("milk", "app:ana:1")
    assert (await _take(live)).standing is Standing.DECIDED
    assert (await _take(live, now_ms=NOW_MS + DAY_MS)).standing is Standing.OLD
    assert await live.late.take(NOW_MS + 2 * DAY_MS, LEASE_MS) == []


async def test_it_shares_its_memory_with_events_that_come_by_callback(live: Live) -> None:
    ticket = live.ticket(event(number=1))
    assert (await live.inbox.take(ticket, NOW_MS)).standing is Standing.NEW
    assert (await _take(live)).standing is Standing.OPEN
    assert await live.late.take(NOW_MS + DAY_MS, LEASE_MS) == []
