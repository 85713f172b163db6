"""Bytes of our own on their way to a platform: looked up, checked, uploaded once and remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bot.delivery.client import NotReachedError
from bot.errors import PlatformApiError, PlatformUnreachableError
from bot.model import File, Image, Video, Voice
from bot.storage.redis.media_ids import MediaIds
from bot.storage.sql.blobs import Blob, BlobStore

MediaPart = Image | Voice | Video | File

_INVALID_MEDIA = 40007  # the platform no longer knows the media id
_SUFFIXES = {
    "image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "audio/amr": ".amr", "audio/mpeg": ".mp3",
    "video/mp4": ".mp4",
}  # fmt: skip

Sent = TypeVar("Sent")


@dataclass(frozen=True, slots=True)
class MediaRule:
    """What a platform takes of one kind: content types (empty for any) and sizes in bytes."""

    content_types: frozenset[str]
    most_bytes: int
    least_bytes: int = 5


@dataclass(frozen=True, slots=True)
class MediaShelf:
    """Where bytes and what is known of their uploads are kept."""

    blobs: BlobStore
    media_ids: MediaIds


class UnsendableError(NotReachedError):
    """A part can never go through this channel; the reason names the part and what is wrong with it."""

    def __init__(self, *, platform: str, endpoint: str, kind: str, problem: str) -> None:
        """Carry the kind of part and the problem, in English and without anything of its content."""
        super().__init__(platform=platform, endpoint=endpoint, reason=f"unsendable:{kind}: {problem}")


class Uploads:
    """The uploads of one account.

    One goes on when the part that asked for it has run out of time: the next attempt finds it further on, or
    done. Parts with the same bytes wait for the same upload.
    """

    def __init__(
        self,
        shelf: MediaShelf | None,
        upload: Callable[[str, Blob, str], Awaitable[dict[str, Any]]],
        *,
        platform: str,
        account: str,
        endpoint: str,
        rules: Mapping[str, MediaRule],
    ) -> None:
        """Upload by `upload(kind, blob, file name)`, which returns the platform's answer.

        `account` is the channel's name with a fingerprint of its credentials: media ids of one account are
        nothing to another. Without a shelf, parts with a media id of their own are all that can be sent.
        """
        self._shelf = shelf
        self._upload = upload
        self._platform = platform
        self._account = account
        self._endpoint = endpoint
        self._rules = rules
        self._under_way: dict[tuple[str, str], asyncio.Task[str]] = {}

    async def send(self, part: MediaPart, send: Callable[[str], Awaitable[Sent]]) -> Sent:
        """Send a part with its media id; one that the platform has forgotten is made anew, once.

        Raises:
            UnsendableError: There are no such bytes, or the platform does not take them.
            PlatformApiError: Uploading or sending was refused.
            PlatformUnreachableError: No usable answer.
            StoreError: A store is away.
        """
        if part.media_id:
            return await send(part.media_id)
        shelf = self._shelf
        if shelf is None or not part.blob:
            raise self.unsendable(part.kind, "has neither a media_id nor bytes in our store")
        media_id = await shelf.media_ids.get(self._account, part.kind, part.blob)
        if media_id:
            try:
                return await send(media_id)
            except PlatformApiError as error:
                if error.errcode != _INVALID_MEDIA:
                    raise
            await shelf.media_ids.forget(self._account, part.kind, part.blob)
        return await send(await self._uploaded(shelf, part))

    async def close(self) -> None:
        """Give up what is being uploaded."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def blob(self, part: MediaPart) -> Blob:
        """Return the bytes of a part that the platform takes.

        Raises:
            UnsendableError: There are none, or the platform does not take them.
            StoreError: The store is away.
        """
        blob = None if self._shelf is None or not part.blob else await self._shelf.blobs.get(part.blob)
        if blob is None:
            raise self.unsendable(part.kind, "its bytes are not in our store")
        rule = self._rules[part.kind]
        if rule.content_types and blob.content_type not in rule.content_types:
            taken = ", ".join(sorted(rule.content_types))
            raise self.unsendable(part.kind, f"is {blob.content_type}; taken are {taken}")
        size_bytes = len(blob.content)
        if not rule.least_bytes <= size_bytes <= rule.most_bytes:
            raise self.unsendable(
                part.kind, f"has {size_bytes} bytes; taken are {rule.least_bytes} to {rule.most_bytes}"
            )
        return blob

    def unsendable(self, kind: str, problem: str) -> UnsendableError:
        """Return the error of a part that can never go this way."""
        return UnsendableError(platform=self._platform, endpoint=self._endpoint, kind=kind, problem=problem)

    async def _uploaded(self, shelf: MediaShelf, part: MediaPart) -> str:
        bytes_of = (part.kind, part.blob)
        task = self._under_way.get(bytes_of)
        if task is None:
            task = asyncio.create_task(self._put_on(shelf, part), name=f"upload {part.blob[:8]}")
            self._under_way[bytes_of] = task
            task.add_done_callback(lambda done: self._ended(bytes_of, done))
        return await asyncio.shield(task)

    def _ended(self, bytes_of: tuple[str, str], task: asyncio.Task[str]) -> None:
        del self._under_way[bytes_of]
        if not task.cancelled():
            task.exception()  # whoever asked may have gone

    async def _put_on(self, shelf: MediaShelf, part: MediaPart) -> str:
        """Upload a part's bytes and remember the media id."""
        blob = await self.blob(part)
        answer = await self._upload(part.kind, blob, _name_of(part, blob))
        media_id = answer.get("media_id")
        if not isinstance(media_id, str) or not media_id:
            raise PlatformUnreachableError(
                platform=self._platform, endpoint=self._endpoint, problem="the answer holds no media_id"
            )
        await shelf.media_ids.put(self._account, part.kind, part.blob, media_id)
        return media_id


def _name_of(part: MediaPart, blob: Blob) -> str:
    """Return the name people see of a file; of anything else one whose end tells its type."""
    own = part.file_name if isinstance(part, File) else ""
    return own or blob.file_name or f"{part.kind}{_SUFFIXES.get(blob.content_type, '.bin')}"
