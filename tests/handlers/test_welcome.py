"""欢迎: who comes, who comes back, who leaves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.errors import ConfigError
from bot.model import Entered, Scanned, Subscribed, Unsubscribed
from bot.testing import BOT, CHANNEL, FakeChat
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import COMMUNITY, introduce, shanghai

HELLO = "alice，欢迎来到【测试社群】！每天发「签到」领积分，发「帮助」看看我还会什么。"


async def test_a_first_greeting_and_then_one_a_day_for_opening_the_chat(chat: FakeChat) -> None:
    await chat.send("alice", Subscribed())
    await chat.send("alice", Entered())
    await chat.send("alice", Entered())
    chat.pass_time(timedelta(days=1))
    await chat.send("alice", Entered())
    await chat.send("alice", Entered())
    chat.pass_time(timedelta(days=1))
    await chat.send("alice", Entered())

    welcome_back = "alice，欢迎回来！你现在有 0 积分。发「签到」继续攒，发「帮助」看菜单。"
    assert chat.transcript == [
        ("alice", "[subscribe]"), (BOT, HELLO),
        ("alice", "[enter]"), (BOT, welcome_back),
        ("alice", "[enter]"),
        ("alice", "[enter]"), (BOT, welcome_back),
        ("alice", "[enter]"),
        ("alice", "[enter]"), (BOT, welcome_back),
    ]  # fmt: skip


async def test_who_opens_the_chat_without_ever_following_is_greeted_as_new(chat: FakeChat) -> None:
    assert await chat.send("alice", Entered()) == HELLO
    assert await chat.send("alice", Entered()) != HELLO


async def test_opening_the_chat_is_greeted_once_in_a_community_day_not_in_24_hours(chat: FakeChat) -> None:
    chat.clock.set(shanghai(3, 2, "23:59:59"))
    await chat.send("alice", Subscribed())
    await chat.send("alice", Entered())
    chat.pass_time(timedelta(seconds=2))
    assert (await chat.send("alice", Entered()) or "").startswith("alice，欢迎回来！")


async def test_a_greeting_of_yesterday_told_late_does_not_bring_another_one_today(chat: FakeChat) -> None:
    await chat.send("alice", Subscribed())
    await chat.send("alice", Entered())
    assert await chat.send("alice", Entered(), at=shanghai(3, 1)) is None
    assert await chat.send("alice", Entered()) is None


async def test_who_leaves_and_comes_back_keeps_their_points_and_is_welcomed_back(chat: FakeChat) -> None:
    members = chat.service.parts.stores.members
    await chat.send("alice", Subscribed())
    await chat.say("alice", "签到")
    assert await chat.send("alice", Unsubscribed()) is None
    gone = await members.get(COMMUNITY, f"{CHANNEL}:alice")
    chat.pass_time(timedelta(hours=1))
    welcome = await chat.send("alice", Subscribed())
    back = await members.get(COMMUNITY, f"{CHANNEL}:alice")

    assert welcome == "alice，欢迎回来！你现在有 10 积分。发「签到」继续攒，发「帮助」看菜单。"
    assert (gone.left_at_ms is not None, back.left_at_ms, back.joins) == (True, None, 2)


async def test_the_community_greets_in_its_own_words_with_variables(open_chat: OpenChat) -> None:
    own = {
        "first": "{昵称}你好，这里是{社群}。今天是 {日期} 星期{星期}，{{签到}}有奖。",
        "returning": "{name}回来啦：{points} 分，连续 {streak} 天，累计 {check_ins} 天，第 {rank} 名。",
    }
    async with open_chat(community={"welcome": own}) as chat:
        assert await chat.send("alice", Subscribed()) == (
            "alice你好，这里是测试社群。今天是 2026-03-02 星期一，{签到}有奖。"
        )
        assert await chat.send("alice", Subscribed()) == "alice回来啦：0 分，连续 0 天，累计 0 天，第 - 名。"
        await chat.say("alice", "签到")
        assert await chat.send("alice", Subscribed()) == "alice回来啦：10 分，连续 1 天，累计 1 天，第 1 名。"


async def test_a_nickname_with_braces_is_a_name_and_no_variable(open_chat: OpenChat) -> None:
    async with open_chat(community={"welcome": {"first": "{name}，{community}欢迎你"}}) as chat:
        await introduce(chat, "alice", "{points}{{😀}}")
        await introduce(chat, "bob", "两\n行")

    assert chat.transcript[1] == (BOT, "{points}{{😀}}，测试社群欢迎你")
    assert chat.transcript[3] == (BOT, "两 行，测试社群欢迎你")


async def test_an_openid_is_not_read_out_in_full(chat: FakeChat) -> None:
    welcome = await chat.send("oGZUI0egBJY1zhBYw2KhdUfwVJJE", Subscribed())
    assert (welcome or "").startswith("oGZU…VJJE，欢迎来到")


async def test_a_greeting_longer_than_a_message_is_sent_in_pieces(open_chat: OpenChat) -> None:
    long = "欢迎！" + "社群守则。" * 300
    async with open_chat(community={"welcome": {"first": long}}) as chat:
        first = await chat.send("alice", Subscribed())
        chat.pass_time(timedelta(seconds=2))
        await chat.deliver()

    pieces = [text for who, text in chat.transcript if who == BOT]
    assert pieces[0] == first
    assert len(pieces) == 3
    assert "".join(pieces) == long
    assert all(len(piece.encode()) <= 2048 for piece in pieces)


async def test_a_greeting_with_an_unknown_variable_is_refused_at_the_start(open_chat: OpenChat) -> None:
    with pytest.raises(ConfigError, match=r"communities\[test\]\.welcome\.returning.*\{nam\}.*\{name\}"):
        async with open_chat(community={"welcome": {"first": "{name}", "returning": "{nam}"}}):
            pass


async def test_a_leave_is_noted_also_of_a_member_who_had_sent_too_much(open_chat: OpenChat) -> None:
    async with open_chat(server={"member_rate_per_min": 1}) as chat:
        await chat.send("alice", Subscribed())
        await chat.say("alice", "积分")
        await chat.say("alice", "积分")
        await chat.send("alice", Unsubscribed())
        assert (await chat.service.parts.stores.members.get(COMMUNITY, f"{CHANNEL}:alice")).left_at_ms


async def test_reports_that_nobody_answers_are_taken_in_silence(chat: FakeChat) -> None:
    assert await chat.send("alice", Scanned(scene="7", ticket="t")) is None


async def test_an_english_community_greets_in_english(open_chat: OpenChat) -> None:
    async with open_chat(community={"language": "en", "name": "Milk Club"}) as chat:
        assert await chat.send("alice", Subscribed()) == (
            'Welcome to Milk Club, alice! Send "checkin" every day to earn points, '
            'or "help" to see what else I can do.'
        )
        chat.pass_time(timedelta(days=1))
        assert await chat.send("alice", Entered()) == (
            'Welcome back, alice! You have 0 points. Send "checkin" to earn more, or "help" for the menu.'
        )
