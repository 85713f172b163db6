"""A worker process passes the sandbox's addresses on, streams included."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from bot.sandbox.courier import Settings
from bot.sandbox.faults import Fault
from bot.sandbox.forward import forward_sandbox
from bot.sandbox.remote import RemoteSandbox
from bot.sandbox.server import SandboxServer
from tests.sandbox.conftest import APP
from tests.sandbox.long_connection import BOT, WireBot, stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.sandbox.vendor import Sandbox


@asynccontextmanager
async def worker_of(sandbox_base: str) -> AsyncIterator[str]:
    app = web.Application()
    forward_sandbox(app, sandbox_base)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def worker(server: SandboxServer) -> AsyncIterator[str]:
    async with worker_of(server.api_base) as base:
        yield base


async def test_page_interface_and_api_answer_through_a_worker(worker: str, sandbox: Sandbox) -> None:
    async with RemoteSandbox(worker) as remote, aiohttp.ClientSession(worker) as http:
        assert (await remote.say("app", "小明", "hi")).text == "echo: hi"
        assert [line.text for line in await remote.transcript("app", "小明")] == ["hi", "echo: hi"]
        page = await http.get("/sandbox/")
        assert "Content-Security-Policy" in page.headers
        browser = await http.post(
            "/sandbox/api/say",
            json={"channel": "app", "user_id": "a", "text": "x"},
            headers={"Origin": worker},
        )
        assert browser.status == 202
        answer = await http.get(f"/cgi-bin/gettoken?corpid={APP.receiver_id}&corpsecret={APP.secret}")
        token = (await answer.json())["access_token"]
        await http.post(f"/cgi-bin/message/send?access_token={token}", json={
            "touser": "ana", "msgtype": "text", "agentid": APP.agent_id, "text": {"content": "满"},
        })  # fmt: skip

    assert [entry.text for entry in sandbox.inbox("app", "ana")] == ["满"]


async def test_changes_stream_through_a_worker_as_they_happen(worker: str, sandbox: Sandbox) -> None:
    async with RemoteSandbox(worker) as remote, asyncio.timeout(5):
        async for event, data in remote.changes():
            if event == "snapshot":
                sandbox.start_message("app", "xiaoming", "text", {"Content": "hi"})
            elif data.get("text") == "echo: hi":
                break


async def test_a_stopping_worker_does_not_wait_for_its_streams(server: SandboxServer) -> None:
    async with asyncio.timeout(5):
        async with worker_of(server.api_base) as base:
            session = aiohttp.ClientSession(base)
            stream = await session.get("/sandbox/api/stream")
            await stream.content.readany()
        with suppress(aiohttp.ClientPayloadError):  # cut in the middle of a chunked body
            assert await stream.content.read() == b""
        await session.close()


async def test_a_dropped_connection_is_dropped_by_the_worker_too(worker: str, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(endpoint="message/send", drop=True))
    async with aiohttp.ClientSession(worker) as http:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.post("/cgi-bin/message/send?access_token=x", json={})


async def test_strangers_are_refused_and_an_absent_sandbox_is_told(worker: str) -> None:
    async with aiohttp.ClientSession(worker) as http:
        assert (await http.get("/sandbox/", headers={"X-Forwarded-For": "203.0.113.9"})).status == 403
        assert (await http.get("/sandbox/", headers={"Host": "evil.example"})).status == 403
    async with worker_of("http://127.0.0.1:9") as base, aiohttp.ClientSession(base) as http:
        assert (await http.get("/sandbox/api/state")).status == 502


async def test_a_long_connection_passes_through_a_worker() -> None:
    settings = Settings(answer_patience_s=2.0)
    async with (
        SandboxServer([BOT], settings=settings) as server,
        worker_of(server.api_base) as worker,
        WireBot(worker) as bot,
    ):
        subscribed = await bot.subscribe()
        saying = asyncio.create_task(server.sandbox.say("bot", "ana", "hi"))
        frame = await bot.next_callback()
        await bot.ask("aibot_respond_msg", stream("hello"), frame["headers"]["req_id"])
        outcome = await saying
        await server.sandbox.connections.close("bot")
        await asyncio.wait_for(bot.closed.wait(), 5)

    assert (subscribed["errcode"], outcome.text) == (0, "hello")


async def test_a_worker_that_stops_ends_the_long_connections_through_it() -> None:
    async with SandboxServer([BOT]) as server:
        async with worker_of(server.api_base) as worker:
            bot = await WireBot(worker).__aenter__()
            await bot.subscribe()
        await asyncio.wait_for(bot.closed.wait(), 5)
        await bot.__aexit__()
