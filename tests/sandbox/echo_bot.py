"""The bot's side of a callback, written with wechatpy alone: what it understands, the vendors understand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import wechatpy
import wechatpy.enterprise
import wechatpy.enterprise.replies
import wechatpy.replies
from aiohttp import web
from wechatpy.crypto import WeChatCrypto as AccountCrypto
from wechatpy.enterprise.crypto import WeChatCrypto as CorpCrypto
from wechatpy.utils import check_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bot.sandbox.channel import SandboxChannel

HANG = object()
"""As a behaviour: no answer until the bot stops."""


@dataclass(frozen=True)
class Delivery:
    """One callback as it arrived."""

    query: dict[str, str]
    body: bytes
    plaintext: str
    message: Any


class EchoBot:
    """Answers `answer(message)`; each entry of `behaviours` first spoils one delivery.

    A behaviour is an HTTP status, the bytes of a body, or `HANG`.
    """

    def __init__(self, channels: Sequence[SandboxChannel]) -> None:
        self.deliveries: list[Delivery] = []
        self.behaviours: Sequence[object] = ()
        self.answer: Callable[[Any], Any] = lambda message: (
            f"echo: {getattr(message, 'content', message.type)}"
        )
        self.tamper: Callable[[str], str] = lambda answer: answer
        self.edit: Callable[[str], str] = lambda inner: inner
        self.base = ""
        self._channels = {channel.name: channel for channel in channels}
        self._stopped = asyncio.Event()
        self._runner: web.AppRunner | None = None

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
        channel, query = self._channels[request.match_info["channel"]], request.query
        if channel.kind == "wecom_app":
            echo = self._crypto(channel).check_signature(
                query["msg_signature"], query["timestamp"], query["nonce"], query["echostr"]
            )
        else:
            check_signature(channel.token, query["signature"], query["timestamp"], query["nonce"])
            echo = query["echostr"]
        if self.behaviours:
            behaviour, *self.behaviours = self.behaviours
            return await self._misbehave(behaviour)
        return web.Response(text=str(echo))

    async def _take(self, request: web.Request) -> web.Response:
        channel = self._channels.get(request.match_info["channel"])
        if channel is None:
            return web.Response(status=404)
        query, body = dict(request.query), await request.read()
        plaintext = self._open(channel, query, body)
        message = (
            wechatpy.enterprise.parse_message(plaintext)
            if channel.kind == "wecom_app"
            else wechatpy.parse_message(plaintext)
        )
        self.deliveries.append(Delivery(query, body, plaintext, message))
        if self.behaviours:
            behaviour, *self.behaviours = self.behaviours
            return await self._misbehave(behaviour)
        return web.Response(text=self._answer(channel, query, message), content_type="application/xml")

    async def _misbehave(self, behaviour: object) -> web.Response:
        if behaviour is HANG:
            await self._stopped.wait()
            return web.Response()
        if isinstance(behaviour, int):
            return web.Response(status=behaviour)
        assert isinstance(behaviour, bytes)
        return web.Response(body=behaviour)

    def _crypto(self, channel: SandboxChannel) -> Any:
        crypto = CorpCrypto if channel.kind == "wecom_app" else AccountCrypto
        return crypto(channel.token, channel.encoding_aes_key, channel.receiver_id)

    def _open(self, channel: SandboxChannel, query: dict[str, str], body: bytes) -> str:
        if channel.kind == "wechat_oa":
            check_signature(channel.token, query["signature"], query["timestamp"], query["nonce"])
        if channel.kind == "wechat_oa" and channel.mode == "plain":
            assert "encrypt_type" not in query
            return body.decode()
        return str(
            self._crypto(channel).decrypt_message(
                body, query["msg_signature"], query["timestamp"], query["nonce"]
            )
        )

    def _answer(self, channel: SandboxChannel, query: dict[str, str], message: Any) -> str:
        said = self.answer(message)
        if said is None:
            return ""
        if isinstance(said, bytes):
            return said.decode()
        replies = wechatpy.enterprise.replies if channel.kind == "wecom_app" else wechatpy.replies
        inner = self.edit(replies.create_reply(said, message).render())
        if channel.kind == "wechat_oa" and channel.mode == "plain":
            return self.tamper(inner)
        return self.tamper(self._crypto(channel).encrypt_message(inner, "n0nce", query["timestamp"]))
