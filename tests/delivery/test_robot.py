"""A group robot: every kind of message, its own files, and a key that nobody sees."""

from __future__ import annotations

import base64
import hashlib
import logging

import pytest

from bot.delivery.client import Receiver
from bot.delivery.media import UnsendableError
from bot.errors import PlatformApiError, PlatformUnreachableError
from bot.model import Article, CardButton, File, Image, Markdown, News, Part, TemplateCard, Text, Voice
from tests.delivery.conftest import Process, Start
from tests.delivery.vendor import ROBOT_KEY, FakeVendor, Fault

GROUP = Receiver("", "wr1")
PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 100
NOTICE = TemplateCard("text_notice", "磁盘", description="已用 91%", url="https://a.example")


@pytest.mark.parametrize(
    ("part", "body"),
    [
        (Text("磁盘 91%"), {"msgtype": "text", "text": {"content": "磁盘 91%"}}),
        (
            Text("磁盘 91%", ("ana", "@all")),
            {"msgtype": "text", "text": {"content": "磁盘 91%", "mentioned_list": ["ana", "@all"]}},
        ),
        (Markdown("**好** <@ana>"), {"msgtype": "markdown", "markdown": {"content": "**好** <@ana>"}}),
        (Markdown("- 一\n- 二"), {"msgtype": "markdown_v2", "markdown_v2": {"content": "- 一\n- 二"}}),
        (
            News((Article("t", "d", "https://a.example", "https://p.example"),)),
            {
                "msgtype": "news",
                "news": {
                    "articles": [
                        {
                            "title": "t",
                            "description": "d",
                            "url": "https://a.example",
                            "picurl": "https://p.example",
                        }
                    ]
                },
            },
        ),
        (File("m1"), {"msgtype": "file", "file": {"media_id": "m1"}}),
        (
            NOTICE,
            {
                "msgtype": "template_card",
                "template_card": {
                    "card_type": "text_notice",
                    "main_title": {"title": "磁盘", "desc": "已用 91%"},
                    "card_action": {"type": 1, "url": "https://a.example"},
                },
            },
        ),
    ],
)
async def test_every_kind_of_part_is_sent_by_a_robot(
    process: Process, vendor: FakeVendor, part: Part, body: dict[str, object]
) -> None:
    await process.robot.send(GROUP, part)

    assert vendor.to_groups == [body]


@pytest.mark.parametrize("picture", [PNG, PNG.ljust(2 << 20, b"p")], ids=["small", "largest"])
async def test_a_picture_is_enclosed_with_its_md5(
    process: Process, vendor: FakeVendor, picture: bytes
) -> None:
    digest = await process.blobs.put(picture, "image/png")

    await process.robot.send(GROUP, Image(blob=digest))

    md5 = hashlib.md5(picture, usedforsecurity=False).hexdigest()
    assert vendor.to_groups == [
        {"msgtype": "image", "image": {"base64": base64.b64encode(picture).decode(), "md5": md5}}
    ]


async def test_a_file_is_uploaded_once_for_all_processes_and_again_when_it_is_forgotten(
    process: Process, start: Start, vendor: FakeVendor
) -> None:
    other = await start()
    digest = await process.blobs.put("价目表 内容".encode(), "application/pdf", '价目 "表".pdf')

    await process.robot.send(GROUP, File(blob=digest))
    await other.robot.send(GROUP, File(blob=digest))
    assert [body["file"]["media_id"] for body in vendor.to_groups] == ["MEDIA-0", "MEDIA-0"]
    (uploaded,) = vendor.uploads.values()
    assert (uploaded.kind, uploaded.content.decode()) == ("file", "价目表 内容")
    assert (uploaded.content_type, uploaded.file_name) == ("application/pdf", "价目 表.pdf")

    vendor.forget_uploads()
    vendor.uploads["MEDIA-5"] = uploaded
    await other.robot.send(GROUP, File(blob=digest, file_name="新名.pdf"))
    assert vendor.to_groups[-1]["file"]["media_id"] == "MEDIA-1"
    assert vendor.uploads["MEDIA-1"].file_name == "新名.pdf"
    assert vendor.calls["upload"] == 2


async def test_the_largest_file_is_uploaded(process: Process, vendor: FakeVendor) -> None:
    content = bytes(range(256)) * (20 << 12)
    digest = await process.blobs.put(content, "application/zip", "大.zip")

    await process.robot.send(GROUP, File(blob=digest))

    assert vendor.uploads["MEDIA-0"].content == content


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (Image("m1"), "unsendable:image: its bytes are not in our store"),
        (File(blob="0" * 64), "unsendable:file: its bytes are not in our store"),
        (File(), "unsendable:file: has neither a media_id nor bytes in our store"),
        (
            TemplateCard("button_interaction", "t", task_id="t", buttons=(CardButton("a", "a"),)),
            "unsendable:template_card: card_type: a robot has no button_interaction",
        ),
        (
            TemplateCard("text_notice", "t"),
            "unsendable:template_card: url: a text_notice needs what a tap on it opens",
        ),
    ],
)
async def test_what_can_never_be_sent_says_which_part_and_why(
    process: Process, vendor: FakeVendor, part: Part, reason: str
) -> None:
    with pytest.raises(UnsendableError) as caught:
        await process.robot.send(GROUP, part)

    assert caught.value.reason == reason
    assert vendor.to_groups == []


@pytest.mark.parametrize(
    ("kind", "content_type", "size", "problem"),
    [
        ("image", "image/gif", 100, "is image/gif; taken are image/jpeg, image/png"),
        ("image", "image/png", (2 << 20) + 1, "has 2097153 bytes; taken are 5 to 2097152"),
        ("voice", "audio/mpeg", 100, "is audio/mpeg; taken are audio/amr"),
        ("file", "text/plain", 4, "has 4 bytes; taken are 5 to 20971520"),
    ],
)
async def test_bytes_the_platform_does_not_take_are_not_uploaded(
    process: Process, vendor: FakeVendor, kind: str, content_type: str, size: int, problem: str
) -> None:
    digest = await process.blobs.put(b"x" * size, content_type)
    parts: dict[str, Part] = {
        "image": Image(blob=digest),
        "voice": Voice(blob=digest),
        "file": File(blob=digest),
    }

    with pytest.raises(UnsendableError, match=problem):
        await process.robot.send(GROUP, parts[kind])
    assert vendor.calls["upload"] == 0


async def test_the_key_is_in_no_error_log_or_repr(
    process: Process, start: Start, vendor: FakeVendor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    errors: list[Exception] = []
    for fault in (Fault(errcode=45009), Fault(status=500), Fault(raw=b"no json")):
        vendor.faults.append(fault)
        with pytest.raises((PlatformApiError, PlatformUnreachableError)) as caught:
            await process.robot.send(GROUP, Text("x"))
        errors.append(caught.value)
    wrong = await start(key="another-key")
    with pytest.raises(PlatformApiError) as refused:
        await wrong.robot.send(GROUP, Text("x"))
    away = await start(base="http://127.0.0.1:1")
    with pytest.raises(PlatformUnreachableError) as unreachable:
        await away.robot.send(GROUP, Text("x"))

    assert refused.value.errcode == 93000
    said = [*map(repr, errors), *map(str, errors), str(refused.value), str(unreachable.value)]
    # The stand-in for the vendor logs what it is asked.
    said += [record.getMessage() for record in caplog.records if record.name != "aiohttp.access"]
    said += [repr(process.robot), repr(vars(wrong.robot)["_uploads"])]
    assert not any(ROBOT_KEY in text or "another-key" in text for text in said)


async def test_deliveries_by_a_robot_arrive_and_what_cannot_ends_dead_and_named(
    process: Process, vendor: FakeVendor
) -> None:
    await process.ask_for("good", Text("早"), channel="robot", user_id="", group_id="wr1")
    await process.ask_for("bad", Text("早"), Image("m1"), channel="robot", user_id="", group_id="wr2")
    await process.carry_on(for_s=60)

    states = await process.states()
    assert states["good"] == ("delivered", "")
    assert states["bad"] == ("dead", "unsendable:image: its bytes are not in our store")
    assert [body["text"]["content"] for body in vendor.to_groups] == ["早", "早"]
