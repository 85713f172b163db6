"""骰子、猜、加入: the dice games as a group and a whole community live them.

The dice fall as a test lets them (`falls`), but for those that recompute them from the published seed. Of
the last line of an announcement and of a result, `…` stands in a transcript.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from bot.catalog import load_catalog
from bot.errors import StoreUnavailableError
from bot.model import LedgerEntry, TextMessage
from bot.storage.redis.inbox import Inbox, Ticket
from bot.storage.redis.rounds import Rounds, read_open
from bot.testing import START, FakeChat
from games.dice import OUTCOMES, SUMS, Triples, player_edge, throw, ways
from games.dice_compare import CompareSettings
from games.dice_point import PointSettings
from games.dice_size import SizeSettings
from games.dice_sum import SumSettings, given_back
from games.fairness import Luck, commitment
from games.rules import Move
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import COMMUNITY

Talk = list[tuple[str, str]]
Falls = dict[str, int]

GROUP = "g1"
BOT_HERE = "bot@g1"
DAY = "2026-03-02"
STAKES = {"games": {"stakes": True, "staked_per_day": 100}}
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
PROMISE = re.compile(r"公平承诺 [0-9a-f]{32}…（编号 [0-9a-f]{16}，结束后公布种子，人人可验）$")
PROOF = re.compile(r"编号 ([0-9a-f]{16})，种子 ([0-9a-f]{64})$")


@pytest.fixture
def falls(monkeypatch: pytest.MonkeyPatch) -> Falls:
    """Draws as they are to fall, by their index; every other die shows 1."""
    known: Falls = {}

    def below(_: Luck, most: int, index: str) -> int:
        assert 1 <= known.get(index, 1) <= most
        return known.get(index, 1) - 1

    monkeypatch.setattr(Luck, "below", below)
    return known


def let_fall(falls: Falls, index: str, *values: int) -> None:
    falls.update({f"{index} {number}": value for number, value in enumerate(values)})


@pytest.fixture
async def group(open_chat: OpenChat) -> AsyncIterator[FakeChat]:
    """A community that plays for nothing but prizes; Ana is a manager."""
    async with open_chat(managers=["ana"]) as chat:
        yield chat


@pytest.fixture
async def table(open_chat: OpenChat) -> AsyncIterator[FakeChat]:
    """A community where points are staked; Bob, Cy and Dan have 100 each, Eve has none."""
    async with open_chat(managers=["ana"], community=STAKES) as chat:
        await endow(chat, "bob", "cy", "dan")
        yield chat


async def endow(chat: FakeChat, *members: str, points: int = 100) -> None:
    for who in members:
        await chat.say(who, "大家好", group=GROUP)
        await chat.say("ana", f"加分 {who} {points} 开场", group=GROUP)
    chat.transcript.clear()


def bot(*lines: str) -> tuple[str, str]:
    return BOT_HERE, "\n".join(lines)


async def say(chat: FakeChat, who: str, text: str) -> str:
    return await chat.say(who, text, group=GROUP) or ""


async def talk(chat: FakeChat, *lines: tuple[str, str]) -> Talk:
    """Let members say something in the group, one after the other, and return what was said since."""
    for who, text in lines:
        await chat.say(who, text, group=GROUP)
    return shown(chat)


async def time_up(chat: FakeChat, length: timedelta = MINUTE) -> Talk:
    """Let the time of a round be up, and return what the bot says of itself."""
    chat.pass_time(length)
    await chat.sweep()
    await chat.deliver()
    return shown(chat)


def shown(chat: FakeChat) -> Talk:
    """Return what was said, without the lines that make chance checkable, and begin a new page."""
    said = [(who, PROOF.sub("…", PROMISE.sub("…", text))) for who, text in chat.transcript]
    chat.transcript.clear()
    return said


async def points(chat: FakeChat, *members: str) -> list[int]:
    balances = chat.service.parts.stores.points
    return [await balances.balance(COMMUNITY, f"bot:{who}") for who in members]


async def spent(chat: FakeChat) -> int:
    return await chat.service.parts.stores.rounds.budget_spent(COMMUNITY, DAY)


async def entries_of_rounds(chat: FakeChat) -> list[LedgerEntry]:
    await chat.service.drain.flush(COMMUNITY)
    page = await chat.service.parts.stores.ledger.page(COMMUNITY, limit=200)
    return [entry for entry in reversed(page.items) if entry.reason.startswith("round_")]


async def books(chat: FakeChat) -> list[tuple[str, int, str]]:
    """Return what rounds have written into the ledger; it must be what the budget has spent.

    And the balance of every member is the sum of their entries.
    """
    entries = await entries_of_rounds(chat)
    assert sum(entry.delta for entry in entries) == await spent(chat)
    page = await chat.service.parts.stores.ledger.page(COMMUNITY, limit=200)
    for member in {entry.member for entry in page.items}:
        balance = await chat.service.parts.stores.points.balance(COMMUNITY, member)
        assert balance == sum(entry.delta for entry in page.items if entry.member == member), member
    return [(entry.member.removeprefix("bot:"), entry.delta, entry.reason) for entry in entries]


# ---------------------------------------------------------------- 骰子 outside of any round


async def test_a_die_is_thrown_for_whoever_asks(group: FakeChat, falls: Falls) -> None:
    let_fall(falls, "throw", 4, 5, 2)
    assert await talk(
        group,
        ("bob", "骰子"),
        ("bob", "掷骰子"),
        ("cy", "骰子 3d6"),
        ("cy", "骰子3D6"),
        ("dan", "dice d20"),
        ("dan", "掷骰子 ２ｄ１００"),
    ) == [
        ("bob@g1", "骰子"),
        bot("bob，🎲 4"),
        ("bob@g1", "掷骰子"),
        bot("bob，🎲 4"),
        ("cy@g1", "骰子 3d6"),
        bot("cy，🎲 4、5、2，合计 11"),
        ("cy@g1", "骰子3D6"),
        bot("cy，🎲 4、5、2，合计 11"),
        ("dan@g1", "dice d20"),
        bot("dan，🎲 4"),
        ("dan@g1", "掷骰子 ２ｄ１００"),
        bot("dan，🎲 4、5，合计 9"),
    ]
    assert await group.say("bob", "骰子") == "🎲 4"  # one to one
    assert await group.direct("bob", "骰子 2d6") == "🎲 4、5，合计 9"


async def test_free_throws_are_within_their_dice_and_not_always_the_same(group: FakeChat) -> None:
    thrown = set()
    for number in range(25):
        said = await group.say(f"m{number}", "骰子 20d1000") or ""
        found = re.fullmatch(r"🎲 ([\d、]+)，合计 (\d+)", said)
        assert found is not None, said
        dice = [int(die) for die in found[1].split("、")]
        assert (len(dice), sum(dice)) == (20, int(found[2]))
        assert all(1 <= die <= 1000 for die in dice)
        thrown.add(said)
    assert len(thrown) == 25


async def test_dice_that_there_are_not_are_answered_with_the_right_form(group: FakeChat) -> None:
    for said in ("21d6", "0d6", "3d1", "3d1001", "d", "3", "三颗", "-1d6", "3d6 4d6", "d6" * 500):
        assert await say(group, "bob", f"骰子 {said}") == (
            "bob，要这样写：骰子 3d6，就是 3 颗 6 面的骰子；只发「骰子」掷一颗。\n"
            "最多 20 颗，每颗 2 到 1000 面。"
        ), said


async def test_a_throw_that_comes_again_is_the_same_throw(open_chat: OpenChat) -> None:
    async with open_chat(managers=["ana"]) as here, open_chat(managers=["ana"]) as there:
        event = here.event("bob", TextMessage("骰子 9d1000"), group=GROUP, message_id="m")
        outcomes = await asyncio.gather(*(chat.deliver_event(event) for chat in (here, there) * 3))
        assert len({outcome.decision.answer for outcome in outcomes}) == 1


# ---------------------------------------------------------------- 指定点数


async def test_a_round_of_the_point_reads_like_this(group: FakeChat, falls: Falls) -> None:
    falls.update({"roll 0": 3, "roll 2": 5, "roll 3": 4, "roll 4": 6, "throw 0": 6})
    opening = await talk(group, ("ana", "开局 指定点数 6 奖50"), ("bob", "骰子"))
    group.pass_time(timedelta(milliseconds=7001))
    too_soon = await talk(group, ("bob", "骰子"), ("cy", "骰子"))
    group.pass_time(3 * SECOND)
    end = await talk(group, ("bob", "掷骰子"), ("dan", "dice"), ("cy", "骰子"))
    result = "🎲 指定点数结束！\n🏆 dan 掷出 6，得 50 积分！一共掷了 4 次。\n…"

    assert opening == [
        ("ana@g1", "开局 指定点数 6 奖50"),
        bot(
            "🎲 指定点数开局！最先掷出 6 的人得 50 积分。",
            "发「骰子」来掷，每人每 10 秒可以掷一次，10 分钟内有效。",
            "…",
        ),
        ("bob@g1", "骰子"),
        bot("bob，🎲 3，要掷出 6 才赢，等会儿再来一次。"),
    ]
    assert too_soon == [
        ("bob@g1", "骰子"),
        bot("bob，别急，3 秒后才能再掷，这次不算。"),
        ("cy@g1", "骰子"),
        bot("cy，🎲 5，要掷出 6 才赢，等会儿再来一次。"),
    ]
    assert end == [
        ("bob@g1", "掷骰子"),
        bot("bob，🎲 4，要掷出 6 才赢，等会儿再来一次。"),
        ("dan@g1", "dice"),
        bot(f"dan，🎲 6，掷中了！\n{result}"),
        ("cy@g1", "骰子"),
        bot("cy，🎲 6\n（刚才那一局已经结束，这一掷不算数。发「结果」看那一局。）"),
    ]
    assert await talk(group, ("cy", "结果")) == [("cy@g1", "结果"), (BOT_HERE, result)]
    assert await time_up(group, timedelta(minutes=10)) == []  # the winner's answer has told the group
    assert await talk(group, ("cy", "骰子")) == [("cy@g1", "骰子"), bot("cy，🎲 6")]
    assert await books(group) == [("dan", 50, "round_prize")]


async def test_other_dice_than_those_of_the_round_are_thrown_beside_it(group: FakeChat, falls: Falls) -> None:
    let_fall(falls, "throw", 6)
    await say(group, "ana", "开局 指定点数")
    assert await say(group, "bob", "骰子 1d6") == "bob，🎲 6"
    assert await say(group, "bob", "骰子") == "bob，🎲 1，要掷出 6 才赢，等会儿再来一次。"


@pytest.mark.parametrize(
    ("how", "end"),
    [
        ("time", "🎲 指定点数时间到！\n一共掷了 2 次，没有人掷出 6。"),
        ("结束", "🎲 指定点数提前结束！\n一共掷了 2 次，没有人掷出 6。"),
        ("结束 作废", "🎲 指定点数作废，这一局不算数。"),
    ],
)
@pytest.mark.usefixtures("falls")
async def test_nobody_throws_the_point(group: FakeChat, how: str, end: str) -> None:
    await talk(group, ("ana", "开局 指定点数"), ("bob", "骰子"), ("cy", "骰子"))
    told = f"{end}\n没有送出的 50 积分退回社群预算。\n…"
    if how == "time":
        assert await time_up(group, timedelta(minutes=10)) == [(BOT_HERE, told)]
        assert await say(group, "bob", "骰子") == (
            "bob，🎲 1\n（刚才那一局已经结束，这一掷不算数。发「结果」看那一局。）"
        )
    else:
        assert await talk(group, ("ana", how)) == [("ana@g1", how), (BOT_HERE, told)]
        assert await time_up(group) == []
    assert await books(group) == []
    assert await spent(group) == 0


async def test_nobody_comes_to_throw(group: FakeChat) -> None:
    await say(group, "ana", "开局 点数")
    group.transcript.clear()
    assert await time_up(group, timedelta(minutes=10)) == [
        bot("🎲 指定点数时间到！\n没有人来掷。\n没有送出的 50 积分退回社群预算。\n…")
    ]


@pytest.mark.usefixtures("falls")
async def test_without_an_interval_everybody_throws_as_often_as_they_like(group: FakeChat) -> None:
    opening = await say(group, "ana", "开局 dice_point 1 奖7 间隔0 30秒")
    assert opening.startswith(
        "🎲 指定点数开局！最先掷出 1 的人得 7 积分。\n发「骰子」来掷，次数不限，30 秒内有效。\n公平承诺 "
    )
    assert (await say(group, "bob", "骰子")).startswith("bob，🎲 1，掷中了！\n🎲 指定点数结束！\n🏆 bob")
    assert await points(group, "bob") == [7]


async def test_who_throws_when_time_is_up_is_told_so_before_the_round_has_been_ended(
    group: FakeChat, falls: Falls
) -> None:
    falls["roll 0"] = 6
    await say(group, "ana", "开局 指定点数 30秒")
    group.pass_time(30 * SECOND)
    over = "bob，现在没有可以参加的这一局，可能已经结束了。发「结果」看上一局。"
    assert await say(group, "bob", "骰子") == over
    assert await points(group, "bob") == [0]


# ---------------------------------------------------------------- 猜大小


async def test_a_round_of_big_and_small_reads_like_this(group: FakeChat, falls: Falls) -> None:
    let_fall(falls, "dice", 6, 4, 1)
    assert await talk(
        group,
        ("ana", "开局 猜大小 奖100 60秒"),
        ("bob", "猜大"),
        ("cy", "猜 小"),
        ("dan", "猜单"),
        ("eve", "猜雙"),
        ("cy", "猜大"),
        ("fay", "guess big"),
    ) == [
        ("ana@g1", "开局 猜大小 奖100 60秒"),
        bot(
            "🎲 猜大小开局！1 分钟后掷三颗骰子开奖。",
            "发「猜大」（合计 11 到 18）、「猜小」（3 到 10）、「猜单」或「猜双」，每人一次。",
            "猜中的人平分 100 积分。",
            "三颗一样（豹子）照常算，大、小、单、双的机会都是 108/216。",
            "…",
        ),
        ("bob@g1", "猜大"),
        bot("bob，记下了，你猜「大」。已有 1 人参加，时间到就开奖。"),
        ("cy@g1", "猜 小"),
        bot("cy，记下了，你猜「小」。已有 2 人参加，时间到就开奖。"),
        ("dan@g1", "猜单"),
        bot("dan，记下了，你猜「单」。已有 3 人参加，时间到就开奖。"),
        ("eve@g1", "猜雙"),
        bot("eve，记下了，你猜「双」。已有 4 人参加，时间到就开奖。"),
        ("cy@g1", "猜大"),
        bot("cy，这一局你已经猜过了，猜的是「小」。每人一次，等开奖吧。"),
        ("fay@g1", "guess big"),
        bot("fay，记下了，你猜「大」。已有 5 人参加，时间到就开奖。"),
    ]
    told = (
        "🎲 猜大小时间到！\n"
        "掷出 6、4、1，合计 11：大、单。\n"
        "5 人参加，3 人猜中，各得 33 积分：bob（大）、dan（单）、fay（大）\n"
        "没有送出的 1 积分退回社群预算。\n"
        "…"
    )
    assert await time_up(group) == [(BOT_HERE, told)]
    assert await time_up(group) == []
    assert await talk(group, ("gus", "猜大"), ("gus", "结果")) == [
        ("gus@g1", "猜大"),
        bot("gus，现在没有可以参加的这一局，可能已经结束了。发「结果」看上一局。"),
        ("gus@g1", "结果"),
        (BOT_HERE, told),
    ]
    assert await books(group) == [(who, 33, "round_prize") for who in ("bob", "dan", "fay")]


@pytest.mark.parametrize(
    ("rule", "thrown", "result"),
    [
        ("", (2, 2, 2), "掷出 2、2、2，合计 6：小、双。\n三颗一样，豹子！这一局照常算。\n{cy}"),
        ("豹子照算", (5, 5, 5), "掷出 5、5、5，合计 15：大、单。\n三颗一样，豹子！这一局照常算。\n{bob}"),
        ("豹子输", (5, 5, 5), "掷出 5、5、5，合计 15：大、单。\n三颗一样，豹子通吃，谁都不中！\n{nobody}"),
        ("豹子通吃", (6, 6, 4), "掷出 6、6、4，合计 16：大、双。\n{bob}"),
    ],
)
async def test_triples_count_or_lose(
    group: FakeChat, falls: Falls, rule: str, thrown: tuple[int, ...], result: str
) -> None:
    let_fall(falls, "dice", *thrown)
    opening = await say(group, "ana", f"开局 大小 {rule} 奖20")
    loses = "豹子输" in rule or "通吃" in rule
    rule_told = (
        "三颗一样（豹子）通吃，谁都不中；大、小、单、双的机会都是 105/216。"
        if loses
        else "三颗一样（豹子）照常算，大、小、单、双的机会都是 108/216。"
    )
    assert rule_told in opening.splitlines()
    await talk(group, ("bob", "猜大"), ("cy", "猜小"))
    told = result.format(
        bob="2 人参加，只有一人猜中，独得 20 积分：bob（大）",
        cy="2 人参加，只有一人猜中，独得 20 积分：cy（小）",
        nobody="2 人参加，没有人猜中。\n没有送出的 20 积分退回社群预算。",
    )
    assert await time_up(group) == [bot(f"🎲 猜大小时间到！\n{told}\n…")]


async def test_a_manager_ends_a_round_early_and_what_is_on_the_table_counts(
    group: FakeChat, falls: Falls
) -> None:
    let_fall(falls, "dice", 1, 2, 3)
    await talk(group, ("ana", "开局 单双"), ("bob", "猜双"))
    assert await talk(group, ("ana", "结束")) == [
        ("ana@g1", "结束"),
        bot(
            "🎲 猜大小提前结束！",
            "掷出 1、2、3，合计 6：小、双。",
            "1 人参加，1 人猜中，各得 100 积分：bob（双）",
            "…",
        ),
    ]
    assert await time_up(group) == []
    assert await points(group, "bob") == [100]


async def test_nobody_guesses(group: FakeChat) -> None:
    for game, name in (("猜大小", "猜大小"), ("猜点数", "猜点数"), ("比大小", "比大小")):
        await say(group, "ana", f"开局 {game}")
        group.transcript.clear()
        assert await time_up(group) == [
            bot(f"🎲 {name}时间到！\n没有人参加，没有开奖。\n没有送出的 100 积分退回社群预算。\n…")
        ]


async def test_a_cancelled_round_gives_nobody_anything(group: FakeChat) -> None:
    for game, said in (("猜大小", "猜大"), ("猜点数", "猜 3"), ("比大小", "加入")):
        await talk(group, ("ana", f"开局 {game}"), ("bob", said))
        assert await talk(group, ("ana", "结束 作废"), ("bob", said)) == [
            ("ana@g1", "结束 作废"),
            bot(f"🎲 {game}作废，这一局不算数。\n没有送出的 100 积分退回社群预算。\n…"),
            ("bob@g1", said),
            bot("bob，现在没有可以参加的这一局，可能已经结束了。发「结果」看上一局。"),
        ]
    assert await books(group) == []


async def test_of_many_who_are_right_ten_are_named(group: FakeChat, falls: Falls) -> None:
    let_fall(falls, "dice", 6, 6, 5)
    await say(group, "ana", "开局 猜大小 奖5")
    for number in range(12):
        await say(group, f"m{number}", "猜大")
    group.transcript.clear()
    names = "、".join(f"m{number}（大）" for number in range(10))
    assert await time_up(group) == [
        bot(
            "🎲 猜大小时间到！",
            "掷出 6、6、5，合计 17：大、单。",
            f"12 人参加，12 人猜中：{names} 等 12 人",  # five points are too few for twelve
            "没有送出的 5 积分退回社群预算。",
            "…",
        )
    ]


# ---------------------------------------------------------------- 猜点数


async def test_a_round_of_the_sum_reads_like_this(group: FakeChat, falls: Falls) -> None:
    let_fall(falls, "dice", 4, 4, 3)
    assert await talk(
        group,
        ("ana", "开局 猜点数 奖90 2分钟"),
        ("bob", "猜 11"),
        ("cy", "猜11"),
        ("dan", "猜 3"),
        ("eve", "guess 18"),
        ("bob", "猜 12"),
    ) == [
        ("ana@g1", "开局 猜点数 奖90 2分钟"),
        bot(
            "🎲 猜点数开局！2 分钟后掷三颗骰子开奖。",
            "猜三颗骰子的合计（3 到 18），例如发「猜 11」，每人一次。",
            "猜中的人平分 90 积分。",
            "…",
        ),
        ("bob@g1", "猜 11"),
        bot("bob，记下了，你猜「11」。已有 1 人参加，时间到就开奖。"),
        ("cy@g1", "猜11"),
        bot("cy，记下了，你猜「11」。已有 2 人参加，时间到就开奖。"),
        ("dan@g1", "猜 3"),
        bot("dan，记下了，你猜「3」。已有 3 人参加，时间到就开奖。"),
        ("eve@g1", "guess 18"),
        bot("eve，记下了，你猜「18」。已有 4 人参加，时间到就开奖。"),
        ("bob@g1", "猜 12"),
        bot("bob，这一局你已经猜过了，猜的是「11」。每人一次，等开奖吧。"),
    ]
    assert await time_up(group, 2 * MINUTE) == [
        bot(
            "🎲 猜点数时间到！",
            "掷出 4、4、3，合计 11（机会 27/216）。",
            "4 人参加，2 人猜中，各得 45 积分：bob、cy",
            "…",
        )
    ]
    assert await books(group) == [("bob", 45, "round_prize"), ("cy", 45, "round_prize")]


async def test_nobody_knows_the_sum(group: FakeChat, falls: Falls) -> None:
    let_fall(falls, "dice", 1, 1, 1)
    await talk(group, ("ana", "开局 猜点数"), ("bob", "猜 4"))
    assert await talk(group, ("ana", "结束 猜点数")) == [
        ("ana@g1", "结束 猜点数"),
        bot(
            "🎲 猜点数提前结束！",
            "掷出 1、1、1，合计 3（机会 1/216）。",
            "1 人参加，没有人猜中。",
            "没有送出的 100 积分退回社群预算。",
            "…",
        ),
    ]


# ---------------------------------------------------------------- 比大小


async def test_a_round_of_comparing_reads_like_this(group: FakeChat, falls: Falls) -> None:
    let_fall(falls, "throw 0", 2, 3, 4)
    let_fall(falls, "throw 1", 6, 5, 5)
    let_fall(falls, "throw 2", 1, 1, 2)
    assert await talk(
        group,
        ("ana", "开局 比大小"),
        ("bob", "骰子"),
        ("cy", "加入"),
        ("dan", "JOIN"),
        ("cy", "掷骰子"),
    ) == [
        ("ana@g1", "开局 比大小"),
        bot(
            "🎲 比大小开局！每人 3 颗骰子，1 分钟后一起掷，合计最大的赢。",
            "发「骰子」或「加入」参加，每人一次。最大的不止一人时他们加掷，直到分出胜负。",
            "赢家得 100 积分。",
            "不到 2 人就不比。",
            "…",
        ),
        ("bob@g1", "骰子"),
        bot("bob，已加入比大小。已有 1 人参加，时间到就开奖。"),
        ("cy@g1", "加入"),
        bot("cy，已加入比大小。已有 2 人参加，时间到就开奖。"),
        ("dan@g1", "JOIN"),
        bot("dan，已加入比大小。已有 3 人参加，时间到就开奖。"),
        ("cy@g1", "掷骰子"),
        bot("cy，这一局你已经参加了，每人一次，等开奖吧。"),
    ]
    assert await time_up(group) == [
        bot("🎲 比大小时间到！\n1. cy　16 点 👑\n2. bob　9 点\n3. dan　4 点\n🏆 cy 胜出，得 100 积分！\n…")
    ]
    assert await books(group) == [("cy", 100, "round_prize")]


async def test_those_who_lead_together_throw_again(group: FakeChat, falls: Falls) -> None:
    for seat, first, again, last in ((0, 6, 3, 1), (1, 2, 6, 6), (2, 6, 3, 5)):
        falls.update(
            {f"throw {seat} 0": first, f"throw {seat} again 1 0": again, f"throw {seat} again 2 0": last}
        )
    await talk(
        group, ("ana", "开局 比大小 1颗 奖0 至少3人"), ("bob", "骰子"), ("cy", "骰子"), ("dan", "骰子")
    )
    assert await talk(group, ("ana", "结束")) == [
        ("ana@g1", "结束"),
        bot(
            "🎲 比大小提前结束！",
            "1. dan　6 点 👑",
            "2. bob　6 点",
            "3. cy　2 点",
            "bob、dan 一样大，加掷 2 次，dan 胜出。",
            "🏆 dan 胜出！",
            "…",
        ),
    ]
    assert await books(group) == []


async def test_too_few_to_compare(group: FakeChat) -> None:
    opening = await say(group, "ana", "开局 比大小 至少3人")
    assert "不到 3 人就不比。" in opening
    await talk(group, ("bob", "加入"), ("cy", "骰子"))
    assert await time_up(group) == [
        bot(
            "🎲 比大小时间到！",
            "要 3 人才能比，只来了 2 人（bob、cy），没有比。",
            "没有送出的 100 积分退回社群预算。",
            "…",
        )
    ]
    assert await books(group) == []


async def test_of_many_who_compare_ten_are_shown(group: FakeChat, falls: Falls) -> None:
    await say(group, "ana", "开局 比大小 1颗")
    for number in range(12):
        falls[f"throw {number} 0"] = 6 if number == 11 else 1
        await say(group, f"m{number}", "骰子")
    group.transcript.clear()
    [(_, told)] = await time_up(group)
    lines = told.splitlines()
    assert lines[1:3] == ["1. m11　6 点 👑", "2. m0　1 点"]
    assert lines[10:13] == ["10. m8　1 点", "……还有 2 人", "🏆 m11 胜出，得 100 积分！"]


# ---------------------------------------------------------------- stakes


async def test_a_round_with_stakes_reads_like_this(table: FakeChat, falls: Falls) -> None:
    let_fall(falls, "dice", 6, 4, 1)
    assert await talk(
        table,
        ("ana", "开局 猜大小 豹子输 最多押40"),
        ("bob", "猜大 30"),
        ("cy", "猜小50"),
        ("cy", "猜 小 40分"),
        ("dan", "猜单"),
        ("eve", "猜双 10"),
        ("bob", "猜大 30"),
        ("eve", "猜双 0"),
    ) == [
        ("ana@g1", "开局 猜大小 豹子输 最多押40"),
        bot(
            "🎲 猜大小开局！1 分钟后掷三颗骰子开奖。",
            "发「猜大」（合计 11 到 18）、「猜小」（3 到 10）、「猜单」或「猜双」，每人一次。",
            "猜中的人平分 100 积分。",
            "三颗一样（豹子）通吃，谁都不中；大、小、单、双的机会都是 105/216。",
            "也可以押积分，例如「猜大 20」：最多押 40，押中返还 2 倍，没中不退。",
            "…",
        ),
        ("bob@g1", "猜大 30"),
        bot("bob，记下了，你猜「大」，押 30 积分（还有 70 积分）。已有 1 人参加，时间到就开奖。"),
        ("cy@g1", "猜小50"),
        bot("cy，这一局每人最多押 40 积分，少押一点再发一次。"),
        ("cy@g1", "猜 小 40分"),
        bot("cy，记下了，你猜「小」，押 40 积分（还有 60 积分）。已有 2 人参加，时间到就开奖。"),
        ("dan@g1", "猜单"),
        bot("dan，记下了，你猜「单」。已有 3 人参加，时间到就开奖。"),
        ("eve@g1", "猜双 10"),
        bot("eve，积分不够：你现在有 0 积分。发「签到」可以领积分。"),
        ("bob@g1", "猜大 30"),
        bot("bob，这一局你已经猜过了，猜的是「大」，押 30 积分。每人一次，等开奖吧。"),
        ("eve@g1", "猜双 0"),
        bot("eve，记下了，你猜「双」。已有 4 人参加，时间到就开奖。"),
    ]
    assert await spent(table) == 170  # the prize and what the two stakes may win
    assert await time_up(table) == [
        bot(
            "🎲 猜大小时间到！",
            "掷出 6、4、1，合计 11：大、单。",
            "4 人参加，2 人猜中，各得 50 积分：bob（大，押 30 返 60）、dan（单）",
            "…",
        )
    ]
    assert await points(table, "bob", "cy", "dan", "eve") == [180, 60, 150, 0]
    assert await books(table) == [
        ("bob", -30, "round_stake"),
        ("cy", -40, "round_stake"),
        ("bob", 60, "round_prize"),
        ("bob", 50, "round_prize"),
        ("dan", 50, "round_prize"),
    ]


async def test_the_returns_of_sums_are_published_and_paid(table: FakeChat, falls: Falls) -> None:
    let_fall(falls, "dice", 4, 4, 4)
    opening, *_ = (await talk(table, ("ana", "开局 猜点数 奖0")))[1:]
    returns = "、".join(f"{low}/{21 - low} 返 {10 * 216 // ways(str(low))}" for low in range(3, 11))
    assert returns.startswith("3/18 返 2160、4/17 返 720、")
    assert opening == bot(
        "🎲 猜点数开局！1 分钟后掷三颗骰子开奖。",
        "猜三颗骰子的合计（3 到 18），例如发「猜 11」，每人一次。",
        "也可以押积分，例如「猜 11 20」：最多押 20，没中不退。",
        f"每押 10 积分，押中返还：{returns}。",
        "…",
    )
    await talk(table, ("bob", "猜 12 10"), ("cy", "猜12 押 7"), ("dan", "猜 3 20"), ("eve", "猜 12"))
    assert await spent(table) == given_back("12", 10) + given_back("12", 7) + 20 * 216 - 37
    assert await time_up(table) == [
        bot(
            "🎲 猜点数时间到！",
            "掷出 4、4、4，合计 12（机会 25/216）。",
            "4 人参加，3 人猜中：bob（押 10 返 86）、cy（押 7 返 60）、eve",
            "…",
        )
    ]
    assert await points(table, "bob", "cy", "dan", "eve") == [176, 153, 80, 0]
    await books(table)


async def test_all_entries_go_to_the_winner(table: FakeChat, falls: Falls) -> None:
    let_fall(falls, "throw 1", 6, 6, 6)
    assert await talk(
        table, ("ana", "开局 比大小 入场15 奖20"), ("bob", "加入"), ("cy", "加入"), ("eve", "加入")
    ) == [
        ("ana@g1", "开局 比大小 入场15 奖20"),
        bot(
            "🎲 比大小开局！每人 3 颗骰子，1 分钟后一起掷，合计最大的赢。",
            "发「加入」参加，每人一次。最大的不止一人时他们加掷，直到分出胜负。",
            "赢家得 20 积分。",
            "入场 15 积分，全部归赢家。",
            "不到 2 人就不比，入场积分退还。",
            "…",
        ),
        ("bob@g1", "加入"),
        bot("bob，已加入比大小，入场 15 积分（还有 85 积分）。已有 1 人参加，时间到就开奖。"),
        ("cy@g1", "加入"),
        bot("cy，已加入比大小，入场 15 积分（还有 85 积分）。已有 2 人参加，时间到就开奖。"),
        ("eve@g1", "加入"),
        bot("eve，积分不够：你现在有 0 积分。发「签到」可以领积分。"),
    ]
    assert await time_up(table) == [
        bot(
            "🎲 比大小时间到！",
            "1. cy　18 点 👑",
            "2. bob　3 点",
            "🏆 cy 胜出，得 50 积分！（奖金 20，入场 30）",
            "…",
        )
    ]
    assert await points(table, "bob", "cy") == [85, 135]
    assert await spent(table) == 20
    await books(table)


async def test_with_nothing_but_entries_the_winner_gets_those(table: FakeChat, falls: Falls) -> None:
    let_fall(falls, "throw 1", 6)
    opening = await say(table, "ana", "开局 比大小 入场15 奖0 1颗")
    assert "赢家得" not in opening
    await talk(table, ("bob", "加入"), ("cy", "加入"))
    assert (await say(table, "ana", "结束")).splitlines()[3] == "🏆 cy 胜出，得 30 积分！"
    assert await points(table, "bob", "cy") == [85, 115]


async def test_entries_go_back_when_there_are_too_few(table: FakeChat) -> None:
    await talk(table, ("ana", "开局 比大小 入场15"), ("bob", "加入"))
    assert await time_up(table) == [
        bot("🎲 比大小时间到！", "要 2 人才能比，只来了 1 人（bob），没有比。", "入场积分都已退还。", "…")
    ]
    assert await points(table, "bob") == [100]
    assert await books(table) == [("bob", -15, "round_stake"), ("bob", 15, "round_prize")]
    assert await spent(table) == 0


@pytest.mark.parametrize(
    ("game", "said", "back"),
    [
        ("猜大小", "猜大 30", "押的积分都已退还。"),
        ("猜点数", "猜 3 20", "押的积分都已退还。"),
        ("比大小 入场20", "加入", "入场积分都已退还。"),
    ],
)
async def test_a_cancelled_round_gives_every_stake_back(
    table: FakeChat, game: str, said: str, back: str
) -> None:
    await talk(table, ("ana", f"开局 {game}"), ("bob", said), ("cy", said))
    name = game.partition(" ")[0]
    assert await points(table, "bob") != [100]
    assert await talk(table, ("ana", f"结束 {name} 作废")) == [
        ("ana@g1", f"结束 {name} 作废"),
        bot(f"🎲 {name}作废，这一局不算数。\n{back}\n…"),
    ]
    assert await points(table, "bob", "cy") == [100, 100]
    assert len(await books(table)) == 4
    assert await spent(table) == 0


async def test_nobody_stakes_more_than_a_day_allows_and_may_still_play_without(table: FakeChat) -> None:
    await endow(table, "bob", points=500)
    await say(table, "ana", "开局 猜大小 最多押100")
    assert "押 100 积分（还有 500 积分）" in await say(table, "bob", "猜大 100")
    await say(table, "ana", "开局 猜点数")
    capped = "bob，你今天押的积分已经到上限了，明天再来吧（不押积分还可以玩）。"
    assert await say(table, "bob", "猜 11 1") == capped
    assert await say(table, "bob", "猜 11") == "bob，记下了，你猜「11」。已有 1 人参加，时间到就开奖。"
    await say(table, "ana", "开局 比大小 入场1")
    assert await say(table, "bob", "加入") == capped
    assert await points(table, "bob") == [500]


@pytest.mark.parametrize(
    ("cap", "told"),
    [
        ({"plays_per_day": 1}, "你今天玩这个游戏的次数已经够多了，明天再来吧。"),
        ({"won_per_day": 50}, "你今天在这个游戏里赢的积分已经到上限了，把机会留给别人，明天再来吧。"),
    ],
)
async def test_a_community_caps_what_a_member_plays_and_wins(
    open_chat: OpenChat, falls: Falls, cap: dict[str, int], told: str
) -> None:
    let_fall(falls, "dice", 6, 6, 5)
    own = {"games": {"own": {"dice_size": {**cap, "cool_down_s": 0}}}}
    async with open_chat(managers=["ana"], community=own) as chat:
        await talk(chat, ("ana", "开局 猜大小"), ("bob", "猜大"), ("ana", "结束"), ("ana", "开局 猜大小"))
        assert await say(chat, "bob", "猜大") == f"bob，{told}"
        assert await points(chat, "bob") == [100]


async def test_a_house_that_could_not_pay_out_takes_no_stake(open_chat: OpenChat, falls: Falls) -> None:
    let_fall(falls, "dice", 1, 1, 1)
    games = {"games": {**STAKES["games"], "budget_per_day": 400}}
    async with open_chat(managers=["ana"], community=games) as chat:
        await endow(chat, "bob", "cy")
        too_dear = await say(chat, "ana", "开局 猜点数 奖401")
        assert too_dear.startswith("没有开始：这一局最多要送出 401 积分，而社群今天的预算 400 只剩 400。")
        await say(chat, "ana", "开局 猜点数 奖100")
        poor = "bob，社群今天的预算不够给这一注兑奖，请少押一点，或者不押积分直接玩。"
        assert await say(chat, "bob", "猜 3 2") == poor  # 430 may have to be paid
        assert "押 1 积分" in await say(chat, "bob", "猜 3 1")
        assert await spent(chat) == 315
        assert await say(chat, "cy", "猜 3 1") == poor.replace("bob", "cy")
        assert "你猜「3」。" in await say(chat, "cy", "猜 3")
        chat.transcript.clear()
        [(_, told)] = await time_up(chat)
        assert "2 人猜中，各得 50 积分：bob（押 1 返 216）、cy\n" in told
        assert await points(chat, "bob", "cy") == [100 - 1 + 216 + 50, 150]
        await books(chat)


@pytest.mark.usefixtures("falls")
async def test_without_stakes_nothing_is_said_of_them_and_none_are_taken(group: FakeChat) -> None:
    await endow(group, "bob")
    refused = "没有开始：这个社群不押积分，请去掉押注或入场再开。"
    for order in ("猜大小 押注50", "猜点数 最多押20", "比大小 入场5"):
        assert await say(group, "ana", f"开局 {order}") == refused
    for order in ("猜大小 最多押0", "猜点数 押0", "比大小 入场0"):
        opening = await say(group, "ana", f"开局 {order}")
        assert not re.search("押|入场|返", opening), opening
        form = await say(group, "ana", f"开局 {order} 怎么写")
        assert not re.search("最多押50|入场5", form), form

    off = "bob，这个社群不押积分，直接玩就好，不用写数。"
    assert await say(group, "bob", "猜大 50") == off
    assert await say(group, "bob", "猜 11 5") == off
    assert await say(group, "bob", "猜大") == "bob，记下了，你猜「大」。已有 1 人参加，时间到就开奖。"
    assert await say(group, "cy", "猜 200") == (
        "cy，猜大小要这样写：猜大、猜小、猜单 或 猜双\n猜点数要这样写：猜 11（3 到 18 的整数）"
    )
    assert await points(group, "bob") == [100]


async def test_an_entry_that_the_configuration_asks_for_is_none_where_nothing_is_staked(
    open_chat: OpenChat,
) -> None:
    own = {"games": {"own": {"dice_compare": {"settings": {"entry": 5}}}}}
    async with open_chat(managers=["ana"], community=own) as chat:
        assert "入场" not in await say(chat, "ana", "开局 比大小")
        assert await say(chat, "bob", "骰子") == "bob，已加入比大小。已有 1 人参加，时间到就开奖。"


async def test_a_round_may_be_without_stakes_where_others_have_them(table: FakeChat) -> None:
    assert "押积分" not in await say(table, "ana", "开局 猜大小 押0")
    assert await say(table, "bob", "猜大 50") == "bob，这一局不押积分，不写积分数，直接猜就好。"
    assert await say(table, "bob", "猜大大") == ""
    assert await say(table, "bob", "猜 大大") == "bob，猜大小要这样写：猜大、猜小、猜单 或 猜双"


# ---------------------------------------------------------------- what is written wrongly


SIZE_FORM = "猜大小要这样写：猜大、猜小、猜单 或 猜双；要押积分就写在后面：猜大 20（最多 50）"
SUM_FORM = "猜点数要这样写：猜 11（3 到 18 的整数）；要押积分就写在后面：猜 11 20（最多 20）"


async def test_a_wrong_guess_is_answered_with_how_it_is_written(table: FakeChat) -> None:
    await say(table, "ana", "开局 猜大小")
    for said in ("猜", "猜 11", "猜 豹子", "猜 大小", "猜大 多", "猜大 -5", "猜大 5 5", "猜 大 1.5", "guess"):
        assert await say(table, "bob", said) == f"bob，{SIZE_FORM}", said
    await say(table, "ana", "结束")
    await say(table, "ana", "开局 猜点数")
    for said in ("猜", "猜大", "猜 2", "猜 19", "猜2", "猜 0", "猜 十一", "猜 11 多", "猜 11.5", "猜 111"):
        assert await say(table, "bob", said) == f"bob，{SUM_FORM}", said
    assert await entries_of_rounds(table) == []


async def test_the_stake_of_an_example_is_never_above_the_highest(table: FakeChat) -> None:
    opening = await say(table, "ana", "开局 猜大小 最多押7")
    assert "例如「猜大 7」：最多押 7，" in opening
    assert (await say(table, "bob", "猜")).endswith("猜大 7（最多 7）")


async def test_where_nothing_is_open_it_is_said_how_a_round_is_begun(group: FakeChat) -> None:
    nothing = "bob，这里现在没有开着这类游戏。管理员发「开局 猜大小」、「开局 猜点数」就能开一局。"
    for said in ("猜", "猜大", "猜 11", "猜双 10", "guess big"):
        assert await say(group, "bob", said) == nothing, said
    for said in ("加入", "join"):
        assert await say(group, "bob", said) == (
            "bob，这里现在没有开着这类游戏。管理员发「开局 比大小」就能开一局。"
        )


async def test_what_is_written_without_its_space_is_taken_only_where_it_can_mean_nothing_else(
    table: FakeChat,
) -> None:
    for said in ("猜11", "猜大50", "猜11 20", "/猜单5分", "猜雙押10积分", "＃猜１１点", "猜小 5"):
        assert "管理员发「开局 猜大小」" in await say(table, "bob", said), said
    for said in (
        "猜猜我是谁",
        "猜大小",
        "猜111",
        "我猜11",
        "猜11吧",
        "猜3d6",
        "猜大钱50",
        "骰子王3d6",
        "骰子d",
    ):
        assert await table.say("bob", said, group=GROUP) is None, said


FORMS = {
    "指定点数": ("开局 指定点数 3 奖50", "3（1 到 6，要掷出的点数）、奖50、间隔10秒、10分钟"),
    "猜大小": ("开局 猜大小 奖100 60秒", "奖100、60秒、豹子输、最多押50"),
    "猜点数": ("开局 猜点数 奖100 60秒", "奖100、60秒、最多押50"),
    "比大小": ("开局 比大小 奖100 3颗", "奖100、60秒、3颗、至少2人、入场5"),
}


@pytest.mark.parametrize(
    ("game", "words", "wrong"),
    [
        ("指定点数", "大", "看不懂「大」"),
        ("指定点数", "奖", "看不懂「奖」"),
        ("指定点数", "7", "要掷出的点数写 1 到 6，例如：3"),
        ("指定点数", "0点", "要掷出的点数写 1 到 6，例如：3"),
        ("指定点数", "奖0", "奖多少要写 1 到 1000000 的整数，例如：奖50"),
        ("指定点数", "间隔601秒", "间隔要写 0 到 600 秒，例如：间隔10秒"),
        ("猜大小", "奖100 60秒 3颗", "看不懂「3颗」"),
        ("猜大小", "1000001积分", "奖多少要写 0 到 1000000 的整数，例如：奖100"),
        ("猜大小", "豹子赢", "豹子要写成「豹子输」或「豹子照算」"),
        ("猜大小", "押注9999999", "最多押多少要写 0 到 1000000 的整数，例如：最多押50"),
        ("猜点数", "豹子输", "看不懂「豹子输」"),
        ("猜点数", "奖9999999", "奖多少要写 0 到 1000000 的整数，例如：奖100"),
        ("猜点数", "最多押9999999", "最多押多少要写 0 到 1000000 的整数，例如：最多押20"),
        ("比大小", "押20", "看不懂「押20」"),
        ("比大小", "奖2000000", "奖多少要写 0 到 1000000 的整数，例如：奖100"),
        ("比大小", "11颗", "骰子要写 1 到 10 颗，例如：3颗"),
        ("比大小", "入场1000001", "入场要写 0 到 1000000 的整数，例如：入场5"),
        ("比大小", "1人", "至少要写 2 到 100 人，例如：至少3人"),
    ],
)
async def test_a_wrong_setting_is_answered_with_what_would_be_right(
    table: FakeChat, game: str, words: str, wrong: str
) -> None:
    example, settings = FORMS[game]
    assert await say(table, "ana", f"开局 {game} {words}") == (
        f"没有开始：{wrong}。\n"
        f"要这样写：开局 {game} 参数\n"
        f"例如：{example}\n"
        f"参数可以不写，也可以写几个：{settings}"
    )
    assert await spent(table) == 0


async def test_the_form_and_who_may_begin(table: FakeChat) -> None:
    assert await say(table, "bob", "开局 猜大小") == (
        "bob，这个命令只有社群管理员可以用。发「帮助」看看你能用的命令。"
    )
    assert "现在能开的游戏：指定点数、猜大小、猜点数、比大小" in await say(table, "ana", "开局 麻将")


def test_every_setting_has_words_in_both_languages() -> None:
    for game, settings in (
        ("dice_point", PointSettings),
        ("dice_size", SizeSettings),
        ("dice_sum", SumSettings),
        ("dice_compare", CompareSettings),
    ):
        for field in dataclasses.fields(settings):
            assert f"setting.{game}.{field.name}" in load_catalog().keys


@pytest.mark.parametrize(
    ("order", "settings"),
    [
        ("指定点数", PointSettings(50, 6, 10)),
        ("点数 3 奖60 间隔5秒", PointSettings(60, 3, 5)),
        ("dice_point 60分 4点 间隔7", PointSettings(60, 4, 7)),
        ("DICE_POINT point=2 prize=9 interval=0", PointSettings(9, 2, 0)),
        ("指定點數 獎70積分 間隔20秒", PointSettings(70, 6, 20)),
        ("猜大小", SizeSettings(100, Triples.COUNT, 50)),
        ("大小 奖１０，豹子输，押注30", SizeSettings(10, Triples.LOSE, 30)),
        ("单双\n奖10积分\n最多押5", SizeSettings(10, Triples.COUNT, 5)),
        ("猜单双、80分、豹子照算、押注最多6分", SizeSettings(80, Triples.COUNT, 6)),
        ("dice_size prize=20 triples=lose stake=8", SizeSettings(20, Triples.LOSE, 8)),
        ("猜点数 奖励30 押9", SumSettings(30, 9)),
        ("dice_sum 40points stake0", SumSettings(40, 0)),
        ("比大小", CompareSettings(100, 3, 0, 2)),
        ("比大小 奖10 2颗 入场4积分 至少5人", CompareSettings(10, 2, 4, 5)),
        ("比大小 4个骰子 3人 入场费2", CompareSettings(100, 4, 2, 3)),
        ("dice_compare prize=1 dice=5 entry=6 least=7", CompareSettings(1, 5, 6, 7)),
    ],
)
async def test_settings_are_read(table: FakeChat, order: str, settings: object) -> None:
    assert "公平承诺" in await say(table, "ana", f"开局 {order}")
    [found] = await open_rounds(table)
    assert found.settings == settings


async def open_rounds(chat: FakeChat) -> list[Any]:
    """Return the states of the open rounds of the group."""
    parts = chat.service.parts
    community = parts.communities.get(COMMUNITY)
    assert community is not None
    record = await parts.stores.rounds.open_in(COMMUNITY, f"bot:{GROUP}")
    known = [await parts.life.state(community, found.id) for found in read_open(record)]
    return [state for _, state in filter(None, known)]


# ---------------------------------------------------------------- several games, rests, games that are off


async def test_of_two_games_that_are_open_the_word_decides(group: FakeChat, falls: Falls) -> None:
    falls["roll 0"] = 2
    for game in ("猜点数", "猜大小", "比大小", "指定点数"):
        await say(group, "ana", f"开局 {game}")
    for said, told in [
        ("猜大", "记下了，你猜「大」。已有 1 人参加，时间到就开奖。"),
        ("猜 11", "记下了，你猜「11」。已有 1 人参加，时间到就开奖。"),
        ("猜 12", "这一局你已经猜过了，猜的是「11」。每人一次，等开奖吧。"),
        ("猜 小", "这一局你已经猜过了，猜的是「大」。每人一次，等开奖吧。"),
        ("猜 豹子", "猜点数要这样写：猜 11（3 到 18 的整数）\n猜大小要这样写：猜大、猜小、猜单 或 猜双"),
        ("骰子", "🎲 2，要掷出 6 才赢，等会儿再来一次。"),  # the point before comparing
        ("加入", "已加入比大小。已有 1 人参加，时间到就开奖。"),
        ("骰子", "别急，10 秒后才能再掷，这次不算。"),
    ]:
        assert await say(group, "bob", said) == f"bob，{told}", said
    group.transcript.clear()
    told = "\n".join(text for _, text in await time_up(group))
    assert sorted(re.findall("🎲 (.*)时间到！", told)) == ["比大小", "猜大小", "猜点数"]


async def test_the_same_game_is_open_once_and_rests_after_a_round(open_chat: OpenChat) -> None:
    own = {"dice_size": {"cool_down_s": 10}}
    async with open_chat(managers=["ana"], community={"games": {"own": own}}) as group:
        await say(group, "ana", "开局 猜大小")
        assert await say(group, "ana", "开局 大小") == (
            "这里已经有一局同样的游戏在进行，先玩完它吧。管理员可以发「结束」。"
        )
        assert "🎲 猜大小开局" in (await group.say("ana", "开局 猜大小", group="g2") or "")
        await say(group, "ana", "结束")
        group.pass_time(4 * SECOND)
        assert await say(group, "ana", "开局 猜大小") == "刚玩过一局，6 秒后可以再开。"
        assert "🎲 猜点数开局" in await say(group, "ana", "开局 猜点数")
        group.pass_time(6 * SECOND)
        assert "🎲 猜大小开局" in await say(group, "ana", "开局 猜大小")


async def test_each_group_plays_its_own_round(group: FakeChat, falls: Falls) -> None:
    falls["roll 0"] = 6
    await say(group, "ana", "开局 指定点数")
    let_fall(falls, "throw", 6)
    assert await group.say("bob", "骰子", group="g2") == "bob，🎲 6"
    assert (await say(group, "bob", "骰子")).startswith("bob，🎲 6，掷中了！")


async def test_games_that_are_off_are_neither_begun_nor_offered(open_chat: OpenChat) -> None:
    off = {"games": {"off": ["dice_size", "dice_compare"]}}
    async with open_chat(managers=["ana"], community=off) as chat:
        assert "现在能开的游戏：指定点数、猜点数、红包。" in await say(chat, "ana", "开局 猜大小")
        assert await say(chat, "bob", "猜大") == (
            "bob，这里现在没有开着这类游戏。管理员发「开局 猜点数」就能开一局。"
        )
        assert await say(chat, "bob", "加入") == "bob，这里没有开放这个游戏，请联系社群管理员。"
        assert (await say(chat, "bob", "骰子")).startswith("bob，🎲 ")


async def test_games_are_off_in_one_group(open_chat: OpenChat) -> None:
    off = {"games": {"off_in": [{"channel": "bot", "chat_id": "g1"}]}}
    async with open_chat(managers=["ana"], community=off) as chat:
        for game in ("指定点数", "猜大小", "猜点数", "比大小"):
            assert await say(chat, "ana", f"开局 {game}") == "这里没有开放这个游戏，请联系社群管理员。"
        assert await say(chat, "bob", "猜大") == "bob，这里没有开放这个游戏，请联系社群管理员。"
        assert "🎲 猜大小开局" in (await chat.say("ana", "开局 猜大小", group="g2") or "")


# ---------------------------------------------------------------- a community in its direct chats


async def test_a_community_compares_in_its_direct_chats(group: FakeChat, falls: Falls) -> None:
    let_fall(falls, "throw 1", 6, 6, 6)
    waits = "时间到就开奖，我来告诉你结果（也可以发「结果」看）。"
    assert "🎲 比大小开局！" in (await group.say("ana", "开局 比大小") or "")
    assert await group.say("bob", "骰子") == f"已加入比大小。已有 1 人参加，{waits}"
    assert await group.say("cy", "加入") == f"已加入比大小。已有 2 人参加，{waits}"
    assert await group.direct("dan", "骰子") == f"已加入比大小。已有 3 人参加，{waits}"  # on the AI bot
    assert await group.say("bob", "加入") == "这一局你已经参加了，每人一次，等开奖吧。"
    group.transcript.clear()

    told = "🎲 比大小时间到！\n1. cy　18 点 👑\n2. bob　3 点\n3. dan　3 点\n🏆 cy 胜出，得 100 积分！\n…"
    assert await time_up(group) == [("bot", told)] * 4  # the host and all who played, each once
    assert await time_up(group) == []
    await group.say("bob", "结果")
    assert shown(group) == [("bob", "结果"), ("bot", told)]
    balance = chat_balance(group)
    assert [await balance(who) for who in ("app:ana", "app:bob", "app:cy", "bot:dan")] == [0, 0, 100, 0]


async def test_a_community_guesses_in_its_direct_chats(group: FakeChat, falls: Falls) -> None:
    let_fall(falls, "dice", 1, 2, 4)
    await group.say("ana", "开局 猜大小 奖50 5分钟")
    for who, said in (("bob", "猜小"), ("cy", "猜大"), ("dan", "猜单")):
        assert (await group.say(who, said) or "").endswith("我来告诉你结果（也可以发「结果」看）。")
    group.transcript.clear()
    told = (
        "🎲 猜大小提前结束！\n"
        "掷出 1、2、4，合计 7：小、单。\n"
        "3 人参加，2 人猜中，各得 25 积分：bob（小）、dan（单）\n"
        "…"
    )
    await group.say("ana", "结束")
    assert shown(group) == [("ana", "结束"), ("bot", told)]
    assert await time_up(group) == [("bot", told)] * 3  # Ana has her answer; Bob, Cy and Dan are told
    await group.say("cy", "结果")
    assert shown(group)[-1] == ("bot", told)
    assert [await chat_balance(group)(f"app:{who}") for who in ("bob", "cy", "dan")] == [25, 0, 25]


async def test_a_community_throws_for_the_point_in_its_direct_chats(group: FakeChat, falls: Falls) -> None:
    falls.update({"roll 1": 6, "throw 0": 3})
    await group.say("ana", "开局 指定点数")
    await group.say("bob", "骰子")
    won = await group.say("cy", "骰子") or ""
    assert won.startswith("🎲 6，掷中了！\n🎲 指定点数结束！\n🏆 cy 掷出 6，得 50 积分！")
    group.transcript.clear()
    (who, told), other = await time_up(group, SECOND)  # Ana, the host, and Bob, who played
    assert other == (who, told)
    assert (who, told.splitlines()[0]) == ("bot", "🎲 指定点数结束！")
    assert await group.say("bob", "骰子") == (
        "🎲 3\n（刚才那一局已经结束，这一掷不算数。发「结果」看那一局。）"
    )


async def test_who_has_played_in_the_group_still_reaches_the_round_of_the_community(group: FakeChat) -> None:
    await say(group, "ana", "开局 猜大小")
    await group.say("ana", "开局 猜大小")
    assert "已有 1 人参加" in await say(group, "bob", "猜大")
    assert "已有 1 人参加" in await say(group, "bob", "猜小")
    assert "猜的是「大」" in await say(group, "bob", "猜小")


def chat_balance(chat: FakeChat) -> Any:
    async def balance(member: str) -> int:
        return await chat.service.parts.stores.points.balance(COMMUNITY, member)

    return balance


# ---------------------------------------------------------------- the same message again


@dataclass(frozen=True)
class Said:
    """What Bob says in a round of a game, and the first words of his answer."""

    game: str
    said: str
    answer: str
    before: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.game}: {self.said} ({self.answer})"


MOVES = (
    Said("指定点数", "骰子", "🎲 2，要掷出 6 才赢"),
    Said("指定点数", "骰子", "别急，10 秒后", before=("骰子",)),
    Said("指定点数 2", "骰子", "🎲 2，掷中了！\n🎲 指定点数结束！\n🏆 bob 掷出 2"),
    Said("猜大小", "猜大 30", "记下了，你猜「大」，押 30 积分（还有 70 积分）。已有 1 人"),
    Said("猜大小", "猜小 30", "这一局你已经猜过了，猜的是「大」，押 20 积分", before=("猜大 20",)),
    Said("猜点数", "猜11 20", "记下了，你猜「11」，押 20 积分（还有 80 积分）。已有 1 人"),
    Said("比大小 入场5", "加入", "已加入比大小，入场 5 积分（还有 95 积分）。已有 1 人"),
    Said("比大小 入场5", "加入", "已加入比大小，入场 5 积分（还有 95 积分）。已有 1 人"),
)


@pytest.mark.parametrize("move", MOVES, ids=str)
async def test_a_move_that_comes_again_is_made_once_and_told_the_same(
    open_chat: OpenChat, table: FakeChat, falls: Falls, monkeypatch: pytest.MonkeyPatch, move: Said
) -> None:
    """Its answer is lost: while the round is open, after its end, and where nothing of it is in memory."""
    falls.update({f"roll {number}": 2 for number in range(9)})
    lost: list[bytes] = []

    async def lose(_inbox: Inbox, _ticket: Ticket, _now_ms: int, answer: bytes, *_: object) -> None:
        lost.append(answer)
        raise StoreUnavailableError("away")

    async def deliver(chat: FakeChat) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Inbox, "settle", lose)
            with pytest.raises(StoreUnavailableError):
                await chat.deliver_event(event)

    await say(table, "ana", f"开局 {move.game} 30秒")
    for said in move.before:
        await say(table, "bob", said)
    event = table.event("bob", TextMessage(move.said), group=GROUP, message_id="m")
    await deliver(table)
    after_one = await entries_of_rounds(table)
    for who in ("cy", "dan"):
        await say(table, who, move.said)
    await say(table, "ana", "开局 猜大小")  # another game is open here, which would take other words
    table.pass_time(3 * SECOND)
    await deliver(table)
    already = "已经" in move.answer  # no move of its own: it would find the round over later
    if not already:
        table.pass_time(MINUTE)
        await table.sweep()
        table.pass_time(MINUTE)
        assert "公平承诺" in await say(table, "ana", f"开局 {move.game}")  # the next round is not meant
        await deliver(table)
        async with open_chat(managers=["ana"], community=STAKES, at=START + 3 * MINUTE) as other:
            await deliver(other)
            outcome = await other.deliver_event(event)
            assert outcome.decision.answer == lost[0]
    assert lost[0].decode()[1:].startswith(f"bob，{move.answer}")
    assert len(lost) == (2 if already else 4)
    assert set(lost) == {lost[0]}

    bobs = [entry for entry in await entries_of_rounds(table) if entry.cause == event.id]
    assert bobs == [entry for entry in after_one if entry.cause == event.id]
    assert len(bobs) == ("押" in move.answer or "入场" in move.answer) - already
    if not already:
        await say(table, "ana", "结束")
        await books(table)


async def test_a_move_is_found_in_its_round_before_another_one_takes_it(
    table: FakeChat, falls: Falls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He joined the comparing; meanwhile a round for the point is open, which goes first."""
    falls["roll 0"] = 6

    async def lose(*_: object) -> None:
        raise StoreUnavailableError("away")

    await say(table, "ana", "开局 比大小")
    event = table.event("bob", TextMessage("骰子"), group=GROUP, message_id="m")
    with monkeypatch.context() as patched:
        patched.setattr(Inbox, "settle", lose)
        with pytest.raises(StoreUnavailableError):
            await table.deliver_event(event)
    await say(table, "ana", "开局 指定点数")
    outcome = await table.deliver_event(event)
    assert "已加入比大小。已有 1 人参加" in outcome.decision.answer.decode()
    assert await points(table, "bob") == [100]


async def test_nobody_pays_an_entry_by_throwing_dice(table: FakeChat) -> None:
    assert "发「加入」参加，每人一次" in await say(table, "ana", "开局 比大小 入场5")
    assert await say(table, "bob", "骰子") == "bob，这一局参加要投入 5 积分。想参加，发「加入」。"
    assert await points(table, "bob") == [100]


async def test_a_round_that_could_not_be_ended_by_its_winner_is_ended_by_the_next_member(
    group: FakeChat, falls: Falls, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise StoreUnavailableError("away")

    falls["roll 0"] = falls["roll 1"] = 6
    await say(group, "ana", "开局 指定点数")
    event = group.event("bob", TextMessage("骰子"), group=GROUP, message_id="m")
    with monkeypatch.context() as patched:
        patched.setattr(Rounds, "end", fail)
        with pytest.raises(StoreUnavailableError):
            await group.deliver_event(event)
    over = "现在没有可以参加的这一局，可能已经结束了。发「结果」看上一局。"
    assert await say(group, "cy", "骰子") == f"cy，{over}"
    group.transcript.clear()
    assert await time_up(group, SECOND) == []  # Bob may still come to it
    group.pass_time(timedelta(seconds=2))
    assert await say(group, "dan", "骰子") == f"dan，{over}"
    group.transcript.clear()
    [(_, told)] = await time_up(group, SECOND)
    assert told == "🎲 指定点数结束！\n🏆 bob 掷出 6，得 50 积分！一共掷了 1 次。\n…"
    answer = (await group.deliver_event(event)).decision.answer.decode()[1:]
    assert answer.startswith("bob，🎲 6，掷中了！\n🎲 指定点数结束！")
    assert await books(group) == [("bob", 50, "round_prize")]


async def test_a_round_that_is_begun_twice_by_one_message_is_one(table: FakeChat) -> None:
    for game in ("指定点数", "猜大小", "猜点数", "比大小"):
        said = [await table.say("ana", f"开局 {game}", group=GROUP, message_id=game) for _ in range(2)]
        assert said[0] == said[1]
        assert "开局！" in (said[0] or "")
    assert len(await open_rounds(table)) == 4
    assert await spent(table) == 350


async def test_the_winner_is_one_however_many_throw_at_once_in_two_processes(
    open_chat: OpenChat, falls: Falls
) -> None:
    falls.update({f"roll {number}": 6 for number in range(40)})
    async with open_chat(managers=["ana"]) as here, open_chat(managers=["ana"]) as there:
        await say(here, "ana", "开局 指定点数")
        events = [
            here.event(f"m{number}", TextMessage("骰子"), group=GROUP, message_id="m") for number in range(20)
        ]
        outcomes = await asyncio.gather(
            *(chat.deliver_event(event) for event in events for chat in (here, there))
        )
        answers = {outcome.decision.answer.decode()[1:] for outcome in outcomes}
        assert len([answer for answer in answers if "掷中了！" in answer]) == 1
        assert len(await books(here)) == 1
        assert await spent(here) == 50


# ---------------------------------------------------------------- chance that anybody can check


async def test_the_dice_of_the_point_follow_from_the_published_seed(group: FakeChat) -> None:
    opening = await say(group, "ana", "开局 指定点数 间隔0")
    rolled: list[int] = []
    while True:
        said = await say(group, f"m{len(rolled)}", "骰子")
        found = re.match(r"m\d+，🎲 (\d)", said)
        assert found is not None
        rolled.append(int(found[1]))
        if "掷中了" in said:
            break
    round_id, seed = proof_in(said, opening)
    luck = Luck(seed, round_id)
    assert rolled == [luck.die(6, f"roll {number}") for number in range(len(rolled))]


async def test_the_dice_of_a_guess_follow_from_the_published_seed_and_the_entries(table: FakeChat) -> None:
    for start, said, read in (
        ("猜大小", ("猜大 10", "猜双"), (("big", 10), ("even", 0))),
        ("猜点数", ("猜 10 5", "猜 11"), (("10", 5), ("11", 0))),
    ):
        opening = await say(table, "ana", f"开局 {start}")
        for who, text in zip(("bob", "cy"), said, strict=True):
            await say(table, who, text)
        told = await say(table, "ana", "结束")
        moves = [
            Move(number, f"bot:{who}", 0, bet, stake)
            for number, (who, (bet, stake)) in enumerate(zip(("bob", "cy"), read, strict=True))
        ]
        round_id, seed = proof_in(told, opening)
        dice = throw(Luck(seed, round_id).mixed(moves), 3, 6, "dice")
        assert f"掷出 {'、'.join(map(str, dice))}，合计 {sum(dice)}" in told


async def test_the_sums_of_comparing_follow_from_the_published_seed_and_the_entries(table: FakeChat) -> None:
    opening = await say(table, "ana", "开局 比大小 入场5")
    for who in ("bob", "cy"):
        await say(table, who, "加入")
    told = await say(table, "ana", "结束")
    moves = [Move(number, f"bot:{who}", 0, "join", 5) for number, who in enumerate(("bob", "cy"))]
    round_id, seed = proof_in(told, opening)
    luck = Luck(seed, round_id).mixed(moves)
    for seat, who in enumerate(("bob", "cy")):
        assert f"{who}　{sum(throw(luck, 3, 6, f'throw {seat}'))} 点" in told


def proof_in(told: str, opening: str) -> tuple[str, bytes]:
    """Return id and seed of a round as its end publishes them; they are those of its beginning."""
    found = PROOF.search(told)
    assert found is not None
    round_id, seed = found[1], bytes.fromhex(found[2])
    assert f"公平承诺 {commitment(seed)[:32]}…（编号 {round_id}，" in opening
    return round_id, seed


# ---------------------------------------------------------------- 游戏


async def test_the_rules_are_explained_with_odds_that_are_true(group: FakeChat) -> None:
    point = await say(group, "bob", "游戏 指定点数")
    assert "掷中的机会是 1/6，平均 6 次掷中一次" in point
    size = await say(group, "bob", "游戏 猜大小")
    assert f"大、小、单、双各占 {ways('big')} 种" in size
    assert f"大、小、单、双各剩 {ways('odd', Triples.LOSE)} 种" in size
    edge = player_edge(ways("big", Triples.LOSE), 1)
    assert f"平均每押 100 少 {float(-edge * 100):.2f}" in size
    total = await say(group, "bob", "玩法 猜点数")
    counted = re.findall(r"(\d+)/(\d+) 各 (\d+) 种", total)
    assert sorted(bet for low, high, _ in counted for bet in (low, high)) == sorted(SUMS)
    assert all(ways(low) == ways(high) == int(count) for low, high, count in counted)
    compare = await say(group, "bob", "游戏 比大小")
    ties = sum(sum(one) == sum(other) for one, other in product(OUTCOMES, repeat=2))
    assert f"一样大的机会是 {ties / len(OUTCOMES) ** 2:.1%}" in compare
    listed = await say(group, "bob", "游戏")
    assert "指定点数、猜大小、猜点数、比大小" in listed


async def test_english_members_read_english(open_chat: OpenChat, falls: Falls) -> None:
    let_fall(falls, "dice", 6, 4, 1)
    let_fall(falls, "throw 0", 6)
    english = {**STAKES, "language": "en"}
    async with open_chat(managers=["ana"], community=english) as chat:
        await endow(chat, "bob")
        said = await talk(
            chat,
            ("ana", "games dice_size"),
            ("ana", "start dice_size triples=lose stake=30"),
            ("ana", "start dice_sum prize=10"),
            ("ana", "start dice_compare entry=5"),
            ("bob", "guess big 20"),
            ("bob", "guess 11"),
            ("bob", "join"),
            ("bob", "guess 3d6"),
            ("ana", "start dice_size nonsense"),
            ("ana", "start dice_size triples=win"),
            ("ana", "stop dice_size"),
            ("ana", "stop dice_sum"),
            ("ana", "stop dice_compare"),
        )
        answers = [text for who, text in said if who == BOT_HERE]
        assert answers[4:7] == [
            "bob: Noted: big, 20 points staked (80 left). Players so far: 1. The dice fall when time is up.",
            "bob: Noted: 11. Players so far: 1. The dice fall when time is up.",
            "bob: You are in, 5 points paid (75 left). Players so far: 1. The dice fall when time is up.",
        ]
        assert "Players: 1. Right: 1, 100 points each: bob (big, 20 staked, 40 back)" in answers[10]
        for text in answers:
            ours = re.sub(r"开局 猜大小 奖100 60秒|Round .*|Commitment .*", "", text)
            assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", ours), text
