"""A sandbox with one channel of every kind and mode, and an independent bot behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest

from bot.sandbox.channel import SandboxChannel
from bot.sandbox.courier import Settings
from bot.sandbox.server import SandboxServer
from bot.sandbox.vendor import Sandbox
from tests.sandbox.echo_bot import EchoBot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
APP = SandboxChannel(
    "app", "wecom_app", "ww0example", "ww0example", "tokTEST1", AES_KEY, "app-secret", agent_id=1000007
)
ACCOUNT = SandboxChannel("oa", "wechat_oa", "wx0example", "gh_example", "tokTEST2", AES_KEY, "oa-secret")
COMPATIBLE = replace(ACCOUNT, name="oa-compatible", receiver_id="wx0compatible", mode="compatible")
PLAIN = replace(ACCOUNT, name="oa-plain", receiver_id="wx0plain", mode="plain", encoding_aes_key="")
CHANNELS = (APP, ACCOUNT, COMPATIBLE, PLAIN)

QUICK = Settings(repeat_pause_s=0.0)


def impatient(bot: EchoBot, answer_timeout_s: float) -> Sandbox:
    """Return a sandbox that cuts a connection early; whoever takes it closes it."""
    settings = Settings(answer_timeout_s=answer_timeout_s, repeat_pause_s=0.0)
    return Sandbox(CHANNELS, callback_base=bot.base, settings=settings)


@pytest.fixture
async def bot() -> AsyncIterator[EchoBot]:
    async with EchoBot(CHANNELS) as bot:
        yield bot


@pytest.fixture
async def server(bot: EchoBot) -> AsyncIterator[SandboxServer]:
    async with SandboxServer(CHANNELS, callback_base=bot.base, settings=QUICK) as server:
        yield server


@pytest.fixture
def sandbox(server: SandboxServer) -> Sandbox:
    return server.sandbox


@pytest.fixture
async def http(server: SandboxServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=server.api_base) as session:
        yield session
