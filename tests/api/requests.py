"""One request that does something for every endpoint, and the world in which it does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from bot.api.endpoint import Endpoint
from bot.api.routes import ENDPOINTS
from bot.model import Text
from bot.storage.redis.deliveries import Delivery, encode_parts
from tests.api.world import World

RULE = {"triggers": ["奶"], "answers": ["鲜奶"]}
_BODIES: dict[str, Any] = {
    "grant_points": {"member": "app:ana", "delta": 5, "request_id": "r"},
    "reverse_entry": {"request_id": "back"},
    "create_group": {
        "channel": "app", "name": "鲜奶小队", "owner": "ana", "members": ["ana", "liwei"], "request_id": "g",
    },
    "change_group": {"name": "新名"},
    "start_round": {"game": "red_packet", "total": 20, "shares": 4, "request_id": "round"},
    "upload_media": {"any": "file"},
    "create_delivery": {
        "community": "milk", "channel": "app", "member": "app:ana",
        "parts": [{"kind": "text", "text": "今晚八点开奖"}], "request_id": "notice",
    },
    "try_keywords": {"text": "奶"},
    "import_keywords": [RULE],
    "create_keyword": RULE,
    "replace_keyword": RULE,
    "change_keyword": {"enabled": False},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """A request of one endpoint to community milk that is well-formed and finds what it names."""

    endpoint: Endpoint
    path: str
    body: Any

    @property
    def name(self) -> str:
        return self.endpoint.act.__name__


async def dead_delivery(world: World, delivery_id: str, community: str, channel: str) -> None:
    """Put a delivery into the world that has died."""
    store, now_ms = world.service.deliveries, world.clock.now_ms()
    delivery = Delivery(
        id=delivery_id, community=community, channel=channel, user_id="ana", member=f"{channel}:ana",
        cause=f"{channel}:ana:1", route="active", created_at_ms=now_ms, parts=encode_parts([Text("晚了")]),
    )  # fmt: skip
    assert await store.create(delivery, now_ms)
    (claimed,) = await store.claim(world.service.keys.shard(community), now_ms, now_ms + 1000, 10)
    assert await store.dead(claimed, now_ms + 1000, "too_late", 0, now_ms)


async def sample_requests(world: World) -> list[Sample]:
    """Fill community milk with one of everything, and return one request for every endpoint."""
    await world.say("ana", "签到")
    rule = await world.post("/communities/milk/keywords", RULE)
    group = await world.post("/communities/milk/groups", _BODIES["create_group"])
    played = await world.post("/communities/milk/rounds", _BODIES["start_round"])
    (entry,) = await world.items("/communities/milk/ledger")
    await asyncio.gather(
        dead_delivery(world, "d-milk", "milk", "app"), dead_delivery(world, "d-tea", "tea", "oa")
    )
    names = {
        "{community}": "milk",
        "{member}": "app:ana",
        "{entry}": entry["id"],
        "{rule}": str(rule.body["id"]),
        "{delivery}": "d-milk",
        "{group}": group.body["id"],
        "{round}": played.body["id"],
        "{channel}": "app",
    }
    samples = []
    for endpoint in ENDPOINTS:
        path = endpoint.path
        for name, value in names.items():
            path = path.replace(name, value)
        samples.append(Sample(endpoint, path, _BODIES.get(endpoint.act.__name__)))
    # What deletes comes last.
    return sorted(samples, key=lambda sample: sample.endpoint.method == "DELETE")
