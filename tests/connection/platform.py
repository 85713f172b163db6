"""The platform's end of the long connection, written from the protocol alone: it knows nothing of `bot`.

It keeps what a person would see in each chat: a stream's frame replaces what its id showed before.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import WSMsgType, web

BOT_ID, SECRET = "aibTEST", "secret-of-the-bot"
PATIENCE_S = 10.0
Frame = dict[str, Any]


@dataclass
class Wire:
    """One WebSocket; `number` counts from 1 in the order of connecting."""

    number: int
    socket: web.WebSocketResponse
    subscribed: bool = False
    frames: list[Frame] = field(default_factory=list)

    async def send(self, frame: Frame) -> None:
        await self.socket.send_str(json.dumps(frame))


@dataclass
class Shown:
    """One message a person sees in a chat."""

    kind: str
    text: str
    finished: bool = True
    stream_id: str = ""


@dataclass
class Faults:
    """What goes wrong; all of it off at first.

    Attributes:
        mute: Commands that get no acknowledgement (those in the set are acted upon all the same).
        deaf: Commands that are neither acted upon nor acknowledged.
        errcodes: Error codes by command, one for each coming frame of it.
    """

    mute: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    errcodes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


class AibotPlatform:
    """One bot's side at the platform.

    Attributes:
        ws_base: Where it listens.
        wires: Every connection there has been.
        kicks: How many connections were taken over by another.
        chats: What people see, by chat id.
        uploads: Bytes by media id.
        subscribed_at_s: When each subscription was accepted (monotonic).
        asked_at_s: When each was asked for.
        last_words: Frames to send when the other side says goodbye, before the answer to that.
    """

    def __init__(self) -> None:
        self.ws_base = ""
        self.wires: list[Wire] = []
        self.kicks = 0
        self.chats: dict[str, list[Shown]] = defaultdict(list)
        self.uploads: dict[str, bytes] = {}
        self.faults = Faults()
        self.subscribed_at_s: list[float] = []
        self.asked_at_s: list[float] = []
        self.last_words: list[Frame] = []
        self._requests: dict[str, str] = {}  # chat by req_id
        self._half: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()
        self._runner: web.AppRunner

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/", self._connect)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        self.ws_base = f"ws://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for wire in self.wires:
            await wire.socket.close()
        await self._runner.cleanup()

    # ------------------------------------------------------------ what a test does

    @property
    def wire(self) -> Wire:
        """The connection in use."""
        return next(wire for wire in reversed(self.wires) if wire.subscribed and not wire.socket.closed)

    @property
    def has_wire(self) -> bool:
        return any(wire.subscribed and not wire.socket.closed for wire in self.wires)

    async def until(self, condition: Callable[[], bool], what: str, limit_s: float = PATIENCE_S) -> float:
        """Wait for a condition that some frame or connection makes true; return the seconds it took."""
        begun_s = time.monotonic()
        try:
            async with asyncio.timeout(limit_s):
                while not condition():
                    self._changed.clear()
                    try:
                        async with asyncio.timeout(0.05):
                            await self._changed.wait()
                    except TimeoutError:
                        pass
        except TimeoutError:
            raise AssertionError(f"not within {limit_s:g} s: {what}") from None
        return time.monotonic() - begun_s

    async def connected(self, number: int = 1, limit_s: float = PATIENCE_S) -> Wire:
        """Wait until so many subscriptions were accepted; return the connection in use."""
        await self.until(
            lambda: len(self.subscribed_at_s) >= number and self.has_wire, f"subscription {number}", limit_s
        )
        return self.wire

    async def say(
        self, user_id: str, text: str, *, group: str = "", msgid: str = "", req_id: str = ""
    ) -> str:
        """Let a person write to the bot; return the msgid. The same one is the same message again."""
        number = next(self._numbers)
        msgid = msgid or f"msg-{number}"
        body = {
            "msgid": msgid,
            "aibotid": BOT_ID,
            "chattype": "group" if group else "single",
            **({"chatid": group} if group else {}),
            "from": {"userid": user_id},
            "msgtype": "text",
            "text": {"content": f"@活群 {text}" if group else text},
        }
        await self.call("aibot_msg_callback", body, group or user_id, req_id or f"req-{number}")
        return msgid

    async def tell(self, user_id: str, event: dict[str, Any], **fields: Any) -> None:
        """Report an event of a person in their direct chat."""
        body = {
            "aibotid": BOT_ID,
            "chattype": "single",
            "from": {"userid": user_id},
            "msgtype": "event",
            "create_time": int(time.time()),
            "event": event,
            **fields,
        }
        await self.call("aibot_event_callback", body, user_id, f"req-{next(self._numbers)}")

    async def call(self, cmd: str, body: dict[str, Any], chat: str, req_id: str) -> None:
        self._requests[req_id] = chat
        await self.wire.send({"cmd": cmd, "headers": {"req_id": req_id}, "body": body})

    async def kick(self) -> None:
        """Let another client subscribe in place of the one in use, and go away again."""
        await self._take_over(self.wire)

    async def shown(self, chat: str, count: int = 1, limit_s: float = PATIENCE_S) -> list[str]:
        """Wait until so many finished messages stand in a chat, and return all texts there."""

        def there() -> bool:
            return sum(one.finished for one in self.chats[chat]) >= count

        try:
            await self.until(there, "", limit_s)
        except AssertionError:
            raise AssertionError(f"{count} messages in {chat}, not {self.chats[chat]}") from None
        return [one.text for one in self.chats[chat]]

    def sent(self, cmd: str) -> list[Frame]:
        """Return every frame of one command that came in, over all connections."""
        return [frame for wire in self.wires for frame in wire.frames if frame["cmd"] == cmd]

    # ------------------------------------------------------------ the protocol

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=1 << 21, autoclose=False)
        await socket.prepare(request)
        wire = Wire(len(self.wires) + 1, socket)
        self.wires.append(wire)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                frame = json.loads(message.data)
                wire.frames.append(frame)
                await self._hear(wire, frame)
                self._changed.set()
        for frame in self.last_words:
            await socket.send_frame(json.dumps(frame).encode(), WSMsgType.TEXT)
        self.last_words = []
        await socket.close()
        wire.subscribed = False
        self._changed.set()
        return socket

    async def _hear(self, wire: Wire, frame: Frame) -> None:
        cmd, req_id, body = frame["cmd"], frame["headers"]["req_id"], frame.get("body", {})
        if cmd in self.faults.deaf:
            return
        errors = self.faults.errcodes[cmd]
        errcode, answer = (errors.pop(0), {}) if errors else await self._act(wire, cmd, req_id, body)
        if cmd not in self.faults.mute:
            acknowledged: Frame = {"headers": {"req_id": req_id}, "errcode": errcode, "errmsg": "ok"}
            await wire.send(acknowledged | ({"body": answer} if answer else {}))

    async def _act(self, wire: Wire, cmd: str, req_id: str, body: Any) -> tuple[int, dict[str, Any]]:
        if cmd == "aibot_subscribe":
            return await self._subscribe(wire, body)
        if not wire.subscribed:
            return 846609, {}
        if cmd == "ping":
            return 0, {}
        if cmd == "aibot_send_msg":
            kind = body["msgtype"]
            is_group = body["chatid"].startswith("wr")
            assert body.get("chat_type", is_group + 1) == is_group + 1
            self.chats[body["chatid"]].append(Shown(kind, _text_of(body)))
            return 0, {}
        if cmd.startswith("aibot_respond"):
            if req_id not in self._requests:
                return 846605, {}
            self._respond(cmd, self.chats[self._requests[req_id]], body)
            return 0, {}
        return self._upload(cmd, body)

    async def _subscribe(self, wire: Wire, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked_at_s.append(time.monotonic())
        if (body["bot_id"], body["secret"]) != (BOT_ID, SECRET):
            return 853000, {}
        for other in self.wires:
            if other is not wire and other.subscribed and not other.socket.closed:
                await self._take_over(other)
        wire.subscribed = True
        self.subscribed_at_s.append(time.monotonic())
        return 0, {}

    async def _take_over(self, wire: Wire) -> None:
        self.kicks += 1
        wire.subscribed = False
        event = {"msgtype": "event", "event": {"eventtype": "disconnected_event"}}
        await wire.send({"cmd": "aibot_event_callback", "headers": {"req_id": "kick"}, "body": event})
        # By itself: the other side's goodbye need not be waited for.
        task = asyncio.create_task(wire.socket.close())
        task.add_done_callback(lambda _: self._changed.set())
        self._closing = task

    def _respond(self, cmd: str, chat: list[Shown], body: dict[str, Any]) -> None:
        if cmd == "aibot_respond_update_msg":
            assert body["response_type"] == "update_template_card"
            chat.append(Shown("update", body["template_card"]["main_title"]["title"]))
            return
        if body["msgtype"] != "stream":
            chat.append(Shown(body["msgtype"], _text_of(body)))
            return
        stream = body["stream"]
        for shown in chat:
            if shown.stream_id == stream["id"]:
                shown.text, shown.finished = stream["content"], stream["finish"]
                return
        chat.append(Shown("stream", stream["content"], stream["finish"], stream["id"]))

    def _upload(self, cmd: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if cmd == "aibot_upload_media_init":
            upload_id = f"up-{next(self._numbers)}"
            self._half[upload_id] = {"said": body, "chunks": {}}
            return 0, {"upload_id": upload_id}
        half = self._half[body["upload_id"]]
        if cmd == "aibot_upload_media_chunk":
            raw = base64.b64decode(body["base64_data"])
            assert len(raw) <= 512 * 1024
            half["chunks"][body["chunk_index"]] = raw
            return 0, {}
        said, chunks = half["said"], half["chunks"]
        content = b"".join(chunks[index] for index in sorted(chunks))
        assert sorted(chunks) == list(range(said["total_chunks"]))
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert (len(content), digest) == (said["total_size"], said["md5"])
        media_id = f"media-{next(self._numbers)}"
        self.uploads[media_id] = content
        return 0, {"media_id": media_id, "type": said["type"], "created_at": int(time.time())}


def _text_of(body: dict[str, Any]) -> str:
    content = body[body["msgtype"]]
    if body["msgtype"] == "template_card":
        return str(content["main_title"]["title"])
    return str(content.get("content", content.get("media_id", "")))


def counted(texts: list[str]) -> Counter[str]:
    """Return how often each text stands in a chat."""
    return Counter(texts)
