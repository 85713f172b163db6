from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from bot.api.claims import claim
from bot.serve import api_parts
from tests.api.world import Reply, World

LEDGER = "/communities/milk/ledger"
GRANT = {"member": "app:ana", "delta": 30, "note": "谢谢", "request_id": "r-1"}


async def balance(world: World, user_id: str = "ana") -> Any:
    return (await world.get(f"/communities/milk/members/app:{user_id}")).body["points"]


async def forget(world: World) -> None:
    """Let Redis forget which orders were carried out, as it does after `server.event_memory_s`."""
    await world.service.drain.flush("milk")
    redis, prefix = world.service.redis, world.service.keys.key("once", "milk", "")
    cursor, found = b"", 0
    while cursor != b"0":
        cursor, names = await redis.call("SCAN", cursor or b"0", "MATCH", f"{prefix}*", key=prefix)
        for name in names:
            found += await redis.call("DEL", name)
    assert found


async def test_points_by_order_are_a_ledger_entry_with_who_and_why(world: World) -> None:
    reply = await world.post(LEDGER, GRANT)

    assert reply.status == 201
    assert reply.body == {
        "id": reply.body["id"],
        "member": "app:ana",
        "delta": 30,
        "reason": "grant",
        "cause": "api:r-1",
        "at": "2026-03-02T12:00:00.000+08:00",
        "rule": None,
        "operator": "boss",
        "note": "谢谢",
        "round": None,
        "reverses": None,
    }
    assert await world.items(LEDGER) == [reply.body]
    assert await balance(world) == 30


@pytest.mark.parametrize("memory", ["redis remembers", "redis has forgotten"])
async def test_the_same_request_twice_is_one_order_and_another_under_its_name_is_refused(
    world: World, memory: str
) -> None:
    first = await world.post(LEDGER, GRANT)
    if memory == "redis has forgotten":
        await forget(world)
    world.clock.move(timedelta(days=9))

    again = await world.post(LEDGER, GRANT)
    assert (again.status, again.body) == (200, first.body)
    for change in ({"delta": 31}, {"member": "app:bo"}, {"note": "?"}):
        other = await world.post(LEDGER, {**GRANT, **change})
        assert (other.status, other.word) == (409, "request_id_reused"), change
    taken_back = await world.post(f"{LEDGER}/{first.body['id']}/reverse", {"request_id": "r-1"})
    assert taken_back.word == "request_id_reused"
    assert await world.items(LEDGER) == [first.body]
    assert await balance(world) == 30


async def test_the_same_request_many_times_at_once_is_one_order(world: World) -> None:
    replies = await asyncio.gather(*(world.post(LEDGER, GRANT) for _ in range(20)))
    assert sorted(reply.status for reply in replies) == [200] * 19 + [201]
    assert len({reply.body["id"] for reply in replies}) == 1
    assert await balance(world) == 30


async def test_of_different_orders_under_one_name_at_once_one_is_carried_out(world: World) -> None:
    orders = [{**GRANT, "member": f"app:u{number}"} for number in range(20)]
    replies = await asyncio.gather(*(world.post(LEDGER, order) for order in orders))
    assert sorted(reply.status for reply in replies) == [201] + [409] * 19
    assert len(await world.items(LEDGER)) == 1


async def test_an_order_that_broke_off_is_finished_by_its_repetition(world: World) -> None:
    """Died between the claim of the request_id and the points: the claim stands, the points are missing."""
    first = await world.post(LEDGER, {**GRANT, "request_id": "r-0"})
    await world.post(f"{LEDGER}/{first.body['id']}/reverse", {"request_id": "take-back"})
    parts = api_parts(world.service)
    await claim(parts, "milk", f"reverse:{first.body['id']}", "take-back")
    second = await world.post(LEDGER, {**GRANT, "request_id": "r-2"})
    assert await claim(parts, "milk", f"reverse:{second.body['id']}", "broken-off") == "broken-off"

    refused = await world.post(f"{LEDGER}/{second.body['id']}/reverse", {"request_id": "another"})
    assert refused.word == "already_reversed"
    assert "broken-off" in refused.body["detail"]
    finished = await world.post(f"{LEDGER}/{second.body['id']}/reverse", {"request_id": "broken-off"})
    assert finished.status == 201
    assert await balance(world) == 0


async def test_what_a_member_does_not_have_cannot_be_taken_until_they_have_it(world: World) -> None:
    take = {**GRANT, "delta": -5, "request_id": "take"}
    reply = await world.post(LEDGER, take)
    assert (reply.status, reply.word) == (409, "too_few_points")
    await world.post(LEDGER, GRANT)
    assert (await world.post(LEDGER, take)).status == 201
    assert await balance(world) == 25


# -------------------------------------------------------------------- corrections


async def test_an_entry_is_taken_back_by_its_opposite_once(world: World) -> None:
    await world.say("ana", "签到")
    (entry,) = await world.items(LEDGER)
    back = f"{LEDGER}/{entry['id']}/reverse"

    reply = await world.post(back, {"request_id": "b", "note": "误"})

    assert reply.status == 201
    shown = {key: reply.body[key] for key in ("member", "delta", "reason", "reverses", "note", "operator")}
    assert shown == {
        "member": "app:ana", "delta": -10, "reason": "reversal", "reverses": entry["id"], "note": "误",
        "operator": "boss",
    }  # fmt: skip
    again = await world.post(back, {"request_id": "b", "note": "误"})
    assert (again.status, again.body) == (200, reply.body)
    assert (await world.post(back, {"request_id": "b", "note": "other"})).word == "request_id_reused"
    assert (await world.post(back, {"request_id": "c"})).word == "already_reversed"
    await forget(world)
    assert (await world.post(back, {"request_id": "d"})).word == "already_reversed"
    assert (await world.post(back, {"request_id": "b", "note": "误"})).status == 200
    of_reversal = await world.post(f"{LEDGER}/{reply.body['id']}/reverse", {"request_id": "e"})
    assert of_reversal.word == "is_reversal"
    assert await balance(world) == 0


async def test_of_many_reversals_at_once_one_takes_place(world: World) -> None:
    entry = (await world.post(LEDGER, GRANT)).body["id"]

    async def reverse(number: int) -> Reply:
        return await world.post(f"{LEDGER}/{entry}/reverse", {"request_id": f"b{number}"})

    replies = await asyncio.gather(*map(reverse, range(20)))
    assert sorted(reply.status for reply in replies) == [201] + [409] * 19
    assert await balance(world) == 0


async def test_points_that_were_spent_can_be_taken_back_all_the_same(world: World) -> None:
    entry = (await world.post(LEDGER, GRANT)).body["id"]
    await world.post(LEDGER, {**GRANT, "delta": -20, "request_id": "spent"})
    assert (await world.post(f"{LEDGER}/{entry}/reverse", {"request_id": "b"})).status == 201
    assert await balance(world) == -20


async def test_the_reversal_of_many_is_found_behind_all_of_them(world: World) -> None:
    """More reversals of one member than fit a page of the search."""
    store, community = world.service.parts.stores.points, world.service.parts.communities.get("milk")
    assert community is not None
    day = world.service.parts.communities.calendar(community).day_of(world.clock.now_ms())
    entry = (await world.post(LEDGER, GRANT)).body["id"]
    assert (await world.post(f"{LEDGER}/{entry}/reverse", {"request_id": "b"})).status == 201
    for number in range(205):
        await store.grant(
            community, "app:ana", 1, reason="reversal", cause=f"c{number}", day=day,
            at_ms=world.clock.now_ms() + 1, reverses=f"00-1-{number}",
        )  # fmt: skip
    await forget(world)
    assert (await world.post(f"{LEDGER}/{entry}/reverse", {"request_id": "c"})).word == "already_reversed"


async def test_entries_of_nobody_and_of_another_community_are_not_found(world: World) -> None:
    entry = (await world.post(LEDGER, GRANT)).body["id"]
    for path in (
        f"{LEDGER}/00-1-0/reverse",
        f"{LEDGER}/x/reverse",
        f"/communities/tea/ledger/{entry}/reverse",
    ):
        assert (await world.post(path, {"request_id": "b"})).word == "not_found", path


# -------------------------------------------------------------------- the list


async def test_the_list_is_newest_first_paged_and_filtered(world: World) -> None:
    await world.say("ana", "签到")
    for number in range(5):
        world.clock.move(timedelta(hours=1))
        await world.post(LEDGER, {"member": "app:bo", "delta": 1 + number, "request_id": f"r{number}"})

    async def deltas(**filters: str) -> list[int]:
        return [entry["delta"] for entry in await world.items(LEDGER, limit="2", **filters)]

    assert await deltas() == [5, 4, 3, 2, 1, 10]
    assert await deltas(member="app:ana") == [10]
    assert await deltas(reason="grant", member="app:bo") == [5, 4, 3, 2, 1]
    assert await deltas(since="2026-03-02T14:00:00+08:00", until="2026-03-02T08:00:00Z") == [3, 2]
    assert await deltas(until="2026-03-02T12:00:00.001+08:00") == [10]
    assert await deltas(member="app:nobody") == []


async def test_a_plus_sign_that_was_not_encoded_is_understood(world: World) -> None:
    await world.post(LEDGER, GRANT)
    reply = await world.ask(
        "GET", f"{LEDGER}?since=2026-03-02T12:00:00+08:00&until=2026-03-02T12:00:01+08:00"
    )
    assert [entry["delta"] for entry in reply.body["items"]] == [30]


async def test_what_the_chat_has_answered_shows_at_once(world: World) -> None:
    for number in range(5):
        await world.say(f"u{number}", "签到")
        assert len(await world.items(LEDGER)) == number + 1


async def test_instants_carry_the_offset_of_the_communitys_zone(world: World) -> None:
    order = {"member": "oa:bo", "delta": 1, "request_id": "r"}
    winter = await world.post("/communities/tea/ledger", order)
    world.clock.move(timedelta(days=60))
    summer = await world.post("/communities/tea/ledger", {**order, "request_id": "s"})
    assert winter.body["at"] == "2026-03-01T23:00:00.000-05:00"
    assert summer.body["at"] == "2026-05-01T00:00:00.000-04:00"


# -------------------------------------------------------------------- what is refused


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"delta": 0}, "delta"),
    ({"delta": 1.5}, "delta"),
    ({"delta": 2.0}, "delta"),
    ({"delta": True}, "delta"),
    ({"delta": "5"}, "delta"),
    ({"delta": 10**9 + 1}, "delta"),
    ({"delta": -(10**30)}, "delta"),
    ({"delta": None}, "delta"),
    ({"member": "ana"}, "member"),
    ({"member": "oa:ana"}, "member"),
    ({"member": "app:"}, "member"),
    ({"member": "app: "}, "member"),
    ({"member": "app:a\nb"}, "member"),
    ({"member": "app:a\0"}, "member"),
    ({"member": "app:" + "x" * 200}, "member"),
    ({"member": ["app:ana"]}, "member"),
    ({"note": "x" * 501}, "note"),
    ({"note": "a\0b"}, "note"),
    ({"request_id": ""}, "request_id"),
    ({"request_id": "a b"}, "request_id"),
    ({"request_id": "钱"}, "request_id"),
    ({"request_id": "x" * 201}, "request_id"),
    ({"request_id": "x\n"}, "request_id"),
    ({"nota": "x"}, "nota"),
]


async def test_a_wrong_order_is_refused_by_field_and_has_no_effect(world: World) -> None:
    for change, path in WRONG:
        reply = await world.post(LEDGER, {**GRANT, **change})
        assert (reply.status, reply.word, list(reply.flaws)) == (422, "invalid", [path]), change
    assert await world.items(LEDGER) == []


async def test_all_wrong_fields_are_named_at_once_with_the_nearest_known_one(world: World) -> None:
    reply = await world.post(LEDGER, {"membr": "app:ana", "delta": "x", "note": 5})
    assert set(reply.flaws) == {"member", "membr", "delta", "note", "request_id"}
    assert "did you mean member?" in reply.flaws["membr"][1]
