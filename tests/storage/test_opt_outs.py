"""Who wants nothing unprompted: kept in Redis, brought to SQL, restored from it, compared with it."""

from __future__ import annotations

from bot.storage.redis.decency import DecencyStore, wishes_key
from bot.storage.sql import tables
from tests.storage.live import NOW_MS, Live
from tests.storage.scene import Scene

HOUR_MS = 3_600_000


async def put(live: Live, receiver: str, cause: str, *, opted_out: bool) -> bool:
    store = DecencyStore(live.redis, live.keys, event_memory_ms=HOUR_MS)
    return await store.put_wish(
        "milk", receiver, opted_out=opted_out, cause=cause, at_ms=NOW_MS, operator="app:ana"
    )


async def hashed(live: Live) -> dict[str, str]:
    rows = await live.redis.call("HGETALL", wishes_key(live.keys, "milk"))
    return {name.decode(): value.decode() for name, value in zip(rows[::2], rows[1::2], strict=True)}


async def wishes(scene: Scene) -> None:
    live = scene.live
    assert await put(live, "app:ana", "e1", opted_out=True)
    assert await put(live, "app:liwei", "e2", opted_out=True)
    assert await put(live, "app:liwei", "e3", opted_out=False)
    assert await put(live, "group:app:g", "e4", opted_out=True)
    assert not await put(live, "app:liwei", "e2", opted_out=True)


async def test_the_latest_wish_of_each_receiver_is_history(scene: Scene) -> None:
    await wishes(scene)
    await scene.drain.flush("milk")
    rows = await scene.database.fetch(tables.opt_outs.select().order_by(tables.opt_outs.c.receiver))
    assert [(row.receiver, row.opted_out, row.operator) for row in rows] == [
        ("app:ana", True, "app:ana"),
        ("app:liwei", False, "app:ana"),
        ("group:app:g", True, "app:ana"),
    ]


async def test_after_a_loss_the_wishes_are_what_they_were(scene: Scene) -> None:
    await wishes(scene)
    await scene.drain.flush("milk")
    before = await hashed(scene.live)
    await scene.live.redis.call("DEL", wishes_key(scene.live.keys, "milk"))
    assert sorted(str(found.what) for found in await scene.verify()) == ["wants nothing unprompted"] * 2

    assert (await scene.rebuild()).opt_outs == 3
    assert await hashed(scene.live) == before
    assert await scene.verify() == []
    assert (await scene.rebuild()).opt_outs == 0


async def test_what_was_changed_behind_our_back_is_listed_and_cured(scene: Scene) -> None:
    await wishes(scene)
    await scene.drain.flush("milk")
    key = wishes_key(scene.live.keys, "milk")
    await scene.live.redis.call("HSET", key, "app:stranger", "1 1-1")
    await scene.live.redis.call("HSET", key, "app:ana", "0 1-1")
    found = {(one.member, one.redis, one.sql) for one in await scene.verify()}
    assert found == {("app:stranger", 1, 0), ("app:ana", 0, 1)}
    await scene.rebuild()
    assert await scene.verify() == []


async def test_a_wish_that_is_not_yet_history_is_not_overwritten(scene: Scene) -> None:
    await wishes(scene)
    await scene.drain.flush("milk")
    await put(scene.live, "app:ana", "e5", opted_out=False)
    await scene.rebuild()
    assert (await hashed(scene.live))["app:ana"].startswith("0 ")
    assert await scene.verify() == []
