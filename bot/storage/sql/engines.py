"""Engines for the two databases: how a connection is made ready, and when what was committed is safe.

SQLite runs in WAL with `synchronous=FULL`: a commit returns after its fsync, so what was drained and then
deleted from Redis survives the kill of any process and, on a disk that honours fsync, loss of power.
`NORMAL` would survive the kill alone: it may forget the commits since the last checkpoint when power is
lost, and those entries would be gone from Redis already. The drain writes in batches, so it is one fsync
per batch. PostgreSQL gives the same by its default; a connection that finds `synchronous_commit` off turns
it on for itself.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection

SQLITE = "sqlite+aiosqlite"
POSTGRESQL = "postgresql+asyncpg"

# Long enough that a queue of writers of several processes passes.
BUSY_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10
# The slowest statement is a sum over a whole ledger; beyond this the server is taken to be gone.
STATEMENT_TIMEOUT_S = 300
READERS = 4
SQLITE_LEAST = (3, 35)  # RETURNING


def parse_url(url: str) -> URL:
    """Return `url` taken apart.

    Raises:
        StoreError: It is no URL of a database we support, or an SQLite one without a file. The text never
            repeats the URL, which may hold a password.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(f"storage.database is not a URL: {_EXPECTED}") from None
    if parsed.drivername not in (SQLITE, POSTGRESQL):
        raise StoreError(f"storage.database has the unknown scheme {parsed.drivername}: {_EXPECTED}")
    if parsed.drivername == SQLITE and parsed.database in (None, "", ":memory:"):
        raise StoreError(f"storage.database names no file: {_EXPECTED}")
    return parsed


_EXPECTED = f"use embedded, {SQLITE}:////absolute/path.db or {POSTGRESQL}://user:password@host/database"


def place_of(url: URL) -> str:
    """Return the database's place for an error or a log line, without the password."""
    if url.drivername == SQLITE:
        return f"SQLite file {url.database}"
    return f"PostgreSQL {url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def create_writer(url: URL, *, sets_wal: bool = False) -> AsyncEngine:
    """Return an engine whose transactions may write; on SQLite one connection, which locks at BEGIN.

    `sets_wal` also switches an SQLite file to WAL; only for the holder of the migration lock, since the
    switch fails at once, without waiting, when another process uses the file.
    """
    if url.drivername == POSTGRESQL:
        return _create_postgresql(url)
    pragmas = {"synchronous": "FULL", "foreign_keys": "ON", "journal_size_limit": "67108864"}
    if sets_wal:
        pragmas = {"journal_mode": "WAL", **pragmas}
    return _create_sqlite(url, begin="BEGIN IMMEDIATE", connections=1, pragmas=pragmas)


def create_reader(url: URL, writer: AsyncEngine) -> AsyncEngine:
    """Return an engine whose transactions see one unchanging state and cannot write.

    On PostgreSQL it shares the connections of `writer`.
    """
    if url.drivername == POSTGRESQL:
        return writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return _create_sqlite(url, begin="BEGIN", connections=READERS, pragmas={"query_only": "ON"})


def _create_sqlite(url: URL, *, begin: str, connections: int, pragmas: dict[str, str]) -> AsyncEngine:
    if sqlite3.sqlite_version_info < SQLITE_LEAST:
        least = ".".join(map(str, SQLITE_LEAST))
        raise StoreError(f"Python's SQLite is {sqlite3.sqlite_version}: {least} or newer is needed")
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(
        url,
        # We say BEGIN ourselves: sqlite3's own way begins late and never IMMEDIATE.
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_S},
        pool_size=connections,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_S,
        **_COMMON,
    )

    def make_ready(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name}={value}")
        cursor.close()

    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", make_ready)
    event.listen(engine.sync_engine, "begin", begin_transaction)
    return engine


def _create_postgresql(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": STATEMENT_TIMEOUT_S,
            "server_settings": {"application_name": "huoqun"},
        },
        pool_size=READERS,
        max_overflow=READERS,
        pool_timeout=BUSY_TIMEOUT_S,
        pool_pre_ping=True,  # a restarted server costs a reconnect, not a failed page
        **_COMMON,
    )

    def make_ready(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
        cursor.close()
        connection.commit()

    event.listen(engine.sync_engine, "connect", make_ready)
    return engine


def _to_json(value: Any) -> str:
    return orjson.dumps(value).decode()


_COMMON: dict[str, Any] = {
    "hide_parameters": True,  # an error must not repeat what a person wrote
    "json_serializer": _to_json,
    "json_deserializer": orjson.loads,
}
