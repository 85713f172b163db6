from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from bot.errors import StoreError, StoreUnavailableError
from bot.storage.sql.database import Database, embedded_url
from bot.storage.sql.migrate import HEAD, REVISIONS, migrate
from bot.storage.sql.tables import metadata
from bot.storage.sql.upgrade import alembic_config
from tests.storage.sql.rows import only_on_postgresql, only_on_sqlite


async def _run(database: Database, statement: str) -> None:
    async with database.write() as connection:
        await connection.execute(text(statement))


async def _versions(database: Database) -> list[str]:
    return [row[0] for row in await database.fetch(text("SELECT version_num FROM alembic_version"))]


def test_the_revisions_named_in_code_are_those_alembic_finds() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert scripts.get_current_head() == HEAD
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


async def test_a_new_database_gets_the_schema_once_from_many_processes_at_a_time(empty_url: str) -> None:
    await asyncio.gather(*(migrate(empty_url) for _ in range(3)))
    database = await Database.open(empty_url)
    assert await _versions(database) == [HEAD]
    await database.close()


async def test_the_tables_in_code_and_the_migrations_agree(database: Database) -> None:
    def differences(connection: Connection) -> object:
        options = {"compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


@only_on_sqlite
async def test_on_sqlite_code_and_migrations_make_the_same_statements(
    history_url: str, tmp_path: Path
) -> None:
    """What Alembic's comparison leaves out: WITHOUT ROWID, AUTOINCREMENT, the order of columns."""
    from_code = tmp_path / "from_code.db"
    engine = create_engine(f"sqlite:///{from_code}")
    metadata.create_all(engine)
    engine.dispose()
    assert _statements(from_code) == _statements(Path(str(make_url(history_url).database)))


def _statements(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    found = connection.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'"
    )
    statements = {" ".join(sql.replace("(", " ( ").replace(")", " ) ").split()) for (sql,) in found}
    connection.close()
    assert len(statements) > len(metadata.tables)
    return statements


@only_on_postgresql
async def test_on_postgresql_every_text_compares_by_code_point(database: Database) -> None:
    rows = await database.fetch(
        text(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type = 'text'"
        )
    )
    assert len(rows) > 40
    assert {row.collation_name for row in rows} == {"C"}


async def test_a_database_newer_than_the_program_is_refused(empty_url: str) -> None:
    database = await Database.open(empty_url)
    await _run(database, "UPDATE alembic_version SET version_num = '9999'")
    await database.close()
    with pytest.raises(StoreError, match=f"has the schema 9999, newer than this program's {HEAD}"):
        await Database.open(empty_url)


async def test_a_migration_that_fails_says_why_and_leaves_nothing_half_made(empty_url: str) -> None:
    database = await Database.open(empty_url)
    for name in ("alembic_version", *(table for table in metadata.tables if table != "members")):
        await _run(database, f"DROP TABLE {name}")
    await database.close()

    with pytest.raises(
        StoreError, match=rf"could not be migrated to schema {HEAD}: .*members.* already exists"
    ):
        await migrate(empty_url)

    left = await _tables_of(empty_url)
    assert "members" in left
    assert "ledger" not in left


async def _tables_of(url: str) -> set[str]:
    """Look without `Database`, which would migrate."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    await engine.dispose()
    return set(names)


def test_a_process_that_finds_the_schema_current_does_not_load_alembic(history_url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from bot.storage.sql.database import Database\n"
        "async def main():\n"
        "    await (await Database.open(sys.argv[1])).close()\n"
        "asyncio.run(main())\n"
        "print('alembic' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, history_url], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@only_on_sqlite
async def test_a_restored_file_that_left_wal_is_brought_back_to_it(history_url: str) -> None:
    path = str(make_url(history_url).database)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    connection.close()

    await (await Database.open(history_url)).close()

    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@only_on_sqlite
async def test_the_data_directory_may_have_any_name(history_url: str, tmp_path: Path) -> None:
    odd = tmp_path / "鲜奶 %41?x#y:@"
    odd.mkdir()
    shutil.copy(str(make_url(history_url).database), odd / "history.db")
    database = await Database.open(embedded_url(odd))
    await _run(database, "INSERT INTO keyword_versions VALUES ('milk', 7)")
    await database.close()
    connection = sqlite3.connect(odd / "history.db")
    assert connection.execute("SELECT * FROM keyword_versions").fetchall() == [("milk", 7)]
    connection.close()


async def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        await Database.open(embedded_url(tmp_path))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sesame", "is not a URL"),
        ("mysql+asyncmy://ana:sesame@localhost/x", "unknown scheme mysql"),
        ("postgresql://ana:sesame@localhost/x", "unknown scheme postgresql:"),
        ("sqlite+aiosqlite://", "names no file"),
        ("sqlite+aiosqlite:///:memory:", "names no file"),
    ],
)
async def test_a_url_that_is_not_ours_is_refused_without_repeating_it(url: str, problem: str) -> None:
    with pytest.raises(StoreError, match=problem) as refusal:
        await Database.open(url)
    assert "sesame" not in str(refusal.value)


async def test_a_server_that_does_not_answer_is_unavailable_and_its_password_stays_secret() -> None:
    with pytest.raises(StoreUnavailableError, match=r"PostgreSQL 127\.0\.0\.1:1/x did not answer") as refusal:
        await Database.open("postgresql+asyncpg://ana:sesame@127.0.0.1:1/x")
    assert "sesame" not in str(refusal.value)
