"""关键词 alone: a manager writes a rule in a talk of several steps, on every kind of channel."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.testing import BOT, FakeChat
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import COMMUNITY

ASK_TRIGGER = (
    "好，来添一条自动回复。触发词是什么？消息里出现它，我就回复。\n"
    "有几个触发词的话，用顿号或换行分开。\n"
    "随时发「取消」退出；5 分钟没有回答，就当作罢。"
)
ASK_ANSWER = "触发词：营业时间\n要回复什么？可以有多行，也可以用 {昵称}、{积分}、{连续} 这样的变量。"
ASK_CONFIRM = "请核对。触发词：营业时间\n回复：\n九点到五点\n对的话发「确认」，不要就发「取消」。"
SAVED = (
    "已保存关键词「营业时间」。消息里出现它，我就这样回复：\n九点到五点\n"
    "要改，再发一次「关键词 营业时间=新的回复」；要删，发「删关键词 营业时间」。"
)


async def rules(chat: FakeChat) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    page = await chat.service.parts.stores.keyword_rules.page(COMMUNITY)
    return sorted((rule.triggers, rule.answers) for rule in page.items)


async def test_a_rule_is_written_step_by_step(chat: FakeChat) -> None:
    for text in ("关键词", "营业时间", "九点到五点", "确认"):
        await chat.say("ana", text)
    await chat.refresh_keywords()
    await chat.say("alice", "营业时间？")
    await chat.say("ana", "确认")
    assert chat.transcript == [
        ("ana", "关键词"), (BOT, ASK_TRIGGER),
        ("ana", "营业时间"), (BOT, ASK_ANSWER),
        ("ana", "九点到五点"), (BOT, ASK_CONFIRM),
        ("ana", "确认"), (BOT, SAVED),
        ("alice", "营业时间？"), (BOT, "九点到五点"),
        ("ana", "确认"),
    ]  # fmt: skip


async def test_in_a_group_only_the_managers_own_messages_feed_the_talk(chat: FakeChat) -> None:
    for who, text in [
        ("ana", "关键词"), ("bob", "你好"), ("bob", "取消"), ("ana", "营业时间"), ("bob", "确认"),
        ("ana", "九点到五点"), ("bob", "确认"), ("ana", "确认"),
    ]:  # fmt: skip
        await chat.say(who, text, group="g1")
    await chat.refresh_keywords()
    await chat.say("bob", "营业时间", group="g2")
    bot = f"{BOT}@g1"
    assert chat.transcript == [
        ("ana@g1", "关键词"), (bot, f"ana，{ASK_TRIGGER}\n（在群里回答，也请先 @我。）"),
        ("bob@g1", "你好"), ("bob@g1", "取消"),
        ("ana@g1", "营业时间"), (bot, f"ana，{ASK_ANSWER}"),
        ("bob@g1", "确认"),
        ("ana@g1", "九点到五点"), (bot, f"ana，{ASK_CONFIRM}"),
        ("bob@g1", "确认"),
        ("ana@g1", "确认"), (bot, f"ana，{SAVED}"),
        ("bob@g2", "营业时间"), (f"{BOT}@g2", "九点到五点"),
    ]  # fmt: skip


async def test_a_talk_belongs_to_its_chat(chat: FakeChat) -> None:
    """Ana talks with the bot in two groups, one to one, and with the app: four talks."""
    await chat.say("ana", "关键词", group="g1")
    assert await chat.say("ana", "你好", group="g2") is None
    assert await chat.direct("ana", "你好") is None
    assert await chat.say("ana", "你好") is None
    await chat.direct("ana", "关键词")
    await chat.say("ana", "一", group="g1")
    await chat.direct("ana", "二")
    assert "触发词：一\n" in (await chat.say("ana", "答", group="g1") or "")
    assert "触发词：二\n" in (await chat.direct("ana", "答") or "")


async def test_what_cannot_be_saved_is_asked_for_again(chat: FakeChat) -> None:
    await chat.say("ana", "关键词")
    assert await chat.say("ana", "长" * 201) == (
        "这样不行：第 1 个触发词：有 201 个字，最多 200 个，请写短一些。请再发一次，或者发「取消」退出。"
    )
    assert (await chat.say("ana", "你好、 、你好") or "").startswith("这样不行：第 2 个触发词")
    assert await chat.say("ana", "营业时间") == ASK_ANSWER
    assert (await chat.say("ana", "{昵程}") or "").startswith("这样不行：第 1 个回复：没有变量“昵程”")
    assert await chat.say("ana", "九点到五点") == ASK_CONFIRM
    assert await chat.say("ana", "嗯？") == ASK_CONFIRM
    assert await chat.say("ana", "好的") == SAVED


async def test_several_triggers_become_rules_that_can_be_changed_one_by_one(chat: FakeChat) -> None:
    for text in ("关键词", "营业时间、几点开门\n几点关门", "九点到五点", "确认"):
        await chat.say("ana", text)
    await chat.refresh_keywords()
    assert chat.transcript[-1][1] == (
        "已保存 3 个关键词：营业时间、几点开门、几点关门。消息里出现任何一个，我就这样回复：\n九点到五点\n"
        "要改或要删其中一个，发「关键词 触发词=新的回复」或「删关键词 触发词」。"
    )
    assert await chat.say("alice", "几点开门？") == "九点到五点"
    await chat.say("ana", "关键词 几点关门=五点")
    await chat.refresh_keywords()
    assert await chat.say("alice", "几点关门？") == "五点"


async def test_the_talk_can_be_left_at_any_step(chat: FakeChat) -> None:
    for before in (["关键词"], ["关键词", "一"], ["关键词", "一", "二"]):
        for way_out in ("取消", "/退出", "Cancel"):
            for text in before:
                await chat.say("ana", text)
            assert await chat.say("ana", way_out) == "好的，已取消。"
            assert await chat.say("ana", "确认") is None
    assert await chat.say("ana", "取消") is None
    assert await rules(chat) == []


async def test_a_command_in_between_is_carried_out_and_the_talk_goes_on(chat: FakeChat) -> None:
    await chat.say("ana", "关键词")
    assert (await chat.say("ana", "签到") or "").startswith("签到成功！")
    assert await chat.say("ana", "营业时间") == ASK_ANSWER
    assert await chat.say("ana", "关键词") == ASK_TRIGGER
    assert (await chat.say("ana", "关键词 电话=123") or "").startswith("已保存关键词「电话」")
    assert await chat.say("ana", "营业时间") is None


async def test_a_keyword_rule_does_not_answer_in_the_place_of_the_talk(chat: FakeChat) -> None:
    await chat.say("ana", "关键词 营业时间=旧的")
    await chat.refresh_keywords()
    await chat.say("ana", "关键词")
    assert await chat.say("ana", "营业时间") == ASK_ANSWER
    assert await chat.say("alice", "营业时间") == "旧的"


async def test_after_five_minutes_the_talk_is_forgotten(chat: FakeChat) -> None:
    await chat.say("ana", "关键词")
    chat.pass_time(timedelta(minutes=4, seconds=59))
    assert await chat.say("ana", "营业时间") == ASK_ANSWER
    chat.pass_time(timedelta(minutes=5))
    assert await chat.say("ana", "九点到五点") is None
    assert await chat.say("ana", "确认") is None
    assert await rules(chat) == []


async def test_members_cannot_begin_it_and_who_is_no_manager_any_more_cannot_end_it(
    open_chat: OpenChat,
) -> None:
    refusal = "这个命令只有社群管理员可以用。发「帮助」看看你能用的命令。"
    async with open_chat(managers=["ana"]) as chat:
        assert await chat.say("alice", "关键词") == refusal
        for text in ("关键词", "营业时间", "九点到五点"):
            await chat.say("ana", text)
    async with open_chat(managers=["bob"]) as chat:
        assert await chat.say("ana", "确认", message_id="m") == refusal
        assert await chat.say("ana", "确认", message_id="n") is None
        assert await rules(chat) == []


@pytest.mark.parametrize("group", ["", "g1"])
async def test_every_message_of_the_talk_may_come_twice(chat: FakeChat, group: str) -> None:
    said = ("关键词", "营业时间", "九点到五点", "确认")
    order = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 1, 2, 3]
    answers = [await chat.say("ana", said[number], group=group, message_id=str(number)) for number in order]
    firsts = answers[:12:3]
    assert answers == [firsts[number] for number in order]
    name = "ana，" if group else ""
    assert firsts[1:] == [f"{name}{answer}" for answer in (ASK_ANSWER, ASK_CONFIRM, SAVED)]
    assert await rules(chat) == [(("营业时间",), ("九点到五点",))]


async def test_an_english_community_talks_english(open_chat: OpenChat) -> None:
    async with open_chat(managers=["ana"], community={"language": "en"}) as chat:
        for text in ("keyword", "opening hours", "9 to 5", "Yes"):
            await chat.say("ana", text, group="g1")
        said = [text.splitlines() for who, text in chat.transcript if who == f"{BOT}@g1"]
    assert (
        said[0][0] == "ana: Let us add an answer. What is the trigger? Whenever a message holds it, I answer."
    )
    assert said[0][-1] == "(In a group, please mention me when you answer.)"
    assert said[1][0] == "ana: Trigger: opening hours"
    assert said[2] == [
        "ana: Please check. Trigger: opening hours", "Answer:", "9 to 5",
        'Send "confirm" if it is right, "cancel" if not.',
    ]  # fmt: skip
    assert said[3][0] == 'ana: Saved the keyword "opening hours". Whenever a message holds it, I answer:'
