"""签到: the day, the streak, what it brings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.testing import BOT, FakeChat
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import balance, ledger, shanghai

NEXT_3 = "再连续 {} 天可得奖励 10 积分。"
DAY = timedelta(days=1)


async def test_check_in_counts_once_a_day_and_again_after_midnight(chat: FakeChat) -> None:
    """The day is the community's: two seconds later it is a new one."""
    chat.clock.set(shanghai(3, 2, "23:59:59"))
    await chat.say("alice", "签到")
    await chat.say("alice", "签到")
    chat.pass_time(timedelta(seconds=2))
    await chat.say("alice", "签到")

    done = (
        "签到成功！今天第 1 位，+10 积分，现有 {} 积分。\n"
        "连续 {} 天，累计 {} 天。再连续 {} 天可得奖励 10 积分。"
    )
    already = (
        "今天已经签到过了（连续 1 天，累计 1 天，现有 10 积分），明天再来吧。\n"
        "发「日历」看本月签到，发「排行」看榜单。"
    )
    assert chat.transcript == [
        ("alice", "签到"), (BOT, done.format(10, 1, 1, 2)),
        ("alice", "签到"), (BOT, already),
        ("alice", "签到"), (BOT, done.format(20, 2, 2, 1)),
    ]  # fmt: skip


async def test_the_third_and_seventh_day_in_a_row_bring_a_bonus(chat: FakeChat) -> None:
    answers = []
    for _ in range(8):
        answers.append(await chat.say("alice", "签到") or "")
        chat.pass_time(DAY)

    assert answers[2] == (
        "签到成功！今天第 1 位，+20 积分，现有 40 积分。\n"
        "连续 3 天，累计 3 天。其中连续签到奖励 10 积分。再连续 4 天可得奖励 30 积分。"
    )
    assert "+10 积分，现有 50 积分" in answers[3]
    assert "其中连续签到奖励 30 积分。再连续 23 天可得奖励 150 积分。" in answers[6]
    assert [(entry.reason, entry.delta) for entry in await ledger(chat, "alice")][2:4] == [
        ("check_in", 10), ("milestone", 10),
    ]  # fmt: skip


async def test_after_the_last_milestone_there_is_nothing_more_to_promise(open_chat: OpenChat) -> None:
    async with open_chat(community={"check_in": {"milestones": {2: 5, 3: 0}}}) as chat:
        await chat.say("alice", "签到")
        chat.pass_time(DAY)
        answer = await chat.say("alice", "签到")
    assert answer == (
        "签到成功！今天第 1 位，+15 积分，现有 25 积分。\n"
        "连续 2 天，累计 2 天。其中连续签到奖励 5 积分。明天继续来哦。"
    )


async def test_a_missed_day_ends_the_streak_but_not_the_total(chat: FakeChat) -> None:
    await chat.say("alice", "签到")
    chat.pass_time(2 * DAY)
    assert "连续 1 天，累计 2 天。" in (await chat.say("alice", "签到") or "")


async def test_a_streak_goes_on_over_the_end_of_month_and_year(chat: FakeChat) -> None:
    chat.clock.set(datetime(2026, 12, 30, 4, tzinfo=UTC))
    for streak in range(1, 5):
        assert f"连续 {streak} 天" in (await chat.say("alice", "签到") or "")
        chat.pass_time(DAY)


async def test_the_rank_of_the_day_follows_the_order_of_arrival_and_begins_anew(chat: FakeChat) -> None:
    for rank, member in enumerate(("alice", "bob", "chen"), 1):
        assert f"今天第 {rank} 位" in (await chat.say(member, "签到") or "")
    chat.pass_time(DAY)
    assert "今天第 1 位" in (await chat.say("chen", "签到") or "")


async def test_a_second_check_in_is_told_the_figures_of_now(chat: FakeChat) -> None:
    """What was earned, spent or made up since the check-in of today is in them."""
    await chat.say("alice", "签到", at=shanghai(2, 28))
    await chat.say("alice", "签到")
    await chat.say("ana", "加分 alice 100")
    await chat.say("alice", "补签")
    again = await chat.say("alice", "签到")

    assert again is not None
    assert again.startswith("今天已经签到过了（连续 3 天，累计 3 天，现有 80 积分）")
    assert await balance(chat, "alice") == 80


# ---------------------------------------------------------------- late messages


async def test_a_message_of_yesterday_counts_for_yesterday_and_leaves_today_free(chat: FakeChat) -> None:
    chat.clock.set(shanghai(3, 3, "00:00:05"))
    late = await chat.say("alice", "签到", at=shanghai(3, 2, "23:59:59"))
    today = await chat.say("alice", "签到")

    assert late == (
        "签到成功！这条消息是 2026-03-02 发的，算那一天的签到：当天第 1 位，+10 积分，现有 10 积分。\n"
        "连续 1 天，累计 1 天。再连续 2 天可得奖励 10 积分。\n"
        "今天的签到另算，别忘了再发一次「签到」。"
    )
    assert "连续 2 天，累计 2 天" in (today or "")


async def test_a_second_late_message_of_a_day_is_told_that_the_day_is_done(chat: FakeChat) -> None:
    await chat.say("alice", "签到", at=shanghai(3, 1, "09:00"))
    assert await chat.say("alice", "签到", at=shanghai(3, 1, "10:00")) == (
        "这条消息是 2026-03-01 发的，那一天已经签到过了（连续 1 天，累计 1 天，现有 10 积分）。\n"
        "今天的签到另算，别忘了再发一次「签到」。"
    )


@pytest.mark.parametrize("days_late", range(1, 8))
async def test_a_late_message_counts_on_its_own_day_for_a_week_also_after_younger_ones(
    chat: FakeChat, days_late: int
) -> None:
    await chat.say("alice", "签到")
    late = await chat.say("alice", "签到", at=shanghai(3, 2) - days_late * DAY)
    streak = 2 if days_late == 1 else 1
    assert f"+10 积分，现有 20 积分。\n连续 {streak} 天，累计 2 天。" in (late or "")
    assert "已经签到过了" in (
        await chat.say("alice", "签到", at=shanghai(3, 2, "01:00") - days_late * DAY) or ""
    )


async def test_a_late_message_that_closes_a_gap_pays_the_milestone_once(chat: FakeChat) -> None:
    """Days 1 and 3, then day 2 arrives: a run of three; day 4 pays nothing more, nor does a repeat."""
    await chat.say("alice", "签到", at=shanghai(3, 1))
    await chat.say("alice", "签到", at=shanghai(3, 3))
    chat.clock.set(shanghai(3, 4))
    closing = await chat.say("alice", "签到", at=shanghai(3, 2), message_id="late")
    again = await chat.say("alice", "签到", at=shanghai(3, 2), message_id="late")
    today = await chat.say("alice", "签到")

    assert closing is not None
    assert again == closing
    assert "+20 积分，现有 40 积分。\n连续 3 天，累计 3 天。其中连续签到奖励 10 积分。" in closing
    assert today is not None
    assert "+10 积分，现有 50 积分。\n连续 4 天，累计 4 天。" in today
    assert sum(entry.reason == "milestone" for entry in await ledger(chat, "alice")) == 1


async def test_joining_two_runs_pays_every_milestone_that_the_longer_one_had_not_reached(
    chat: FakeChat,
) -> None:
    for day in (1, 2, 3, 5, 6, 7):  # two runs of three, each paid
        await chat.say("alice", "签到", at=shanghai(3, day))
    chat.clock.set(shanghai(3, 7, "20:00"))
    closing = await chat.say("alice", "签到", at=shanghai(3, 4))
    assert "+40 积分，现有 120 积分。\n连续 7 天，累计 7 天。其中连续签到奖励 30 积分。" in (closing or "")


# ---------------------------------------------------------------- where the day begins


async def test_a_day_may_begin_at_four_in_the_morning(open_chat: OpenChat) -> None:
    async with open_chat(community={"day_start": "04:00"}, at=shanghai(3, 3, "03:59:59")) as chat:
        night = await chat.say("alice", "签到")
        chat.pass_time(timedelta(seconds=1))
        morning = await chat.say("alice", "签到")
        chat.pass_time(timedelta(hours=20))  # midnight passes
        evening = await chat.say("alice", "签到")

    assert "连续 1 天" in (night or "")
    assert "连续 2 天" in (morning or "")
    assert "今天已经签到过了（连续 2 天" in (evening or "")


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Europe/Berlin", "2026-03-29"),  # 23 hours
        ("Europe/Berlin", "2026-10-25"),  # 25 hours
        ("America/New_York", "2026-11-01"),
        ("Australia/Lord_Howe", "2026-04-05"),  # half an hour
    ],
)
async def test_the_day_the_clocks_change_is_one_day(open_chat: OpenChat, zone: str, change: str) -> None:
    """From the last second of the day before to the first of the day after: three days, three check-ins."""
    midnight = datetime.fromisoformat(change).replace(tzinfo=ZoneInfo(zone))
    next_midnight = (midnight.replace(tzinfo=None) + DAY).replace(tzinfo=ZoneInfo(zone))
    instants = [
        (midnight - timedelta(seconds=1), "连续 1 天"),
        (midnight, "连续 2 天"),
        (next_midnight.astimezone(UTC) - timedelta(seconds=1), "今天已经签到过了"),
        (next_midnight, "连续 3 天"),
    ]
    async with open_chat(community={"time_zone": zone}) as chat:
        for at, expected in instants:
            chat.clock.set(at.astimezone(UTC))
            assert expected in (await chat.say("alice", "签到") or "")


async def test_utc_midnight_is_no_boundary_in_shanghai(chat: FakeChat) -> None:
    """Bots whose day was the server's let people check in again at eight in the morning."""
    chat.clock.set(shanghai(3, 2, "07:59:59"))
    await chat.say("alice", "签到")
    chat.pass_time(timedelta(seconds=2))
    assert "今天已经签到过了" in (await chat.say("alice", "签到") or "")


async def test_check_ins_without_points_leave_no_ledger_entry(open_chat: OpenChat) -> None:
    async with open_chat(community={"check_in": {"points": 0, "milestones": {}}}) as chat:
        assert await chat.say("alice", "签到") == (
            "签到成功！今天第 1 位，+0 积分，现有 0 积分。\n连续 1 天，累计 1 天。明天继续来哦。"
        )
        assert await ledger(chat) == []
        assert "今天已经签到过了" in (await chat.say("alice", "签到") or "")


async def test_an_english_community_checks_in_in_english(open_chat: OpenChat) -> None:
    async with open_chat(community={"language": "en"}) as chat:
        assert await chat.say("alice", "checkin") == (
            "Checked in! Number 1 today, +10 points, you have 10.\n"
            "Days in a row: 1, in all: 1. 2 more to a bonus of 10 points."
        )
        assert await chat.say("alice", "Checkin") == (
            "You have checked in today already (days in a row: 1, in all: 1, points: 10). "
            'Come back tomorrow.\nSend "calendar" for this month, "rank" for the ranking.'
        )
