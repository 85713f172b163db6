"""Uploads media through the long connection, in chunks, and remembers what the platform calls them.

A media id is good for three days and kept for a little less, for all processes. An upload goes on when the
part that asked for it has run out of time: its next attempt finds it further on, or done.

Source: WeCom, AI bot, long connection, upload.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Protocol

from bot.clock import Clock
from bot.connection.bodies import Media, refused
from bot.connection.frames import Command, Frame
from bot.connection.session import KIND, Session
from bot.errors import PlatformApiError, PlatformUnreachableError
from bot.model import File
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.redis.pacing import PaceStore

CHUNK_BYTES = 512 * 1024
MOST_CHUNKS = 100
RATES = ((30, 65_000), (1000, 3_605_000))  # 30 a minute, 1000 an hour, and 5 s for the way
_KEPT_MS = (3 * 24 - 6) * 3_600_000
_SESSION_S = 30 * 60.0
_TOO_FREQUENT = 45011
_ENDINGS = {"image": "png", "voice": "amr", "video": "mp4", "file": "bin"}


class Blob(Protocol):
    """Bytes of the product's own store."""

    @property
    def content(self) -> bytes:
        """The bytes."""

    @property
    def file_name(self) -> str:
        """What people see; empty where nobody named it."""


FetchBlob = Callable[[str], Awaitable[Blob | None]]
"""Returns the bytes of a SHA-256 in hexadecimal; None where there are none."""


class Uploads:
    """Media of one channel."""

    def __init__(
        self,
        redis: RedisClient,
        keys: Keys,
        pace: PaceStore,
        clock: Clock,
        fetch_blob: FetchBlob,
        *,
        channel: str,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._pace = pace
        self._clock = clock
        self._fetch_blob = fetch_blob
        self._channel = channel
        self._under_way: dict[str, asyncio.Task[str]] = {}

    async def media_id(self, session: Session, part: Media) -> str:
        """Return the platform's name of a part's bytes; they are uploaded where it has none.

        Raises:
            PlatformApiError: Refused, too large, not there, or too many uploads for now.
            PlatformUnreachableError: The connection ended; the next attempt uploads again.
            StoreUnavailableError: A store is away.
        """
        if part.media_id:
            return part.media_id
        key = self._key(part)
        known: bytes | None = await self._redis.call("GET", key)
        if known is not None:
            return known.decode()
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._upload(session, part, key), name=f"upload {part.blob[:8]}")
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    async def forget(self, part: Media) -> None:
        """Upload a part's bytes again the next time: the platform does not have them any more."""
        if part.blob:
            await self._redis.call("DEL", self._key(part))

    def _key(self, part: Media) -> str:
        return self._keys.shared("media", self._channel, part.kind, part.blob)

    def _ended(self, key: str, task: asyncio.Task[str]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # whoever asked may have gone

    async def close(self) -> None:
        """Give up what is being uploaded."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _upload(self, session: Session, part: Media, key: str) -> str:
        blob = await self._fetch_blob(part.blob)
        if blob is None:
            raise refused("the bytes of this part are not in the store")
        content = blob.content
        chunks = [content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES)]
        if not 1 <= len(chunks) <= MOST_CHUNKS:
            raise refused(
                f"a media of {len(content)} bytes; 1 to {MOST_CHUNKS * CHUNK_BYTES} can be uploaded"
            )
        now_ms = self._clock.now_ms()
        leave = await self._pace.ask(f"{self._channel}:upload", now_ms, RATES)
        if leave.wait_until_ms:
            raise PlatformApiError(
                platform=KIND, endpoint=Command.UPLOAD_INIT, errcode=_TOO_FREQUENT, errmsg="enough for now"
            )
        try:
            async with asyncio.timeout(_SESSION_S):
                media_id = await _transfer(session, part, _file_name(part, blob), content, chunks)
        except TimeoutError:
            raise PlatformUnreachableError(
                platform=KIND, endpoint=Command.UPLOAD_CHUNK, problem="the upload took too long"
            ) from None
        await self._redis.call("SET", key, media_id, "PX", _KEPT_MS)
        return media_id


async def _transfer(
    session: Session, part: Media, file_name: str, content: bytes, chunks: list[bytes]
) -> str:
    begun = await session.request(
        Command.UPLOAD_INIT,
        {
            "type": part.kind,
            "filename": file_name,
            "total_size": len(content),
            "total_chunks": len(chunks),
            "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        },
    )
    upload_id = _field(begun, "upload_id", Command.UPLOAD_INIT)
    for index, chunk in enumerate(chunks):
        await session.request(
            Command.UPLOAD_CHUNK,
            {"upload_id": upload_id, "chunk_index": index, "base64_data": b64encode(chunk).decode()},
        )
    finished = await session.request(Command.UPLOAD_FINISH, {"upload_id": upload_id})
    return _field(finished, "media_id", Command.UPLOAD_FINISH)


def _field(frame: Frame, name: str, command: Command) -> str:
    value = frame.body.get(name)
    if not isinstance(value, str) or not value:
        raise PlatformUnreachableError(platform=KIND, endpoint=command, problem=f"the answer has no {name}")
    return value


def _file_name(part: Media, blob: Blob) -> str:
    own = part.file_name if isinstance(part, File) else ""
    return own or blob.file_name or f"{part.blob[:8]}.{_ENDINGS[part.kind]}"


async def no_blobs(_digest: str) -> Blob | None:
    """Know no bytes: for a process without a store of them."""
    return None
