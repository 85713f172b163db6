from __future__ import annotations

from bot.model import Text
from bot.storage.redis.deliveries import Delivery, DeliveryStore, encode_parts
from bot.storage.redis.inbox import Standing
from tests.storage.live import MEMORY_MS, NOW_MS, Live, at_once, event


def delivery(identifier: str = "d1", user_id: str = "ana", at_ms: int = NOW_MS) -> Delivery:
    return Delivery(
        id=identifier,
        community="milk",
        channel="app",
        user_id=user_id,
        member=f"app:{user_id}",
        cause=f"app:{user_id}:1",
        route="message/send",
        created_at_ms=at_ms,
        parts=encode_parts([Text("其余的话")]),
    )


async def test_fifty_who_decide_at_once_all_get_the_same_answer_and_one_delivery(
    processes: list[Live],
) -> None:
    same = event()
    ticket = processes[0].ticket(same)
    await processes[0].inbox.take(ticket, NOW_MS)
    decisions = await at_once(
        processes[number % 4].inbox.settle(ticket, NOW_MS + number, b"answer %d" % number, delivery(), NOW_MS)
        for number in range(50)
    )
    assert len(set(decisions)) == 1
    assert len(await processes[0].outbox("delivery")) == 1
    repeat = await processes[1].inbox.take(ticket, NOW_MS + 60)
    assert repeat.decision == decisions[0]


async def test_silence_is_a_decision_too(live: Live) -> None:
    ticket = live.ticket(event())
    await live.inbox.take(ticket, NOW_MS)
    await live.inbox.settle(ticket, NOW_MS, b"")
    decision = await live.inbox.settle(ticket, NOW_MS + 1, b"too late")
    assert decision.answer == b""
    assert (await live.inbox.take(ticket, NOW_MS + 2)).standing is Standing.DECIDED


async def test_bytes_of_any_kind_survive_in_an_answer(live: Live) -> None:
    ticket = live.ticket(event())
    answer = bytes(range(256)) + "积分 A1".encode()
    assert (await live.inbox.settle(ticket, NOW_MS, answer)).answer == answer
    repeat = await live.inbox.settle(ticket, NOW_MS, b"")
    assert repeat.answer == answer


async def test_what_the_answer_cannot_carry_is_queued_in_the_same_step(live: Live) -> None:
    ticket = live.ticket(event())
    await live.inbox.settle(ticket, NOW_MS, b"answer", delivery(), NOW_MS + 500)
    store = DeliveryStore(live.redis, live.keys, memory_ms=MEMORY_MS)
    shard = live.keys.shard("milk")
    assert await store.claim(shard, NOW_MS + 499, NOW_MS + 9000, 10) == []
    claimed = await store.claim(shard, NOW_MS + 500, NOW_MS + 9000, 10)
    assert [(one.id, one.user_id, one.state, one.parts) for one in claimed] == [
        ("d1", "ana", "queued", delivery().parts)
    ]
