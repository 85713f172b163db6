"""One connection on which concurrent requests share round trips.

Commands issued in one turn of the event loop leave in one write, those of a batch at once, and their answers
are matched in order. A lone redis-py call costs about twenty times what a command costs here
(`docs/benchmarks.md`); packing and parsing are hiredis' own.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import hiredis

from bot.errors import CommandRefusedError, StoreUnavailableError

Value = str | bytes | int
Waiter = asyncio.Future[Any]

_NOTHING_YET = object()
_SCAN_COUNT = 1000  # keys looked at per round trip: well below a millisecond of the server's time
_WRITE_LIMIT_BYTES = 1 << 16  # a larger buffer is written at once instead of at the end of the turn


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens and how to enter; the password never shows in `repr`."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False

    def __str__(self) -> str:
        """Return the address without secrets."""
        return self.path or f"{self.host}:{self.port}"


class _Batch:
    """Commands sent together, whose answers are wanted together."""

    __slots__ = ("answers", "size", "waiter")

    def __init__(self, waiter: asyncio.Future[list[Any]], size: int) -> None:
        self.waiter = waiter
        self.size = size
        self.answers: list[Any] = []


class Link(asyncio.Protocol):
    """A connection in use; made by `open_link`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        self._loop = loop
        self._address = address
        self._reader = hiredis.Reader(replyError=CommandRefusedError, notEnoughData=_NOTHING_YET)
        self._waiters: deque[Waiter | _Batch] = deque()
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._answered = 0
        self._answered_at_last_check = -1
        self.closed = False

    def send(self, args: Sequence[Value]) -> Waiter:
        """Queue one command for this turn's write and return the future of its answer.

        Raises (through the future):
            CommandRefusedError: The server refused the command.
            StoreUnavailableError: The connection broke before the answer came; the command may have run.
        """
        waiter = self._loop.create_future()
        if self.closed:
            waiter.set_exception(self._lost(None))
            return waiter
        packed = hiredis.pack_command(tuple(args))  # type: ignore[arg-type]  # its stub forgets that a union is fine
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        self._unsent_bytes += len(packed)
        self._waiters.append(waiter)
        if self._unsent_bytes > _WRITE_LIMIT_BYTES:
            self._flush()
        return waiter

    def send_many(self, commands: Sequence[tuple[Value, ...]]) -> asyncio.Future[list[Any]]:
        """Send commands at once and return the future of all their answers, in order.

        What was queued before leaves with them. A refused command is a CommandRefusedError among the
        answers. One future for all spares the loop a wake-up for each; the first answer waits for the last,
        which is a fraction of a millisecond.

        Raises (through the future):
            StoreUnavailableError: The connection broke before all answers came.
        """
        waiter: asyncio.Future[list[Any]] = self._loop.create_future()
        if self.closed:
            waiter.set_exception(self._lost(None))
            return waiter
        self._unsent += [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]
        self._waiters.append(_Batch(waiter, len(commands)))
        self._flush()
        return waiter

    def check_alive(self) -> None:
        """Close the connection if it owes an answer and has given none since the last check.

        Called by a slow periodic task; spares one timer per command.
        """
        silent = self._answered == self._answered_at_last_check
        self._answered_at_last_check = self._answered
        if self._waiters and silent and self._transport is not None:
            self._transport.abort()
        if not self._waiters:
            self._answered_at_last_check = -1

    def close(self) -> None:
        """Close the connection; open commands fail."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        if self._unsent and self._transport is not None and not self.closed:
            data = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
            self._transport.write(data)
        self._unsent = []
        self._unsent_bytes = 0

    def _lost(self, cause: Exception | None) -> StoreUnavailableError:
        return StoreUnavailableError(f"lost the connection to Redis at {self._address}: {cause or 'closed'}")

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio.Protocol)."""
        # uvloop's transports have the interface without the class, so this is a cast, not a check.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Match answers to waiting commands (asyncio.Protocol)."""
        reader = self._reader
        reader.feed(data)
        waiters = self._waiters
        reply = reader.gets()
        while reply is not _NOTHING_YET:
            waiter = waiters[0]
            self._answered += 1
            if type(waiter) is _Batch:
                waiter.answers.append(reply)
                if len(waiter.answers) == waiter.size:
                    del waiters[0]
                    if not waiter.waiter.done():
                        waiter.waiter.set_result(waiter.answers)
            else:
                del waiters[0]
                _answer(cast("Waiter", waiter), reply)
            reply = reader.gets()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whatever still waits (asyncio.Protocol)."""
        self.closed = True
        error = self._lost(exc)
        while self._waiters:
            first = self._waiters.popleft()
            waiter = first.waiter if isinstance(first, _Batch) else first
            if not waiter.done():
                waiter.set_exception(error)


def _answer(waiter: Waiter, reply: Any) -> None:
    """Give one command its answer, unless who asked has gone."""
    if waiter.done():
        return
    if isinstance(reply, CommandRefusedError):
        waiter.set_exception(reply)
    else:
        waiter.set_result(reply)


async def scan_link(link: Link, pattern: str) -> AsyncIterator[list[str]]:
    """Yield the keys of one server that match a glob pattern, in chunks; see `RedisClient.scan`."""
    cursor = b"0"
    while True:
        cursor, keys = await link.send(("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT))
        if keys:
            yield [key.decode() for key in keys]
        if cursor == b"0":
            return


async def open_link(address: Address, timeout_s: float = 3.0) -> Link:
    """Connect and enter.

    Raises:
        StoreUnavailableError: Nobody listens there, or the server refused our name, password or database.
    """
    loop = asyncio.get_running_loop()
    link = Link(loop, address)
    try:
        async with asyncio.timeout(timeout_s):
            if address.path:
                await loop.create_unix_connection(lambda: link, address.path)
            else:
                context = ssl.create_default_context() if address.tls else None
                await loop.create_connection(lambda: link, address.host, address.port, ssl=context)
            if address.password:
                user = [address.username] if address.username else []
                await link.send(["AUTH", *user, address.password])
            if address.db:
                await link.send(["SELECT", address.db])
            await link.send(["PING"])
    except (OSError, TimeoutError, CommandRefusedError) as error:
        link.close()
        raise StoreUnavailableError(f"cannot use Redis at {address}: {error or 'no answer'}") from error
    return link
