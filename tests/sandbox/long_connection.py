"""An AI bot on a long connection, written with aiohttp's WebSocket client and json alone."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from bot.sandbox.channel import SandboxChannel

if TYPE_CHECKING:
    from collections.abc import Callable

BOT = SandboxChannel("bot", "wecom_aibot", "", "aib-bot", "", "", "bot-secret", mode="long_connection")
GROUP = "wrDEMO01"


class WireBot:
    """Sends frames and collects what comes: acks by req_id, callbacks in order."""

    def __init__(self, base: str) -> None:
        """Connect to the server at `base` (http://host:port)."""
        self.callbacks: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.answer: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda _: None
        self.closed = asyncio.Event()
        self._base = base
        self._numbers = itertools.count(1)
        self._acks: dict[str, list[asyncio.Future[dict[str, Any]]]] = {}
        self._session = aiohttp.ClientSession()
        self._reader: asyncio.Task[None] | None = None
        self.socket: aiohttp.ClientWebSocketResponse

    async def __aenter__(self) -> Self:
        self.socket = await self._session.ws_connect(self._base + "/")
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()
        await self._session.close()
        assert self._reader is not None
        await self._reader

    async def subscribe(self, **changes: Any) -> dict[str, Any]:
        """Subscribe as `BOT` and return the ack."""
        return await self.ask("aibot_subscribe", {"bot_id": BOT.account_id, "secret": BOT.secret, **changes})

    async def ask(self, cmd: str, body: object = None, req_id: str = "") -> dict[str, Any]:
        """Send one frame and return its ack."""
        async with asyncio.timeout(5):
            return await self.send(cmd, body, req_id)

    def send(self, cmd: str, body: object = None, req_id: str = "") -> asyncio.Future[dict[str, Any]]:
        """Send one frame without waiting; the future gets its ack."""
        req_id = req_id or f"own-{next(self._numbers)}"
        ack: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._acks.setdefault(req_id, []).append(ack)
        frame: dict[str, Any] = {"cmd": cmd, "headers": {"req_id": req_id}}
        if body is not None:
            frame["body"] = body
        self._sending = asyncio.create_task(self.socket.send_str(json.dumps(frame)))
        return ack

    async def next_callback(self) -> dict[str, Any]:
        """Return the next callback's frame."""
        async with asyncio.timeout(5):
            return await self.callbacks.get()

    async def _read(self) -> None:
        async for message in self.socket:
            frame = json.loads(message.data)
            if "cmd" in frame:
                self.callbacks.put_nowait(frame)
            elif waiting := self._acks.get(frame["headers"]["req_id"]):
                waiting.pop(0).set_result(frame)
        self.closed.set()


def stream(content: str, *, finish: bool = True, stream_id: str = "s-1") -> dict[str, Any]:
    """Return the body of a frame of a stream."""
    return {"msgtype": "stream", "stream": {"id": stream_id, "finish": finish, "content": content}}


def markdown(content: str, **more: Any) -> dict[str, Any]:
    """Return the body of a markdown message."""
    return {"msgtype": "markdown", "markdown": {"content": content}, **more}
