"""HTTP by hand: one connection at a time, every byte ours, and the worker it ended up at known."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from bot.sandbox.wire import Callback
from tests.e2e.serving import ProcessId, Server

ANSWER_LIMIT_S = 20.0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; status 0 means that the connection ended without one."""

    status: int
    body: bytes = b""


NO_ANSWER = Answer(0)


class Line:
    """One connection to a server; an async context."""

    def __init__(self, base: str) -> None:
        self._host, self._port = str(urlsplit(base).hostname), int(urlsplit(base).port or 80)
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    @property
    def own_port(self) -> int:
        """The port of our end."""
        return int(self._writer.get_extra_info("sockname")[1])

    async def ask(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and wait for its answer."""
        await self.send(method, target, body, headers)
        return await self.receive()

    async def post(self, channel: str, callback: Callback) -> Answer:
        """Deliver one callback."""
        await self.send_callback(channel, callback)
        return await self.receive()

    async def send_callback(self, channel: str, callback: Callback) -> None:
        """Write one callback; `receive` reads what is answered."""
        await self.send("POST", f"/callback/{channel}?{callback.query}", callback.body)

    async def send(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Write one request, with Content-Length unless `headers` frame the body themselves."""
        given = {"Host": f"{self._host}:{self._port}", "Content-Type": "text/xml", **(headers or {})}
        if "Transfer-Encoding" not in given:
            given.setdefault("Content-Length", str(len(body)))
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        with contextlib.suppress(ConnectionError):  # refused before all was written: the answer says why
            self._writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
            await self._writer.drain()

    async def receive(self, limit_s: float = ANSWER_LIMIT_S) -> Answer:
        """Read one answer."""
        try:
            async with asyncio.timeout(limit_s):
                head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                status, *fields = head.split("\r\n")
                lengths = [field[15:] for field in fields if field.lower().startswith("content-length:")]
                if any(field.lower().startswith("transfer-encoding:") for field in fields):
                    body = await self._chunks()
                else:
                    body = await self._reader.readexactly(int(lengths[0]) if lengths else 0)
        except (asyncio.IncompleteReadError, ConnectionError):
            return NO_ANSWER
        return Answer(int(status.split()[1]), body)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()
        return body


def chunked(body: bytes, size: int = 65_536) -> bytes:
    """A body in HTTP's chunks."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


async def post(base: str, channel: str, callback: Callback) -> Answer:
    """Deliver one callback on a connection of its own; `NO_ANSWER` where there was none."""
    try:
        async with Line(base) as line:
            return await line.post(channel, callback)
    except OSError:
        return NO_ANSWER


# ---------------------------------------------------------------- which worker


@contextlib.asynccontextmanager
async def lines_to_workers(server: Server, each: int) -> AsyncIterator[dict[int, list[Line]]]:
    """Open `each` connections to every worker; yields them by the worker's pid.

    Who accepts is the kernel's choice, so all workers but one are stopped meanwhile.
    """
    workers = server.workers()
    lines: dict[int, list[Line]] = {}
    async with contextlib.AsyncExitStack() as stack:
        for worker in workers:
            with _only(worker, workers):
                opened = [await stack.enter_async_context(Line(server.base)) for _ in range(each)]
                for line in opened:
                    assert (await line.ask("GET", "/healthz")).status == 200
            assert all(_holds(worker.pid, line.own_port) for line in opened)
            lines[worker.pid] = opened
        yield lines


@contextlib.contextmanager
def _only(worker: ProcessId, workers: Sequence[ProcessId]) -> Iterator[None]:
    others = [other for other in workers if other != worker]
    for other in others:
        other.send(signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            other.send(signal.SIGCONT)


def _holds(pid: int, client_port: int) -> bool:
    """Whether a process has the server's end of the connection from `client_port`."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(f":{client_port:04X}")}
    held = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held.add(str(descriptor.readlink()))
    return bool(inodes & held)
