"""Bearer tokens of the API: only their hashes are kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from bot.errors import RefusedError
from bot.storage.sql.pages import fits_int64
from bot.storage.sql.tables import api_tokens

if TYPE_CHECKING:
    from bot.clock import Clock
    from bot.storage.sql.database import Database

ROLES = ("owner", "manager", "analyst")
PREFIX = "hq_"  # lets a leaked token be recognised by who scans for them

_COLUMNS = api_tokens.c
_TOKEN = (
    _COLUMNS.id, _COLUMNS.name, _COLUMNS.role, _COLUMNS.community, _COLUMNS.created_at_ms,
    _COLUMNS.revoked_at_ms,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What is known of a token; `community` None is every community, `revoked_at_ms` None is in force."""

    id: int
    name: str
    role: str
    community: str | None
    created_at_ms: int
    revoked_at_ms: int | None


class ApiTokenStore:
    """Keeps the tokens; every method raises as `Database.read` or `write` does."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Keep them in `database`; `clock` tells when a token was made or revoked."""
        self._database, self._clock = database, clock

    async def create(self, name: str, role: str, community: str | None = None) -> tuple[int, str]:
        """Make a token; return its id and the token itself, which cannot be had again.

        Raises:
            RefusedError: `role` is none of `ROLES`.
        """
        if role not in ROLES:
            raise RefusedError(f"there is no role {role!r}: choose {', '.join(ROLES)}")
        plaintext = PREFIX + secrets.token_urlsafe(32)
        values = {
            "name": name,
            "hash": _hash(plaintext),
            "role": role,
            "community": community,
            "created_at_ms": self._clock.now_ms(),
        }
        async with self._database.write() as connection:
            statement = self._database.insert(api_tokens).values(values).returning(_COLUMNS.id)
            return (await connection.execute(statement)).scalar_one(), plaintext

    async def find(self, plaintext: str) -> ApiToken | None:
        """Return the token in force with that text, or None.

        The database compares hashes of 256 random bits, so how long it takes tells nothing about a token.
        """
        query = select(*_TOKEN).where(_COLUMNS.hash == _hash(plaintext), _COLUMNS.revoked_at_ms.is_(None))
        rows = await self._database.fetch(query)
        return ApiToken(*rows[0]) if rows else None

    async def list(self) -> tuple[ApiToken, ...]:
        """Return every token, the revoked ones too, oldest first."""
        rows = await self._database.fetch(select(*_TOKEN).order_by(_COLUMNS.id))
        return tuple(ApiToken(*row) for row in rows)

    async def revoke(self, token_id: int) -> bool:
        """Take a token out of force; return whether it was."""
        if not fits_int64(token_id):
            return False
        in_force = (_COLUMNS.id == token_id) & _COLUMNS.revoked_at_ms.is_(None)
        async with self._database.write() as connection:
            result = await connection.execute(
                update(api_tokens).where(in_force).values(revoked_at_ms=self._clock.now_ms())
            )
        return result.rowcount == 1


def _hash(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode(errors="surrogatepass")).hexdigest()
