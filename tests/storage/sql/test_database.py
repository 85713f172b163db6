from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url

from bot.errors import StoreError, StoreUnavailableError
from bot.storage.sql.database import Database
from bot.storage.sql.drained import write_drained
from bot.storage.sql.ledger import LedgerHistory
from bot.storage.sql.tables import drain_faults, ledger
from tests.storage.sql.entry_makers import ledger_entry
from tests.storage.sql.rows import only_on_postgresql, only_on_sqlite

# Writes batches of one ledger entry until it is killed or done, and names each one that is safe.
_WRITER = """
import asyncio, sys
from bot.storage.sql.database import Database
from bot.storage.sql.drained import write_drained
from tests.storage.sql.entry_makers import ledger_entry

async def main(url, first, count):
    database = await Database.open(url)
    for number in range(first, first + count):
        await write_drained(database, [ledger_entry(number)], [])
        print(number, flush=True)
    await database.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


async def _count(database: Database) -> int:
    rows = await database.fetch(select(func.count()).select_from(ledger))
    count: int = rows[0][0]
    return count


async def test_what_a_transaction_wrote_is_undone_when_it_fails(database: Database) -> None:
    async def fail_half_way() -> None:
        async with database.write() as connection:
            await connection.execute(drain_faults.insert().values(id="1", raw="{}", problem="x"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_half_way()
    assert await database.fetch(drain_faults.select()) == []


async def test_many_tasks_write_and_read_at_once_and_none_is_refused(database: Database) -> None:
    async def write(number: int) -> None:
        await write_drained(database, [ledger_entry(number)], [])
        await _count(database)

    await asyncio.gather(*(write(number) for number in range(60)))
    assert await _count(database) == 60


async def test_tasks_cancelled_at_any_moment_leave_the_database_usable(database: Database) -> None:
    async def write(number: int) -> None:
        await write_drained(database, [ledger_entry(number)], [])
        await _count(database)

    for turns in range(0, 40, 2):
        tasks = [asyncio.create_task(write(turns * 10 + place)) for place in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    await write(1000)
    assert await LedgerHistory(database).get(ledger_entry(1000).id) is not None


async def test_a_reader_sees_one_state_while_others_write(database: Database) -> None:
    async with database.read() as connection:
        before = (await connection.execute(select(func.count()).select_from(ledger))).scalar_one()
        await write_drained(database, [ledger_entry(1)], [])
        after = (await connection.execute(select(func.count()).select_from(ledger))).scalar_one()
    assert (before, after) == (0, 0)
    assert await _count(database) == 1


async def test_a_reader_cannot_write(database: Database) -> None:
    async def write_in_read() -> None:
        async with database.read() as connection:
            await connection.execute(drain_faults.insert().values(id="1", raw="{}", problem="x"))

    with pytest.raises(StoreError):
        await write_in_read()


async def test_an_abandoned_stream_gives_its_connection_back(database: Database) -> None:
    await write_drained(database, [ledger_entry(number) for number in range(50)], [])
    for _ in range(20):  # more often than there are connections
        stream = database.stream(select(ledger.c.id), chunk_rows=10)
        assert len(await anext(stream)) == 10
        await stream.aclose()
    assert await _count(database) == 50


async def test_a_refused_statement_does_not_repeat_what_a_person_wrote(database: Database) -> None:
    async def write_twice() -> None:
        async with database.write() as connection:
            for _ in range(2):
                await connection.execute(drain_faults.insert().values(id="secret", raw="diary", problem="x"))

    with pytest.raises(StoreError) as refusal:
        await write_twice()
    assert not isinstance(refusal.value, StoreUnavailableError)
    for error in (refusal.value, refusal.value.__cause__):
        assert "diary" not in str(error)
    assert "secret" not in str(refusal.value)


async def test_a_number_beyond_64_bits_is_refused_alike(database: Database) -> None:
    async def write() -> None:
        async with database.write() as connection:
            await connection.execute(text("SELECT :number + 1"), {"number": 2**70})
            await connection.execute(ledger.update().values(delta=2**70))

    with pytest.raises(StoreError) as refusal:
        await write()
    assert not isinstance(refusal.value, StoreUnavailableError)


@only_on_sqlite
async def test_every_commit_on_sqlite_waits_for_the_disk(database: Database) -> None:
    """2 is FULL: what was drained is deleted from Redis, so it must survive loss of power."""
    async with database.write() as connection:
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one() == 2
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one() == "wal"
        assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar_one() == 1


@only_on_postgresql
async def test_every_commit_on_postgresql_waits_for_the_disk_though_the_server_was_told_otherwise(
    empty_url: str,
) -> None:
    name = make_url(empty_url).database
    database = await Database.open(empty_url)
    async with database.write() as connection:
        await connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    await database.close()

    database = await Database.open(empty_url)
    async with database.write() as connection:
        assert (await connection.execute(text("SHOW synchronous_commit"))).scalar_one() == "on"
    await database.close()


@only_on_postgresql
async def test_connections_the_server_dropped_are_replaced_unnoticed(database: Database) -> None:
    await database.ping()
    other = await Database.open(str(database_url_of(database)))
    await other.fetch(
        text(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )
    await database.ping()
    await other.close()


def database_url_of(database: Database) -> str:
    return database._writer.url.render_as_string(hide_password=False)


@only_on_sqlite
async def test_a_lock_that_is_never_released_ends_as_unavailable(
    history_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.storage.sql.engines.BUSY_TIMEOUT_S", 0.1)
    database = await Database.open(history_url)
    holder = sqlite3.connect(str(make_url(history_url).database), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="did not answer: database is locked"):
        await write_drained(database, [ledger_entry(1)], [])
    holder.execute("ROLLBACK")
    holder.close()

    await write_drained(database, [ledger_entry(1)], [])
    assert await _count(database) == 1
    await database.close()


@pytest.mark.crash
async def test_several_processes_share_one_database_without_a_refusal(
    history_url: str, database: Database
) -> None:
    writers = [_start_writer(history_url, first, 40) for first in (0, 1000, 2000)]
    for number in range(3000, 3040):
        await write_drained(database, [ledger_entry(number)], [])
    for writer in writers:
        assert await asyncio.to_thread(writer.wait, 30) == 0
        assert writer.stdout is not None
        writer.stdout.close()
    assert await _count(database) == 160


@pytest.mark.crash
async def test_nothing_written_is_lost_when_the_process_is_killed(
    history_url: str, database: Database
) -> None:
    writer = _start_writer(history_url, 0, 1_000_000)
    assert writer.stdout is not None
    named = [await asyncio.to_thread(writer.stdout.readline) for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    named += await asyncio.to_thread(writer.stdout.readlines)
    assert await asyncio.to_thread(writer.wait, 30) == -signal.SIGKILL
    writer.stdout.close()

    kept = {row.id for row in await database.fetch(select(ledger.c.id))}
    safe = {ledger_entry(int(line)).id for line in named if line.endswith("\n")}
    assert len(safe) >= 20
    assert safe <= kept
    await write_drained(database, [ledger_entry(number) for number in range(len(kept))], [])
    assert await _count(database) == len(kept)


def _start_writer(url: str, first: int, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, url, str(first), str(count)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
