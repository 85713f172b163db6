"""Bytes the vendors keep: what people sent to an AI bot, and what bots uploaded.

Source: WeCom, AI bot, incoming JSON (addresses good for 5 minutes) and upload; group robot, upload_media;
self-built app, media/upload (ids good for 3 days).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

_SERVED_FOR_MS = 5 * 60_000
_KEPT_FOR_MS = 3 * 86_400_000
_KEPT_COUNT = 1000
_MIB = 1024 * 1024
LEAST_BYTES = 5
MOST_BYTES = {"image": 10 * _MIB, "voice": 2 * _MIB, "video": 10 * _MIB, "file": 20 * _MIB}
"""Largest upload by type; types are those of media/upload."""


@dataclass(frozen=True, slots=True)
class Medium:
    """One upload: whose, of which type, under which file name, its bytes, until when (Unix ms)."""

    channel: str
    kind: str
    filename: str
    blob: bytes = field(repr=False)
    until_ms: int


class MediaStore:
    """Holds media in memory, the oldest leaving when there are too many."""

    def __init__(self) -> None:
        self._served: dict[str, tuple[str, bytes, int]] = {}
        self._uploaded: dict[str, Medium] = {}

    def serve(self, channel: str, encrypted: bytes, at_ms: int) -> str:
        """Keep what a bot may fetch for 5 minutes and return the last part of its address."""
        name = secrets.token_urlsafe(24)
        self._served[name] = (channel, encrypted, at_ms + _SERVED_FOR_MS)
        _trim(self._served)
        return name

    def fetch(self, name: str, at_ms: int) -> bytes | None:
        """Return what stands behind an address, None when it is over or never was."""
        _, encrypted, until_ms = self._served.get(name, ("", b"", 0))
        return encrypted if at_ms < until_ms else None

    def owner(self, name: str) -> str:
        """Return the channel whose bot was given an address, "" for none."""
        return self._served[name][0] if name in self._served else ""

    def upload(self, channel: str, kind: str, filename: str, blob: bytes, at_ms: int) -> str:
        """Keep an upload for 3 days and return its media id."""
        media_id = f"MEDIA{secrets.token_urlsafe(32)}"
        self._uploaded[media_id] = Medium(channel, kind, filename, blob, at_ms + _KEPT_FOR_MS)
        _trim(self._uploaded)
        return media_id

    def find(self, channel: str, media_id: str, at_ms: int) -> Medium | None:
        """Return an upload of this channel that is still good."""
        medium = self._uploaded.get(media_id)
        if medium is None or medium.channel != channel or at_ms >= medium.until_ms:
            return None
        return medium


def _trim(kept: dict[str, tuple[str, bytes, int]] | dict[str, Medium]) -> None:
    while len(kept) > _KEPT_COUNT:
        del kept[next(iter(kept))]
