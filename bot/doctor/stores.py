"""Redis and its persistence, SQL, and deliveries that died."""

from __future__ import annotations

from collections.abc import Sequence

from bot.clock import Clock
from bot.delivery.errcodes import explain
from bot.doctor.findings import Finding, Level, find
from bot.errors import StoreError
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys
from bot.storage.redis.pacing import PaceStore
from bot.storage.sql.database import Database
from bot.storage.sql.deliveries import DeliveryHistory

_SKEW_MS = 5_000
_DAY_MS = 86_400_000


async def examine_redis(redis: RedisClient, clock: Clock, *, embedded: bool) -> list[Finding]:
    """Return what is to be said of Redis; `embedded` is ours, whose persistence we set."""
    try:
        persistence = await _info(redis, "persistence")
        memory = await _info(redis, "memory")
        seconds, _ = await redis.call("TIME")
    except StoreError as error:
        return [find("redis", "redis_away", str(error))]
    findings = [find("redis", "redis_answers")]
    if not embedded:
        findings += _persistence(persistence)
    if (
        persistence.get("aof_last_write_status", "ok") != "ok"
        or persistence.get("rdb_last_bgsave_status") == "err"
    ):
        findings.append(find("redis", "redis_cannot_write"))
    policy = memory.get("maxmemory_policy", "noeviction")
    if memory.get("maxmemory", "0") != "0" and policy != "noeviction":
        findings.append(find("redis", "redis_evicts", policy))
    skew_ms = clock.now_ms() - int(seconds) * 1000
    if not -_SKEW_MS < skew_ms < _SKEW_MS + 1000:
        findings.append(find("redis", "redis_clock", f"{skew_ms / 1000:+.0f} s"))
    return findings


def _persistence(info: dict[str, str]) -> list[Finding]:
    if info.get("aof_enabled") == "1":
        return []
    has_snapshots = info.get("rdb_last_save_time", "0") != "0" and int(info.get("rdb_saves", "0") or 0) > 0
    return [find("redis", "redis_snapshots_only" if has_snapshots else "redis_forgets")]


async def _info(redis: RedisClient, section: str) -> dict[str, str]:
    text: bytes = await redis.call("INFO", section)
    rows = (line.partition(":") for line in text.decode().splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in rows}


async def examine_sql(database: Database) -> list[Finding]:
    """Return what is to be said of an open database, whose schema was brought up to date by opening it."""
    try:
        await database.ping()
    except StoreError as error:
        return [find("sql", "sql_away", str(error))]
    return [find("sql", "sql_answers")]


async def examine_deliveries(
    redis: RedisClient, keys: Keys, database: Database, kinds: Sequence[tuple[str, str]], clock: Clock
) -> list[Finding]:
    """Return which channels are paused and how many deliveries died lately; `kinds` are (channel, kind)."""
    blocks = await PaceStore(redis, keys).blocks([name for name, _ in kinds])
    findings = [
        Finding(f"channel {name}", "channel_blocked", Level.WARNING, explain(kind, blocks[name].reason))
        for name, kind in kinds
        if name in blocks and blocks[name].until_ms > clock.now_ms()
    ]
    dead = await DeliveryHistory(database).count_dead(clock.now_ms() - _DAY_MS)
    detail = ", ".join(f"{reason}: {count}" for reason, count in dead)
    return [*findings, find("deliveries", "dead_deliveries" if dead else "no_dead_deliveries", detail)]
