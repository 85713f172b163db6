"""The AI bot in callback mode against the vendor's stand-in, which polls, limits and fails as it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.sandbox.channel import SandboxChannel
from bot.sandbox.courier import Settings
from bot.sandbox.faults import Fault
from bot.sandbox.server import SandboxServer
from bot.sandbox.vendor import Sandbox
from tests.e2e.deployments import Deployment
from tests.e2e.records import until
from tests.e2e.slow_plugin import GATES

# On embedded stores alone: `tests/storage` does its scripts on all.
pytestmark = pytest.mark.crash

KEY = "hiddenKeyOfTheBot00hiddenKeyOfTheBot0000000"
BOT = SandboxChannel("bot", "wecom_aibot", "", "aib-bot", "hiddenTokenOfTheBot", KEY, mode="callback")
GROUP = "wrDEMO01"
SOFT_DEADLINE_S = 0.5


class Chat:
    """What people see, and the gates of slow handlers."""

    def __init__(self, sandbox: Sandbox, gates: Path) -> None:
        self.sandbox = sandbox
        self._gates = gates

    def open_gate(self, name: str) -> None:
        (self._gates / name).touch()

    async def sees(self, text: str, user_id: str = "", *, group: str = "") -> None:
        """Wait until a text stands in a chat, finished or not."""

        async def there() -> bool:
            return any(line.text == text for line in self.sandbox.transcript("bot", user_id, group=group))

        await until(there, text)


@asynccontextmanager
async def chat(folder: Path, *, poll_interval_s: float = 0.1) -> AsyncIterator[Chat]:
    """A bot and its vendor, both running."""
    gates = folder / "gates"
    gates.mkdir()
    patience = Settings(repeat_pause_s=0.1, poll_interval_s=poll_interval_s)
    async with SandboxServer([BOT], settings=patience) as vendor:
        channel = {
            "name": "bot", "kind": "wecom_aibot", "token": BOT.token, "encoding_aes_key": KEY,
            "api_base": vendor.api_base,
        }  # fmt: skip
        settings = {
            "server": {"soft_deadline_s": SOFT_DEADLINE_S},
            "plugins": ["tests.e2e.slow_plugin", "tests.e2e.aibot_plugin"],
            "channels": [channel],
            "communities": [{"id": "milk", "channels": ["bot"], "managers": ["bot:boss"]}],
        }
        with Deployment(folder, settings, environment={GATES: str(gates)}).serve() as server:
            vendor.sandbox.callback_base = server.base
            yield Chat(vendor.sandbox, gates)
        assert vendor.sandbox.violations() == {}


async def test_a_group_is_answered_and_a_repeated_or_doubled_callback_counts_once(tmp_path: Path) -> None:
    async with chat(tmp_path) as spoken:
        sandbox = spoken.sandbox
        assert (await sandbox.verify("bot")).passed
        assert "签到成功" in (await sandbox.say("bot", "ana", "签到", group=GROUP)).text
        sandbox.faults.add(Fault("bot", "callback", doubled=True))
        assert "10" in (await sandbox.say("bot", "ana", "积分", group=GROUP)).text
        assert (await sandbox.enter_chat("bot", "ana")).status == "answered"
        assert (await sandbox.say("bot", "ana", "今天天气不错", group=GROUP)).text == ""


async def test_a_late_answer_ends_the_stream_in_the_group(tmp_path: Path) -> None:
    async with chat(tmp_path) as spoken:
        saying = asyncio.create_task(spoken.sandbox.say("bot", "ana", "显 a", group=GROUP))
        await spoken.sees("一半 a", group=GROUP)
        spoken.open_gate("a")
        assert (await saying).text == "全部 a"
        assert spoken.sandbox.inbox("bot", group=GROUP) == ()


async def test_where_the_vendor_does_not_poll_in_time_the_answer_comes_by_the_address(tmp_path: Path) -> None:
    async with chat(tmp_path, poll_interval_s=20.0) as spoken:
        saying = asyncio.create_task(spoken.sandbox.say("bot", "ana", "等 a"))
        await spoken.sees("正在处理，请稍候…", "ana")
        spoken.open_gate("a")
        (late,) = await spoken.sandbox.wait_for_inbox("bot", "ana", timeout_s=20.0)
        assert (late.route, late.text) == ("response_url", "等到了 a")
        assert (await saying).text == "回复在下一条消息里。"


async def test_a_card_is_shown_clicked_and_changed(tmp_path: Path) -> None:
    async with chat(tmp_path) as spoken:
        sandbox = spoken.sandbox
        await sandbox.say("bot", "ana", "卡", group=GROUP)
        (card,) = sandbox.heard("bot", group=GROUP)
        await sandbox.click(card, "yes", user_id="ana")
        assert "已报名" in str(sandbox.line(card))


async def test_quotes_pictures_and_feedback_are_understood(tmp_path: Path) -> None:
    async with chat(tmp_path) as spoken:
        sandbox = spoken.sandbox
        await sandbox.say("bot", "ana", "记 机器坏了", group=GROUP)
        (said,) = sandbox.heard("bot", group=GROUP)
        assert (
            await sandbox.say("bot", "ana", "引", group=GROUP, quote=said)
        ).text == "引用了 记下了 机器坏了"
        await sandbox.message("bot", "ana", "image", media=b"\x89PNG picture")
