"""A process that sends until it is killed, at limits scaled down: ``flood.py <redis url> <api base>``.

All processes and the vendor share the machine's clock; what is scaled is the limits, which both sides know.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

from bot.clock import SystemClock
from bot.delivery.client import ActiveClient
from bot.delivery.courier import Patience
from bot.delivery.http import open_session
from bot.delivery.routes import WECOM_APP, Rate, Scope, channel_abilities
from bot.delivery.sender import Sender
from bot.delivery.wechat import WechatClient
from bot.delivery.wecom import WecomClient
from bot.storage.redis.client import connect
from bot.storage.redis.deliveries import DeliveryStore
from bot.storage.redis.keys import Keys
from bot.storage.redis.pacing import PaceStore
from bot.storage.redis.tokens import TokenStore
from tests.delivery.vendor import SECRET

SHARDS = 8
# As WeCom's, each a twentieth of its length: two per receiver, two over the channel, one of them counted.
LIMITS = (
    Rate(30, 3_000),
    Rate(120, 20_000),
    Rate(900, 3_000, Scope.CHANNEL),
    Rate(7_000, 20_000, Scope.CHANNEL),
)
ABILITIES = {
    "app": replace(channel_abilities("wecom_app"), direct=replace(WECOM_APP, rates=LIMITS)),
    "oa": channel_abilities("wechat_oa"),
}
PATIENCE = Patience(lease_ms=4_000, part_timeout_s=2.0, pace_margin_ms=1_000)


async def send(url: str, base: str) -> None:
    redis, keys, clock = await connect(url), Keys(SHARDS), SystemClock()
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
        deliveries = DeliveryStore(redis, keys, memory_ms=600_000)
        sender = Sender(deliveries, PaceStore(redis, keys), clients, ABILITIES, clock, patience=PATIENCE)
        await sender.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1], sys.argv[2]))
