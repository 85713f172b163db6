from __future__ import annotations

from dataclasses import replace

from bot.model import Entered, TextMessage
from bot.storage.redis.inbox import Standing
from bot.storage.redis.members import Counters
from tests.storage.live import DAY_MS, MEMORY_MS, MINUTE_MS, NOW_MS, Live, at_once, day, event


async def _counters(live: Live, user_id: str = "ana", days_back: int = 0, group: str = "") -> Counters:
    on = live.calendar.day(day(days_back))
    return await live.members.counters("milk", f"app:{user_id}", on, group)


async def test_an_event_delivered_fifty_times_at_once_is_new_once_and_counted_once(
    processes: list[Live],
) -> None:
    same = event()
    taken = await at_once(
        processes[number % 4].inbox.take(processes[0].ticket(same), NOW_MS) for number in range(50)
    )
    standings = [one.standing for one in taken]
    assert standings.count(Standing.NEW) == 1
    assert standings.count(Standing.OPEN) == 49
    assert await _counters(processes[0]) == Counters(messages=1)


async def test_fifty_events_at_once_count_fifty_and_each_has_its_place_in_the_minute(
    processes: list[Live],
) -> None:
    taken = await at_once(
        live.inbox.take(live.ticket(event(content=TextMessage("同样的话"))), NOW_MS)
        for live in [processes[number % 4] for number in range(50)]
    )
    assert sorted(one.this_minute for one in taken) == list(range(1, 51))
    assert await _counters(processes[0]) == Counters(messages=50)


async def test_an_answer_that_needs_no_state_is_decided_in_the_same_step(live: Live) -> None:
    ticket = live.ticket(event())
    first = await live.inbox.take(ticket, NOW_MS, b"hello")
    again = await live.inbox.take(ticket, NOW_MS + 1, b"other")
    assert first.standing is Standing.NEW
    assert again.decision is not None
    assert (again.standing, again.decision.at_ms, again.decision.answer) == (
        Standing.DECIDED,
        NOW_MS,
        b"hello",
    )


async def test_above_the_rate_no_answer_is_decided_beforehand(live: Live) -> None:
    slow = replace(live, rate_per_min=2)
    tickets = [slow.ticket(event()) for _ in range(3)]
    for ticket in tickets:
        await slow.inbox.take(ticket, NOW_MS, b"hello")
    standings = [(await slow.inbox.take(ticket, NOW_MS, b"hello")).standing for ticket in tickets]
    assert standings == [Standing.DECIDED, Standing.DECIDED, Standing.OPEN]


async def test_a_repeat_is_open_until_an_answer_is_decided_and_old_when_it_is_no_longer_kept(
    live: Live,
) -> None:
    ticket = live.ticket(event())
    await live.inbox.take(ticket, NOW_MS)
    assert (await live.inbox.take(ticket, NOW_MS + 5000)).standing is Standing.OPEN
    await live.inbox.settle(ticket, NOW_MS + 6000, b"answer")
    assert (await live.inbox.take(ticket, NOW_MS + 7000)).standing is Standing.DECIDED
    later = NOW_MS + 6000 + 10 * MINUTE_MS + 1
    assert (await live.inbox.take(ticket, later)).standing is Standing.OLD
    assert await _counters(live) == Counters(messages=1)


async def test_an_event_is_remembered_for_at_least_the_configured_time(live: Live) -> None:
    """Whether it came at the beginning of a period of digests or at its end."""
    start = NOW_MS - NOW_MS % MEMORY_MS
    for first_seen in (start, start + MEMORY_MS - 1):
        ticket = live.ticket(event())
        await live.inbox.take(ticket, first_seen)
        repeat = await live.inbox.take(ticket, first_seen + MEMORY_MS)
        assert repeat.standing is Standing.OLD


async def test_a_delivery_whose_clock_was_behind_at_the_end_of_a_period_is_not_counted_again(
    live: Live,
) -> None:
    """Two processes with clocks apart, or a body that was read slowly across the period's end."""
    boundary = NOW_MS - NOW_MS % MEMORY_MS
    ticket = live.ticket(event())
    first = await live.inbox.take(ticket, boundary)
    repeat = await live.inbox.take(ticket, boundary - 1)
    assert (first.standing, repeat.standing) == (Standing.NEW, Standing.OPEN)
    assert await _counters(live) == Counters(messages=1)


async def test_an_event_counts_on_the_day_it_was_sent_in_the_group_it_was_sent_to(live: Live) -> None:
    for happened in (
        event(day=day(6)),
        event(),
        event(group_id="wr1"),
        event(content=Entered()),
        event("bob"),
    ):
        await live.inbox.take(live.ticket(happened), NOW_MS)
    assert await _counters(live, days_back=6) == Counters(messages=1)
    assert await _counters(live) == Counters(messages=1, events=1)
    assert await _counters(live, group="wr1") == Counters(messages=1)
    assert await _counters(live, "bob") == Counters(messages=1)


async def test_the_last_counted_instant_is_the_latest_sent_not_the_latest_received(live: Live) -> None:
    for at_ms in (NOW_MS, NOW_MS + 2000, NOW_MS + 1000):
        await live.inbox.take(live.ticket(event(at_ms=at_ms)), NOW_MS + 3000)
    key = live.keys.key("day", "milk", "-", "app:ana", day(0).isoformat())
    assert await live.redis.call("HGET", key, "last_at") == str(NOW_MS + 2000).encode()


async def test_what_is_kept_of_an_event_ends_by_itself(live: Live) -> None:
    """Digests, record, counters, rate: none may stay for ever."""
    await live.inbox.take(live.ticket(event()), NOW_MS)
    lives = {}
    async for names in live.redis.scan("hq:*"):
        for name in names:
            lives[name.split(":")[2]] = await live.redis.call("PTTL", name)
    assert lives.pop("unwritten") == -1
    assert lives.keys() == {"seen", "event", "day", "rate"}
    assert MEMORY_MS < lives["seen"] <= 2 * MEMORY_MS
    assert 8 * DAY_MS < lives["day"] <= 9 * DAY_MS
    assert 0 < lives["event"] <= 10 * MINUTE_MS
    assert 0 < lives["rate"] <= MINUTE_MS


async def test_digests_stay_in_the_compact_form_of_integer_sets(live: Live) -> None:
    for _ in range(20):
        await live.inbox.take(live.ticket(event()), NOW_MS)
    encodings = set()
    async for names in live.redis.scan("hq:*seen:*"):
        for name in names:
            encodings.add(await live.redis.call("OBJECT", "ENCODING", name, key=name))
    assert encodings == {b"intset"}
