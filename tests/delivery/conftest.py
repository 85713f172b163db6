"""A fake vendor, processes that send to it, and what they leave behind."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from bot.clock import FixedClock
from bot.delivery.http import open_session
from bot.delivery.media import MediaShelf
from bot.delivery.sender import Sender
from bot.delivery.wechat import WechatClient
from bot.delivery.wecom import WecomClient
from bot.delivery.wecom_robot import WecomRobotClient
from bot.model import Part, Text
from bot.storage.redis.client import RedisClient, connect
from bot.storage.redis.deliveries import Delivery, DeliveryStore, encode_parts
from bot.storage.redis.keys import Keys
from bot.storage.redis.media_ids import MediaIds
from bot.storage.redis.pacing import PaceStore
from bot.storage.redis.tokens import TokenStore
from bot.storage.sql.blobs import BlobStore
from bot.storage.sql.database import Database, embedded_url
from bot.storage.sql.migrate import migrate
from tests.delivery.vendor import ABILITIES, ROBOT_KEY, SECRET, FakeVendor

COMMUNITY = "milk"
MEMORY_MS = 3 * 86_400_000
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


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


@pytest.fixture(scope="session")
def empty_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a migrated database, to copy."""
    folder = tmp_path_factory.mktemp("history")
    asyncio.run(migrate(embedded_url(folder)))
    return folder / "history.db"


@dataclass(slots=True)
class Process:
    """What one process of a deployment has: its own connection, session, clients and sender."""

    redis: RedisClient
    keys: Keys
    clock: FixedClock
    deliveries: DeliveryStore
    pace: PaceStore
    app: WecomClient
    account: WechatClient
    robot: WecomRobotClient
    blobs: BlobStore
    sender: Sender
    outcomes: list[tuple[str, str]] = field(default_factory=list)

    async def ask_for(
        self, id_: str, *parts: Part | str, channel: str = "app", user_id: str = "ana", group_id: str = ""
    ) -> None:
        """Ask for a delivery that is due now."""
        new = delivery(id_, *parts, channel=channel, user_id=user_id, group_id=group_id)
        assert await self.deliveries.create(new, self.clock.now_ms())

    async def carry_on(self, *, for_s: int, step_s: int = 5) -> None:
        """Work through a stretch of time."""
        for _ in range(0, for_s, step_s):
            await self.sender.run_once()
            self.clock.move(timedelta(seconds=step_s))
        await self.sender.run_once()

    async def rows(self) -> list[dict[str, str]]:
        """Return what went to SQL."""
        return await rows(self.redis, self.keys)

    async def states(self) -> dict[str, tuple[str, str]]:
        """Return state and reason of every delivery, as SQL will know them."""
        return {row["id"]: (row["state"], row["reason"]) for row in await self.rows()}


Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(
    redis_url: str,
    keys: Keys,
    clock: FixedClock,
    vendor: FakeVendor,
    empty_history: Path,
    tmp_path: Path,
) -> AsyncIterator[Start]:
    """Start one more process on the shared stores."""
    async with AsyncExitStack() as stack:
        opened: list[Database] = []

        async def start(*, secret: str = SECRET, base: str = "", key: str = ROBOT_KEY) -> Process:
            redis = await connect(redis_url)
            stack.push_async_callback(redis.close)
            session = await stack.enter_async_context(open_session())
            if not opened:  # the processes of a test share it
                shutil.copy(empty_history, tmp_path)
                opened.append(await Database.open(embedded_url(tmp_path)))
                stack.push_async_callback(opened[0].close)
            blobs = BlobStore(opened[0], clock)
            shelf = MediaShelf(blobs, MediaIds(redis, keys))
            tokens, api_base = TokenStore(redis, keys), base or vendor.base
            app = WecomClient(
                session,
                tokens,
                clock,
                channel="app",
                corp_id="ww0",
                agent_id=7,
                secret=secret,
                api_base=api_base,
                shelf=shelf,
            )
            account = WechatClient(
                session,
                tokens,
                clock,
                channel="oa",
                app_id="wx0",
                secret=secret,
                api_base=api_base,
                shelf=shelf,
            )
            robot = WecomRobotClient(session, channel="robot", key=key, api_base=api_base, shelf=shelf)
            stack.push_async_callback(app.close)
            stack.push_async_callback(account.close)
            outcomes: list[tuple[str, str]] = []
            deliveries, pace = DeliveryStore(redis, keys, memory_ms=MEMORY_MS), PaceStore(redis, keys)
            sender = Sender(
                deliveries,
                pace,
                {"app": app, "oa": account, "robot": robot},
                ABILITIES,
                clock,
                on_outcome=lambda channel, outcome: outcomes.append((channel, outcome)),
                random=Random(7),
            )
            return Process(redis, keys, clock, deliveries, pace, app, account, robot, blobs, sender, outcomes)

        yield start


@pytest.fixture
async def process(start: Start) -> Process:
    return await start()


def delivery(
    id_: str,
    *parts: Part | str,
    channel: str = "app",
    user_id: str = "ana",
    group_id: str = "",
    at_ms: int = 1,
) -> Delivery:
    """Return a new delivery of texts or parts."""
    return Delivery(
        id=id_,
        community=COMMUNITY,
        channel=channel,
        user_id=user_id,
        group_id=group_id,
        member=f"{channel}:{user_id}",
        cause=f"cause of {id_}",
        route="active",
        created_at_ms=at_ms,
        parts=encode_parts([Text(part) if isinstance(part, str) else part for part in parts]),
    )


async def rows(redis: RedisClient, keys: Keys) -> list[dict[str, str]]:
    """Return the rows of deliveries on their way to SQL."""
    entries = await redis.call("XRANGE", f"{keys.prefix(COMMUNITY)}outbox", "-", "+")
    found = [
        {name.decode(): value.decode() for name, value in zip(fields[::2], fields[1::2], strict=True)}
        for _, fields in entries
    ]
    return [row for row in found if row["kind"] == "delivery"]


def from_row(row: dict[str, str]) -> Delivery:
    """Return the delivery as SQL knows it."""
    numbers = {
        "attempts", "created_at_ms", "updated_at_ms", "useful_until_ms", "next_part", "not_before_ms",
    }  # fmt: skip
    fields = {name: int(value) if name in numbers else value for name, value in row.items() if name != "kind"}
    return Delivery(**fields)  # type: ignore[arg-type]  # texts and numbers, told apart above


async def waiting(redis: RedisClient, keys: Keys) -> int:
    """Return how many deliveries are due or wait for another."""
    names = [keys.of_shard(shard, store) for shard in range(keys.shards) for store in ("due", "due:order")]
    return sum([await redis.call("ZCARD", name) for name in names])


async def until(condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)
