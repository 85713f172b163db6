from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.delivery.routes import channel_abilities
from tests.api.requests import dead_delivery
from tests.api.world import World

NOTICE: dict[str, Any] = {
    "community": "milk", "channel": "app", "member": "app:ana",
    "parts": [{"kind": "text", "text": "今晚八点开奖"}], "request_id": "notice",
}  # fmt: skip


async def test_a_dead_delivery_is_listed_with_what_was_to_be_said_and_why_it_died(world: World) -> None:
    await dead_delivery(world, "d-1", "milk", "app")
    (shown,) = await world.items("/deliveries", state="dead")
    assert shown == {
        "id": "d-1",
        "community": "milk",
        "channel": "app",
        "member": "app:ana",
        "group": None,
        "cause": "app:ana:1",
        "feature": None,
        "state": "dead",
        "route": "active",
        "reason": "too_late",
        "explanation": {
            "cause": "it was no longer worth sending when its turn came",
            "cure": "see why it waited (limits of the channel, a blocked channel, quiet hours); "
            "resend it if it matters",
            "cause_zh": "轮到发送时已过有效时间",
            "cure_zh": "请查看等待的原因（渠道频率上限、渠道被阻塞、免打扰时段）；仍需要时可重发",
        },
        "attempts": 0,
        "parts": [{"kind": "text", "text": "晚了"}],
        "parts_sent": 0,
        "created_at": "2026-03-02T12:00:00.000+08:00",
        "updated_at": "2026-03-02T12:00:00.000+08:00",
        "due_at": None,
        "useful_until": None,
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


async def test_something_unprompted_is_queued_once_per_request_id(world: World) -> None:
    replies = await asyncio.gather(*(world.post("/deliveries", NOTICE) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [200] * 4 + [201]
    assert len({reply.body["id"] for reply in replies}) == 1
    shown = replies[0].body
    assert (shown["state"], shown["feature"], shown["cause"]) == ("queued", "api", "api:notice")
    assert shown["useful_until"] == "2026-03-03T12:00:00.000+08:00"
    assert shown["due_at"] is None
    assert [item["id"] for item in await world.items("/deliveries", feature="api")] == [shown["id"]]

    other = {**NOTICE, "parts": [{"kind": "text", "text": "改期"}]}
    assert (await world.post("/deliveries", other)).word == "request_id_reused"
    tea = {**NOTICE, "community": "tea", "member": None, "group": "wr1"}
    assert (await world.post("/deliveries", tea)).status == 201  # another community's own request


async def test_what_is_asked_for_later_is_due_then(world: World) -> None:
    due = {**NOTICE, "due_at": "2026-03-02T18:00:00+08:00", "useful_for_s": 60, "feature": "raffle"}
    shown = (await world.post("/deliveries", due)).body
    assert shown["due_at"] == "2026-03-02T18:00:00.000+08:00"
    assert shown["useful_until"] == "2026-03-02T18:01:00.000+08:00"
    assert await world.service.deliveries.due(world.clock.now_ms()) == []
    world.clock.move(timedelta(hours=6))
    assert len(await world.service.deliveries.due(world.clock.now_ms())) == 1


async def test_deliveries_are_found_by_channel_group_member_feature_and_reason(world: World) -> None:
    await dead_delivery(world, "d-1", "milk", "app")
    await world.post("/deliveries", NOTICE)
    group = {**NOTICE, "member": None, "group": "wr7", "request_id": "g"}
    await world.post("/deliveries", group)

    async def causes(**filters: str) -> list[str]:
        return sorted(item["cause"] for item in await world.items("/deliveries", **filters))

    assert await causes(group="wr7") == ["api:g"]
    assert await causes(member="app:ana") == ["api:notice", "app:ana:1"]
    assert await causes(feature="api", channel="app") == ["api:g", "api:notice"]
    assert await causes(reason="too_late") == ["app:ana:1"]
    assert await causes(channel="oa") == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"channel": "nothing"}, "channel"),
        ({"channel": "oa", "member": "oa:x"}, "channel"),
        ({"member": "ana"}, "member"),
        ({"member": "oa:ana"}, "member"),
        ({"member": None}, "member"),
        ({"group": "wr1"}, "group"),
        ({"community": "nowhere"}, "community"),
        ({"parts": []}, "parts"),
        ({"parts": [{"kind": "song"}]}, "parts[0].kind"),
        ({"parts": [{"kind": "text"}]}, "parts[0]"),
        ({"parts": [{"kind": "text", "text": 5}]}, "parts[0]"),
        ({"parts": [{"kind": "text", "text": "x", "colour": "red"}]}, "parts[0]"),
        ({"parts": [{"kind": "text", "text": " "}]}, "parts[0].text"),
        ({"parts": [{"kind": "text", "text": "字" * 60_000}]}, "parts"),
        ({"parts": [{"kind": "card_update", "card": {"kind": "text_notice"}}]}, "parts[0]"),
        ({"useful_for_s": 0}, "useful_for_s"),
        ({"due_at": "tomorrow"}, "due_at"),
        ({"due_at": "2028-03-02T18:00:00+08:00"}, "due_at"),
        ({"feature": "Raffle 1"}, "feature"),
        ({"request_id": ""}, "request_id"),
    ],
    ids=json.dumps,
)
async def test_a_wrong_field_is_named(world: World, change: dict[str, Any], field: str) -> None:
    reply = await world.post("/deliveries", {**NOTICE, **change})
    assert reply.word == "invalid"
    assert list(reply.flaws) == [field]
    assert await world.items("/deliveries") == []


@pytest.mark.parametrize(
    ("kind", "where", "field", "words"),
    [
        ("wecom_aibot", {"member": "app:ana"}, "channel", ("can only answer", "只能回复")),
        ("wecom_aibot", {"member": None, "group": "g"}, "channel", ("can only answer", "只能回复")),
        ("wecom_robot", {"member": "app:ana"}, "member", ("cannot write to one person", "不能向个人")),
        ("wechat_oa", {"member": None, "group": "g"}, "group", ("cannot write to a group", "不能向群")),
        ("no secret", {}, "channel", ("no secret", "没有配置 secret")),
    ],
)
async def test_what_the_channel_cannot_do_is_refused_at_once_in_plain_words(
    world: World, kind: str, where: dict[str, Any], field: str, words: tuple[str, str]
) -> None:
    abilities = world.service.parts.abilities
    known = abilities["app"]
    assert isinstance(abilities, dict)
    abilities["app"] = replace(known, can_send=False) if kind == "no secret" else channel_abilities(kind)
    reply = await world.post("/deliveries", {**NOTICE, **where})
    assert (reply.status, reply.word, list(reply.flaws)) == (409, "cannot_send", [field])
    assert all(word in reply.body["detail"] for word in words)
    assert await world.items("/deliveries") == []


async def test_a_robot_needs_no_receiver(world: World) -> None:
    abilities = world.service.parts.abilities
    assert isinstance(abilities, dict)
    abilities["app"] = channel_abilities("wecom_robot")
    reply = await world.post("/deliveries", {**NOTICE, "member": None})
    assert (reply.status, reply.body["group"], reply.body["member"]) == (201, "app", "")


async def test_an_analyst_may_look_and_not_send(world: World) -> None:
    _, token = await world.tokens.create("a", "analyst")
    assert (await world.ask("POST", "/deliveries", token=token, json=NOTICE)).word == "forbidden"


async def test_a_resend_is_as_useful_as_the_first_time(world: World) -> None:
    shown = (await world.post("/deliveries", {**NOTICE, "useful_for_s": 60})).body
    store, now_ms = world.service.deliveries, world.clock.now_ms()
    (claimed,) = await store.claim(world.service.keys.shard("milk"), now_ms, now_ms + 1000, 10)
    assert await store.dead(claimed, now_ms + 1000, "capped", 0, now_ms)
    world.clock.move(timedelta(hours=1))
    again = (await world.post(f"/deliveries/{shown['id']}/resend")).body
    assert (again["state"], again["useful_until"]) == ("queued", "2026-03-02T13:01:00.000+08:00")
    assert "answer_to" not in again
