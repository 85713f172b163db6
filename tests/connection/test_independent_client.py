"""Beside a client of the vendor's ecosystem: it takes our place, and its frames are shaped as ours are."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.storage.redis.leases import ConnectionState
from tests.connection.conftest import QUICK, Start
from tests.connection.platform import BOT_ID, SECRET, AibotPlatform, Frame

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports a class that its WebSocket library calls outdated
    import aibot.ws
    from aibot import WSClient, WSClientOptions


class Silent:
    """A logger that says nothing."""

    def debug(self, message: str, *_: Any) -> None: ...

    info = warn = error = debug


@asynccontextmanager
async def other_client(platform: AibotPlatform, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WSClient]:
    """Yield the other client, subscribed; once it is kicked it stays away."""
    monkeypatch.setattr(aibot.ws, "_SSL_CONTEXT", None)  # it would speak TLS on loopback too
    client = WSClient(
        WSClientOptions(
            bot_id=BOT_ID, secret=SECRET, ws_url=platform.ws_base, max_reconnect_attempts=0, logger=Silent()
        )
    )
    ready = asyncio.Event()
    client.on("authenticated", ready.set)
    await client.connect()
    async with asyncio.timeout(5):
        await ready.wait()
    try:
        yield client
    finally:
        client.disconnect()
        await client._ws_manager._cleanup_ws()


async def test_when_it_takes_our_place_we_wait_and_then_take_it_back(
    start: Start, platform: AibotPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await start()
    await platform.connected()
    heard: list[str] = []
    async with other_client(platform, monkeypatch) as client:
        kicked_s = time.monotonic()
        client.on("message", lambda frame: heard.append(frame["body"]["text"]["content"]))
        await process.until_state(ConnectionState.KICKED)
        await platform.say("ana", "说 给别人")
        await platform.until(lambda: heard == ["说 给别人"], "the other client's message")
        await platform.connected(3)
    assert platform.subscribed_at_s[2] - kicked_s >= QUICK.patience.kick_s[0]
    await platform.say("ana", "说 给我们")
    assert await platform.shown("ana") == ["好的 给我们"]
    assert platform.kicks == 2


async def test_its_frames_and_ours_have_the_same_shape(
    start: Start, platform: AibotPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = {
        "card_type": "text_notice",
        "main_title": {"title": "选了 红"},
        "card_action": {"type": 1, "url": "https://example.com/"},
    }
    click = {"card_type": "button_interaction", "event_key": "红", "task_id": "t1"}

    async def answer(frame: Frame) -> None:
        await client.reply_stream(frame, "s-1", "正在处理，请稍候…", finish=False)
        await client.reply_stream(frame, "s-1", "等到了 我", finish=True)
        sent = {"msgtype": "template_card", "template_card": card | {"main_title": {"title": "第二条"}}}
        await client.send_message("ana", sent)

    async def welcome(frame: Frame) -> None:
        await client.reply_welcome(frame, {"msgtype": "text", "text": {"content": "欢迎 ana"}})

    async def update(frame: Frame) -> None:
        await client.update_template_card(frame, card, ["ana"])

    async def talk() -> list[Frame]:
        wire = platform.wire
        await platform.say("ana", "等 我", req_id="r-1")
        await platform.until(lambda: bool(of(wire, "aibot_respond_msg")), "the first frame")
        gate.set()
        await platform.until(lambda: len(of(wire, "aibot_respond_msg")) == 2, "the last frame")
        await platform.say("ana", "两张", req_id="r-2")
        await platform.until(lambda: bool(of(wire, "aibot_send_msg")), "a message of its own")
        await platform.tell("ana", {"eventtype": "enter_chat"})
        await platform.until(lambda: bool(of(wire, "aibot_respond_welcome_msg")), "a welcome")
        await platform.tell("ana", {"eventtype": "template_card_event", "template_card_event": click})
        await platform.until(lambda: bool(of(wire, "aibot_respond_update_msg")), "an update")
        return [frame for frame in wire.frames if frame["cmd"] != "ping"]

    gate = asyncio.Event()
    async with other_client(platform, monkeypatch) as client:
        told = {"r-1": answer}
        client.on("message.text", lambda frame: asyncio.ensure_future(_told(told, frame)))
        client.on("event.enter_chat", lambda frame: asyncio.ensure_future(welcome(frame)))
        client.on("event.template_card_event", lambda frame: asyncio.ensure_future(update(frame)))
        theirs = _shapes(await talk())
    process = await start()
    gate = process.gates.open
    await platform.connected(2)
    ours = _shapes(await talk())
    # A newer document than the other client's has the kind of chat beside its name.
    ours["aibot_send_msg"]["body"].pop("chat_type")
    assert theirs == {cmd: ours[cmd] for cmd in theirs}
    assert set(theirs) == {
        "aibot_subscribe", "aibot_respond_msg", "aibot_send_msg", "aibot_respond_welcome_msg",
        "aibot_respond_update_msg",
    }  # fmt: skip


def of(wire: Any, cmd: str) -> list[Frame]:
    return [frame for frame in wire.frames if frame["cmd"] == cmd]


async def _told(told: dict[str, Any], frame: Frame) -> None:
    act = told.get(frame["headers"]["req_id"])
    if act is not None:
        await act(frame)


def _shapes(frames: list[Frame]) -> dict[str, Any]:
    """Return the last frame of each command, without the names that each client chooses for itself."""
    shapes = {frame["cmd"]: {**frame, "body": dict(frame.get("body", {}))} for frame in frames}
    for shape in shapes.values():
        shape["headers"] = set(shape["headers"])
        if "stream" in shape["body"]:
            shape["body"]["stream"] = sorted(shape["body"]["stream"])
    return shapes
