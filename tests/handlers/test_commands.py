"""How a command may be written, and what stands in its way."""

from __future__ import annotations

import asyncio

import pytest
import structlog.testing

from bot.errors import ConfigError, RefusedError
from bot.model import Reply
from bot.routing.context import Context
from bot.routing.router import Router
from bot.testing import BOT, FakeChat, Stores
from run import ROUTERS
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import ledger

CHECK_IN = (
    "签到", "打卡", "/签到", "#签到", "／签到", "＃打卡", "/ 签到", "  签到\n", "　签到　", "簽到", "#簽到",
    "@小助手 签到", "＠小助手　簽到", "@小助手\u2005签到", "签\u200b到", "签到\ufe0f",
    "checkin", "CheckIn", "ＣＨＥＣＫＩＮ", "/CHECKIN",
)  # fmt: skip
NO_CHECK_IN = (
    "", " ", "/", "#", "@小助手", "签到吧", "我要签到", "签到 今天", "//签到", "签 到", "签到😀", "签到。",
    "check in", "check-in",
)  # fmt: skip


async def test_a_command_has_many_spellings(chat: FakeChat) -> None:
    for number, written in enumerate(CHECK_IN):
        assert (await chat.say(f"m{number}", written) or "").startswith("签到成功！"), repr(written)


async def test_what_only_looks_like_a_command_is_none(chat: FakeChat) -> None:
    for written in NO_CHECK_IN:
        assert await chat.say("alice", written) is None, repr(written)
    assert await ledger(chat) == []


async def test_the_words_behind_a_command_may_be_far_away(chat: FakeChat) -> None:
    assert (await chat.say("alice", "#排行 \n 　本周") or "").startswith("【测试社群】本周积分榜")


async def test_every_alias_of_the_contract_is_known(chat: FakeChat) -> None:
    for word in (
        "帮助",
        "菜单",
        "help",
        "签到",
        "打卡",
        "补签",
        "积分",
        "我的积分",
        "明细",
        "排行",
        "排行榜",
    ):
        assert await chat.say("alice", word) is not None


async def test_two_commands_of_one_word_stop_the_start_and_both_are_named(stores: Stores) -> None:
    rival = Router("rival")

    @rival.command("抢亲", "簽到", "HELP")
    async def grab(_: Context) -> None: ...

    with pytest.raises(ConfigError) as raised:
        async with FakeChat([*ROUTERS, rival], stores=stores):
            pass
    texts = [str(fault) for fault in raised.value.faults]
    assert len(texts) == 2
    assert all("rival.grab" in text for text in texts)
    assert "簽到 is registered already by check_in.check_in" in texts[0]
    assert "HELP is registered already by help.show_help" in texts[1]


# ---------------------------------------------------------------- too fast, gone wrong


async def test_who_sends_too_much_is_told_once_and_then_not_answered(open_chat: OpenChat) -> None:
    async with open_chat(server={"member_rate_per_min": 3}, managers=["ana"]) as chat:
        answers = [await chat.say("alice", "积分") for _ in range(7)]
        other = await chat.say("bob", "签到")

    assert all(answer is not None and answer.startswith("你现在有 0 积分") for answer in answers[:3])
    assert answers[3] == "发得太快啦，这一分钟里先不回复你了，休息一下再来吧。"
    assert answers[4:] == [None] * 3
    assert (other or "").startswith("签到成功！")


async def test_a_message_above_the_rate_has_no_effect_and_its_repeats_the_same_answer(
    open_chat: OpenChat,
) -> None:
    async with open_chat(server={"member_rate_per_min": 1}, community={"language": "en"}) as chat:
        await chat.say("alice", "hello")
        answers = [await chat.say("alice", "checkin", message_id="m") for _ in range(3)]
        assert len(set(answers)) == 1
        assert (answers[0] or "").startswith("That was a bit fast, so I will not answer for the rest of this")
        assert await ledger(chat) == []


def faulty() -> Router:
    router = Router("faulty")

    @router.command("坏")
    async def fail(_: Context) -> Reply:
        raise ZeroDivisionError("secret inside")

    @router.command("不行")
    async def refuse(_: Context) -> Reply:
        raise RefusedError("现在不行，请明天再来。")

    @router.text
    def find(_: object) -> None:
        raise LookupError("a finder's fault")

    return router


async def test_a_fault_of_a_handler_is_an_apology_to_the_member_and_a_line_in_the_log(stores: Stores) -> None:
    async with FakeChat([faulty(), *ROUTERS], stores=stores) as chat:
        with structlog.testing.capture_logs() as lines:
            said = await chat.say("alice", "坏")
        again = await chat.say("alice", "签到")

    assert said == "抱歉，刚才出了点问题，已经记下来了。请过一会儿再试一次。"
    assert [(line["event"], line["log_level"], line["channel"]) for line in lines] == [
        ("handler failed", "error", "app")
    ]
    assert (again or "").startswith("签到成功！")


async def test_a_fault_of_a_finder_leaves_the_other_features_alone(stores: Stores) -> None:
    async with FakeChat([faulty(), *ROUTERS], managers=["ana"], stores=stores) as chat:
        await chat.say("ana", "关键词 鲜奶=有的")
        await chat.refresh_keywords()
        with structlog.testing.capture_logs() as lines:
            assert await chat.say("alice", "鲜奶") == "有的"
    assert [(line["event"], line["finder"]) for line in lines] == [("finder failed", "faulty.find")]


async def test_a_refusal_is_told_in_its_own_words(stores: Stores) -> None:
    async with FakeChat([faulty()], stores=stores) as chat:
        await chat.say("alice", "不行")
    assert chat.transcript == [("alice", "不行"), (BOT, "现在不行，请明天再来。")]


async def test_the_order_of_a_chat_is_kept_for_messages_sent_at_once(chat: FakeChat) -> None:
    """Each sees what was said before it."""
    answers = await asyncio.gather(*(chat.say("alice", text) for text in ["签到", "积分"] * 3))
    assert (answers[0] or "").startswith("签到成功！")
    assert all((answer or "").startswith("你现在有 10 积分") for answer in answers[1::2])
    assert all((answer or "").startswith("今天已经签到过了") for answer in answers[2::2])
