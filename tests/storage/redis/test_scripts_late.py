from __future__ import annotations

from bot.storage.redis.inbox import Standing
from tests.storage.live import NOW_MS, Live, at_once, event
from tests.storage.redis.test_scripts_settle import delivery

LEASE_MS = 15_000


async def test_a_late_event_is_acknowledged_and_queued_in_one_step(live: Live) -> None:
    happened = event()
    ticket = live.ticket(happened)
    await live.inbox.take(ticket, NOW_MS)
    decision = await live.inbox.defer(ticket, NOW_MS, LEASE_MS, b"the event")
    assert decision.answer == b""
    assert (await live.inbox.take(ticket, NOW_MS + 1)).standing is Standing.DECIDED
    [queued] = await live.late.take(NOW_MS + LEASE_MS, LEASE_MS)
    assert (queued.id, queued.event, queued.taken) == (happened.id, b"the event", 1)


async def test_an_event_that_was_decided_in_time_is_not_queued(live: Live) -> None:
    ticket = live.ticket(event())
    await live.inbox.settle(ticket, NOW_MS, b"answer")
    decision = await live.inbox.defer(ticket, NOW_MS, LEASE_MS, b"the event")
    assert decision.answer == b"answer"
    assert await live.late.take(NOW_MS + LEASE_MS, LEASE_MS) == []


async def test_whoever_decides_first_while_another_defers_both_see_one_outcome(
    processes: list[Live],
) -> None:
    """Either it is queued and acknowledged in silence, or it is answered and not queued."""
    for number in range(50):
        ticket = processes[0].ticket(event())
        settled, deferred = await at_once(
            [
                processes[number % 4].inbox.settle(ticket, NOW_MS, b"answer"),
                processes[(number + 1) % 4].inbox.defer(ticket, NOW_MS, LEASE_MS, b"the event"),
            ]
        )
        assert settled == deferred
        queued = await processes[0].late.take(NOW_MS + LEASE_MS, LEASE_MS)
        assert (settled.answer == b"") == bool(queued)
        for one in queued:
            await processes[0].late.finish("milk", one.id)


async def test_a_lease_that_is_renewed_keeps_others_away(live: Live) -> None:
    happened = event()
    await live.inbox.defer(live.ticket(happened), NOW_MS, LEASE_MS, b"the event")
    await live.late.renew("milk", happened.id, NOW_MS + 2 * LEASE_MS)
    assert await live.late.take(NOW_MS + LEASE_MS, LEASE_MS) == []
    assert len(await live.late.take(NOW_MS + 2 * LEASE_MS, LEASE_MS)) == 1


async def test_fifty_workers_who_look_at_once_share_the_queue_without_overlap(
    processes: list[Live],
) -> None:
    happened = [event() for _ in range(30)]
    for one in happened:
        await processes[0].inbox.defer(processes[0].ticket(one), NOW_MS, LEASE_MS, b"the event")
    after = NOW_MS + LEASE_MS
    taken = await at_once(processes[number % 4].late.take(after, LEASE_MS, most=3) for number in range(50))
    ids = [queued.id for batch in taken for queued in batch]
    assert sorted(ids) == sorted(one.id for one in happened)


async def test_an_event_that_is_not_finished_is_taken_again_and_counted(live: Live) -> None:
    await live.inbox.defer(live.ticket(event()), NOW_MS, LEASE_MS, b"the event")
    counts = []
    for turn in range(1, 4):
        [queued] = await live.late.take(NOW_MS + turn * LEASE_MS, LEASE_MS)
        counts.append(queued.taken)
    assert counts == [1, 2, 3]


async def test_fifty_who_finish_at_once_are_one_and_queue_one_delivery(processes: list[Live]) -> None:
    happened = event()
    await processes[0].inbox.defer(processes[0].ticket(happened), NOW_MS, LEASE_MS, b"the event")
    finished = await at_once(
        processes[number % 4].late.finish("milk", happened.id, delivery(), NOW_MS) for number in range(50)
    )
    assert finished.count(True) == 1
    assert len(await processes[0].outbox("delivery")) == 1


async def test_a_finished_event_does_not_come_back_by_a_late_renewal(live: Live) -> None:
    happened = event()
    await live.inbox.defer(live.ticket(happened), NOW_MS, LEASE_MS, b"the event")
    assert await live.late.finish("milk", happened.id)
    await live.late.renew("milk", happened.id, NOW_MS + 1)
    assert await live.late.take(NOW_MS + LEASE_MS, LEASE_MS) == []
    left = [name async for names in live.redis.scan("hq:*late*") for name in names]
    assert left == []
