"""积分, 明细, 排行."""

from __future__ import annotations

from datetime import timedelta

from bot.testing import FakeChat
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import COMMUNITY, introduce, ledger, shanghai

DAY = timedelta(days=1)


async def give(chat: FakeChat, **points: int) -> None:
    """Let Ana give points to members, who have said something before."""
    for member, number in points.items():
        await chat.say(member, "你好")
        await chat.say("ana", f"加分 {member} {number}")


async def test_the_balance_and_the_place_of_all(chat: FakeChat) -> None:
    await give(chat, bob=30, chen=30)
    await chat.say("alice", "签到")

    hint = "\n发「明细」看流水，发「排行」看榜单。"
    assert await chat.say("alice", "积分") == f"你现在有 10 积分，总榜第 3 名。{hint}"
    assert await chat.say("bob", "我的积分") == f"你现在有 30 积分，总榜第 1 名。{hint}"
    assert await chat.say("chen", "积分") == f"你现在有 30 积分，总榜第 1 名。{hint}"
    assert await chat.say("dora", "积分") == f"你现在有 0 积分。{hint}"


# ---------------------------------------------------------------- 明细


async def test_the_ledger_shows_the_newest_first_with_what_the_manager_wrote(chat: FakeChat) -> None:
    await chat.say("alice", "签到")
    chat.pass_time(timedelta(minutes=5))
    await chat.say("ana", "加分 alice 20 晒单，很好看")
    chat.pass_time(timedelta(minutes=5))
    await chat.say("ana", "加分 alice -5")

    assert (await chat.say("alice", "明细") or "").splitlines() == [
        "积分明细（第 1 页，现有 25 积分）",
        "03-02 12:10　-5　管理员加减分",
        "03-02 12:05　+20　管理员加减分（晒单，很好看）",
        "03-02 12:00　+10　签到",
    ]


async def test_the_ledger_has_pages_of_ten(chat: FakeChat) -> None:
    await chat.say("alice", "你好")
    for number in range(1, 13):
        chat.pass_time(timedelta(minutes=1))
        await chat.say("ana", f"加分 alice {number}")

    first = (await chat.say("alice", "明细") or "").splitlines()
    second = (await chat.say("alice", "明细　２") or "").splitlines()
    assert (len(first), first[1], first[-1]) == (
        12,
        "03-02 12:12　+12　管理员加减分",
        "发「明细 2」看下一页。",
    )
    assert second == [
        "积分明细（第 2 页，现有 78 积分）",
        "03-02 12:02　+2　管理员加减分",
        "03-02 12:01　+1　管理员加减分",
    ]
    assert await chat.say("alice", "明细 3") == "没有更早的流水了。发「明细」回到第一页。"


async def test_what_is_no_page_is_answered_with_the_right_form(chat: FakeChat) -> None:
    for page in ("零", "0", "-1", "101", "1.5", "1 2", "9" * 5000, "²"):
        assert await chat.say("alice", f"明细 {page}") == "页码要写成 1 到 100 的数字，例如：明细 2", page


async def test_who_has_no_entries_is_told_how_to_get_one(chat: FakeChat) -> None:
    await chat.say("bob", "签到")
    for command in ("明细", "明细 2"):
        assert await chat.say("alice", command) == "还没有积分流水。发「签到」领第一笔积分吧。"


async def test_a_long_note_is_shortened_and_kept_on_one_line(chat: FakeChat) -> None:
    await chat.say("alice", "你好")
    note = "第一行\n" + "很长的理由" * 20
    await chat.say("ana", f"加分 alice 5 {note}")

    shown = (await chat.say("alice", "明细") or "").splitlines()
    assert len(shown) == 2
    assert shown[1].endswith("（第一行 很长的理由很长的理由很长的理由很长的理由很长的理由很…）")
    assert (await ledger(chat, "alice"))[0].note == note


async def test_a_reason_of_a_plug_in_is_shown_by_its_own_word(chat: FakeChat) -> None:
    community = chat.service.parts.communities.get(COMMUNITY)
    assert community is not None
    calendar = chat.service.parts.communities.calendar(community)
    now_ms = chat.clock.now_ms()
    await chat.service.parts.stores.points.grant(
        community, "app:alice", 7,
        reason="shop_order", cause="shop:1", day=calendar.day_of(now_ms), at_ms=now_ms,
    )  # fmt: skip
    assert (await chat.say("alice", "明细") or "").endswith("　+7　shop_order")


# ---------------------------------------------------------------- 排行


async def test_the_ranking_with_equal_points_shares_the_place(chat: FakeChat) -> None:
    await give(chat, bob=30, chen=50, dora=30, emil=20)
    assert (await chat.say("alice", "排行") or "").splitlines() == [
        "【测试社群】总积分榜",
        "1. chen　50 分",
        "2. dora　30 分",
        "2. bob　30 分",
        "4. emil　20 分",
        "你还没有上榜，发「签到」就能上榜。",
    ]
    assert (await chat.say("emil", "排行榜") or "").endswith("\n你：第 4 名，20 分。")


async def test_the_ranking_has_ten_rows_and_the_place_of_who_asks(chat: FakeChat) -> None:
    await give(chat, **{f"m{number}": 100 - number for number in range(12)})
    shown = (await chat.say("m11", "排行") or "").splitlines()
    assert len(shown) == 12
    assert (shown[1], shown[10], shown[11]) == ("1. m0　100 分", "10. m9　91 分", "你：第 12 名，89 分。")


async def test_today_week_month_and_all_count_what_was_gained_in_them(chat: FakeChat) -> None:
    """Sunday is last week, February last month."""
    for at in (shanghai(2, 27), shanghai(3, 1), shanghai(3, 2, "08:00")):
        await chat.say("alice", "签到", at=at)
    chat.clock.set(shanghai(3, 3))
    await chat.say("bob", "签到")

    def places(shown: str | None) -> list[str]:
        return (shown or "").splitlines()[1:-1]

    assert places(await chat.say("alice", "排行 今日")) == ["1. bob　10 分"]
    assert sorted(places(await chat.say("alice", "排行 本周"))) == ["1. alice　10 分", "1. bob　10 分"]
    assert places(await chat.say("alice", "排行 本月")) == ["1. alice　20 分", "2. bob　10 分"]
    assert places(await chat.say("alice", "排行 总")) == ["1. alice　30 分", "2. bob　10 分"]


async def test_a_span_has_many_spellings(chat: FakeChat) -> None:
    for title, spellings in {
        "总": ("", "总", "總", "总榜", "ALL"),
        "今日": ("今日", "今天", "today", "　今日　", "日榜"),
        "本周": ("本周", "本週", "周榜", "Week"),
        "本月": ("本月", "月", "ｍｏｎｔｈ"),
    }.items():
        for span in spellings:
            shown = await chat.say("alice", f"排行 {span}")
            assert shown == f"【测试社群】{title}积分榜\n榜上还没有人，发「签到」抢第一！", span


async def test_a_span_that_does_not_exist_is_answered_with_those_that_do(chat: FakeChat) -> None:
    assert await chat.say("alice", "排行 去年") == "没有这个榜。可以发：排行、排行 今日、排行 本周、排行 本月"


async def test_the_ranking_shows_names_as_names(chat: FakeChat) -> None:
    await introduce(chat, "wmqrJ5EAAA1234567890zzzz", "小{明}😀")
    await chat.say("wmqrJ5EAAA1234567890zzzz", "签到")
    await chat.say("oGZUI0egBJY1zhBYw2KhdUfwVJJE", "签到")
    rows = (await chat.say("alice", "排行") or "").splitlines()[1:-1]
    assert sorted(rows) == ["1. oGZU…VJJE　10 分", "1. 小{明}😀　10 分"]


async def test_an_english_community_sees_its_points_in_english(open_chat: OpenChat) -> None:
    async with open_chat(managers=["ana"], community={"language": "en", "name": "Milk"}) as chat:
        await chat.say("alice", "checkin")
        await chat.say("ana", "grant alice 5 nice photo")
        assert await chat.say("alice", "points") == (
            'You have 15 points, place 1 of all.\nSend "ledger" for the changes, "rank" for the ranking.'
        )
        assert sorted((await chat.say("alice", "ledger") or "").splitlines()) == [
            "03-02 12:00  +10  check-in",
            "03-02 12:00  +5  by a manager (nice photo)",
            "Changes of your points (page 1, you have 15)",
        ]
        assert await chat.say("alice", "rank week") == (
            "Milk: points this week\n1. alice  15\nYou: place 1, 15 points."
        )
