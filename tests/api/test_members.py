from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

from bot.model import MenuClicked, Subscribed, Unsubscribed
from tests.api.world import World


async def test_a_member_is_shown_with_live_figures_and_what_nobody_can_observe_is_null(world: World) -> None:
    await world.send("ana", Subscribed())
    await world.say("ana", "签到")

    reply = await world.get("/communities/milk/members/app:ana")

    assert reply.status == 200
    activity = {"messages": 1, "check_ins": 1, "plays": 0, "events": 1}
    assert reply.body == {
        "id": "app:ana",
        "name": "",
        "channel": "app",
        "user_id": "ana",
        "points": 10,
        "streak": 1,
        "check_ins": 1,
        "level": None,
        "joined_at": "2026-03-02T12:00:00.000+08:00",
        "left_at": None,
        "inviter": None,
        "invited": {"ever": None, "present": None},
        "activity": {"today": activity, "last_7_days": activity, "last_30_days": activity},
    }


async def test_spans_of_activity_are_community_days_and_include_today(world: World) -> None:
    for days in (0, 5, 1, 20, 10):  # on days 0, 5, 6, 26 and 36
        world.clock.move(timedelta(days=days))
        await world.say("ana", "hello")
    await world.send("ana", MenuClicked("k"))

    shown = (await world.get("/communities/milk/members/app:ana")).body["activity"]

    assert [shown[span]["messages"] for span in ("today", "last_7_days", "last_30_days")] == [1, 1, 2]
    assert [shown[span]["events"] for span in ("today", "last_7_days", "last_30_days")] == [1, 1, 1]


async def test_today_begins_when_the_communitys_day_does(world: World) -> None:
    """04:00 in New York is 09:00 UTC in winter; 04:00 UTC is still yesterday there."""
    await world.say("bo", "hi", channel="oa")
    world.clock.move(timedelta(hours=4, minutes=59))
    assert (await world.get("/communities/tea/members/oa:bo")).body["activity"]["today"]["messages"] == 1
    world.clock.move(timedelta(minutes=1))
    assert (await world.get("/communities/tea/members/oa:bo")).body["activity"]["today"]["messages"] == 0


async def test_a_leaver_stays_in_the_list_with_the_instant_of_leaving(world: World) -> None:
    await world.send("ana", Subscribed())
    world.clock.move(timedelta(minutes=5))
    await world.send("ana", Unsubscribed())

    (member,) = await world.items("/communities/milk/members")

    assert (member["id"], member["left_at"]) == ("app:ana", "2026-03-02T12:05:00.000+08:00")


async def test_the_list_is_paged_and_filtered_by_prefix_across_equal_and_new_members(world: World) -> None:
    for number in range(7):
        await world.say(f"user{number}", "hi")
    await world.say("other", "hi")

    pages = await world.items("/communities/milk/members", limit="3", prefix="user")

    assert [member["id"] for member in pages] == [f"app:user{number}" for number in range(7)]
    assert await world.items("/communities/tea/members") == []


async def test_any_character_of_a_user_id_survives_the_url(world: World) -> None:
    for user_id in ("a/b", "a%2Fb", "a b+c", "微信", "a?b#c", "{x}", "..", "a%"):
        await world.say(user_id, "hi")

        reply = await world.get(f"/communities/milk/members/{quote(f'app:{user_id}', safe='')}")
        assert (reply.status, reply.body.get("user_id")) == (200, user_id), user_id


async def test_a_member_never_seen_is_not_found_until_points_are_given(world: World) -> None:
    assert (await world.get("/communities/milk/members/app:new")).word == "not_found"
    await world.post("/communities/milk/ledger", {"member": "app:new", "delta": 5, "request_id": "r1"})
    reply = await world.get("/communities/milk/members/app:new")
    assert (reply.status, reply.body["points"], reply.body["joined_at"]) == (200, 5, None)
    assert (await world.get("/communities/tea/members/app:new")).word == "not_found"
