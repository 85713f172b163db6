"""关键词回复: which rule answers, when, with what, and to whom."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.model import ImageMessage
from bot.testing import BOT, FakeChat
from tests.handlers.scenes import add_rule, introduce, shanghai


@pytest.mark.parametrize(
    ("match", "trigger", "fires_on", "silent_on"),
    [
        ("exact", "鲜奶", ["鲜奶", " 鮮奶 "], ["鲜奶多少钱", "买鲜奶"]),
        ("prefix", "鲜奶", ["鲜奶", "鲜奶多少钱"], ["买鲜奶"]),
        ("contains", "鲜奶", ["鲜奶", "买鲜奶吗"], ["鲜牛奶", ""]),
        ("regex", "[0-9]+ ?箱", ["来２箱", "3 箱鲜奶"], ["来几箱"]),
        ("contains", "😀", ["哈哈😀"], ["哈哈"]),
    ],
)
async def test_a_rule_matches_exactly_at_the_beginning_within_or_by_a_pattern(
    chat: FakeChat, match: str, trigger: str, fires_on: list[str], silent_on: list[str]
) -> None:
    await add_rule(chat, trigger, answers=("有的",), match=match)
    for text in fires_on:
        assert await chat.say("alice", text) == "有的"
    for text in silent_on:
        assert await chat.say("alice", text) is None


async def test_of_several_rules_one_answers_the_highest_priority_then_the_longest(chat: FakeChat) -> None:
    await add_rule(chat, "奶", answers=("短",))
    await add_rule(chat, "鲜奶价格", answers=("长",))
    await add_rule(chat, "鲜奶", answers=("中",))
    assert await chat.say("alice", "问鲜奶价格") == "长"
    await add_rule(chat, "问", answers=("要紧",), priority=5)
    assert await chat.say("alice", "问鲜奶价格") == "要紧"
    assert await chat.say("alice", "鲜奶") == "中"


async def test_a_text_of_the_largest_size_is_matched(chat: FakeChat) -> None:
    await add_rule(chat, "鲜奶", answers=("有的",))
    assert await chat.say("alice", "啊" * 680 + "鲜奶") == "有的"
    assert await chat.say("alice", "啊" * 682) is None


async def test_only_texts_are_matched(chat: FakeChat) -> None:
    await add_rule(chat, "image", answers=("看到了",))
    assert await chat.send("alice", ImageMessage(url="http://image", media_id="image")) is None


# ---------------------------------------------------------------- cool-down


async def test_a_rule_rests_for_everybody(chat: FakeChat) -> None:
    await add_rule(chat, "鲜奶", answers=("有的",), cool_down_s=60, cool_down_scope="rule")
    assert await chat.say("alice", "鲜奶") == "有的"
    assert await chat.say("bob", "鲜奶") is None
    chat.pass_time(timedelta(seconds=59))
    assert await chat.say("alice", "鲜奶") is None
    chat.pass_time(timedelta(seconds=1))
    assert await chat.say("alice", "鲜奶") == "有的"


async def test_a_rule_rests_per_member(chat: FakeChat) -> None:
    await add_rule(chat, "鲜奶", answers=("有的",), cool_down_s=60, cool_down_scope="member")
    assert [await chat.say(who, "鲜奶") for who in ("alice", "alice", "bob")] == ["有的", None, "有的"]


async def test_a_rule_rests_per_group_and_a_direct_chat_is_a_group_of_its_own(chat: FakeChat) -> None:
    await add_rule(chat, "鲜奶", answers=("有的",), cool_down_s=60, cool_down_scope="group")
    assert await chat.say("alice", "鲜奶", group="g1") == "有的"
    assert await chat.say("bob", "鲜奶", group="g1") is None
    assert await chat.say("alice", "鲜奶", group="g2") == "有的"
    assert [await chat.say(who, "鲜奶") for who in ("alice", "alice", "bob")] == ["有的", None, "有的"]


async def test_while_a_rule_rests_the_next_one_that_matches_answers(chat: FakeChat) -> None:
    await add_rule(chat, "鲜奶价格", answers=("详细",), cool_down_s=60)
    await add_rule(chat, "鲜奶", answers=("简短",))
    assert [await chat.say("alice", "鲜奶价格") for _ in range(3)] == ["详细", "简短", "简短"]


async def test_a_repeated_message_gets_its_answer_also_while_the_rule_rests(chat: FakeChat) -> None:
    await add_rule(chat, "鲜奶", answers=("有的",), cool_down_s=60)
    assert [await chat.say("alice", "鲜奶", message_id="m") for _ in range(3)] == ["有的"] * 3


# ---------------------------------------------------------------- where and when


async def test_a_rule_of_some_groups_is_silent_in_others(chat: FakeChat) -> None:
    await add_rule(chat, "鲜奶", answers=("有的",), groups=("g1",))
    assert await chat.say("alice", "鲜奶", group="g1") == "有的"
    assert await chat.say("alice", "鲜奶", group="g2") is None
    assert await chat.say("alice", "鲜奶") is None


async def test_a_rule_keeps_its_hours_by_the_clock_of_the_community(chat: FakeChat) -> None:
    await add_rule(chat, "客服", answers=("在的",), hours=("09:00-18:00",))
    await add_rule(chat, "客服", answers=("下班了",), hours=("18:00-09:00",))
    for clock, answer in [("08:59:59", "下班了"), ("09:00", "在的"), ("17:59", "在的"), ("18:00", "下班了")]:
        assert await chat.say("alice", "客服", at=shanghai(3, 2, clock)) == answer


async def test_a_rule_keeps_its_weekdays(chat: FakeChat) -> None:
    await add_rule(chat, "活动", answers=("周一特价",), weekdays=(1,))
    assert await chat.say("alice", "活动") == "周一特价"
    chat.clock.set(shanghai(3, 3))
    assert await chat.say("alice", "活动") is None


async def test_a_message_of_the_working_hours_that_comes_late_is_answered_as_of_then(chat: FakeChat) -> None:
    await add_rule(chat, "客服", answers=("在的",), hours=("09:00-18:00",))
    chat.clock.set(shanghai(3, 2, "18:00:03"))
    assert await chat.say("alice", "客服", at=shanghai(3, 2, "17:59:58")) == "在的"


async def test_a_rule_that_is_switched_off_is_silent(chat: FakeChat) -> None:
    await add_rule(chat, "鲜奶", answers=("有的",), enabled=False)
    assert await chat.say("alice", "鲜奶") is None


# ---------------------------------------------------------------- which answer


async def test_a_random_answer_is_drawn_anew_for_a_message_and_kept_for_its_repeats(chat: FakeChat) -> None:
    await add_rule(chat, "你好", answers=("早", "中", "晚"), pick="random")
    drawn = [await chat.say("alice", "你好", message_id=str(number)) for number in range(30)]
    again = [await chat.say("alice", "你好", message_id=str(number)) for number in range(30)]
    assert set(drawn) == {"早", "中", "晚"}
    assert again == drawn


async def test_answers_take_turns_and_a_repeat_takes_none(chat: FakeChat) -> None:
    await add_rule(chat, "笑话", answers=("一", "二", "三"), pick="in_turn")
    said = [await chat.say("alice", "笑话", message_id=str(number // 2)) for number in range(10)]
    assert said == ["一", "一", "二", "二", "三", "三", "一", "一", "二", "二"]


async def test_all_answers_are_given_in_order(chat: FakeChat) -> None:
    await add_rule(chat, "入群须知", answers=("第一条", "第二条，{昵称}"), pick="all")
    assert await chat.say("alice", "入群须知") == "第一条\n\n第二条，alice"


async def test_variables_are_filled_in_for_who_asks(chat: FakeChat) -> None:
    await introduce(chat, "u1", "小{积分}")
    await chat.say("u1", "签到")
    mine = "{昵称}/{成员}：{积分} 分，连续 {连续}，累计 {累计}，第 {排名} 名；"
    await add_rule(chat, "我的", answers=(mine + "{社群}{群} {日期} {时间} 星期{星期}",))
    assert await chat.say("u1", "我的") == (
        "小{积分}/app:u1：10 分，连续 1，累计 1，第 1 名；测试社群 2026-03-02 12:00 星期一"
    )
    assert (await chat.say("bob", "我的") or "").startswith("bob/app:bob：0 分，连续 0，累计 0，第 - 名；")


async def test_a_long_answer_goes_out_in_pieces_and_once(chat: FakeChat) -> None:
    long = "，".join(f"第{number}条" for number in range(300))
    await add_rule(chat, "群规", answers=(long,))
    for _ in range(3):
        await chat.say("alice", "群规", message_id="m")
    chat.pass_time(timedelta(seconds=2))
    await chat.deliver()
    await chat.deliver()

    pieces = [text for who, text in chat.transcript if who == BOT]
    assert pieces[0] == pieces[1] == pieces[2]
    assert "".join(pieces[2:]) == long
