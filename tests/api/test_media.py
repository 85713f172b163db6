from __future__ import annotations

import hashlib
import io

import pytest

from bot.storage.sql.blobs import MOST_BYTES, BlobStore
from tests.api.world import World

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 20


async def test_a_picture_is_kept_and_named_by_its_digest(world: World) -> None:
    reply = await world.ask(
        "POST", "/media", params={"file_name": "海报.png"}, data=PNG, headers={"Content-Type": "image/png"}
    )

    digest = hashlib.sha256(PNG).hexdigest()
    assert (reply.status, reply.body) == (
        201,
        {"blob": digest, "content_type": "image/png", "size_bytes": len(PNG)},
    )
    blob = await BlobStore(world.service.database, world.clock).get(digest)
    assert blob is not None
    assert (blob.content, blob.content_type, blob.file_name) == (PNG, "image/png", "海报.png")


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (PNG, "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"GIF89a", "image/gif"),
        (b"#!AMR\n", "audio/amr"), (b"ID3", "audio/mpeg"), (b"\0\0\0\x18ftypmp42", "video/mp4"),
        (b"anything", "application/octet-stream"),
    ],
)  # fmt: skip
async def test_bytes_of_no_named_type_are_known_by_how_they_begin(
    world: World, content: bytes, content_type: str
) -> None:
    reply = await world.ask(
        "POST", "/media", data=content, headers={"Content-Type": "application/octet-stream"}
    )

    assert reply.body["content_type"] == content_type


async def test_a_type_that_the_bytes_belie_is_refused_with_the_cure(world: World) -> None:
    reply = await world.ask("POST", "/media", data=PNG, headers={"Content-Type": "video/mp4"})

    assert reply.flaws == {"Content-Type": ("says video/mp4; the bytes do not", "these bytes are image/png")}


async def test_nothing_too_much_folders_and_other_types_are_refused(world: World) -> None:
    async def word(data: bytes, content_type: str = "application/pdf", file_name: str = "a.pdf") -> str:
        reply = await world.ask(
            "POST",
            "/media",
            params={"file_name": file_name},
            data=io.BytesIO(data),
            headers={"Content-Type": content_type},
        )
        return reply.word if reply.status >= 300 else str(reply.status)

    assert await word(b"") == "invalid"
    assert await word(b"x", file_name="../a.pdf") == "invalid"
    assert await word(b"x", file_name="a\n.pdf") == "invalid"
    assert await word(b"x", "multipart/form-data") == "unsupported_media_type"
    assert await word(b"x" * (MOST_BYTES + 1)) == "too_large"
    assert await word(b"x" * MOST_BYTES) == "201"
