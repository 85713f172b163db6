"""Servers that the tests of a module share, of one process or of four, on the stores the suite runs on.

One module uses only one of them: on a Redis of the outside they would share it, and empty it at their start.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from bot.sandbox.vendor import Sandbox
from tests.conftest import TEST_DATABASE, TEST_REDIS, empty_redis
from tests.e2e.deployments import Deployment, platforms
from tests.e2e.records import Records
from tests.e2e.serving import Server


@dataclass(frozen=True)
class Running:
    """A server that answers, and its installation."""

    server: Server
    deployment: Deployment


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of one process."""
    yield from _running(tmp_path_factory.mktemp("single"), workers=1)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of four processes."""
    yield from _running(tmp_path_factory.mktemp("four"), workers=4)


def _running(folder: Path, workers: int) -> Iterator[Running]:
    settings = {"server": {"workers": workers}, "plugins": ["tests.e2e.slow_plugin"]}
    with _database() as database_url:
        deployment = Deployment(
            folder, settings, redis_url=TEST_REDIS or "embedded", database_url=database_url
        )
        if TEST_REDIS:
            empty_redis(TEST_REDIS)
        with deployment.serve() as server:
            yield Running(server, deployment)


@contextlib.contextmanager
def _database() -> Iterator[str]:
    """A database of its own, which the server is to migrate."""
    if not TEST_DATABASE:
        yield "embedded"
        return
    name = f"huoqun_e2e_{secrets.token_hex(6)}"
    asyncio.run(_on_server(f"CREATE DATABASE {name}"))
    yield make_url(TEST_DATABASE).set(database=name).render_as_string(hide_password=False)
    asyncio.run(_on_server(f"DROP DATABASE {name} WITH (FORCE)"))


async def _on_server(statement: str) -> None:
    engine = create_async_engine(TEST_DATABASE, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


@pytest.fixture
async def records(single: Running) -> AsyncIterator[Records]:
    """What the stores of `single` hold."""
    async with single.deployment.records() as records:
        yield records


@pytest.fixture
async def four_records(four: Running) -> AsyncIterator[Records]:
    """What the stores of `four` hold."""
    async with four.deployment.records() as records:
        yield records


@pytest.fixture
def vendor() -> Sandbox:
    """The platforms, to make callbacks with."""
    return platforms()
