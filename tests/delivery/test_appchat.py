"""The groups a WeCom app makes itself."""

from __future__ import annotations

import pytest

from bot.delivery.appchat import AppChat, check_chat
from bot.delivery.client import Receiver
from bot.delivery.errcodes import explain
from bot.delivery.media import UnsendableError
from bot.errors import PlatformApiError
from bot.model import Article, File, Image, Markdown, MiniProgram, News, Part, Text, Video, Voice
from tests.delivery.conftest import Process
from tests.delivery.vendor import FakeVendor

CHAT = AppChat("milk1", "鲜奶小队", "ana", ("ana", "liwei"))
GROUP = Receiver("", "milk1")


async def test_a_group_is_made_read_and_changed(process: Process) -> None:
    chats = process.app.chats
    assert await chats.create(CHAT) == "milk1"
    assert await chats.get("milk1") == CHAT

    await chats.update("milk1", name="新名", owner="liwei", add=("zoe",), remove=("ana",))

    assert await chats.get("milk1") == AppChat("milk1", "新名", "liwei", ("liwei", "zoe"))
    with pytest.raises(PlatformApiError, match="86003"):
        await chats.get("nothing")


async def test_the_platform_chooses_an_id_where_none_is_given(process: Process) -> None:
    assert await process.app.chats.create(AppChat("", "队", "ana", ("ana", "liwei"))) == "CHAT0"


@pytest.mark.parametrize(
    ("part", "body"),
    [
        (Text("开会"), {"msgtype": "text", "text": {"content": "开会"}}),
        (Text("开会", ("ana",)), {"msgtype": "text", "text": {"content": "开会", "mentioned_list": ["ana"]}}),
        (Markdown("**开会** <@ana>"), {"msgtype": "markdown", "markdown": {"content": "**开会** <@ana>"}}),
        (Image("m1"), {"msgtype": "image", "image": {"media_id": "m1"}}),
        (Voice("m1"), {"msgtype": "voice", "voice": {"media_id": "m1"}}),
        (
            Video("m1", "t", "d"),
            {"msgtype": "video", "video": {"media_id": "m1", "title": "t", "description": "d"}},
        ),
        (File("m1"), {"msgtype": "file", "file": {"media_id": "m1"}}),
        (
            News((Article("t"),)),
            {
                "msgtype": "news",
                "news": {"articles": [{"title": "t", "description": "", "url": "", "picurl": ""}]},
            },
        ),
    ],
)
async def test_every_kind_of_part_is_sent_to_a_group(
    process: Process, vendor: FakeVendor, part: Part, body: dict[str, object]
) -> None:
    await process.app.chats.create(CHAT)

    await process.app.send(GROUP, part, guard=True)

    assert vendor.to_groups == [{"chatid": "milk1", **body}]
    assert vendor.received == []


async def test_bytes_of_ours_are_uploaded_for_a_group_and_for_people_once(
    process: Process, vendor: FakeVendor
) -> None:
    await process.app.chats.create(CHAT)
    digest = await process.blobs.put(b"\xff\xd8\xff" + b"j" * 50, "image/jpeg")

    await process.app.send(GROUP, Image(blob=digest))
    await process.app.send(Receiver("ana"), Image(blob=digest))

    assert vendor.calls["upload"] == 1
    assert vendor.to_groups[0]["image"] == {"media_id": "MEDIA-0"}
    assert vendor.received[0].body == {"media_id": "MEDIA-0"}
    assert vendor.uploads["MEDIA-0"].file_name == "image.jpg"


async def test_a_group_takes_no_mini_program(process: Process) -> None:
    with pytest.raises(UnsendableError) as caught:
        await process.app.send(GROUP, MiniProgram("wx0", "p", "t"))

    text = explain("wecom_app", caught.value.reason)
    assert "mini_program: kind" in text.cause
    assert text.cause.isascii()


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        (AppChat("a-b", "n", "ana", ("ana", "liwei")), "chat_id"),
        (AppChat("a" * 33, "n", "ana", ("ana", "liwei")), "chat_id"),
        (AppChat("", "字" * 51, "ana", ("ana", "liwei")), "name"),
        (AppChat("", " ", "ana", ("ana", "liwei")), "name"),
        (AppChat("", "n", "ana", ("ana",)), "members"),
        (AppChat("", "n", "ana", ("ana", "ana")), "members"),
        (AppChat("", "n", "0", tuple(map(str, range(2001)))), "members"),
        (AppChat("", "n", "zoe", ("ana", "liwei")), "owner"),
    ],
)
def test_a_group_the_platform_would_refuse_is_refused_with_the_field(chat: AppChat, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        check_chat(chat)


def test_the_largest_group_is_taken() -> None:
    check_chat(AppChat("a" * 32, "字" * 50, "0", tuple(map(str, range(2000)))))
