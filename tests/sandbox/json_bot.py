"""The bot's side of an AI bot's callbacks, written with wechatpy's cryptography and json alone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from wechatpy.crypto import _get_signature
from wechatpy.enterprise.crypto import PrpCrypto, WeChatCrypto

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.sandbox.channel import SandboxChannel

HANG = object()
"""As a behaviour: no answer until the bot stops."""


@dataclass(frozen=True)
class Heard:
    """One callback as it arrived."""

    query: dict[str, str]
    body: bytes
    said: dict[str, Any]


class JsonBot:
    """Answers `answer(said)`, a dict or None; each entry of `behaviours` first spoils one delivery."""

    def __init__(self, channel: SandboxChannel) -> None:
        self.heard: list[Heard] = []
        self.behaviours: list[object] = []
        self.answer: Callable[[dict[str, Any]], Any] = lambda _: None
        self.tamper: Callable[[dict[str, Any]], Any] = lambda outer: outer
        self.base = ""
        self._channel = channel
        self._crypto = WeChatCrypto(channel.token, channel.encoding_aes_key, "")
        self._stopped = asyncio.Event()
        self._came = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What came that is neither a poll nor an event."""
        return [heard.said for heard in self.heard if heard.said["msgtype"] not in {"stream", "event"}]

    @property
    def polls(self) -> list[dict[str, Any]]:
        return [heard.said for heard in self.heard if heard.said["msgtype"] == "stream"]

    async def wait_for_polls(self, count: int) -> None:
        """Return once so many polls came."""
        async with asyncio.timeout(10), self._came:
            await self._came.wait_for(lambda: len(self.polls) >= count)

    async def wait_for_messages(self, count: int) -> None:
        """Return once so many messages came."""
        async with asyncio.timeout(10), self._came:
            await self._came.wait_for(lambda: len(self.messages) >= count)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/callback/{channel}", self._verify)
        app.router.add_post("/callback/{channel}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped.set()
        assert self._runner is not None
        await self._runner.cleanup()

    async def _verify(self, request: web.Request) -> web.Response:
        query = request.query
        echo = self._crypto.check_signature(
            query["msg_signature"], query["timestamp"], query["nonce"], query["echostr"]
        )
        return web.Response(text=str(echo))

    async def _take(self, request: web.Request) -> web.Response:
        query, body = dict(request.query), await request.read()
        assert request.content_type == "application/json"
        outer = json.loads(body)
        assert list(outer) == ["encrypt"]
        inner = self._crypto.decrypt_message(
            {"Encrypt": outer["encrypt"]}, query["msg_signature"], query["timestamp"], query["nonce"]
        )
        said = json.loads(inner)
        async with self._came:
            self.heard.append(Heard(query, body, said))
            self._came.notify_all()
        if self.behaviours:
            behaviour = self.behaviours.pop(0)
            if behaviour is HANG:
                await self._stopped.wait()
            return web.Response(status=behaviour if isinstance(behaviour, int) else 500)
        answer = self.answer(said)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer is None:
            return web.Response()
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        return web.json_response(self.tamper(self.sealed(answer, query["nonce"])))

    def sealed(self, answer: object, nonce: str) -> dict[str, Any]:
        """Return an answer as the vendor wants it."""
        timestamp = 1_790_000_000
        encrypt = PrpCrypto(self._crypto.key).encrypt(json.dumps(answer), "").decode()
        signature = _get_signature(self._channel.token, str(timestamp), nonce, encrypt)
        return {"encrypt": encrypt, "msgsignature": signature, "timestamp": timestamp, "nonce": nonce}


def stream(content: str, *, finish: bool = True, stream_id: str = "s-1", **more: Any) -> dict[str, Any]:
    """Return an answer that is a stream."""
    return {"msgtype": "stream", "stream": {"id": stream_id, "finish": finish, "content": content, **more}}
