"""The open database: transactions, and errors in this product's words."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, text
from sqlalchemy.engine import URL

from bot.storage.sql.engines import POSTGRESQL, SQLITE, create_reader, create_writer, parse_url, place_of
from bot.storage.sql.failures import translated
from bot.storage.sql.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
    from pathlib import Path

    from sqlalchemy import Executable, Table
    from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    Insert = SqliteInsert | PostgresqlInsert

Record = Row[*tuple[Any, ...]]

CHUNK_ROWS = 500


def embedded_url(data_dir: Path) -> str:
    """Return the URL of the embedded database, the file ``history.db`` in `data_dir`."""
    path = (data_dir / "history.db").absolute()
    return URL.create(SQLITE, database=str(path)).render_as_string(hide_password=False)


class Database:
    """The history: many readers, and on SQLite one writer at a time in this process.

    Several processes may share one SQLite file: `BEGIN IMMEDIATE` takes the write lock before anything is
    read, so a transaction waits its turn (`engines.BUSY_TIMEOUT_S`) instead of failing half way.
    """

    def __init__(self, url: URL, writer: AsyncEngine, reader: AsyncEngine) -> None:
        """Serve the migrated database at `url`; use `open`."""
        self._place = place_of(url)
        self._writer, self._reader = writer, reader
        self._is_postgresql = url.drivername == POSTGRESQL
        self._insert = _insert_of(url.drivername)
        self._one_writer = nullcontext() if self._is_postgresql else asyncio.Lock()

    @classmethod
    async def open(cls, url: str) -> Database:
        """Bring the database's schema up to date where needed, and open it.

        Args:
            url: ``sqlite+aiosqlite:///<path>`` or ``postgresql+asyncpg://…``.

        Raises:
            StoreUnavailableError: The database did not answer.
            StoreError: The URL is not ours, the schema is newer than this program, or a migration failed.
        """
        parsed = parse_url(url)
        await migrate(url)
        writer = create_writer(parsed)
        return cls(parsed, writer, create_reader(parsed, writer))

    async def close(self) -> None:
        """Give back every connection; afterwards nothing may be asked."""
        await self._reader.dispose()
        await self._writer.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection that sees one unchanging state of the database and cannot write.

        Raises:
            StoreUnavailableError: The database did not answer.
            StoreError: It refused a statement.
        """
        with translated(self._place):
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection in a transaction: committed, durably, when the block ends well, else undone.

        Raises:
            StoreUnavailableError: The database did not answer; the transaction may or may not be committed.
            StoreError: It refused a statement; nothing was changed.
        """
        with translated(self._place):
            async with self._one_writer, self._writer.begin() as connection:
                yield connection

    async def fetch(self, statement: Executable) -> Sequence[Record]:
        """Return all rows of a short answer; raises as `read` does."""
        async with self.read() as connection:
            return (await connection.execute(statement)).all()

    async def stream(
        self, statement: Executable, *, chunk_rows: int = CHUNK_ROWS
    ) -> AsyncGenerator[Sequence[Record], None]:
        """Yield a long answer in chunks, all of one state of the database; raises as `read` does.

        The loop is free between chunks. The connection is held until the last chunk was taken.
        """
        async with self.read() as connection:
            result = await connection.stream(statement, execution_options={"yield_per": chunk_rows})
            async for rows in result.partitions():
                yield rows

    def insert(self, table: Table) -> Insert:
        """Return an INSERT that can say ON CONFLICT, in this database's dialect."""
        return self._insert(table)

    async def ping(self) -> None:
        """Return when the database answers; raises as `read` does."""
        await self.fetch(text("SELECT 1"))


def _insert_of(driver: str) -> Callable[[Table], Insert]:
    """Return the INSERT of a dialect; the other dialect, some 3 MiB, is not loaded."""
    if driver == POSTGRESQL:
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return postgresql.insert
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415

    return sqlite.insert
