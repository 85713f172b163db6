"""What the tests do with all tables at once, and which engine a test is about."""

from __future__ import annotations

import pytest

from bot.storage.sql.database import Database
from bot.storage.sql.tables import metadata

only_on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True, scope="session")
only_on_postgresql = pytest.mark.parametrize("engine_name", ["postgresql"], indirect=True, scope="session")

Rows = dict[str, list[tuple[object, ...]]]


async def clear(database: Database) -> None:
    async with database.write() as connection:
        for table in metadata.sorted_tables:
            await connection.execute(table.delete())


async def everything(database: Database) -> Rows:
    """Return all rows of all tables, in an order of their own."""
    return {
        table.name: sorted((tuple(row) for row in await database.fetch(table.select())), key=repr)
        for table in metadata.sorted_tables
    }
