from __future__ import annotations

from datetime import timedelta

from tests.api.requests import dead_delivery
from tests.api.world import World


async def test_status_tells_of_stores_and_channels(world: World) -> None:
    await world.say("ana", "hello")
    world.clock.move(timedelta(seconds=90))
    await dead_delivery(world, "d-1", "milk", "app")
    await world.post("/deliveries/d-1/resend")
    await world.service.drain.flush_all()

    reply = await world.get("/status")

    assert reply.status == 200
    assert (reply.body["uptime_s"], reply.body["started_at"]) == (90, "2026-03-02T12:00:00.000+08:00")
    assert reply.body["redis"] == {
        "state": "ok", "embedded": True, "warning": None, "outbox_entries": 0, "queued_deliveries": 1,
    }  # fmt: skip
    assert reply.body["sql"] == {"state": "ok", "embedded": True}
    app, oa = reply.body["channels"]
    assert (app["name"], app["kind"], app["communities"]) == ("app", "wecom_app", ["milk", "tea"])
    assert (app["has_secret"], app["last_event_at"]) == (True, "2026-03-02T12:00:00.000+08:00")
    assert (app["abilities"]["sends_later"], app["abilities"]["replies_inline"]) == ("active", True)
    assert (oa["name"], oa["has_secret"], oa["last_event_at"]) == ("oa", False, None)
    assert oa["abilities"]["sends_later"] == ""


async def test_the_last_event_is_the_latest_of_all_communities_of_the_channel_and_of_a_week(
    world: World,
) -> None:
    await world.say("ana", "hello")
    world.clock.move(timedelta(hours=2))
    await world.say("bo", "hello", group="wr1")
    await world.say("app2:x", "hello", channel="oa")
    await world.service.drain.flush_all()

    async def last() -> list[str | None]:
        return [channel["last_event_at"] for channel in (await world.get("/status")).body["channels"]]

    at = "2026-03-02T14:00:00.000+08:00"
    assert await last() == [at, at]
    world.clock.move(timedelta(days=7))
    assert await last() == [at, at]
    world.clock.move(timedelta(days=1))
    assert await last() == [None, None]
