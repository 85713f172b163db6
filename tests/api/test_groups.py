from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.world import World
from tests.delivery.vendor import Fault

GROUPS = "/communities/milk/groups"
ORDER: dict[str, Any] = {
    "channel": "app", "name": "鲜奶小队", "owner": "ana", "members": ["ana", "liwei"], "request_id": "g-1",
}  # fmt: skip
NOON = "2026-03-02T12:00:00.000+08:00"


async def test_a_group_is_listed_from_the_first_message_seen_in_it(world: World) -> None:
    await world.say("ana", "签到", group="wrA")
    world.clock.move(timedelta(minutes=1))
    await world.say("liwei", "签到", group="wrA")
    await world.say("liwei", "签到")

    (shown,) = await world.items(GROUPS)
    assert shown == {
        "id": "app:wrA",
        "channel": "app",
        "chat_id": "wrA",
        "name": None,
        "origin": "seen",
        "first_seen": NOON,
        "last_seen": "2026-03-02T12:01:00.000+08:00",
    }
    detail = await world.get(f"{GROUPS}/app:wrA")
    assert detail.body == {**shown, "owner": None, "members": None}


async def test_groups_are_paged_filtered_and_belong_to_one_community(world: World) -> None:
    for number in range(5):
        await world.say("ana", "签到", group=f"wr{number}x")
    await world.say("ana", "签到", group="wr1")  # which is tea's

    async def ids(path: str, **filters: str) -> list[str]:
        return [group["chat_id"] for group in await world.items(path, limit="2", **filters)]

    assert await ids(GROUPS) == [f"wr{number}x" for number in range(5)]
    assert await ids(GROUPS, channel="oa") == []
    assert await ids("/communities/tea/groups") == ["wr1"]
    assert (await world.get(f"{GROUPS}/app:wr1")).word == "not_found"


async def test_a_group_is_made_once_per_request_however_often_it_is_asked_for(world: World) -> None:
    replies = [await world.post(GROUPS, ORDER) for _ in range(2)]
    replies += await asyncio.gather(*(world.post(GROUPS, {**ORDER, "request_id": "g-2"}) for _ in range(3)))

    assert [reply.status for reply in replies[:2]] == [201, 200]
    made = replies[0].body
    assert (made["origin"], made["name"], made["owner"]) == ("made", "鲜奶小队", "ana")
    assert made["members"] == ["ana", "liwei"]
    assert replies[1].body == made
    assert len({reply.body["id"] for reply in replies}) == len(world.vendor.chats) == 2
    assert (await world.post(GROUPS, {**ORDER, "name": "另一队"})).word == "request_id_reused"


async def test_an_answer_that_was_lost_makes_no_second_group(world: World) -> None:
    await world.post(GROUPS, {**ORDER, "request_id": "first"})
    world.vendor.faults.append(Fault(status=500, acted=True))
    assert (await world.post(GROUPS, ORDER)).word == "platform_away"

    again = await world.post(GROUPS, ORDER)

    assert (again.status, again.body["name"]) == (201, "鲜奶小队")
    assert len(world.vendor.chats) == 2


async def test_what_the_platform_refuses_is_told_with_cause_and_cure(world: World) -> None:
    world.vendor.faults.append(Fault(errcode=60011))

    reply = await world.post(GROUPS, ORDER)

    assert (reply.status, reply.word) == (502, "platform_refused")
    assert "errcode 60011" in reply.body["detail"]
    assert await world.items(GROUPS) == []
    assert (await world.post(GROUPS, ORDER)).status == 201


async def test_a_chat_id_may_be_chosen_and_is_not_taken_from_another_community(world: World) -> None:
    chosen = {**ORDER, "chat_id": "milk2026"}
    assert (await world.post(GROUPS, chosen)).body["id"] == "app:milk2026"
    assert (await world.post(GROUPS, {**chosen, "request_id": "later"})).status == 200

    tea = await world.post("/communities/tea/groups", {**chosen, "request_id": "tea"})
    assert (tea.status, tea.word) == (409, "group_exists")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"channel": "oa"}, "channel"),
        ({"channel": "nowhere"}, "channel"),
        ({"name": "字" * 51}, "name"),
        ({"name": ""}, "name"),
        ({"owner": "zoe"}, "owner"),
        ({"members": ["ana"]}, "members"),
        ({"members": ["ana", "ana"]}, "members"),
        ({"members": ["ana", "li wei"]}, "members[1]"),
        ({"members": [str(number) for number in range(2001)]}, "members"),
        ({"chat_id": "a-b"}, "chat_id"),
        ({"chat_id": "a" * 33}, "chat_id"),
        ({"request_id": ""}, "request_id"),
    ],
)
async def test_a_wrong_order_names_the_field(world: World, change: dict[str, Any], path: str) -> None:
    reply = await world.post(GROUPS, {**ORDER, **change})

    assert list(reply.flaws) == [path]
    assert world.vendor.calls["create_chat"] == 0


async def test_name_owner_and_members_are_changed(world: World) -> None:
    made = (await world.post(GROUPS, ORDER)).body
    path = f"{GROUPS}/{quote(made['id'], safe='')}"
    change = {"name": "新名", "owner": "liwei", "add": ["zoe"], "remove": ["ana"]}

    for _ in range(2):
        reply = await world.ask("PATCH", path, json=change)
        assert reply.status == 200
        assert (reply.body["name"], reply.body["owner"]) == ("新名", "liwei")
        assert reply.body["members"] == ["liwei", "zoe"]

    assert (await world.get(path)).body == reply.body
    (listed,) = await world.items(GROUPS)
    assert (listed["name"], listed["first_seen"]) == ("新名", NOON)
    assert (await world.ask("PATCH", path, json={"add": ["a1"], "remove": ["a1"]})).word == "invalid"
    assert list((await world.ask("PATCH", path, json={"name": "字" * 51})).flaws) == ["name"]


async def test_a_group_that_was_only_seen_cannot_be_changed(world: World) -> None:
    await world.say("ana", "签到", group="wrA")

    reply = await world.ask("PATCH", f"{GROUPS}/app:wrA", json={"name": "x"})

    assert (reply.status, reply.word) == (409, "not_made_here")


async def test_a_group_made_here_keeps_its_name_when_it_is_seen(world: World) -> None:
    await world.post(GROUPS, {**ORDER, "chat_id": "milk2026"})
    world.clock.move(timedelta(minutes=1))
    await world.say("ana", "签到", group="milk2026")

    (shown,) = await world.items(GROUPS)

    assert (shown["name"], shown["origin"]) == ("鲜奶小队", "made")
    assert (shown["first_seen"], shown["last_seen"]) == (NOON, "2026-03-02T12:01:00.000+08:00")
