"""帮助: what can be said here, by role."""

from __future__ import annotations

import re

import pytest

from bot.model import Reply
from bot.routing.context import Context
from bot.routing.router import Router
from bot.testing import FakeChat, Stores
from run import ROUTERS
from tests.handlers.conftest import OpenChat

MENU = """【测试社群】可以这样和我说：
签到 — 每天一次，连续签到有奖励
补签、日历 — 用积分补上最近漏掉的一天；看本月签到日历
积分 — 看我的积分和名次
明细 — 看我的积分流水（明细 2 看第 2 页）
排行 — 看积分总榜（还有：排行 今日、排行 本周、排行 本月）
游戏、结果、验证 — 看有哪些游戏、怎么玩；看上一局的结果；验证它的公平
抢、骰子、猜、加入 — 抢红包、掷骰子、猜大小、比大小
退订、订阅 — 我不再主动私信你；重新收到我主动发的提醒
帮助 — 再看一次这张菜单"""
FOR_MANAGERS = """
管理员还可以：
关键词 — 一步一步添一条自动回复（一句话写完：关键词 触发词=回复）
删关键词 触发词 — 删掉这条自动回复
加分 成员 数 理由 — 给成员加分（数写成负数就是扣分）
发红包 总额 个数 — 发积分红包，例如：发红包 100 10
开局、结束 — 开一局游戏，例如：开局 猜大小；结束正在进行的一局
静音、恢复 — 在群里发：本群不再收到主动消息；私聊我发：整个社群都不收"""


async def test_members_see_their_commands_and_managers_theirs_too(chat: FakeChat) -> None:
    assert await chat.say("alice", "帮助") == MENU
    assert await chat.say("ana", "菜单") == MENU + FOR_MANAGERS


def _words(head: str) -> list[str]:
    """Return the commands of a line: several are listed, one may have what follows it behind it."""
    several = [word.strip() for word in re.split("[、,]", head)]
    return several if len(several) > 1 else head.split()[:1]


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_every_command_stands_in_the_menu_and_every_line_of_the_menu_is_a_command(
    open_chat: OpenChat, language: str
) -> None:
    commands = [command for router in ROUTERS for command in router.commands]
    async with open_chat(managers=["ana"], community={"language": language}) as chat:
        menu = await chat.say("ana", "help") or ""
        lines = [word for line in menu.splitlines() if "—" in line for word in _words(line.partition("—")[0])]
        for word in lines:
            assert any(word in command.words for command in commands), word
        for command in commands:
            assert any(word in command.words for word in lines), command.name


async def test_the_commands_of_plug_ins_are_listed_each_for_who_may_use_it(stores: Stores) -> None:
    dice = Router("dice")

    @dice.command("占卜")
    async def roll(_: Context) -> Reply:
        return Reply.text("4")

    @dice.command("停占卜", for_managers=True)
    async def stop(_: Context) -> None: ...

    async with FakeChat([*ROUTERS, dice], managers=["ana"], stores=stores) as chat:
        assert await chat.say("alice", "帮助") == MENU + "\n更多命令：占卜"
        assert await chat.say("ana", "帮助") == MENU + FOR_MANAGERS + "\n更多命令：占卜、停占卜"
