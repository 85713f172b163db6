"""The chat in the terminal, with piped lines."""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import TYPE_CHECKING

import pytest

from bot.errors import RefusedError
from bot.sandbox.server import SandboxServer
from bot.sandbox.terminal import run_terminal
from bot.sandbox.vendor import Sandbox
from tests.sandbox.conftest import APP, QUICK
from tests.sandbox.json_bot import JsonBot, stream
from tests.sandbox.test_ai_bot_callbacks import BOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from tests.sandbox.echo_bot import EchoBot


async def typed(*lines: str) -> AsyncIterator[str]:
    for line in lines:
        yield line + "\n"


async def test_a_conversation_is_printed_line_by_line(server: SandboxServer) -> None:
    printed: list[str] = []
    await run_terminal(
        server.api_base,
        lines=typed(
            "hi", "", "/as 小明", "签到", "/channel oa", "/event subscribe qrscene_7", "/quit", "never"
        ),
        write=printed.append,
    )

    assert printed == [
        "bot → 安娜: echo: hi",
        "bot → 小明: echo: 签到",
        "bot → 小明: echo: event",
    ]


async def test_mistakes_are_told_and_the_chat_goes_on(server: SandboxServer) -> None:
    printed: list[str] = []
    lines = typed("/channel nowhere", "/as", "/event", "/people", "/help", "/as 新人", "hi")

    await run_terminal(server.api_base, lines=lines, write=printed.append)

    assert [line[:1] for line in printed[:3]] == ["!", "!", "!"]
    assert "there are: app, oa" in printed[0]
    assert "  小明 (xiaoming)" in printed
    assert printed[-1] == "bot → 新人: echo: hi"


async def test_a_late_answer_by_active_send_is_printed_before_the_end(
    server: SandboxServer, bot: EchoBot, http: aiohttp.ClientSession
) -> None:
    sends: list[asyncio.Task[None]] = []

    async def send() -> None:
        token, _ = server.sandbox.tokens.app_token("app")
        await http.post(f"/cgi-bin/message/send?access_token={token}", json={
            "touser": "ana", "msgtype": "text", "agentid": APP.agent_id, "text": {"content": "late"},
        })  # fmt: skip

    bot.answer = lambda _: sends.append(asyncio.create_task(send()))
    printed: list[str] = []
    server.sandbox.room("app").write("ana", "bot", "active", at_ms=0, kind="text", text="from yesterday")
    await run_terminal(server.api_base, lines=typed("slow one"), write=printed.append)
    await asyncio.gather(*sends)

    assert sorted(printed) == ["bot → 安娜: late  (主动消息 active)", "· 已收到，没有当场回答 acknowledged"]


async def test_refusals_repeats_and_control_characters_are_shown_safely(
    server: SandboxServer, bot: EchoBot
) -> None:
    bot.answer = lambda _: "红\x9b31m色\n第二行"
    bot.behaviours = [503, 503, 403, 403, 503]
    printed: list[str] = []

    await run_terminal(server.api_base, lines=typed("one", "two"), write=printed.append, linger_s=0)

    assert printed == [
        "! refused: HTTP 403 (HTTP 403)",
        "· 共投递 4 次 delivered 4 times",
        "bot → 安娜: 红31m色\n第二行",
        "· 共投递 2 次 delivered 2 times",
    ]


async def test_a_sandbox_of_this_process_can_be_talked_to_without_a_server(bot: EchoBot) -> None:
    printed: list[str] = []
    sandbox = Sandbox([APP], callback_base=bot.base, settings=QUICK)

    await run_terminal(sandbox, lines=typed("hi"), write=printed.append)

    assert printed == ["bot → 安娜: echo: hi"]


async def test_without_a_sandbox_or_channel_it_says_so() -> None:
    with pytest.raises(RefusedError, match="no sandbox answers"):
        await run_terminal("http://127.0.0.1:9", lines=typed())
    with pytest.raises(RefusedError, match="no channel"):
        await run_terminal(Sandbox([]), lines=typed())


async def test_piped_standard_input_is_answered_and_ends(server: SandboxServer) -> None:
    program = (
        "import asyncio, sys; from bot.sandbox.terminal import run_terminal; "
        "asyncio.run(run_terminal(sys.argv[1]))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, server.api_base,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(10):
        out, _ = await process.communicate("hi\n/as 小明\n签到".encode())

    assert out.decode().splitlines() == ["bot → 安娜: echo: hi", "bot → 小明: echo: 签到"]
    assert process.returncode == 0


async def test_a_group_is_entered_and_the_bot_hears_what_mentions_it() -> None:
    printed: list[str] = []
    async with JsonBot(BOT) as bot:
        numbers = itertools.count()
        bot.answer = lambda said: stream(
            f"got {said['text']['content']} from {said['chattype']}", stream_id=f"s-{next(numbers)}"
        )
        async with SandboxServer([BOT, APP], callback_base=bot.base, settings=QUICK) as server:
            lines = typed(
                "/quiet hi", "/groups", "/group 鲜奶", "/group 鲜奶福利群",
                "签到", "/quiet 大家好", "/quiet", "/group", "积分",
            )  # fmt: skip
            await run_terminal(server.api_base, lines=lines, write=printed.append)

    assert printed == [
        "! /quiet needs words, and a group: choose one with /group",
        "  鲜奶福利群 (4) wrDEMO01",
        "! no group '鲜奶' in bot; there are: 鲜奶福利群",
        "bot → 鲜奶福利群 @安娜: got @活群 签到 from group",
        "· 机器人看不到未@它的消息 not heard by the bot",
        "! /quiet needs words, and a group: choose one with /group",
        "bot → 安娜: got 积分 from single",
    ]


async def test_what_the_bot_sends_into_a_group_later_is_printed(server: SandboxServer) -> None:
    printed: list[str] = []
    told = asyncio.Event()

    def write(line: str) -> None:
        printed.append(line)
        told.set()

    async def lines() -> AsyncIterator[str]:
        yield "/group 鲜奶福利群\n"
        server.sandbox.room("app").write(
            "", "bot", "active", at_ms=0, kind="text", text="大家看一下", group_id="wrDEMO01"
        )
        async with asyncio.timeout(5):
            await told.wait()

    await run_terminal(server.api_base, lines=lines(), write=write)

    assert printed == ["bot → 鲜奶福利群: 大家看一下  (主动消息 active)"]
