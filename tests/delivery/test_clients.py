"""The calls that send, as the vendors want them, and what their answers may look like."""

from __future__ import annotations

import pytest
from aiohttp import web

from bot.delivery.client import NotReachedError, Receiver
from bot.delivery.http import RESPONSE_LIMIT_BYTES
from bot.errors import PlatformApiError, PlatformUnreachableError
from bot.model import Article, Image, News, Part, Text, Video, Voice
from tests.delivery.conftest import Process, Start
from tests.delivery.vendor import FakeVendor, Fault

PARTS = [
    (Text("票已关 👍"), "text", {"content": "票已关 👍"}),
    (Image("m1"), "image", {"media_id": "m1"}),
    (Voice("m2"), "voice", {"media_id": "m2"}),
    (Video("m3", "t", "d"), "video", {"media_id": "m3", "title": "t", "description": "d"}),
    (
        News((Article("t", "d", "https://a.example", "https://p.example"),)),
        "news",
        {
            "articles": [
                {"title": "t", "description": "d", "url": "https://a.example", "picurl": "https://p.example"}
            ]
        },
    ),
]


@pytest.mark.parametrize(("part", "kind", "body"), PARTS)
async def test_every_kind_of_part_is_sent_through_an_app(
    process: Process, vendor: FakeVendor, part: Part, kind: str, body: dict[str, object]
) -> None:
    receipt = await process.app.send(Receiver("ana"), part)

    assert receipt.message_id == "m1"
    (message,) = vendor.received
    assert message.whole == {"touser": "ana", "agentid": 7, "msgtype": kind, kind: body}


@pytest.mark.parametrize(("part", "kind", "body"), PARTS)
async def test_every_kind_of_part_is_sent_through_an_account(
    process: Process, vendor: FakeVendor, part: Part, kind: str, body: dict[str, object]
) -> None:
    await process.account.send(Receiver("oANA"), part, guard=True)

    (message,) = vendor.received
    assert message.whole == {"touser": "oANA", "msgtype": kind, kind: body}


async def test_a_guarded_send_asks_the_app_to_drop_a_duplicate(process: Process, vendor: FakeVendor) -> None:
    await process.app.send(Receiver("ana"), Text("x"), guard=True)

    assert vendor.received[0].whole["enable_duplicate_check"] == 1
    assert vendor.received[0].whole["duplicate_check_interval"] == 14_400


@pytest.mark.parametrize(
    ("field", "reason"), [("invaliduser", "invalid_user"), ("unlicenseduser", "unlicensed_user")]
)
async def test_an_accepted_call_that_left_the_member_out_is_a_failure(
    process: Process, vendor: FakeVendor, field: str, reason: str
) -> None:
    vendor.faults.append(Fault(extra={field: "ana"}))

    with pytest.raises(NotReachedError) as caught:
        await process.app.send(Receiver("ana"), Text("x"))

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, raw=b"oops"),
        Fault(status=404),
        Fault(status=302),
        Fault(raw=b'{"errcode":0'),
        Fault(raw=b'"ok"'),
        Fault(raw=b'{"errcode":"0"}'),
        Fault(raw=b'{"errcode":true}'),
        Fault(raw=b" " * (RESPONSE_LIMIT_BYTES + 1)),
        Fault(drop=True),
    ],
)
async def test_an_unusable_answer_is_told_from_a_refusal(
    process: Process, vendor: FakeVendor, fault: Fault
) -> None:
    vendor.faults.append(fault)

    with pytest.raises(PlatformUnreachableError) as caught:
        await process.app.send(Receiver("ana"), Text("x"))

    assert caught.value.endpoint == "cgi-bin/message/send"
    assert vendor.token not in str(caught.value)


async def test_a_vendor_that_is_not_there_is_unreachable(start: Start) -> None:
    process = await start(base="http://127.0.0.1:1")

    with pytest.raises(PlatformUnreachableError, match="gettoken"):
        await process.app.send(Receiver("ana"), Text("x"))


async def test_a_refusal_carries_the_vendor_s_code_and_text(process: Process, vendor: FakeVendor) -> None:
    vendor.faults.append(Fault(errcode=45002))

    with pytest.raises(PlatformApiError) as caught:
        await process.account.send(Receiver("oANA"), Text("x"))

    assert (caught.value.platform, caught.value.errcode, caught.value.errmsg) == ("wechat_oa", 45002, "fault")


async def test_the_vendor_s_text_is_short_and_without_the_token(process: Process, vendor: FakeVendor) -> None:
    await process.app.send(Receiver("ana"), Text("x"))
    token = vendor.token
    vendor.faults.append(Fault(raw=b'{"errcode":40058,"errmsg":"' + token.encode() + b"y" * 5000 + b'"}'))

    with pytest.raises(PlatformApiError) as caught:
        await process.app.send(Receiver("ana"), Text("x"))

    assert token[:20] not in str(caught.value)
    assert len(caught.value.errmsg) <= 200


async def test_a_redirect_does_not_carry_the_token_elsewhere(process: Process, vendor: FakeVendor) -> None:
    elsewhere = []

    async def listen(request: web.Request) -> web.Response:
        elsewhere.append(request.path_qs)
        return web.json_response({"errcode": 0})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", listen)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    vendor.redirect_to = f"http://127.0.0.1:{runner.addresses[0][1]}/x"

    with pytest.raises(PlatformUnreachableError, match="302"):
        await process.app.send(Receiver("ana"), Text("x"))

    await runner.cleanup()
    assert elsewhere == []
