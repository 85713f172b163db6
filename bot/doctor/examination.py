"""The order of an examination, and its report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass

import aiohttp

from bot.clock import Clock, SystemClock
from bot.config import Config, WecomAibotChannel
from bot.delivery.http import open_session
from bot.doctor.channels import examine_channel
from bot.doctor.connection import try_connection
from bot.doctor.findings import Finding, Level, find
from bot.doctor.handshake import is_called_back, shake_hands
from bot.doctor.probe import Prober
from bot.doctor.stores import examine_deliveries, examine_redis, examine_sql
from bot.errors import StoreError
from bot.storage.redis.client import RedisClient, connect
from bot.storage.redis.embedded import open_store
from bot.storage.redis.keys import Keys
from bot.storage.redis.leases import ConnectionKnown, ConnectionState, ConnectionStatus
from bot.storage.sql.database import Database

WELL, WRONG = 0, 1
Echo = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are: of the stores, and of our own server as this machine reaches it (empty: nowhere)."""

    redis_url: str
    database_url: str
    own_address: str


def run_doctor(
    config: Config, places: Places, *, as_json: bool, echo: Echo, clock: Clock | None = None
) -> int:
    """Examine a deployment, print every finding, and return the exit code: 1 when something is wrong.

    Works with the server running or stopped. `places.redis_url` is empty for the embedded store, which is the
    running server's, or is started for the time.
    """
    with ExitStack() as stack:
        try:
            redis_url = places.redis_url
            if not redis_url:
                store = open_store(config.storage.data_dir, config.storage.appendfsync)
                redis_url = stack.enter_context(store).url
            found = asyncio.run(_examine(config, places, redis_url, clock or SystemClock()))
        except StoreError as error:
            found = [find("redis", "redis_away", str(error))]
    _report(found, config.locale.language, as_json=as_json, echo=echo)
    return WRONG if any(finding.level is Level.WRONG for finding in found) else WELL


def _report(found: Iterable[Finding], language: str, *, as_json: bool, echo: Echo) -> None:
    if as_json:
        echo(json.dumps([asdict(finding) for finding in found], ensure_ascii=False, indent=2))
        return
    counts = dict.fromkeys(Level, 0)
    for finding in found:
        counts[finding.level] += 1
        echo(finding.line(language))
    echo(f"{counts[Level.WRONG]} wrong, {counts[Level.WARNING]} warnings, {counts[Level.WELL]} well")


async def _examine(config: Config, places: Places, redis_url: str, clock: Clock) -> list[Finding]:
    async with open_session() as session:
        prober = Prober(session, clock.now_ms() / 1000)
        held: dict[str, ConnectionKnown] = {}
        found = await _examine_stores(config, places, redis_url, clock, held)
        found += await _examine_callbacks(config, places, prober, clock)
        answers = await asyncio.gather(*(examine_channel(prober, channel) for channel in config.channels))
        found += [finding for answer in answers for finding in answer]
        found += await _examine_connections(config, session, held)
    return found


async def _examine_stores(
    config: Config, places: Places, redis_url: str, clock: Clock, held: dict[str, ConnectionKnown]
) -> list[Finding]:
    """Examine both stores; note in `held` which long connections a running process holds."""
    found: list[Finding] = []
    async with _open_redis(redis_url, found) as redis, _open_database(places.database_url, found) as database:
        if redis is not None:
            found += await examine_redis(redis, clock, embedded=config.storage.redis.embedded)
            status = ConnectionStatus(redis, Keys(config.storage.shards))
            for channel in _connected(config):
                known = await status.read(channel.name)
                if known.holder:
                    held[channel.name] = known
        if database is not None:
            found += await examine_sql(database)
        if redis is not None and database is not None:
            kinds = [(channel.name, channel.kind) for channel in config.channels]
            keys = Keys(config.storage.shards)
            found += await examine_deliveries(redis, keys, database, kinds, clock)
    return found


@asynccontextmanager
async def _open_redis(url: str, found: list[Finding]) -> AsyncIterator[RedisClient | None]:
    try:
        redis = await connect(url)
    except StoreError as error:
        found.append(find("redis", "redis_away", str(error)))
        yield None
        return
    try:
        yield redis
    finally:
        await redis.close()


@asynccontextmanager
async def _open_database(url: str, found: list[Finding]) -> AsyncIterator[Database | None]:
    try:
        database = await Database.open(url)
    except StoreError as error:
        found.append(find("sql", "sql_away", str(error)))
        yield None
        return
    try:
        yield database
    finally:
        await database.close()


async def _examine_callbacks(config: Config, places: Places, prober: Prober, clock: Clock) -> list[Finding]:
    called_back = [channel for channel in config.channels if is_called_back(channel)]
    if not called_back:
        return []
    base, found = config.server.public_url, []
    if not base:
        found.append(find("server", "no_public_url"))
        alive = (
            bool(places.own_address)
            and (await prober.call("GET", f"{places.own_address}/healthz", {})).status == 200
        )
        found.append(find("server", "server_runs" if alive else "server_stopped", places.own_address))
        if not alive:
            return found
        base = places.own_address
    now_s = clock.now_ms() // 1000
    return [*found, *await asyncio.gather(*(shake_hands(prober, one, base, now_s) for one in called_back))]


async def _examine_connections(
    config: Config, session: aiohttp.ClientSession, held: Mapping[str, ConnectionKnown]
) -> list[Finding]:
    """Believe what a running process says of its connection; try the others."""
    return [
        _of_holder(channel, held[channel.name])
        if channel.name in held
        else await try_connection(session, channel)
        for channel in _connected(config)
    ]


def _of_holder(channel: WecomAibotChannel, known: ConnectionKnown) -> Finding:
    subject = f"channel {channel.name}"
    if known.state is ConnectionState.CONNECTED:
        return find(subject, "connection_held", known.holder)
    return find(subject, "connection_waits", known.error or known.state.value)


def _connected(config: Config) -> list[WecomAibotChannel]:
    return [
        channel
        for channel in config.channels
        if isinstance(channel, WecomAibotChannel) and channel.mode == "long_connection"
    ]
