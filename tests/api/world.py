"""A running product with two communities, its API over real HTTP, and people who chat."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from bot.api.routes import PREFIX
from bot.catalog import load_catalog
from bot.clock import FixedClock
from bot.codec import decode_answer
from bot.config import Config
from bot.model import Content, Event, Text, TextMessage
from bot.routing.router import Router
from bot.serve import add_pages
from bot.storage.sql.api_tokens import ApiTokenStore
from bot.wiring import Service, open_service
from run import ROUTERS
from tests.delivery.vendor import SECRET, FakeVendor

NOON_IN_SHANGHAI = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # a Monday
_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
CONFIG: dict[str, list[dict[str, Any]]] = {
    "channels": [
        {
            "name": "app", "kind": "wecom_app", "corp_id": "ww0000000000test00", "agent_id": 1000002,
            "secret": SECRET, "token": "token", "encoding_aes_key": _KEY,
        },
        {"name": "oa", "kind": "wechat_oa", "app_id": "wx0", "secret": "", "token": "token", "mode": "plain"},
    ],
    "communities": [
        {"id": "milk", "name": "鲜奶社群", "channels": ["app"], "managers": ["app:ana"]},
        {
            "id": "tea", "name": "茶社", "channels": ["oa"], "time_zone": "America/New_York",
            "day_start": "04:00", "groups": [{"channel": "app", "chat_id": "wr1"}],
        },
    ],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the API."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(repr=False)

    @property
    def word(self) -> str:
        """The word of a problem."""
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.body["status"] == self.status
        return str(self.body["type"]).removeprefix("urn:huoqun:problem:")

    @property
    def flaws(self) -> dict[str, tuple[str, str]]:
        """Path → (problem, cure) of a problem's errors."""
        return {flaw["path"]: (flaw["problem"], flaw["cure"]) for flaw in self.body["errors"]}


class World:
    """The product, seen through its API."""

    def __init__(
        self, service: Service, client: TestClient[Any, Any], clock: FixedClock, vendor: FakeVendor
    ) -> None:
        self.service, self.client, self.clock, self.vendor = service, client, clock, vendor
        self.tokens = ApiTokenStore(service.database, clock)
        self.owner = ""
        self._messages = 0

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | io.BytesIO | AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask as the owner, unless another token is given; '' sends none."""
        sent = dict(headers or {})
        bearer = self.owner if token is None else token
        if bearer:
            sent["Authorization"] = f"Bearer {bearer}"
        given = {"json": json} if json is not None else {"data": data}
        async with self.client.request(
            method, PREFIX + path, params=params, headers=sent, **given
        ) as response:
            return await _reply(response)

    async def get(self, path: str, **params: str) -> Reply:
        return await self.ask("GET", path, params=params)

    async def post(self, path: str, json: Any = None) -> Reply:
        return await self.ask("POST", path, json=json)

    async def items(self, path: str, **params: str) -> list[Any]:
        """Return every item of a list, page by page."""
        items: list[Any] = []
        cursor = ""
        while True:
            reply = await self.get(path, **params, cursor=cursor)
            assert reply.status == 200, reply
            items += reply.body["items"]
            cursor = reply.body["next_cursor"] or ""
            if not cursor:
                return items

    async def say(self, user_id: str, text: str, *, channel: str = "app", group: str = "") -> str | None:
        """Let a member send a text; return the bot's answer."""
        return await self.send(user_id, TextMessage(text), channel=channel, group=group)

    async def send(
        self, user_id: str, content: Content, *, channel: str = "app", group: str = ""
    ) -> str | None:
        """Let anything come from a member."""
        self._messages += 1
        now_ms = self.clock.now_ms()
        event_id = f"{channel}:{user_id}:{self._messages}"
        event = Event(event_id, channel, user_id, "account", group, now_ms, content)
        platform = self.service.parts.platforms[channel]
        begun_s = asyncio.get_running_loop().time()
        outcome = await self.service.line.answer(platform, event, begun_s)
        answer = decode_answer(outcome.decision.answer)
        return answer.text if isinstance(answer, Text) else None


async def _reply(response: ClientResponse) -> Reply:
    is_json = response.content_type.endswith("json")
    return Reply(
        response.status, await response.json(content_type=None) if is_json else None, response.headers
    )


def _at(config: Mapping[str, list[dict[str, Any]]], api_base: str) -> dict[str, object]:
    """Return a configuration with the vendor's API at another address."""
    return {**config, "channels": [{**channel, "api_base": api_base} for channel in config["channels"]]}


async def open_world(
    redis_url: str,
    database_url: str,
    *,
    config: Mapping[str, list[dict[str, Any]]] = CONFIG,
    routers: Sequence[Router] = ROUTERS,
) -> World:
    """Start the product on these stores; `close_world` ends it."""
    clock = FixedClock(NOON_IN_SHANGHAI)
    vendor = await FakeVendor(clock).__aenter__()
    service = await open_service(
        Config.model_validate(_at(config, vendor.base)), routers, load_catalog(), clock,
        redis_url=redis_url, database_url=database_url,
    )  # fmt: skip
    add_pages(service)
    client = TestClient(TestServer(service.web_app))
    await client.start_server()
    world = World(service, client, clock, vendor)
    _, world.owner = await world.tokens.create("boss", "owner")
    return world


async def close_world(world: World) -> None:
    """End the product."""
    await world.client.close()
    await world.service.close()
    await world.vendor.__aexit__()
