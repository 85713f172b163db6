"""A process that sends until it is killed: ``dying_sender.py <redis url> <api base> <lease ms>``."""

from __future__ import annotations

import asyncio
import sys

from bot.clock import SystemClock
from bot.delivery.client import ActiveClient
from bot.delivery.courier import Patience
from bot.delivery.http import open_session
from bot.delivery.sender import Sender
from bot.delivery.wechat import WechatClient
from bot.delivery.wecom import WecomClient
from bot.storage.redis.client import connect
from bot.storage.redis.deliveries import DeliveryStore
from bot.storage.redis.keys import Keys
from bot.storage.redis.pacing import PaceStore
from bot.storage.redis.tokens import TokenStore
from tests.delivery.vendor import ABILITIES, SECRET


async def send(url: str, base: str, lease_ms: int, stop: asyncio.Event) -> None:
    redis, keys, clock = await connect(url), Keys(8), SystemClock()
    tokens = TokenStore(redis, keys)
    async with open_session() as session:
        clients: dict[str, ActiveClient] = {
            "app": WecomClient(
                session, tokens, clock, channel="app", corp_id="ww0", agent_id=7, secret=SECRET, api_base=base
            ),
            "oa": WechatClient(
                session, tokens, clock, channel="oa", app_id="wx0", secret=SECRET, api_base=base
            ),
        }
        deliveries = DeliveryStore(redis, keys, memory_ms=60_000)
        patience = Patience(lease_ms=lease_ms, part_timeout_s=lease_ms / 2000)
        sender = Sender(
            deliveries, PaceStore(redis, keys), clients, ABILITIES, clock, patience=patience, poll_s=0.02
        )
        await sender.run(stop)
    await redis.close()


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1], sys.argv[2], int(sys.argv[3]), asyncio.Event()))
