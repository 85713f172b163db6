"""Runs Alembic; only the child of `migrate` and tests import it."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy import func, select

from bot.storage.sql import migrations
from bot.storage.sql.engines import SQLITE, create_writer, parse_url, place_of
from bot.storage.sql.failures import translated
from bot.storage.sql.migrate import HEAD, read_revisions, refuse_newer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import URL, Connection

# Any number, the same for ever: who holds it migrates.
_ADVISORY_LOCK = 0x6875_6F71_756E


def alembic_config() -> Config:
    """Return Alembic's configuration; no file of the user is involved."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    return config


async def upgrade(url: str) -> None:
    """Make or upgrade the schema of the database at `url`, alone and in one transaction.

    Raises:
        StoreUnavailableError: The database did not answer.
        StoreError: The URL is not ours, the schema is newer than this program, or it cannot be upgraded.
    """
    parsed = parse_url(url)
    lock = _file_lock(parsed) if parsed.drivername == SQLITE else nullcontext()
    with translated(place_of(parsed)), lock:
        engine = create_writer(parsed, sets_wal=True)
        try:
            async with engine.begin() as connection:
                if parsed.drivername != SQLITE:
                    await connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
                await connection.run_sync(_to_head, place_of(parsed))
        finally:
            await engine.dispose()


def _to_head(connection: Connection, place: str) -> None:
    # Another process may have done it while we waited for the lock; Alembic finds nothing to do then.
    refuse_newer(read_revisions(connection), place)
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


@contextmanager
def _file_lock(url: URL) -> Iterator[None]:
    """Hold an exclusive lock on a file beside the database; the kernel frees it when the process dies."""
    path = Path(f"{url.database}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
