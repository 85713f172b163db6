"""The long connection as a client of the vendor's ecosystem sees it: `wecom-aibot-python-sdk`."""

from __future__ import annotations

import asyncio
import warnings
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from bot.sandbox.courier import Settings
from bot.sandbox.server import SandboxServer
from tests.sandbox.long_connection import BOT, GROUP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.sandbox.vendor import Sandbox

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports a class that its WebSocket library calls outdated
    import aibot
    import aibot.ws
    from aibot import WSClient, WSClientOptions


class Silent:
    """A logger that keeps what goes wrong."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def debug(self, message: str, *_: Any) -> None: ...

    def info(self, message: str, *_: Any) -> None: ...

    def warn(self, message: str, *_: Any) -> None: ...

    def error(self, message: str, *_: Any) -> None:
        self.errors.append(message)


@pytest.fixture(autouse=True)
def without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client always speaks TLS, which a test on loopback does not need."""
    monkeypatch.setattr(aibot.ws, "_SSL_CONTEXT", None)


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    settings = Settings(answer_patience_s=3.0, ack_delay_s=0.001)
    async with SandboxServer([BOT], settings=settings) as server:
        yield server


@asynccontextmanager
async def subscribed(server: SandboxServer, secret: str = BOT.secret) -> AsyncIterator[WSClient]:
    """Give the client of the ecosystem, subscribed."""
    client = WSClient(
        WSClientOptions(
            bot_id=BOT.account_id,
            secret=secret,
            ws_url=server.api_base.replace("http", "ws"),
            logger=Silent(),
            max_reconnect_attempts=0,
        )
    )
    ready = asyncio.Event()
    client.on("authenticated", ready.set)
    client.on("error", lambda _: ready.set())
    await client.connect()
    async with asyncio.timeout(5):
        await ready.wait()
    try:
        yield client
    finally:
        client.disconnect()
        await client._ws_manager._cleanup_ws()


async def test_it_answers_a_message_of_a_group_with_a_stream_of_several_frames(
    server: SandboxServer, sandbox: Sandbox
) -> None:
    async with subscribed(server) as client:

        async def answer(frame: dict[str, Any]) -> None:
            said = frame["body"]["text"]["content"]
            await client.reply_stream(frame, "s-1", "想想…", finish=False)
            await client.reply_stream(frame, "s-1", f"听到：{said}", finish=True)

        client.on("message.text", answer)
        outcome = await sandbox.say("bot", "ana", "签到", group=GROUP)

    assert (outcome.status, outcome.text) == ("answered", "听到：@活群 签到")
    (line,) = sandbox.heard("bot", group=GROUP)
    assert (line.kind, line.route, line.text) == ("stream", "connection", "听到：@活群 签到")
    assert sandbox.room("bot").violations == {}
    assert sandbox.room("bot").errcodes["aibot_respond_msg", 0] == 2


async def test_it_sends_unprompted_to_a_chat_that_wrote_before(
    server: SandboxServer, sandbox: Sandbox
) -> None:
    markdown = {"msgtype": "markdown", "markdown": {"content": "**下班啦**"}}
    async with subscribed(server) as client:
        sandbox.start_message("bot", "ana", "text", {"Content": "hi"})
        sent = await client.send_message("ana", markdown)
        with pytest.raises(Exception, match="60011"):
            await client.send_message("xiaoming", markdown)

    assert sent["errcode"] == 0
    assert [line.text for line in sandbox.inbox("bot", "ana")] == ["**下班啦**"]


async def test_it_welcomes_and_updates_a_card_that_was_clicked(
    server: SandboxServer, sandbox: Sandbox
) -> None:
    card = {
        "card_type": "button_interaction", "task_id": "t-1", "main_title": {"title": "抢"},
        "button_list": [{"text": "抢", "key": "grab"}],
    }  # fmt: skip
    async with subscribed(server) as client:

        async def welcome(frame: dict[str, Any]) -> None:
            await client.reply_welcome(frame, {"msgtype": "text", "text": {"content": "欢迎"}})

        async def show(frame: dict[str, Any]) -> None:
            await client.reply_template_card(frame, card)

        async def update(frame: dict[str, Any]) -> None:
            await client.update_template_card(frame, {**card, "main_title": {"title": "抢到了"}})

        client.on("event.enter_chat", welcome)
        client.on("message.text", show)
        client.on("event.template_card_event", update)

        assert (await sandbox.enter_chat("bot", "ana")).text == "欢迎"
        await sandbox.say("bot", "ana", "红包")
        line = sandbox.heard("bot", "ana")[-1]
        assert (await sandbox.click(line, "grab")).status == "answered"

    assert sandbox.line(line).fields["main_title"] == {"title": "抢到了"}


async def test_a_second_client_takes_its_place_and_it_is_told_so(
    server: SandboxServer, sandbox: Sandbox
) -> None:
    told: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    async with subscribed(server) as first:
        first.on("event.disconnected_event", told.set_result)
        async with subscribed(server):
            frame = await asyncio.wait_for(told, 5)

    assert frame["body"]["event"] == {"eventtype": "disconnected_event"}
    assert sandbox.room("bot").outcomes["kicks"] == 1


async def test_a_wrong_secret_subscribes_nothing(server: SandboxServer, sandbox: Sandbox) -> None:
    async with subscribed(server, secret="wrong") as client:
        assert "40001" in client._logger.errors[0]

    assert not sandbox.connections.is_connected("bot")
    assert sandbox.room("bot").errcodes["aibot_subscribe", 40001] == 1


async def test_it_opens_a_picture_with_the_key_that_came_beside_its_address(
    server: SandboxServer, sandbox: Sandbox
) -> None:
    blobs: list[bytes] = []
    async with subscribed(server) as client:

        async def fetch(frame: dict[str, Any]) -> None:
            image = frame["body"]["image"]
            blobs.append((await client.download_file(image["url"], image["aeskey"]))[0])
            await client.reply_stream(frame, "s-1", "收到", finish=True)

        client.on("message.image", fetch)
        await sandbox.message("bot", "ana", "image", media=b"\x89PNG picture")

    assert blobs == [b"\x89PNG picture"]
