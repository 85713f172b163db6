"""Pictures, voice, video and files of our own, named by the SHA-256 of their bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import select

from bot.storage.sql.tables import blobs

if TYPE_CHECKING:
    from bot.clock import Clock
    from bot.storage.sql.database import Database

MOST_BYTES = 20 << 20
"""Largest blob; the largest file that any of the platforms takes."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with what is known of them: content type, and the name people see (may be empty)."""

    digest: str
    content: bytes = field(repr=False)
    content_type: str
    file_name: str


class BlobStore:
    """Keeps blobs; the same bytes once, under the type and name they came with first.

    Every method raises as `Database.read` and `Database.write` do.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        """Keep them in `database`."""
        self._database, self._clock = database, clock

    async def put(self, content: bytes, content_type: str, file_name: str = "") -> str:
        """Keep bytes and return their digest, 64 hexadecimal digits.

        Dies here: nothing is kept, or all of it. Comes twice: kept once.

        Raises:
            ValueError: No bytes at all, or more than `MOST_BYTES`.
        """
        if not 0 < len(content) <= MOST_BYTES:
            raise ValueError(f"a blob has 1 to {MOST_BYTES} bytes, not {len(content)}")
        digest = hashlib.sha256(content).hexdigest()
        row = {
            "digest": digest,
            "content": content,
            "content_type": content_type,
            "file_name": file_name,
            "size_bytes": len(content),
            "created_at_ms": self._clock.now_ms(),
        }
        statement = self._database.insert(blobs).on_conflict_do_nothing(index_elements=[blobs.c.digest])
        async with self._database.write() as connection:
            await connection.execute(statement, row)
        return digest

    async def get(self, digest: str) -> Blob | None:
        """Return the bytes of that digest; None where there are none."""
        query = select(blobs.c.digest, blobs.c.content, blobs.c.content_type, blobs.c.file_name)
        rows = await self._database.fetch(query.where(blobs.c.digest == digest))
        return Blob(*rows[0]) if rows else None
