"""A running bot with an AI-bot channel, the vendor that calls it, and the address it answers late to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.aibot_vendor import AES_KEY, TOKEN, AibotVendor, Json
from tests.e2e.deployments import Deployment
from tests.e2e.lines import Answer, Line
from tests.e2e.records import until
from tests.e2e.slow_plugin import GATES

SOFT_DEADLINE_S = 0.5
CHANNEL = "bot"


@dataclass
class Addresses:
    """The vendor's response_url: one POST to each, a second one fails."""

    base: str = ""
    received: dict[str, Json] = field(default_factory=dict)
    posts: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    drop: int = 0  # of so many posts that are taken no answer arrives

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Take one answer."""
        code = request.query["response_code"]
        self.posts.append(code)
        if code in self.received:
            self.refused.append(code)
            return web.json_response({"errcode": 40058, "errmsg": f"response_code {code} used"})
        self.received[code] = json.loads(await request.read())
        if self.drop:
            self.drop -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"errcode": 0, "errmsg": "ok"})


@asynccontextmanager
async def addresses() -> AsyncIterator[Addresses]:
    """Serve response_url on loopback."""
    served = Addresses()
    app = web.Application()
    app.router.add_post("/cgi-bin/aibot/response", served.post)
    app.router.add_post("/moved", _moved)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        served.base = f"http://{host}:{port}"
        yield served
    finally:
        await runner.cleanup()


async def _moved(_: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect("/cgi-bin/aibot/response")


@dataclass
class Scene:
    """What a test speaks through."""

    deployment: Deployment
    vendor: AibotVendor
    addresses: Addresses
    gates: Path

    def open_gate(self, name: str) -> None:
        (self.gates / name).touch()

    def done(self) -> list[str]:
        """What handlers did, in order."""
        file = self.gates / "done"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    async def begun(self, name: str, times: int = 1) -> None:
        """Wait until a handler has begun so many times."""

        async def seen() -> bool:
            return self.done().count(f"begun {name}") >= times

        await until(seen, f"handler {name}, time {times}", 30.0)

    async def post(self, line: Line, message: Json | str) -> Answer:
        """Deliver one message as it is."""
        callback = self.vendor.seal(message)
        return await line.ask("POST", f"/callback/{CHANNEL}?{callback.query}", callback.body)

    async def ask(self, line: Line, message: Json) -> Json:
        """Deliver one message and open what is answered; an empty answer is an empty object."""
        callback = self.vendor.seal(message)
        answer = await line.ask("POST", f"/callback/{CHANNEL}?{callback.query}", callback.body)
        assert answer.status == 200, answer
        return self.vendor.open(callback, answer.body) if answer.body else {}

    async def stream(self, line: Line, message: Json) -> Json:
        """Deliver one message that is answered with a stream, and return the stream."""
        answer = await self.ask(line, message)
        assert answer["msgtype"] == "stream", answer
        stream: Json = answer["stream"]
        return stream

    async def polled(self, line: Line, stream_id: str) -> Json:
        """Poll until the stream is finished, ten times as often as the vendor."""
        shown: Json = {}

        async def finished() -> bool:
            nonlocal shown
            shown = await self.stream(line, self.vendor.poll(stream_id))
            await asyncio.sleep(0.1)
            return bool(shown["finish"])

        await until(finished, f"the end of stream {stream_id}", 30.0)
        return shown

    async def received(self, message: Json, limit_s: float = 15.0) -> Json:
        """Wait for what is posted to the address of a message."""
        code = message["response_url"].partition("response_code=")[2]

        async def there() -> bool:
            return code in self.addresses.received

        await until(there, "a post to response_url", limit_s)
        return self.addresses.received[code]


@asynccontextmanager
async def aibot_scene(folder: Path, *, workers: int = 1, **channel: Any) -> AsyncIterator[Scene]:
    """Set up vendor and configuration; the bot is to be started."""
    gates = folder / "gates"
    gates.mkdir()
    async with addresses() as served:
        own = {
            "name": CHANNEL,
            "kind": "wecom_aibot",
            "token": TOKEN,
            "encoding_aes_key": AES_KEY,
            "api_base": served.base,
            **channel,
        }
        settings = {
            "server": {"workers": workers, "soft_deadline_s": SOFT_DEADLINE_S},
            "plugins": ["tests.e2e.slow_plugin", "tests.e2e.aibot_plugin"],
            "channels": [own],
            "communities": [
                {"id": "milk", "channels": [CHANNEL], "managers": [f"{CHANNEL}:boss"]},
                {"id": "own", "groups": [{"channel": CHANNEL, "chat_id": "wrOWN"}]},
            ],
        }
        deployment = Deployment(folder, settings, environment={GATES: str(gates)})
        vendor = AibotVendor(response_url=f"{served.base}/cgi-bin/aibot/response")
        yield Scene(deployment, vendor, served, gates)
