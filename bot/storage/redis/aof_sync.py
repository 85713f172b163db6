"""Put the append-only files on the disk, from outside the server."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_sync_data = os.fsync if sys.platform == "darwin" else os.fdatasync


class AppendOnlyFileSync:
    """Syncs append-only files that have grown.

    The server's own ``appendfsync everysec`` holds written commands back in its memory, for up to
    2 s, while an fsync is under way, and answers them meanwhile (aof.c, `flushAppendOnlyFile`). A
    server killed in that moment loses acknowledged writes although the machine runs on. With
    ``appendfsync no`` every command reaches the operating system before its answer leaves, and the
    sync of each second is this class's work. Files that a rewrite finishes are synced by the server.
    """

    def __init__(self, directory: Path) -> None:
        """Watch the append-only files of `directory`."""
        self._directory = directory
        self._synced_bytes: dict[str, int] = {}

    def sync(self) -> list[str]:
        """Sync what has grown since the last call; return the names of those files.

        Raises:
            OSError: The disk refuses.
        """
        sizes = self._sizes()
        grown = [name for name, size in sizes.items() if self._synced_bytes.get(name) != size]
        for name in grown:
            try:
                fd = os.open(self._directory / name, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:  # a rewrite has just replaced it
                continue
            try:
                _sync_data(fd)
            finally:
                os.close(fd)
        self._synced_bytes = sizes
        return grown

    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.endswith(".incr.aof"):
                    try:
                        sizes[entry.name] = entry.stat().st_size
                    except FileNotFoundError:
                        continue
        return sizes
