"""Carries bytes to the platform through the long connection, in chunks.

What is uploaded, under which name, and what the platform calls it then: `bot.delivery.media`.

Source: WeCom, AI bot, long connection, upload.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from typing import Any

from bot.connection.frames import Command, Frame
from bot.connection.session import KIND, Session
from bot.delivery.media import MediaRule
from bot.errors import PlatformUnreachableError

CHUNK_BYTES = 512 * 1024
MOST_CHUNKS = 100
RATES = ((30, 65_000), (1000, 3_605_000))  # 30 a minute, 1000 an hour, and 5 s for the way
RULES = {
    kind: MediaRule(frozenset(), MOST_CHUNKS * CHUNK_BYTES, least_bytes=1)
    for kind in ("image", "voice", "video", "file")
}
_SESSION_S = 30 * 60.0


async def upload(session: Session, kind: str, content: bytes, file_name: str) -> dict[str, Any]:
    """Upload bytes as `kind`; return the last answer, which holds the ``media_id``.

    Raises:
        PlatformApiError: Refused.
        PlatformUnreachableError: The connection ended, or half an hour, for which the platform keeps parts.
    """
    try:
        async with asyncio.timeout(_SESSION_S):
            return (await _transfer(session, kind, content, file_name)).body
    except TimeoutError:
        raise PlatformUnreachableError(
            platform=KIND, endpoint=Command.UPLOAD_CHUNK, problem="the upload took too long"
        ) from None


async def _transfer(session: Session, kind: str, content: bytes, file_name: str) -> Frame:
    chunks = [content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES)]
    begun = await session.request(
        Command.UPLOAD_INIT,
        {
            "type": kind,
            "filename": file_name,
            "total_size": len(content),
            "total_chunks": len(chunks),
            "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        },
    )
    upload_id = begun.body.get("upload_id")
    if not isinstance(upload_id, str) or not upload_id:
        raise PlatformUnreachableError(
            platform=KIND, endpoint=Command.UPLOAD_INIT, problem="the answer has no upload_id"
        )
    for index, chunk in enumerate(chunks):
        await session.request(
            Command.UPLOAD_CHUNK,
            {"upload_id": upload_id, "chunk_index": index, "base64_data": b64encode(chunk).decode()},
        )
    return await session.request(Command.UPLOAD_FINISH, {"upload_id": upload_id})
