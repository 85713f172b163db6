"""A platform with a long connection, and processes of the product that compete for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.catalog import load_catalog
from bot.clock import SystemClock
from bot.config import Config
from bot.connection.assemble import Rhythm
from bot.connection.keeper import Patience
from bot.connection.session import Pulse
from bot.delivery.courier import Patience as AttemptPatience
from bot.model import CardClicked, CardUpdate, Entered, Reply, TemplateCard, Text
from bot.routing.context import Context
from bot.routing.router import Router
from bot.storage.redis.leases import ConnectionKnown, ConnectionState, ConnectionStatus
from bot.testing import Stores
from bot.wiring import Service, open_service, start_background
from tests.connection.platform import BOT_ID, SECRET, AibotPlatform

CHANNEL = "bot"
SOFT_DEADLINE_S = 0.3

QUICK = Rhythm(
    pulse=Pulse(connect_s=2.0, ack_s=0.6, ping_s=0.2, pong_s=0.2, close_s=0.3),
    patience=Patience(
        lease_s=1.2, renew_s=0.3, ask_s=0.1, margin_s=0.1,
        retry_s=(0.05, 0.4), refused_s=(0.5, 2.0), kick_s=(0.6, 2.4), steady_s=5.0, calm_s=30.0,
    ),
    attempts=AttemptPatience(backoff_s=(0.1, 0.2, 0.4), full_wait_ms=20),
)  # fmt: skip


@dataclass
class Gates:
    """What handlers did, and where they wait."""

    begun: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)


def router_of(gates: Gates) -> Router:
    """Return the commands of these tests."""
    router = Router("tests")

    @router.command("说", takes_text=True)
    async def say(ctx: Context) -> Reply:
        gates.begun.append(ctx.rest)
        return Reply.text(f"好的 {ctx.rest}")

    @router.command("等", takes_text=True)
    async def wait(ctx: Context) -> Reply:
        gates.begun.append(ctx.rest)
        await gates.open.wait()
        return Reply.text(f"等到了 {ctx.rest}")

    @router.command("买")
    async def buy(ctx: Context) -> Reply:
        return ctx.ask("买什么？", step="tests.what")

    @router.step("tests.what")
    async def what(ctx: Context) -> Reply:
        return ctx.end(f"{ctx.said}，记下了")

    @router.command("两张")
    async def two(ctx: Context) -> Reply:  # noqa: ARG001
        card = TemplateCard("text_notice", "第二条", url="https://example.com/")
        return Reply((Text("第一条"), card))

    @router.on(Entered)
    async def enter(ctx: Context) -> Reply:
        return Reply.text(f"欢迎 {ctx.event.user_id}")

    @router.on(CardClicked)
    async def click(ctx: Context) -> Reply:
        content = ctx.event.content
        assert isinstance(content, CardClicked)
        if content.key == "slow":
            await gates.open.wait()
        card = TemplateCard("text_notice", f"选了 {content.key}", url="https://example.com/")
        return Reply((CardUpdate(card),))

    return router


@dataclass
class Process:
    """One process of the product."""

    service: Service
    gates: Gates

    async def status(self) -> ConnectionKnown:
        return await ConnectionStatus(self.service.redis, self.service.keys).read(CHANNEL)

    async def until_state(self, state: ConnectionState, limit_s: float = 10.0) -> ConnectionKnown:
        """Wait until the connection is in a state, and return what is known of it."""

        async def there() -> bool:
            return (await self.status()).state is state

        await until(there, state.value, limit_s)
        return await self.status()

    @property
    def has_connection(self) -> bool:
        """Whether it is this process that has the connection."""
        return 'huoqun_connection_up{channel="bot"} 1.0' in self.figures

    @property
    def figures(self) -> str:
        """What Prometheus scrapes."""
        return self.service.parts.metrics.render().decode()

    def end(self) -> None:
        """End what would have ended with the process: handlers that still run, with their leases."""
        for running in self.service.line.work._running.values():
            running.task.cancel()

    async def stop(self) -> None:
        """End it in the orderly way."""
        await self.service.close(grace_s=5.0)


async def until(condition: Callable[[], Awaitable[bool]], what: str, limit_s: float = 10.0) -> None:
    """Wait until the stores say so."""
    try:
        async with asyncio.timeout(limit_s):
            while not await condition():  # noqa: ASYNC110 - what is waited for is in a store
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {limit_s:g} s: {what}") from None


Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def platform() -> AsyncIterator[AibotPlatform]:
    async with AibotPlatform() as platform:
        yield platform


@pytest.fixture
async def start(stores: Stores, platform: AibotPlatform) -> AsyncIterator[Start]:
    """Start one more process on the shared stores."""
    async with AsyncExitStack() as stack:

        async def start(*, rhythm: Rhythm = QUICK, **channel: Any) -> Process:
            gates = Gates()
            service = await open_service(
                config(platform.ws_base, **channel), [router_of(gates)], load_catalog(), SystemClock(),
                redis_url=stores.redis_url, database_url=stores.database_url,
            )  # fmt: skip
            stack.push_async_callback(service.close, 0.5)
            start_background(service, rhythm=rhythm)
            return Process(service, gates)

        yield start


def config(base: str, **channel: Any) -> Config:
    """Return a configuration with one AI bot."""
    bot = {
        "name": CHANNEL,
        "kind": "wecom_aibot",
        "mode": "long_connection",
        "bot_id": BOT_ID,
        "secret": SECRET,
        "ws_base": base,
        **channel,
    }
    server = {"soft_deadline_s": SOFT_DEADLINE_S, "member_rate_per_min": 100_000}
    return Config.model_validate({"channels": [bot], "server": server})
