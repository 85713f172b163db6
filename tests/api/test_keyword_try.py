from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.api.world import World

KEYWORDS = "/communities/milk/keywords"
TRY = f"{KEYWORDS}/test"


async def save(world: World, trigger: str, answer: str = "好", **fields: Any) -> int:
    reply = await world.post(KEYWORDS, {"triggers": [trigger], "answers": [answer], **fields})
    return int(reply.body["id"])


async def test_every_rule_in_a_text_is_shown_with_why_it_won_or_lost(world: World) -> None:
    low = await save(world, "奶", priority=-1)
    long = await save(world, "鲜牛奶", "鲜")
    short = await save(world, "牛奶")
    off = await save(world, "鲜牛", enabled=False)
    group = await save(world, "牛", groups=["wr9"])
    late = await save(world, "鲜", hours=["18:00-20:00"])

    reply = await world.post(TRY, {"text": "有 鲜牛奶 吗？"})

    assert reply.status == 200
    matches = reply.body["matches"]
    shown = {match["rule"]: (match["trigger"], match["outcome"], match["reason"]) for match in matches}
    assert shown == {
        long: ("鲜牛奶", "won", "first"),
        short: ("牛奶", "lost", "shorter_than"),
        low: ("奶", "lost", "lower_priority_than"),
        off: ("鲜牛", "lost", "disabled"),
        group: ("牛", "lost", "other_group"),
        late: ("鲜", "lost", "outside_hours"),
    }
    assert matches[0]["rule"] == long
    values = {match["rule"]: match["values"] for match in matches}
    assert values[low] == {"winner": long, "own": -1, "others": 0}
    assert values[late] == {"weekday": 1, "time": "12:00"}
    assert (reply.body["answer"], reply.body["match_count"], reply.body["command"]) == ("鲜", 6, None)


async def test_group_and_instant_decide_as_they_would_in_the_chat(world: World) -> None:
    await save(world, "奶", "群里", groups=["wr9"], hours=["18:00-20:00"])
    in_group = {"text": "奶", "group": "wr9"}
    assert (await world.post(TRY, in_group)).body["answer"] is None
    evening = {**in_group, "at": "2026-03-02T18:00:00+08:00"}
    assert (await world.post(TRY, evening)).body["answer"] == "群里"
    assert (await world.post(TRY, {**evening, "group": "wr8"})).body["answer"] is None


async def test_a_rule_that_cools_down_for_the_member_lets_the_next_one_win(world: World) -> None:
    slow = await save(world, "牛奶", "慢", cool_down_s=60, cool_down_scope="member")
    await save(world, "奶", "快")
    await world.service.parts.keywords.refresh()
    assert await world.say("ana", "牛奶") == "慢"

    of_ana = await world.post(TRY, {"text": "牛奶", "member": "app:ana"})
    assert of_ana.body["answer"] == "快"
    cooling = next(match for match in of_ana.body["matches"] if match["rule"] == slow)
    assert (cooling["outcome"], cooling["reason"], cooling["values"]) == (
        "lost",
        "cooling_down",
        {"cool_down_s": 60},
    )
    assert (await world.post(TRY, {"text": "牛奶", "member": "app:bo"})).body["answer"] == "慢"
    assert await world.say("bo", "牛奶") == "慢", "a test starts no cool-down"
    world.clock.move(timedelta(seconds=61))
    assert (await world.post(TRY, {"text": "牛奶", "member": "app:ana"})).body["answer"] == "慢"


async def test_a_command_comes_before_every_rule(world: World) -> None:
    await save(world, "签")
    reply = await world.post(TRY, {"text": "＃签到"})
    assert (reply.body["command"], reply.body["answer"]) == ("签到", None)
    (match,) = reply.body["matches"]
    assert (match["outcome"], match["reason"]) == ("lost", "command_first")


async def test_the_answer_keeps_variables_in_their_braces(world: World) -> None:
    await save(world, "甲", "{{你好}} {昵称}，{points}分")
    assert (await world.post(TRY, {"text": "甲"})).body["answer"] == "{你好} {name}，{points}分"
    await world.post(KEYWORDS, {"triggers": ["乙"], "answers": ["一", "二"], "pick": "all"})
    assert (await world.post(TRY, {"text": "乙"})).body["answer"] == "一\n\n二"


async def test_a_text_that_meets_nothing_has_no_answer_and_wrong_questions_are_refused(world: World) -> None:
    nothing = {"matches": [], "match_count": 0, "command": None, "answer": None}
    assert (await world.post(TRY, {"text": "无"})).body == nothing
    cases: list[tuple[Any, str]] = [
        ({}, "text"),
        ({"text": 5}, "text"),
        ({"text": "x" * 10_001}, "text"),
        ({"text": "x", "at": "yesterday"}, "at"),
        ({"text": "x", "at": "2026-03-02T18:00:00"}, "at"),
        ({"text": "x", "at": 1772445600}, "at"),
        ({"text": "x", "at": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"text": "x", "at": "9999-12-31T23:59:59-12:00"}, "at"),
        ({"text": "x", "grup": "wr9"}, "grup"),
    ]
    for form, path in cases:
        reply = await world.post(TRY, form)
        assert (reply.status, list(reply.flaws)) == (422, [path]), form
