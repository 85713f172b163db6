"""Brings a database's schema to this program's, once, however many processes start together.

A process that finds the schema current does not load Alembic (11 MiB). Otherwise a short-lived child does
the work under a lock: ``python -m bot.storage.sql.migrate``, which takes the URL from the environment, where
other people's `ps` does not show it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

import bot
from bot.errors import StoreError
from bot.storage.sql.engines import SQLITE, create_reader, create_writer, parse_url, place_of
from bot.storage.sql.failures import translated

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection

# Every revision of `migrations/versions`, oldest first.
REVISIONS = ("0001", "0002", "0003")
HEAD = REVISIONS[-1]

URL_VARIABLE = "HUOQUN_MIGRATE_DATABASE"


async def migrate(url: str) -> None:
    """Return when the database at `url` has the schema `HEAD`; it is made or upgraded where needed.

    A migration happens in one transaction, so a kill in the middle leaves the schema as it was.

    Raises:
        StoreUnavailableError: The database did not answer.
        StoreError: The URL is not ours, the schema is newer than this program, or the migration failed.
    """
    parsed = parse_url(url)
    with translated(place_of(parsed)):
        current = await _is_current(parsed)
    if not current:
        await _migrate_in_child(url, place_of(parsed))


async def _is_current(url: URL) -> bool:
    if url.drivername == SQLITE and not os.path.exists(str(url.database)):  # noqa: ASYNC240, PTH110 - once, at start
        return False
    writer = create_writer(url)
    reader = create_reader(url, writer)
    try:
        async with reader.connect() as connection:
            revisions = await connection.run_sync(read_revisions)
            refuse_newer(revisions, place_of(url))
            return revisions == [HEAD] and await connection.run_sync(_is_shared)
    finally:
        await reader.dispose()
        await writer.dispose()


def read_revisions(connection: Connection) -> list[str]:
    """Return the revisions a database says it has: none for a new one, else one."""
    if not inspect(connection).has_table("alembic_version"):
        return []
    return list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())


def refuse_newer(revisions: list[str], place: str) -> None:
    """Raise `StoreError` when a database has a revision this program does not know."""
    unknown = sorted(set(revisions) - set(REVISIONS))
    if unknown:
        raise StoreError(
            f"{place} has the schema {', '.join(unknown)}, newer than this program's {HEAD}: "
            "start the version that made it, or restore a backup from before the upgrade"
        )


def _is_shared(connection: Connection) -> bool:
    # A restored copy of an SQLite file may have left WAL, where readers and a writer do not block each other.
    if connection.dialect.name != "sqlite":
        return True
    return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()) == "wal"


async def _migrate_in_child(url: str, place: str) -> None:
    environment = {**os.environ, URL_VARIABLE: url}
    root = Path(bot.__file__).parents[1]
    if root.name not in (
        "site-packages",
        "dist-packages",
    ):  # run from a checkout, perhaps from another directory
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # the working directory is no place to import from
        "-m",
        __name__,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, complaint = await child.communicate()
    except BaseException:
        child.kill()
        await child.wait()
        raise
    if child.returncode != 0:
        problem = complaint.decode(errors="replace").strip() or f"exit code {child.returncode}"
        raise StoreError(f"{place} could not be migrated to schema {HEAD}: {problem}")


def _main() -> int:
    from bot.storage.sql.upgrade import upgrade  # noqa: PLC0415 - loads Alembic; only the child may

    try:
        asyncio.run(upgrade(os.environ[URL_VARIABLE]))
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
