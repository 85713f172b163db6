"""The same message again: by the platform, after a crash half way, and in two processes at once.

One table names every command and every other thing that is answered; what is said to each must have one
effect and one answer, however it comes twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from bot.errors import StoreUnavailableError
from bot.model import Content, Entered, Subscribed, TextMessage, Unsubscribed
from bot.storage.redis.inbox import Inbox, Ticket
from bot.testing import CHANNEL, FakeChat, Stores
from run import ROUTERS
from tests.handlers.scenes import COMMUNITY, add_rule, ledger, shanghai


@dataclass(frozen=True)
class Act:
    """Something that is said or happens; `command` is the name of the command it is."""

    command: str
    who: str
    content: Content

    def __str__(self) -> str:
        return self.command or self.content.name


def text(command: str, said: str, who: str = "alice") -> Act:
    return Act(command, who, TextMessage(said))


ACTS = (
    text("check_in.check_in", "签到"),
    text("check_in.make_up", "补签"),
    text("check_in.show_calendar", "日历"),
    text("points.show_balance", "积分"),
    text("points.show_ledger", "明细"),
    text("points.show_ranking", "排行 今日"),
    text("managers.add_keyword", "关键词 新词=新回复", "ana"),
    text("managers.add_keyword talk", "关键词", "ana"),
    text("managers.take_trigger", "新词", "ana"),
    text("managers.take_answer", "新回复", "ana"),
    text("managers.confirm_keyword", "确认", "ana"),
    text("conversation.cancel", "取消", "ana"),
    text("managers.delete_keyword", "删关键词 旧词", "ana"),
    text("managers.grant", "加分 alice -20 退货", "ana"),
    text("managers.grant refused", "加分 alice 20", "bob"),
    text("quiet.opt_out", "退订"),
    text("quiet.opt_in", "订阅"),
    text("quiet.mute", "静音", "ana"),
    text("quiet.unmute", "恢复", "ana"),
    text("red_packets.send_packet", "发红包 10 2 均分", "ana"),
    text("red_packets.grab", "抢"),
    text("rounds.start_round", "开局 比大小", "ana"),
    text("dice.guess", "猜大"),
    text("dice.join", "加入"),
    text("dice.roll", "骰子 3d6"),
    text("rounds.show_games", "游戏"),
    text("rounds.stop_round", "结束 比大小", "ana"),
    text("rounds.show_result", "结果"),
    text("rounds.check_round", "验证"),
    text("help.show_help", "帮助"),
    text("keyword in turn", "轮到谁"),
    text("keyword that rests", "旧词 {积分}"),
    Act("", "alice", Subscribed()),
    Act("", "bob", Entered()),
    Act("", "alice", Unsubscribed()),
)
# A second run finds the rule as the first, whose answer nobody has heard, has left it, and says so.
SAID_ANEW = {"managers.add_keyword", "managers.delete_keyword", "managers.confirm_keyword"}
# What the manager says before: the talk of 关键词, or what begins a round.
BEFORE = {
    "red_packets.grab": ["发红包 10 2 均分"],
    "dice.guess": ["开局 猜大小"],
    "dice.join": ["开局 比大小"],
    "rounds.stop_round": ["开局 比大小"],
    "managers.take_trigger": ["关键词"],
    "managers.take_answer": ["关键词", "新词"],
    "managers.confirm_keyword": ["关键词", "新词", "新回复"],
    "conversation.cancel": ["关键词", "新词"],
}


def test_every_command_stands_in_the_table() -> None:
    commands = {command.name for router in ROUTERS for command in router.commands}
    assert commands <= {act.command for act in ACTS}


async def set_the_scene(chat: FakeChat, act: Act | None = None) -> None:
    """Alice has a history and points, Bob has been here, two rules; the talk of the act has begun."""
    for day in (26, 27):
        await chat.say("alice", "签到", at=shanghai(2, day))
    await chat.send("bob", Subscribed(), at=shanghai(3, 1))
    await chat.say("ana", "加分 alice 200 开场")
    await add_rule(chat, "轮到谁", answers=("小明", "小红", "小刚"), pick="in_turn")
    await add_rule(chat, "旧词", answers=("{昵称}：{积分}",), cool_down_s=60)
    for said in BEFORE.get(act.command, ()) if act else ():
        await chat.say("ana", said)


async def books(chat: FakeChat) -> dict[str, Any]:
    """Everything an act may change for good."""
    stores = chat.service.parts.stores
    entries = await ledger(chat)  # brings all history up to date
    rules = await stores.keyword_rules.page(COMMUNITY)
    members = await stores.member_history.page(COMMUNITY)
    return {
        "ledger": entries,
        "rules": [(rule.triggers, rule.answers) for rule in rules.items],
        "members": [(member.member, member.joins, member.left_at_ms) for member in members.items],
        "calendar": [
            await stores.check_ins.total(COMMUNITY, f"{CHANNEL}:{who}") for who in ("alice", "bob", "ana")
        ],
        "talk": await chat.service.redis.call(
            "GET", f"{chat.service.keys.prefix(COMMUNITY)}talk:{COMMUNITY}:-:{CHANNEL}:ana"
        ),
        "budget": await stores.rounds.budget_spent(COMMUNITY, "2026-03-02"),
        "rounds": await stores.rounds.open_in(COMMUNITY, "*"),
        "turn": await chat.service.redis.call("GET", chat.service.keys.key("turn", COMMUNITY, "1")),
    }


@pytest.mark.parametrize("act", ACTS, ids=str)
async def test_a_message_that_comes_three_times_has_one_effect_and_one_answer(
    stores: Stores, act: Act
) -> None:
    async with FakeChat(ROUTERS, managers=["ana"], stores=stores) as chat:
        await set_the_scene(chat, act)
        before = await books(chat)
        first = await chat.send(act.who, act.content, message_id="m")
        after_one = await books(chat)
        repeats = [await chat.send(act.who, act.content, message_id="m") for _ in range(2)]

        assert repeats == [first, first]
        assert await books(chat) == after_one
        assert len(after_one["ledger"]) - len(before["ledger"]) == _entries(act)


def _entries(act: Act) -> int:
    # Making up 1 March closes no gap; a check-in of the third day in a row would bring a bonus too.
    paid = {"check_in.check_in", "check_in.make_up", "managers.grant", "red_packets.grab"}
    return int(act.command in paid)


@pytest.mark.parametrize("act", ACTS, ids=str)
async def test_an_answer_that_was_lost_half_way_is_found_again_without_a_second_effect(
    stores: Stores, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler has had its effect, then the store goes away: nothing is acknowledged, it comes again."""
    lost: list[bytes] = []

    async def lose(_inbox: Inbox, _ticket: Ticket, _now_ms: int, answer: bytes, *_: object) -> None:
        lost.append(answer)
        raise StoreUnavailableError("away")

    async with FakeChat(ROUTERS, managers=["ana"], stores=stores) as chat:
        await set_the_scene(chat, act)
        event = chat.event(act.who, act.content, message_id="m")
        with monkeypatch.context() as patched:
            patched.setattr(Inbox, "settle", lose)
            with pytest.raises(StoreUnavailableError):
                await chat.deliver_event(event)
        after_one = await books(chat)
        outcome = await chat.deliver_event(event)

        # Only the talk moves with the answer, in one step.
        assert await books(chat) | {"talk": None} == after_one | {"talk": None}
        if act.command not in SAID_ANEW:
            assert [outcome.decision.answer] == lost


async def test_two_processes_that_get_a_message_at_once_give_one_answer_and_one_effect(
    stores: Stores,
) -> None:
    async with (
        FakeChat(ROUTERS, managers=["ana"], stores=stores) as here,
        FakeChat(ROUTERS, managers=["ana"], stores=stores) as there,
    ):
        await set_the_scene(here)
        await there.refresh_keywords()
        for number, act in enumerate(ACTS):
            before = len(await ledger(here))
            event = here.event(act.who, act.content, message_id=str(number))
            outcomes = await asyncio.gather(*(chat.deliver_event(event) for chat in (here, there) * 3))

            assert len({outcome.decision.answer for outcome in outcomes}) == 1, act
            assert len(await ledger(here)) - before == _entries(act), act
