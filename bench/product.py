"""The product under test: ``run.py serve`` on embedded stores, with rules loaded beforehand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import yaml
from redis import Redis

from bench.cores import Cores, Memory, memory_of, pin
from bench.process import ServerProcess
from bench.workload import AIBOT, WECHAT, WECOM
from bot.clock import SystemClock
from bot.model import KeywordRule
from bot.storage.redis.data_dir import StoreFiles, read_pid
from bot.storage.sql.database import Database, embedded_url
from bot.storage.sql.keyword_rules import KeywordRuleStore

COMMUNITY = "milk"
COUNTED = "hq:{s*}:day:*"  # the counters of the members' days, one hash each


def prepare(
    folder: Path, rules: Sequence[KeywordRule], *, appendfsync: str = "everysec", vendor: str = ""
) -> None:
    """Write the configuration into `folder`, and the rules into its database.

    `vendor` is where sends go; empty is the real address, to which nothing is sent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(_configuration(appendfsync, vendor), allow_unicode=True, sort_keys=False)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    data_dir = folder / "data"
    if rules:
        data_dir.mkdir(mode=0o700, exist_ok=True)
        asyncio.run(_load(data_dir, rules))


async def _load(data_dir: Path, rules: Sequence[KeywordRule]) -> None:
    database = await Database.open(embedded_url(data_dir))
    try:
        await KeywordRuleStore(database, SystemClock()).create_many(COMMUNITY, rules, created_by="bench")
    finally:
        await database.close()


def _configuration(appendfsync: str, vendor: str) -> dict[str, object]:
    common: dict[str, object] = {"secret": "benchSecret"}
    if vendor:
        common |= {"api_base": vendor, "limits": {"per_minute": 1_000_000, "per_hour": 10_000_000}}
    wecom = {
        "name": WECOM.name, "kind": WECOM.kind, "corp_id": WECOM.receiver_id, "agent_id": WECOM.agent_id,
        "token": WECOM.token, "encoding_aes_key": WECOM.encoding_aes_key, **common,
    }  # fmt: skip
    wechat = {
        "name": WECHAT.name, "kind": WECHAT.kind, "app_id": WECHAT.receiver_id,
        "original_id": WECHAT.account_id, "mode": WECHAT.mode,
        "token": WECHAT.token, "encoding_aes_key": WECHAT.encoding_aes_key, **common,
    }  # fmt: skip
    aibot = {
        "name": AIBOT.name, "kind": AIBOT.kind, "mode": AIBOT.mode, "token": AIBOT.token,
        "encoding_aes_key": AIBOT.encoding_aes_key,
    }  # fmt: skip
    names = [WECOM.name, WECHAT.name, AIBOT.name]
    return {
        # 500 members send what a town does: the limit per member must not answer in the rules' place.
        "server": {"port": 0, "member_rate_per_min": 1_000_000, "log_level": "info"},
        "storage": {"data_dir": "data", "appendfsync": appendfsync},
        "sandbox": {"enabled": False},
        "channels": [wecom, wechat, aibot],
        "communities": [{"id": COMMUNITY, "name": "鲜奶社群", "channels": names}],
    }


class Product:
    """A running product; its embedded store works on the load's core unless told otherwise."""

    def __init__(self, process: ServerProcess, folder: Path, cores: Cores) -> None:
        """Take over a started process; use `start`."""
        self.process = process
        self._cores = cores
        files = StoreFiles.prepare(folder / "data")
        self.store_pid = read_pid(files.server_pid)
        self.redis_url = files.published_address()
        self.place_store(cores.load)

    @classmethod
    def start(cls, folder: Path, cores: Cores) -> Product:
        """Start the product that `prepare` left in `folder`; it logs into a file there.

        Raises:
            ServerStartError: It did not come up.
        """
        arguments = ["run.py", "serve", "--config", str(folder / "config.yaml")]
        return cls(ServerProcess.start(arguments, cores.server, folder / "server.log"), folder, cores)

    def place_store(self, core: int) -> None:
        """Bind the embedded store to `core`."""
        pin(self.store_pid, core)

    def store_memory(self) -> Memory:
        """Return what the embedded store holds now."""
        return memory_of(self.store_pid)

    def stop(self) -> None:
        """End it and, with it, its store."""
        self.process.stop()


class LiveState:
    """The Redis behind a server: emptied before each turn, counted after it."""

    def __init__(self, url: str, counted: str) -> None:
        """Look at the Redis at `url`; `counted` is the pattern of its message counters."""
        self.url = url
        self._redis = Redis.from_url(url, protocol=2)
        self._counted = counted

    def empty(self) -> None:
        """Forget everything, so that every callback is new again, and start the log anew."""
        self._await_rewrite()
        self._redis.flushall()
        self._redis.bgrewriteaof()
        self._await_rewrite()

    def messages(self) -> int:
        """Return how many messages have been counted since."""
        keys = list(self._redis.scan_iter(self._counted, count=1000))
        with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hget(key, "messages")
            return sum(int(value or 0) for value in pipe.execute())

    def _await_rewrite(self) -> None:
        while self._redis.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.005)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()
