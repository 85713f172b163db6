"""The one way to Redis: commands and acts, sharing round trips; single server, Sentinel or Cluster.

What happens when Redis is away: every call raises `StoreUnavailableError`, the callback is answered with
503, and the platform repeats it; nothing is done twice because every act is idempotent under its event id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from bot.errors import CommandRefusedError, StoreUnavailableError
from bot.storage.redis.link import Address, Link, Value, open_link, scan_link
from bot.storage.redis.script_files import Script, read_scripts

_ALIVE_CHECK_S = 5.0
_PAUSE_AFTER_FAILURE_S = 0.2


class RedisClient(Protocol):
    """What every store may ask of Redis. Answers are bytes, int, None or lists of these."""

    async def call(self, *args: Value, key: str | None = None) -> Any:
        """Run one command; in a cluster it goes where `key` (default: the first argument) lives.

        Raises:
            CommandRefusedError: The server refused it.
            StoreUnavailableError: No answer; it may or may not have run.
        """

    async def call_many(self, commands: Sequence[tuple[Value, ...]]) -> list[Any]:
        """Run commands in one shared round trip and return their answers in order.

        Where there are many, as many as there are shards say, they cost a tenth of as many `call`s at once.
        In a cluster each goes where its first argument lives. Errors as for `call`; when one is refused, the
        others have run.
        """

    async def script(self, name: str, keys: Sequence[str], args: Sequence[Value]) -> Any:
        """Run one act, ``scripts/<name>.lua``; all `keys` share one hash tag. Errors as for `call`."""

    def script_many(
        self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Value]]]
    ) -> Awaitable[list[Any]]:
        """Run one act several times, each on its own (keys, args); a refused one is an error in the list.

        Where the connection stands, the calls are on their way when this returns.

        Raises (when awaited):
            StoreUnavailableError: Not all answers came; each may or may not have run.
        """

    def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """Yield the keys that match a glob pattern, in chunks of any length, while the server serves others.

        A key that is there all the time comes at least once; in a cluster, unless its slot moves meanwhile.
        Errors as for `call`.
        """

    async def close(self) -> None:
        """Close the connections."""


class SingleClient:
    """One server, found anew through `locate` after a lost connection."""

    def __init__(self, locate: Callable[[], Awaitable[Address]], scripts: Mapping[str, Script]) -> None:
        self._locate = locate
        self._scripts = scripts
        self._link: Link | None = None
        self._opening = asyncio.Lock()
        self._failed_at_s = float("-inf")
        self._watch: asyncio.Task[None] | None = None

    async def call(self, *args: Value, key: str | None = None) -> Any:  # noqa: ARG002 - one server has every key
        """Run one command."""
        link = self._link
        if link is None or link.closed:
            link = await self._reopen()
        return await link.send(args)

    async def call_many(self, commands: Sequence[tuple[Value, ...]]) -> list[Any]:
        """Run commands in one shared round trip."""
        if not commands:
            return []
        link = self._link
        if link is None or link.closed:
            link = await self._reopen()
        answers = await link.send_many(commands)
        for answer in answers:
            if isinstance(answer, CommandRefusedError):
                raise answer
        return answers

    async def script(self, name: str, keys: Sequence[str], args: Sequence[Value]) -> Any:
        """Run one act; a server that does not know it yet (NOSCRIPT) is taught."""
        link = self._link
        if link is None or link.closed:
            link = await self._reopen()
        script = self._scripts[name]
        try:
            return await link.send(("EVALSHA", script.sha, len(keys), *keys, *args))
        except CommandRefusedError as error:
            if not _is_no_script(error):
                raise
        return await link.send(("EVAL", script.source, len(keys), *keys, *args))

    def script_many(
        self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Value]]]
    ) -> Awaitable[list[Any]]:
        """Run one act several times in one shared round trip, which has begun when this returns."""
        link = self._link
        sent = None if link is None or link.closed else self._send_many(link, name, calls)
        return self._heard_many(sent, name, calls)

    def _send_many(
        self, link: Link, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Value]]]
    ) -> Awaitable[list[Any]]:
        sha = self._scripts[name].sha
        return link.send_many([("EVALSHA", sha, len(keys), *keys, *args) for keys, args in calls])

    async def _heard_many(
        self,
        sent: Awaitable[list[Any]] | None,
        name: str,
        calls: Sequence[tuple[Sequence[str], Sequence[Value]]],
    ) -> list[Any]:
        """Return the answers of `script_many`; None was `sent` where the connection was closed."""
        answers = await (sent or self._send_many(await self._reopen(), name, calls))
        if isinstance(answers[0], CommandRefusedError) and _is_no_script(answers[0]):
            # Unknown to this server: none of them ran. One by one teaches it.
            return list(
                await asyncio.gather(*(self.script(name, *call) for call in calls), return_exceptions=True)
            )
        return answers

    async def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """Yield the keys that match, in chunks."""
        link = self._link
        if link is None or link.closed:
            link = await self._reopen()
        async for keys in scan_link(link, pattern):
            yield keys

    async def close(self) -> None:
        """Close the connection."""
        if self._watch is not None:
            self._watch.cancel()
        if self._link is not None:
            self._link.close()

    async def _reopen(self) -> Link:
        """Connect, once for all who ask; a server that is away is asked again every 0.2 s at most."""
        async with self._opening:
            if self._link is not None and not self._link.closed:
                return self._link
            now_s = asyncio.get_running_loop().time()
            if now_s - self._failed_at_s < _PAUSE_AFTER_FAILURE_S:
                raise StoreUnavailableError("Redis is away; it did not answer a moment ago")
            try:
                self._link = await open_link(await self._locate())
            except StoreUnavailableError:
                self._failed_at_s = asyncio.get_running_loop().time()
                raise
            if self._watch is None:
                self._watch = asyncio.create_task(self._watch_silence(), name="redis-watch")
            return self._link

    async def _watch_silence(self) -> None:
        while True:
            await asyncio.sleep(_ALIVE_CHECK_S)
            if self._link is not None:
                self._link.check_alive()


def _is_no_script(error: CommandRefusedError) -> bool:
    return str(error).startswith("NOSCRIPT") or type(error).__name__ == "NoScriptError"


async def connect(url: str) -> RedisClient:
    """Connect to ``unix:///path.sock?db=0``, ``redis://``, ``rediss://``, ``redis+cluster://host:port`` or
    ``redis+sentinel://host:port,host:port/service?db=0``.

    Raises:
        StoreUnavailableError: Nobody answers there.
    """  # noqa: D205 - the list of forms is the summary
    scripts = read_scripts()
    if url.startswith("redis+cluster://"):
        from bot.storage.redis.cluster import ClusterClient  # noqa: PLC0415 - small deployments never load it

        cluster = ClusterClient(_address(url.replace("redis+cluster", "redis", 1)), scripts)
        await cluster.open()
        return cluster
    locate = _sentinel(url) if url.startswith("redis+sentinel://") else _fixed(_address(url))
    client = SingleClient(locate, scripts)
    await client.call("PING")
    return client


def _fixed(address: Address) -> Callable[[], Awaitable[Address]]:
    async def locate() -> Address:
        return address

    return locate


def _sentinel(url: str) -> Callable[[], Awaitable[Address]]:
    """Ask the sentinels for the master each time a connection is opened."""
    parts = urlsplit(url)
    hosts = [pair.rpartition(":")[::2] for pair in parts.netloc.rpartition("@")[2].split(",")]
    service = parts.path.strip("/").split("/")[0] or "mymaster"
    fields = _address(
        f"redis://{parts.netloc.rpartition('@')[0]}@localhost/{parts.path.strip('/').partition('/')[2]}"
    )

    async def locate() -> Address:
        # Loaded where it is needed: redis-py's clients take 7 MiB.
        from redis.asyncio.sentinel import Sentinel  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415

        sentinel = Sentinel([(host, int(port)) for host, port in hosts], socket_timeout=1.0)  # type: ignore[no-untyped-call]
        try:
            host, port = await sentinel.discover_master(service)
        except RedisError as error:
            raise StoreUnavailableError(f"no Sentinel of {service} answers: {error}") from error
        finally:
            for client in sentinel.sentinels:
                await client.aclose()
        return Address(host=host, port=port, db=fields.db, username=fields.username, password=fields.password)

    return locate


def _address(url: str) -> Address:
    """Read ``redis[s]://[user][:password]@host:port/db`` or ``unix://[…]/path.sock?db=0``."""
    parts = urlsplit(url)
    is_path = parts.scheme == "unix"
    db = parse_qs(parts.query).get("db", ["" if is_path else parts.path.strip("/")])[0]
    return Address(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 6379,
        path=unquote(parts.path) if is_path else "",
        db=int(db or 0),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=parts.scheme == "rediss",
    )
