"""Redis Cluster: one link per node, slots learnt from the cluster and from its MOVED answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from redis.crc import key_slot

from bot.errors import CommandRefusedError, StoreUnavailableError
from bot.storage.redis.link import Address, Link, Value, open_link, scan_link
from bot.storage.redis.script_files import Script

_TRIES = 5  # a slot may be moved while we ask; each try follows one redirection
_PAUSE_S = 0.05


def _read_and_forget(done: asyncio.Future[Any]) -> None:
    """Take the answer of a command whose failure shows in the next one."""
    if not done.cancelled():
        done.exception()


class ClusterClient:
    """The same calls as on one server, sent to the node that owns the key's slot."""

    def __init__(self, seed: Address, scripts: Mapping[str, Script]) -> None:
        self._seed = seed
        self._scripts = scripts
        self._links: dict[tuple[str, int], Link] = {}
        self._owners: dict[int, tuple[str, int]] = {}
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Learn which node owns which slots.

        Raises:
            StoreUnavailableError: No known node answers.
        """
        nodes = [(self._seed.host, self._seed.port), *dict.fromkeys(self._owners.values())]
        for node in nodes:
            try:
                link = await self._link(node)
                ranges = await link.send(("CLUSTER", "SLOTS"))
            except StoreUnavailableError:
                continue
            except CommandRefusedError as error:
                raise StoreUnavailableError(f"{self._seed} is no cluster node: {error}") from error
            for first, last, master, *_ in ranges:
                host = master[0].decode() or node[0]
                for slot in range(first, last + 1):
                    self._owners[slot] = (host, master[1])
            return
        raise StoreUnavailableError(f"no node of the Redis Cluster at {self._seed} answers")

    async def call(self, *args: Value, key: str | None = None) -> Any:
        """Run one command where its key lives."""
        return await self._send(key if key is not None else (args[1] if len(args) > 1 else ""), args)

    async def call_many(self, commands: Sequence[tuple[Value, ...]]) -> list[Any]:
        """Run commands; those for one node share its round trip."""
        return list(await asyncio.gather(*(self.call(*command) for command in commands)))

    async def script(self, name: str, keys: Sequence[str], args: Sequence[Value]) -> Any:
        """Run one act where its keys live."""
        script = self._scripts[name]
        try:
            return await self._send(keys[0], ("EVALSHA", script.sha, len(keys), *keys, *args))
        except CommandRefusedError as error:
            if not str(error).startswith("NOSCRIPT") and type(error).__name__ != "NoScriptError":
                raise
        return await self._send(keys[0], ("EVAL", script.source, len(keys), *keys, *args))

    async def script_many(
        self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Value]]]
    ) -> list[Any]:
        """Run one act several times; calls for one node share its round trip."""
        return list(
            await asyncio.gather(*(self.script(name, *call) for call in calls), return_exceptions=True)
        )

    async def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """Yield the keys that match, in chunks, node after node."""
        await self.open()
        for node in dict.fromkeys(self._owners.values()):
            async for keys in scan_link(await self._link(node), pattern):
                yield keys

    async def close(self) -> None:
        """Close every link."""
        for link in self._links.values():
            link.close()

    async def _send(self, key: Value, args: Sequence[Value]) -> Any:
        slot = key_slot(key if isinstance(key, bytes) else str(key).encode())
        node, asking = self._owners.get(slot), False
        for _ in range(_TRIES):
            try:
                link = await self._link(node or (self._seed.host, self._seed.port))
            except StoreUnavailableError:
                # Nothing has been sent: the node may be gone for good, so ask the others who has its slots.
                await asyncio.sleep(_PAUSE_S)
                await self.open()
                node = self._owners.get(slot)
                continue
            if asking:
                link.send(("ASKING",)).add_done_callback(_read_and_forget)
            try:
                return await link.send(args)
            except CommandRefusedError as error:
                node, asking = self._redirected(error, slot)
        raise StoreUnavailableError(f"the Redis Cluster kept redirecting slot {slot}")

    def _redirected(self, error: CommandRefusedError, slot: int) -> tuple[tuple[str, int], bool]:
        """Read ``MOVED slot host:port`` or ``ASK …``; any other refusal is raised as it is."""
        word, _, rest = str(error).partition(" ")
        if word not in {"MOVED", "ASK"}:
            raise error
        host, _, port = rest.rpartition(" ")[2].rpartition(":")
        node = (host or self._seed.host, int(port))
        if word == "MOVED":
            self._owners[slot] = node
        return node, word == "ASK"

    async def _link(self, node: tuple[str, int]) -> Link:
        link = self._links.get(node)
        if link is not None and not link.closed:
            return link
        async with self._opening:
            link = self._links.get(node)
            if link is None or link.closed:
                link = await open_link(replace(self._seed, host=node[0], port=node[1]))
                self._links[node] = link
            return link
