"""补签 and 日历: filling a missed day, and seeing the month."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.testing import BOT, FakeChat
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import balance, ledger, shanghai

DAY = timedelta(days=1)


async def test_a_make_up_card_fills_the_latest_missed_day_and_then_the_one_before(chat: FakeChat) -> None:
    await chat.say("alice", "签到", at=shanghai(2, 27))
    await chat.say("ana", "加分 alice 100")
    await chat.say("alice", "补签")
    await chat.say("alice", "补签")

    first, second = [text for who, text in chat.transcript if who == BOT][-2:]
    assert first == (
        "补签成功！已补上 2026-03-01，用去 50 积分，现有 60 积分。\n"
        "连续 1 天，累计 2 天。发「日历」看本月签到。"
    )
    assert second == (
        "补签成功！已补上 2026-02-28，用去 50 积分，现有 20 积分。\n"
        "连续 3 天，累计 3 天。补上后达成连续签到，奖励 10 积分已到账。"
    )
    assert [(entry.reason, entry.delta) for entry in await ledger(chat, "alice")][-3:] == [
        ("make_up", -50), ("make_up", -50), ("milestone", 10),
    ]  # fmt: skip


async def test_today_is_not_made_up_but_checked_in(chat: FakeChat) -> None:
    await chat.say("ana", "签到")
    await chat.say("alice", "积分")
    await chat.say("ana", "加分 alice 500")
    await chat.say("alice", "补签")
    assert "连续 2 天，累计 2 天" in (await chat.say("alice", "签到") or "")


async def test_without_enough_points_nothing_is_spent(chat: FakeChat) -> None:
    await chat.say("alice", "签到")
    assert await chat.say("alice", "补签") == (
        "补签 2026-03-01 需要 50 积分，你现在有 10 积分。发「签到」先攒一攒。"
    )
    assert await balance(chat, "alice") == 10
    assert len(await ledger(chat)) == 1


async def test_cards_are_limited_per_month_of_the_day_made_up(open_chat: OpenChat) -> None:
    rules = {"check_in": {"make_up": {"cost": 0, "days_back": 7, "per_month": 2}}}
    async with open_chat(community=rules, at=shanghai(3, 3)) as chat:
        for day in ("2026-03-02", "2026-03-01", "2026-02-28", "2026-02-27"):
            assert (await chat.say("alice", "补签") or "").startswith(f"补签成功！已补上 {day}")
        assert await chat.say("alice", "补签") == (
            "2026-02-26 补不了：2 月的补签卡已经用完（每月 2 张）。每天发「签到」，连续天数就不会断。"
        )


async def test_where_no_day_was_missed_no_card_is_used(open_chat: OpenChat) -> None:
    async with open_chat(community={"check_in": {"make_up": {"days_back": 2}}}) as chat:
        await chat.say("alice", "签到", at=shanghai(2, 28))
        await chat.say("alice", "签到", at=shanghai(3, 1))
        assert await chat.say("alice", "补签") == "最近没有漏签的日子，不用补。今天别忘了发「签到」。"
        assert await balance(chat, "alice") == 20


@pytest.mark.parametrize("rules", [{"days_back": 0}, {"per_month": 0}])
async def test_cards_can_be_switched_off(open_chat: OpenChat, rules: dict[str, int]) -> None:
    async with open_chat(community={"check_in": {"make_up": rules}}) as chat:
        assert await chat.say("alice", "补签") == "本社群没有开启补签。每天发「签到」，连续天数就不会断。"


async def test_the_month_is_shown_as_a_calendar(chat: FakeChat) -> None:
    for day in (1, 3, 4):
        await chat.say("alice", "签到", at=shanghai(3, day))
    chat.clock.set(shanghai(3, 10))
    await chat.say("alice", "签到")

    blank = "\u2007\u2007"
    assert await chat.say("alice", "日历") == "\n".join(
        [
            "2026 年 3 月签到日历（✅ 是已签到的日子）",
            "一 二 三 四 五 六 日",
            " ".join([blank] * 6 + ["✅"]),
            "02 ✅ ✅ 05 06 07 08",
            "09 ✅ 11 12 13 14 15",
            "16 17 18 19 20 21 22",
            "23 24 25 26 27 28 29",
            "30 31",
            "本月签到 4 天，当前连续 1 天，累计 4 天。",
            "发「签到」记下今天，发「补签」补上最近漏掉的一天。",
        ]
    )


async def test_the_calendar_keeps_a_streak_that_today_may_still_go_on(chat: FakeChat) -> None:
    for day in (26, 27, 28):
        await chat.say("alice", "签到", at=shanghai(2, day))
    chat.clock.set(shanghai(3, 1))
    shown = await chat.say("alice", "签到日历") or ""
    assert "本月签到 0 天，当前连续 3 天，累计 3 天。" in shown
    chat.pass_time(DAY)
    assert "当前连续 0 天，累计 3 天。" in (await chat.say("alice", "日历") or "")


async def test_an_english_community_makes_up_in_english(open_chat: OpenChat) -> None:
    async with open_chat(community={"language": "en", "check_in": {"make_up": {"cost": 0}}}) as chat:
        assert await chat.say("alice", "makeup") == (
            "Made up for 2026-03-01: 0 points spent, you have 0.\n"
            'Days in a row: 1, in all: 1. Send "calendar" for this month.'
        )
        shown = await chat.say("alice", "calendar") or ""
        assert shown.startswith("Check-ins of 2026-3 (✅ done)\nMo Tu We Th Fr Sa Su\n")
