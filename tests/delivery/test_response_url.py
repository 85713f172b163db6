"""The AI bot's response_url: where it may point, what goes there, and what a failed call leaves behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web

from bot.delivery.client import NotReachedError, Receiver
from bot.delivery.http import open_session
from bot.delivery.response_url import ResponseUrlClient
from bot.errors import PlatformApiError, PlatformUnreachableError
from bot.model import Image, Markdown, Part, TemplateCard, Text
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.redis.streams import AddressUses

CARD = TemplateCard("text_notice", "好消息", url="https://example.com")


class Address:
    """Answers as told, and remembers what came."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.answers: list[web.Response] = []
        self.base = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.received.append((request.query["code"], orjson.loads(await request.read())))
        return self.answers.pop(0) if self.answers else web.json_response({"errcode": 0, "errmsg": "ok"})

    def receiver(self, id_: str = "d1", number: int = 0, code: str = "secret-code") -> Receiver:
        return Receiver("ana", "wr1", f"{self.base}/x?code={code}", id_, number)


@asynccontextmanager
async def serving() -> AsyncIterator[Address]:
    address = Address()
    app = web.Application()
    app.router.add_post("/x", address.take)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        address.base = f"http://{host}:{port}"
        yield address
    finally:
        await runner.cleanup()


@pytest.fixture
async def address() -> AsyncIterator[Address]:
    async with serving() as address:
        yield address


@pytest.fixture
async def client(address: Address, redis_client: RedisClient, keys: Keys) -> AsyncIterator[ResponseUrlClient]:
    async with open_session() as session:
        uses = AddressUses(redis_client, keys)
        yield ResponseUrlClient(session, uses, channel="bot", api_base=f"{address.base}/")


@pytest.mark.parametrize(
    ("part", "body"),
    [
        (Text("好了"), {"msgtype": "markdown", "markdown": {"content": "好了"}}),
        (Markdown("**好了**"), {"msgtype": "markdown", "markdown": {"content": "**好了**"}}),
        (
            CARD,
            {
                "msgtype": "template_card",
                "template_card": {
                    "card_type": "text_notice",
                    "main_title": {"title": "好消息"},
                    "card_action": {"type": 1, "url": "https://example.com"},
                },
            },
        ),
    ],
)
async def test_a_part_is_posted_in_clear(
    part: Part, body: dict[str, Any], client: ResponseUrlClient, address: Address
) -> None:
    await client.send(address.receiver(), part)
    assert address.received == [("secret-code", body)]


async def test_an_empty_answer_is_an_acceptance(client: ResponseUrlClient, address: Address) -> None:
    address.answers = [web.Response()]
    await client.send(address.receiver(), Text("好了"))


async def test_the_address_is_used_by_one_part_of_a_delivery(
    client: ResponseUrlClient, address: Address
) -> None:
    await client.send(address.receiver(), Text("一"))
    with pytest.raises(NotReachedError) as refused:
        await client.send(address.receiver(number=1), Text("二"))
    assert refused.value.reason == "response_url_used"
    await client.send(address.receiver("d2"), Text("别的"))
    assert len(address.received) == 2


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "no_route"),
        ("http://127.0.0.1:1/x?code=1", "response_url_untrusted"),
        ("http://qyapi.weixin.qq.com/x?code=1", "response_url_untrusted"),
        ("ftp://127.0.0.1/x", "response_url_untrusted"),
        ("//127.0.0.1/x", "response_url_untrusted"),
        ("https://", "response_url_untrusted"),
        ("https://user:word@example.com/x", "response_url_untrusted"),
        ("https://[broken/x", "response_url_untrusted"),
        ("not an address", "response_url_untrusted"),
    ],
)
async def test_an_address_that_may_not_be_called_is_not(
    url: str, reason: str, client: ResponseUrlClient, address: Address
) -> None:
    with pytest.raises(NotReachedError) as refused:
        await client.send(Receiver("ana", answer_to=url, delivery_id="d1"), Text("好了"))
    assert refused.value.reason == reason
    await client.send(address.receiver(), Text("好了"))  # its use was not spent


@pytest.mark.parametrize("part", [Image("m"), TemplateCard("button_interaction", "没有按钮", task_id="t")])
async def test_what_it_does_not_take_is_refused_before_the_use_is_spent(
    part: Part, client: ResponseUrlClient, address: Address
) -> None:
    with pytest.raises(NotReachedError) as refused:
        await client.send(address.receiver(), part)
    assert refused.value.reason == "unsendable"
    await client.send(address.receiver(number=1), Text("好了"))


async def test_a_refusal_leaves_the_use_to_the_next_try_and_shows_no_secret(
    client: ResponseUrlClient, address: Address
) -> None:
    busy = {"errcode": -1, "errmsg": "busy, secret-code"}
    wrong = {"errcode": 40058, "errmsg": "invalid"}
    address.answers = [web.json_response(busy), web.json_response(wrong)]
    for errcode in (-1, 40058):
        with pytest.raises(PlatformApiError) as refused:
            await client.send(address.receiver(), Text("一"))
        assert not isinstance(refused.value, NotReachedError)
        assert refused.value.errcode == errcode
        assert "secret-code" not in str(refused.value)
    await client.send(address.receiver(number=1), Text("二"))


async def test_after_a_lost_answer_a_refusal_means_that_it_was_probably_shown(
    client: ResponseUrlClient, address: Address
) -> None:
    address.answers = [
        web.Response(status=502),
        web.json_response({"errcode": -1, "errmsg": "busy"}),
        web.json_response({"errcode": 40058, "errmsg": "used"}),
    ]
    with pytest.raises(PlatformUnreachableError):
        await client.send(address.receiver(), Text("一"))
    with pytest.raises(PlatformApiError) as busy:  # that says nothing of the first
        await client.send(address.receiver(), Text("一"))
    assert busy.value.errcode == -1
    with pytest.raises(NotReachedError) as refused:
        await client.send(address.receiver(), Text("一"))
    assert refused.value.reason == "response_url_unsure"


async def test_no_secret_is_in_the_error_of_an_address_that_does_not_answer(
    client: ResponseUrlClient, address: Address
) -> None:
    address.answers = [web.Response(body=b"{broken")]
    with pytest.raises(PlatformUnreachableError) as lost:
        await client.send(address.receiver(), Text("一"))
    assert "secret-code" not in f"{lost.value!r} {address.receiver()!r}"
