from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.api.requests import dead_delivery
from tests.api.world import World


async def test_a_dead_delivery_is_listed_with_what_was_to_be_said_and_why_it_died(world: World) -> None:
    await dead_delivery(world, "d-1", "milk", "app")
    (shown,) = await world.items("/deliveries", state="dead")
    assert shown == {
        "id": "d-1",
        "community": "milk",
        "channel": "app",
        "member": "app:ana",
        "cause": "app:ana:1",
        "state": "dead",
        "route": "active",
        "reason": "no_secret",
        "attempts": 0,
        "parts": [{"kind": "text", "text": "晚了"}],
        "parts_sent": 0,
        "created_at": "2026-03-02T12:00:00.000+08:00",
        "updated_at": "2026-03-02T12:00:00.000+08:00",
    }


async def test_a_dead_delivery_is_sent_again_once(world: World) -> None:
    await dead_delivery(world, "d-1", "milk", "app")
    world.clock.move(timedelta(hours=1))

    replies = await asyncio.gather(*(world.post("/deliveries/d-1/resend") for _ in range(5)))

    assert sorted(reply.status for reply in replies) == [202] + [409] * 4
    (done,) = (reply for reply in replies if reply.status == 202)
    assert (done.body["state"], done.body["reason"]) == ("queued", None)
    assert {reply.word for reply in replies if reply.status == 409} == {"not_dead"}
    queued = await world.service.deliveries.due(world.clock.now_ms())
    assert queued == [(world.service.keys.shard("milk"), 1)]
    assert [delivery["id"] for delivery in await world.items("/deliveries", state="queued")] == ["d-1"]


async def test_the_list_is_newest_first_paged_and_filtered(world: World) -> None:
    for number in range(5):
        await dead_delivery(world, f"d-{number}", "milk", "app")
        world.clock.move(timedelta(seconds=1))
    await dead_delivery(world, "d-tea", "tea", "oa")

    async def ids(**filters: str) -> list[str]:
        return [delivery["id"] for delivery in await world.items("/deliveries", limit="2", **filters)]

    assert await ids() == ["d-tea", "d-4", "d-3", "d-2", "d-1", "d-0"]
    assert await ids(community="tea", state="dead") == ["d-tea"]
    assert await ids(state="delivered") == []
    assert await ids(community="nowhere") == []


async def test_unknown_deliveries_and_states_are_refused(world: World) -> None:
    assert (await world.post("/deliveries/nothing/resend")).word == "not_found"
    assert list((await world.get("/deliveries", state="lost")).flaws) == ["state"]
