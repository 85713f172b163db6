"""Stores for every test: embedded by default, others by environment.

``HUOQUN_TEST_REDIS`` (``redis://…`` or ``redis+cluster://…``) and ``HUOQUN_TEST_DATABASE``
(``postgresql+asyncpg://…``) name the services that `make test-services` runs the suite on. All tests share
and empty them, so that the suite then runs in one process.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis, RedisCluster
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from bot.storage.redis.client import RedisClient, connect
from bot.storage.redis.embedded import EmbeddedRedis
from bot.storage.sql.database import embedded_url
from bot.storage.sql.migrate import migrate
from bot.storage.sql.tables import metadata
from bot.testing import Stores

pytest_plugins = ("tests.exercised",)

# How long an example takes says something of the machine, and nothing of the product.
settings.register_profile(
    "huoqun", suppress_health_check=[HealthCheck.too_slow], deadline=None, print_blob=True
)
settings.load_profile("huoqun")

TEST_REDIS = os.environ.get("HUOQUN_TEST_REDIS", "")
TEST_DATABASE = os.environ.get("HUOQUN_TEST_DATABASE", "")
SHARED = bool(TEST_REDIS or TEST_DATABASE)


@pytest.hookimpl(optionalhook=True)  # it is pytest-xdist's
def pytest_xdist_auto_num_workers() -> int | None:
    """Return how many processes ``-n auto`` stands for; None leaves it to the machine."""
    return 0 if SHARED else None


def pytest_configure(config: pytest.Config) -> None:
    """Refuse several processes on services that all tests empty."""
    if SHARED and len(config.getoption("tx", None) or ()) > 1:
        raise pytest.UsageError(
            "HUOQUN_TEST_REDIS and HUOQUN_TEST_DATABASE are emptied by tests: leave out -n"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, those that mostly wait come first, beside those that work.

    Left to their places, most of them would wait beside each other, on cores that nobody uses.
    """
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("crash") is None)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """An empty directory whose path leaves room for a Unix socket's; `tmp_path` has up to 70 characters."""
    with tempfile.TemporaryDirectory(prefix="hq-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the Redis of this session."""
    if TEST_REDIS:
        yield TEST_REDIS
        return
    with EmbeddedRedis.start(tmp_path_factory.mktemp("redis")) as store:
        yield store.url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of an empty Redis."""
    empty_redis(redis_server)
    return redis_server


def empty_redis(url: str) -> None:
    if url.startswith("redis+cluster://"):
        with RedisCluster.from_url(url.replace("redis+cluster", "redis", 1)) as cluster:
            cluster.flushall(target_nodes=RedisCluster.PRIMARIES)
    else:
        with Redis.from_url(url) as server:
            server.flushall()


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[RedisClient]:
    """A connection to an empty Redis."""
    client = await connect(redis_url)
    yield client
    await client.close()


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a migrated database of this session: SQLite's is copied for each test."""
    if not TEST_DATABASE:
        url = embedded_url(tmp_path_factory.mktemp("database"))
        asyncio.run(migrate(url))
        yield url
        return
    name = f"huoqun_test_{secrets.token_hex(6)}"
    asyncio.run(_on_server(f"CREATE DATABASE {name}"))
    url = make_url(TEST_DATABASE).set(database=name).render_as_string(hide_password=False)
    asyncio.run(migrate(url))
    yield url
    asyncio.run(_on_server(f"DROP DATABASE {name} WITH (FORCE)"))


async def _on_server(statement: str) -> None:
    engine = create_async_engine(TEST_DATABASE, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


@pytest.fixture
def database_url(migrated_database: str, tmp_path: Path) -> str:
    """The URL of a migrated database without rows."""
    if TEST_DATABASE:
        asyncio.run(_empty(migrated_database))
        return migrated_database
    shutil.copy(str(make_url(migrated_database).database), tmp_path / "history.db")
    return embedded_url(tmp_path)


async def _empty(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        for table in metadata.sorted_tables:
            await connection.execute(table.delete())
    await engine.dispose()


@pytest.fixture
def stores(redis_url: str, database_url: str) -> Stores:
    """Empty stores for a `FakeChat`."""
    return Stores(redis_url, database_url)
