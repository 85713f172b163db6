"""Databases for the tests of the history: SQLite always, PostgreSQL where one is named."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from bot.clock import FixedClock
from bot.storage.sql.database import Database, embedded_url
from bot.storage.sql.migrate import migrate
from tests.storage.sql.rows import clear

SERVER = os.environ.get("HUOQUN_TEST_DATABASE", "")


def _on_server(statement: str) -> None:
    async def run() -> None:
        engine = create_async_engine(SERVER, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(statement))
        await engine.dispose()

    asyncio.run(run())


def _new_server_database() -> str:
    name = f"huoqun_test_{secrets.token_hex(6)}"
    _on_server(f"CREATE DATABASE {name}")
    return make_url(SERVER).set(database=name).render_as_string(hide_password=False)


def _drop_server_database(url: str) -> None:
    _on_server(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"], scope="session")
def engine_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "postgresql" and not SERVER:
        pytest.skip("set HUOQUN_TEST_DATABASE=postgresql+asyncpg://user@host/database to test on PostgreSQL")
    return name


@pytest.fixture
def empty_url(engine_name: str, tmp_path: Path) -> Iterator[str]:
    """A database without a schema, for one test."""
    if engine_name == "sqlite":
        yield embedded_url(tmp_path / "data")
        return
    url = _new_server_database()
    yield url
    _drop_server_database(url)


@pytest.fixture(scope="session")
def migrated_once(engine_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated database of this session: for SQLite one to copy, for PostgreSQL one to empty."""
    if engine_name == "sqlite":
        url = embedded_url(tmp_path_factory.mktemp("migrated"))
        asyncio.run(migrate(url))
        yield url
        return
    url = _new_server_database()
    asyncio.run(migrate(url))
    yield url
    _drop_server_database(url)


@pytest.fixture
def history_url(engine_name: str, migrated_once: str, tmp_path: Path) -> str:
    """A migrated database; on PostgreSQL it is emptied by `database`."""
    if engine_name == "postgresql":
        return migrated_once
    shutil.copy(str(make_url(migrated_once).database), tmp_path / "history.db")
    return embedded_url(tmp_path)


@pytest.fixture
async def database(history_url: str) -> AsyncIterator[Database]:
    """An open database without rows."""
    opened = await Database.open(history_url)
    await clear(opened)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 5, 4, 8, 0, tzinfo=UTC))
