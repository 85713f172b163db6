"""Bytes of our own, and their way to the platforms."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from bot.delivery.client import Receiver
from bot.errors import PlatformUnreachableError
from bot.model import File, Image, MiniProgram, Part, TemplateCard, Video, Voice
from bot.storage.redis.media_ids import KEPT_MS
from bot.storage.sql.blobs import MOST_BYTES, Blob
from tests.delivery.conftest import Process
from tests.delivery.vendor import FakeVendor

ANA = Receiver("ana")


async def test_the_same_bytes_are_kept_once_under_their_digest(process: Process) -> None:
    digest = await process.blobs.put(b"bytes", "image/png", "a.png")

    assert digest == hashlib.sha256(b"bytes").hexdigest()
    assert await process.blobs.put(b"bytes", "text/plain", "b.txt") == digest
    assert await process.blobs.get(digest) == Blob(digest, b"bytes", "image/png", "a.png")
    assert await process.blobs.get("0" * 64) is None


async def test_nothing_and_too_much_is_refused(process: Process) -> None:
    for content in (b"", b"x" * (MOST_BYTES + 1)):
        with pytest.raises(ValueError, match="a blob has 1 to"):
            await process.blobs.put(content, "image/png")


def test_what_a_blob_holds_is_not_shown() -> None:
    assert "secret" not in repr(Blob("d", b"secret", "image/png", ""))


@pytest.mark.parametrize(
    ("part", "content_type", "kind"),
    [
        (Image, "image/png", "image"), (Voice, "audio/amr", "voice"), (Video, "video/mp4", "video"),
        (File, "application/zip", "file"),
    ],
)  # fmt: skip
async def test_an_app_uploads_every_kind(
    process: Process, vendor: FakeVendor, part: type[Image], content_type: str, kind: str
) -> None:
    digest = await process.blobs.put(b"bytes of " + kind.encode(), content_type)

    await process.app.send(ANA, part(blob=digest), guard=True)

    (message,) = vendor.received
    assert (message.kind, message.body["media_id"]) == (kind, "MEDIA-0")
    assert vendor.uploads["MEDIA-0"].content == b"bytes of " + kind.encode()
    assert vendor.uploads["MEDIA-0"].kind == kind


async def test_an_account_uploads_too_and_each_account_for_itself(
    process: Process, vendor: FakeVendor
) -> None:
    digest = await process.blobs.put(b"\x89PNG bytes", "image/png")

    await process.account.send(Receiver("oANA"), Image(blob=digest))
    await process.app.send(ANA, Image(blob=digest))

    assert [message.body["media_id"] for message in vendor.received] == ["MEDIA-0", "MEDIA-1"]


async def test_an_upload_outlives_the_attempt_that_began_it_and_serves_all_who_wait(
    process: Process, vendor: FakeVendor
) -> None:
    vendor.hold_uploads = asyncio.Event()
    picture = Image(blob=await process.blobs.put(b"\x89PNG bytes", "image/png"))
    first = asyncio.create_task(process.app.send(ANA, picture))
    await vendor.upload_begun.wait()
    first.cancel()  # it has run out of time
    with pytest.raises(asyncio.CancelledError):
        await first
    others = [asyncio.create_task(process.app.send(Receiver(name), picture)) for name in ("ana", "bo")]
    vendor.hold_uploads.set()
    await asyncio.gather(*others)

    assert sorted(message.user_id for message in vendor.received) == ["ana", "bo"]
    assert {message.body["media_id"] for message in vendor.received} == {"MEDIA-0"}
    assert vendor.calls["upload"] == 1


async def test_a_token_refused_by_an_upload_is_replaced_once(process: Process, vendor: FakeVendor) -> None:
    digest = await process.blobs.put(b"bytes", "application/zip", "a.zip")
    await process.app.send(ANA, File("m"))
    vendor.withdraw()

    await process.app.send(ANA, File(blob=digest))

    assert [message.body["media_id"] for message in vendor.received] == ["m", "MEDIA-1"]


async def test_a_media_id_is_forgotten_long_before_the_platform_forgets_it(process: Process) -> None:
    digest = await process.blobs.put(b"bytes", "application/zip", "a.zip")
    await process.app.send(ANA, File(blob=digest))

    (key,) = [key async for keys in process.redis.scan("hq:{g}:media:*") for key in keys]
    left_ms = await process.redis.call("PTTL", key)

    assert 0 < left_ms <= KEPT_MS < 3 * 86_400_000


async def test_a_delivery_of_bytes_survives_a_platform_that_is_away_for_a_moment(
    process: Process, vendor: FakeVendor
) -> None:
    digest = await process.blobs.put(b"bytes", "application/zip", "a.zip")
    await process.ask_for("d", File(blob=digest))
    vendor.no_media_id = True
    await process.sender.run_once()
    assert vendor.received == []
    with pytest.raises(PlatformUnreachableError, match="no media_id"):
        await process.app.send(ANA, File(blob=digest))

    vendor.no_media_id = False
    await process.carry_on(for_s=60)

    assert (await process.states())["d"] == ("delivered", "")
    assert [message.body["media_id"] for message in vendor.received] == ["MEDIA-2"]


CARD = TemplateCard("news_notice", "t", url="https://a.example", picture_url="https://p.example")


@pytest.mark.parametrize(
    ("part", "kind", "body"),
    [
        (
            MiniProgram("wx0", "pages/x", "订奶", "每天", lines=(("价", "5"),)), "miniprogram_notice",
            {
                "appid": "wx0", "page": "pages/x", "title": "订奶", "description": "每天",
                "content_item": [{"key": "价", "value": "5"}],
            },
        ),
        (
            CARD, "template_card",
            {
                "card_type": "news_notice", "main_title": {"title": "t"},
                "card_action": {"type": 1, "url": "https://a.example"}, "card_image": {"url": "https://p.example"},
            },
        ),
    ],
)  # fmt: skip
async def test_an_app_sends_mini_programs_and_cards(
    process: Process, vendor: FakeVendor, part: Part, kind: str, body: dict[str, object]
) -> None:
    await process.app.send(ANA, part)

    assert (vendor.received[0].kind, vendor.received[0].body) == (kind, body)


async def test_an_account_sends_a_mini_program_with_its_picture(process: Process, vendor: FakeVendor) -> None:
    await process.account.send(Receiver("oANA"), MiniProgram("wx0", "pages/x", "订奶", thumb_media_id="t1"))

    assert vendor.received[0].body == {
        "title": "订奶", "appid": "wx0", "pagepath": "pages/x", "thumb_media_id": "t1",
    }  # fmt: skip


async def test_a_broken_card_ends_its_delivery_dead_with_the_field_that_is_wrong(
    process: Process, vendor: FakeVendor
) -> None:
    await process.ask_for("d", TemplateCard("text_notice", "t", url="u", lines=(("a", "b"),) * 7))
    await process.carry_on(for_s=10)

    assert (await process.states())["d"] == ("dead", "unsendable:template_card: lines: 7, at most 6")
    assert vendor.calls["send"] == 0
