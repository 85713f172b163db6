"""开局、结束、结果、游戏: what all rounds share, and what a repeat of each finds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bot.codec import decode_answer
from bot.errors import StoreUnavailableError
from bot.model import Text, TextMessage
from bot.storage.redis.inbox import Inbox
from bot.storage.redis.rounds import OpenRound, Rounds, read_open
from bot.testing import FakeChat
from games.fairness import commitment, player_mark
from tests.handlers.conftest import OpenChat
from tests.handlers.scenes import COMMUNITY

GROUP = "g1"


@pytest.fixture
async def group(open_chat: OpenChat) -> AsyncIterator[FakeChat]:
    """A group in which Ana is a manager."""
    async with open_chat(managers=["ana"]) as chat:
        yield chat


async def say(chat: FakeChat, who: str, text: str) -> str:
    return await chat.say(who, text, group=GROUP) or ""


async def say_and_die(
    chat: FakeChat, monkeypatch: pytest.MonkeyPatch, who: str, text: str, message_id: str
) -> None:
    """Let the process die after the effect of a message, before its answer is kept."""

    async def die(*_: object) -> None:
        raise StoreUnavailableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(Inbox, "settle", die)
        with pytest.raises(StoreUnavailableError):
            await chat.say(who, text, group=GROUP, message_id=message_id)


# ---------------------------------------------------------------- 结束


async def test_a_repeat_of_the_end_tells_of_the_round_it_has_ended_and_leaves_the_next_alone(
    group: FakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(group, "ana", "发红包 10 2 均分")
    await say_and_die(group, monkeypatch, "ana", "结束", "stop")
    await say(group, "ana", "发红包 20 2 均分")

    again = await group.say("ana", "结束", group=GROUP, message_id="stop") or ""
    assert again.startswith("🧧 红包已收：10 积分，2 份里抢走了 0 份。")
    assert "你抢到 10 积分" in await say(group, "bob", "抢")  # the second packet is still open


async def test_repeats_of_two_ends_are_each_told_of_their_own_round(
    group: FakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(group, "ana", "开局 猜大小")
    await say(group, "ana", "开局 猜点数")
    await say_and_die(group, monkeypatch, "ana", "结束 猜大小", "first")
    await say_and_die(group, monkeypatch, "ana", "结束 猜点数", "second")
    first = await group.say("ana", "结束 猜大小", group=GROUP, message_id="first") or ""
    second = await group.say("ana", "结束 猜点数", group=GROUP, message_id="second") or ""
    assert first.startswith("🎲 猜大小提前结束！")
    assert second.startswith("🎲 猜点数提前结束！")


async def test_which_round_ends_is_asked_where_several_games_are_open(group: FakeChat) -> None:
    await say(group, "ana", "发红包 10 2")
    await say(group, "ana", "开局 猜大小")
    answer = await say(group, "ana", "结束")
    assert answer == "这里有几局在进行：红包、猜大小。请说明结束哪一局，例如：结束 红包"
    assert (await say(group, "ana", "结束 大小")).startswith("🎲 猜大小提前结束！")
    assert (await say(group, "ana", "结束")).startswith("🧧 红包已收")
    assert (await say(group, "ana", "结束 象棋")).startswith("没有叫「象棋」的游戏。现有：")
    assert (
        await say(group, "bob", "结束") == "bob，这个命令只有社群管理员可以用。发「帮助」看看你能用的命令。"
    )


async def test_members_end_nothing_and_an_end_of_nothing_says_so(group: FakeChat) -> None:
    nothing = "这里现在没有进行中的游戏。发「开局」开一局，或者发「发红包 100 10」。"
    assert await say(group, "ana", "结束") == nothing


# ---------------------------------------------------------------- told once


async def test_who_moves_between_the_deciding_roll_and_its_end_does_not_have_it_told_twice(
    group: FakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.service.parts.life.orders.new_seed = lambda: bytes(32)
    await say(group, "ana", "开局 指定点数 6 间隔0秒")
    end, waiting, go_on = Rounds.end, asyncio.Event(), asyncio.Event()

    async def slow(self: Rounds, *args: object) -> object:
        waiting.set()
        await go_on.wait()
        return await end(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Rounds, "end", slow)
    number = 0
    while True:  # until somebody has thrown a 6
        event = group.event("bob", TextMessage("骰子"), group=GROUP, message_id=f"b{number}")
        number += 1
        throwing = asyncio.create_task(group.deliver_event(event))
        ended = asyncio.create_task(waiting.wait())
        await asyncio.wait((throwing, ended), return_when=asyncio.FIRST_COMPLETED)
        if not throwing.done():
            break
        ended.cancel()
    other = group.event("cy", TextMessage("骰子"), group="", channel="bot")._replace(group_id=GROUP)
    # Another process takes Cy's roll: here the chat would wait for Bob's answer.
    life, service = group.service.parts.life, group.service
    case = service.parts.case(service.parts.platforms["bot"], other, group.clock.now_ms())
    (found,) = [one for one in await _open(group) if one.game == "dice_point"]
    play = await life.move(case.question.community, found.id, case.ticket, "roll", 0, group.clock.now_ms())
    assert play.ended is None
    go_on.set()
    answer = decode_answer((await throwing).decision.answer)
    assert isinstance(answer, Text)
    assert "掷中了" in answer.text
    group.transcript.clear()
    await group.deliver()
    assert group.transcript == []  # the answer has told it


async def _open(chat: FakeChat) -> tuple[OpenRound, ...]:
    record = await chat.service.parts.stores.rounds.open_in(COMMUNITY, f"bot:{GROUP}")
    return read_open(record)


# ---------------------------------------------------------------- 游戏、结果


async def test_the_games_are_listed_with_what_is_open_and_how_to_begin(group: FakeChat) -> None:
    listed = "这里可以玩：指定点数、猜大小、猜点数、比大小、红包。发「游戏 名字」看玩法。"
    assert await say(group, "bob", "游戏") == f"{listed}\n现在没有进行中的游戏，等管理员开一局吧。"
    await say(group, "ana", "发红包 10 2")
    assert await say(group, "bob", "游戏") == f"{listed}\n正在进行：红包。快来参加！"
    assert "发「结束」收尾。" in await say(group, "ana", "游戏")
    assert (await say(group, "bob", "游戏 红包")).startswith("【红包】")
    assert (await say(group, "bob", "玩法 red_packet")).startswith("【红包】")
    assert (await say(group, "bob", "游戏 象棋")).startswith("没有叫「象棋」的游戏。")


async def test_the_last_result_is_of_this_chat_only(group: FakeChat) -> None:
    assert await say(group, "bob", "结果") == "这里最近没有结束的游戏。"
    await say(group, "ana", "发红包 10 1")
    await say(group, "bob", "抢")
    assert (await say(group, "cy", "结果")).startswith("🧧 红包抢完了：10 积分，1 份。")
    assert await group.say("cy", "结果", group="g2") == "这里最近没有结束的游戏。"


async def test_a_game_is_begun_by_any_of_its_names_and_a_wrong_one_is_answered_with_the_form(
    group: FakeChat,
) -> None:
    for command in ("开局", "开局 象棋"):
        form, example, games = (await say(group, "ana", command)).splitlines()
        assert form == "要这样写：开局 游戏 参数"
        assert example == "例如：开局 猜大小 奖100 60秒"
        assert games == "现在能开的游戏：指定点数、猜大小、猜点数、比大小、红包。发「游戏 名字」看玩法。"
    assert "ana 发了一个红包：10 积分，2 份" in await say(group, "ana", "开局 红包 10 2")
    assert "猜大小开局！" in await say(group, "ana", "开局 單雙")
    group.pass_time(timedelta(hours=2))
    await group.sweep()
    group.pass_time(timedelta(minutes=1))
    assert "猜大小开局！" in await say(group, "ana", "start dice_size prize=20 60s")


# ---------------------------------------------------------------- 验证


async def test_a_member_learns_how_the_last_round_is_checked_and_which_mark_is_theirs(
    open_chat: OpenChat,
) -> None:
    server = {"public_url": "https://bot.example.com/"}
    async with open_chat(managers=["ana"], server=server) as chat:
        seed = bytes(range(32))
        chat.service.parts.life.orders.new_seed = lambda: seed
        assert await say(chat, "bob", "验证") == "bob，这里最近没有结束的游戏。"
        sent = await say(chat, "ana", "发红包 10 1")
        told = await say(chat, "bob", "抢")
        round_id = sent.partition("编号 ")[2][:16]
        page = f"https://bot.example.com/rounds/test/{round_id}"
        assert told.endswith(f"编号 {round_id}，种子 {seed.hex()}\n人人可验：{page}")
        shown = (
            f"bob，编号 {round_id}\n承诺 {commitment(seed)}\n种子 {seed.hex()}\n"
            "种子的 SHA-256 就是开局时公布的承诺；所有随机结果都由种子算出，谁都可以重算。\n"
            f"公布的名单里，你的记号是 {player_mark(round_id, 'bot:bob')}\n人人可验：{page}"
        )
        assert await say(chat, "bob", "验证") == shown
        assert await say(chat, "bob", f"验证 {round_id.upper()}") == shown
        nothing = "没有找到这一局，或者它还没有结束。编号在开局和结果的消息里。"
        assert await say(chat, "bob", "验证 0123456789abcdef") == f"bob，{nothing}"
        running = (await say(chat, "ana", "发红包 10 1")).partition("编号 ")[2][:16]
        assert await say(chat, "bob", f"验证 {running}") == f"bob，{nothing}"  # its seed is a secret


# ---------------------------------------------------------------- what is not begun


@pytest.mark.parametrize("command", ["发红包 10 2 5秒", "开局 猜大小 90天", "开局 猜大小 0秒"])
async def test_a_length_of_time_that_no_round_has_is_refused_with_the_bounds(
    group: FakeChat, command: str
) -> None:
    word = command.rsplit(maxsplit=1)[-1]
    answer = await say(group, "ana", command)
    assert answer.startswith(f"没有开始：时长「{word}」不行，要在 10 秒到 30 天之间。\n要这样写：")


@pytest.mark.parametrize("word", ["签到", "抢", "/checkin", "簽到"])
async def test_a_word_that_is_a_command_is_no_word_of_a_packet(group: FakeChat, word: str) -> None:
    answer = await say(group, "ana", f"发红包 10 2 口令 {word}")
    assert answer.startswith("没有开始：口令最多 30 个字，而且不能是命令。\n要这样写：")


async def test_in_a_group_without_games_not_even_the_communitys_rounds_are_played(
    open_chat: OpenChat,
) -> None:
    off_in = [{"channel": "bot", "chat_id": GROUP}]
    async with open_chat(managers=["ana"], community={"games": {"off_in": off_in}}) as chat:
        await chat.say("ana", "发红包 10 2 均分 口令 恭喜")
        await chat.say("ana", "发红包 10 2 均分")
        assert (
            await say(chat, "bob", "抢") == "bob，这里现在没有红包。等管理员发一个吧，先发「签到」攒点积分。"
        )
        assert await say(chat, "bob", "恭喜") == ""
        assert "你抢到 5 积分" in (await chat.say("恭喜", "恭喜", group="g2") or "")


async def test_what_a_round_gave_is_named_in_the_ledger_of_who_got_it(open_chat: OpenChat) -> None:
    async with open_chat(managers=["ana"], community={"games": {"stakes": True}}) as chat:
        await say(chat, "ana", "加分 bot:bob 50 本钱")
        await say(chat, "bob", "签到")
        await say(chat, "ana", "加分 bob 50 本钱")
        await say(chat, "ana", "发红包 10 1 最佳3")
        await say(chat, "bob", "抢")
        await say(chat, "ana", "开局 猜大小 奖0 押20")
        await say(chat, "bob", "猜大 20")
        await say(chat, "ana", "结束 作废")
        rows = [line.split("　") for line in (await say(chat, "bob", "明细")).splitlines()[1:]]
        assert [row[1:] for row in rows][:4] == [
            ["+20", "退还押分"],
            ["-20", "游戏押分"],
            ["+3", "手气最佳奖"],
            ["+10", "抢到红包"],
        ]


@pytest.mark.parametrize(
    ("order", "game", "opening"),
    [
        ("发红包 10 2", "red_packet", "🧧 【测试社群】 发了一个红包：10 积分，2 份（拼手气）"),
        ("开局 指定点数", "dice_point", "🎲 指定点数开局！"),
        ("开局 猜大小", "dice_size", "🎲 猜大小开局！"),
        ("开局 猜点数", "dice_sum", "🎲 猜点数开局！"),
        ("开局 比大小", "dice_compare", "🎲 比大小开局！"),
    ],
)
async def test_a_round_begun_by_a_program_is_announced_as_one_begun_in_the_chat(
    group: FakeChat, order: str, game: str, opening: str
) -> None:
    said = await say(group, "ana", order)
    (found,) = await _open(group)
    life, community = group.service.parts.life, group.service.parts.communities.get(COMMUNITY)
    assert community is not None
    known = await life.state(community, found.id)
    assert known is not None
    assert found.game == game
    announced = life.announcement(community, known[0])
    assert announced.startswith(opening)
    assert announced.splitlines()[1:] == said.splitlines()[1:]
