"""The load generator: raw HTTP/1.1 over kept-alive connections, one thread, no event loop in the way.

*Closed loop*: every connection sends its next request when its answer is there; gives throughput.
*Open loop*: requests are due at instants drawn beforehand (Poisson), whatever the server does, and latency
runs from the instant a request was *due*. One that had to wait because the server was slow has its waiting
counted, so a stall shows in every request it held up (no coordinated omission).
"""

from __future__ import annotations

import gc
import random
import select
import socket
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench.alarm import Alarm
from bot.errors import BotError

_CHUNK_BYTES = 1 << 16
_CONNECT_LIMIT_S = 10.0
_SAMPLE_EVERY = 97
_WARM_UP_REQUESTS = 300
_OVERLOAD_FACTOR = 3.0  # an open loop that needs this many times its own length is given up


class LoadError(BotError):
    """The server broke off, fell silent, or could not keep up with an open loop at all."""


@dataclass(slots=True)
class Heard:
    """What came back during one turn.

    Attributes:
        sent: Requests sent, warm-up included; all of them were answered when the turn ends.
        refused: Answers with a status other than 200.
        misplaced: Answers with a body where none was due, or without one where one was.
        body_bytes: Bytes of all bodies.
        samples: (number of the request, body) of some answers, to be opened later.
        seconds: How long the counted part of the turn was.
        counted: Answers in it.
        latencies_s: Of an open loop: from due to answered, of the counted part, in no order.
        load_share: CPU time of the load generator in the turn, as a share of its core.
    """

    sent: int = 0
    refused: int = 0
    misplaced: int = 0
    body_bytes: int = 0
    samples: list[tuple[int, bytes]] = field(default_factory=list)
    seconds: float = 0.0
    counted: int = 0
    latencies_s: array[float] = field(default_factory=lambda: array("d"))
    load_share: float = 0.0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.counted / self.seconds if self.seconds else 0.0


class _Connection:
    __slots__ = ("due_s", "fd", "number", "partial", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_CONNECT_LIMIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fd = self.socket.fileno()
        self.number = -1
        self.due_s = 0.0
        self.partial = b""


class Load:
    """Connections to one server and the requests it gets."""

    def __init__(
        self,
        port: int,
        requests: Sequence[bytes],
        answered: Sequence[bool] | None,
        *,
        cycle: bool = False,
        silence_limit_s: float = 10.0,
    ) -> None:
        """Prepare requests for the server at `port`.

        Args:
            port: Where it listens on 127.0.0.1.
            requests: Whole HTTP requests, sent in this order.
            answered: Which of them are due a body; None if that does not matter.
            cycle: Start over when all are sent; else the turn ends there.
            silence_limit_s: Seconds after which a server that says nothing is given up.
        """
        self._port = port
        self._requests = requests
        self._answered = answered
        self._cycle = cycle
        self._silence_limit_s = silence_limit_s
        self._heard = Heard()
        self._next = 0
        self._poll = select.epoll()

    def closed_loop(self, connections: int, warm_s: float, turn_s: float) -> Heard:
        """Keep `connections` requests under way for `warm_s + turn_s` seconds, or until none is left.

        A turn goes on until it has counted as many answers as there are connections.

        Raises:
            LoadError: The server broke off or fell silent, or none was left before the turn began.
        """
        heard = self._heard
        with self._ready(connections) as pool:
            by_fd = {connection.fd: connection for connection in pool}
            begun_s = time.perf_counter()
            opens_s, ends_s = begun_s + warm_s, begun_s + warm_s + turn_s
            first = last = begun_s
            for connection in pool:
                self._send(connection)
            under_way, answers, before = len(pool), 0, 0
            while under_way:
                events = self._wait()
                now_s = time.perf_counter()
                for fd, _ in events:
                    connection = by_fd[fd]
                    if not self._hear(connection):
                        continue
                    answers += 1
                    in_time = now_s < ends_s or answers - before <= connections
                    if in_time and self._has_next():
                        self._send(connection)
                    else:
                        under_way -= 1
                if now_s < opens_s:
                    first, before = now_s, answers
                elif under_way == len(pool):
                    last, heard.counted = now_s, answers - before
            heard.seconds = last - first
        if not heard.counted:
            raise LoadError(f"{len(self._requests)} requests are too few for {warm_s + turn_s:g} s")
        return heard

    def open_loop(self, connections: int, rate: float, warm_s: float, turn_s: float, seed: str) -> Heard:
        """Send `rate` requests per second at random instants, over as many connections as are free.

        Raises:
            LoadError: The server broke off, fell silent, or fell behind without end.
        """
        heard = self._heard
        due = _instants(rate, warm_s + turn_s, seed, limit=None if self._cycle else len(self._requests))
        with self._ready(connections) as free, Alarm() as alarm:
            by_fd = {connection.fd: connection for connection in free}
            self._poll.register(alarm.fd, select.EPOLLIN)
            begun_s = time.perf_counter()
            gives_up_s = begun_s + _OVERLOAD_FACTOR * (warm_s + turn_s) + 1.0
            place, answers = 0, 0
            while answers < len(due):
                now_s = time.perf_counter() - begun_s
                while free and place < len(due) and due[place] <= now_s:
                    connection = free.pop()
                    connection.due_s = due[place]
                    place += 1
                    self._send(connection)
                if free and place < len(due):
                    alarm.set(due[place] - (time.perf_counter() - begun_s))
                for fd, _ in self._wait():
                    if fd == alarm.fd:
                        alarm.clear()
                        continue
                    connection = by_fd[fd]
                    if self._hear(connection):
                        answers += 1
                        free.append(connection)
                        if connection.due_s >= warm_s:
                            heard.latencies_s.append(time.perf_counter() - begun_s - connection.due_s)
                if begun_s + now_s > gives_up_s:
                    raise LoadError(f"the server cannot keep up with {rate:.0f} requests/s")
        heard.counted, heard.seconds = len(heard.latencies_s), turn_s
        return heard

    # ------------------------------------------------------------ one request

    def _has_next(self) -> bool:
        return self._cycle or self._next < len(self._requests)

    def _send(self, connection: _Connection) -> None:
        connection.number = self._next % len(self._requests)
        self._next += 1
        request = self._requests[connection.number]
        if connection.socket.send(request) != len(request):
            raise LoadError("the server's socket takes no more")
        self._heard.sent += 1

    def _hear(self, connection: _Connection) -> bool:
        """Take what a connection has; return whether its answer is complete."""
        data = connection.socket.recv(_CHUNK_BYTES)
        if not data:
            raise LoadError("the server closed a connection")
        if connection.partial:
            data = connection.partial + data
        body_start = _body_start(data)
        if body_start < 0:
            connection.partial = data
            return False
        connection.partial = b""
        heard, number = self._heard, connection.number
        body_bytes = len(data) - body_start
        heard.body_bytes += body_bytes
        if data[9:12] != b"200":
            heard.refused += 1
        elif self._answered is not None and self._answered[number] != (body_bytes > 0):
            heard.misplaced += 1
        if number % _SAMPLE_EVERY == 0 and data[9:12] == b"200":
            heard.samples.append((number, data[body_start:]))
        return True

    def _wait(self) -> list[tuple[int, int]]:
        events = self._poll.poll(self._silence_limit_s)
        if not events:
            raise LoadError(f"the server was silent for {self._silence_limit_s:g} s")
        return events

    # ------------------------------------------------------------ around it

    @contextmanager
    def _ready(self, connections: int) -> Iterator[list[_Connection]]:
        """Open the connections, keep the collector quiet, and note how busy we were."""
        with ExitStack() as stack:
            stack.callback(self._poll.close)
            pool = []
            for _ in range(connections):
                connection = _Connection(self._port)
                stack.callback(connection.socket.close)
                self._poll.register(connection.fd, select.EPOLLIN)
                pool.append(connection)
            gc.collect()
            gc.disable()
            stack.callback(gc.enable)
            wall_s, busy_s = time.perf_counter(), time.process_time()
            yield pool
            self._heard.load_share = (time.process_time() - busy_s) / (time.perf_counter() - wall_s)


def warm_up(port: int) -> None:
    """Send a few hundred requests one after the other, before the crowd.

    An aiohttp server whose first connections come all at once stays slower for its whole life; the product
    does this for itself at its start, the others get it from here.
    """
    request = b"GET /warm-up HTTP/1.1\r\nHost: bot.example.com\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=_CONNECT_LIMIT_S) as connection:
        for _ in range(_WARM_UP_REQUESTS):
            connection.sendall(request)
            data = b""
            while _body_start(data) < 0:
                chunk = connection.recv(_CHUNK_BYTES)
                if not chunk:
                    raise LoadError("the server closed a connection")
                data += chunk


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of the rising `ordered` that `share` of them do not exceed (nearest rank)."""
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]


def _body_start(data: bytes) -> int:
    """Return where the body of a complete answer begins, -1 while some of the answer is missing."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return -1
    place = data.find(b"Content-Length:", 0, head_end)
    if place < 0:
        place = data[:head_end].lower().find(b"content-length:")
        if place < 0:
            raise LoadError("an answer without Content-Length")
    body_bytes = int(data[place + 15 : data.find(b"\r\n", place)])
    return head_end + 4 if len(data) >= head_end + 4 + body_bytes else -1


def _instants(rate: float, seconds: float, seed: str, limit: int | None) -> array[float]:
    """Return the instants of a Poisson process, seconds from the start."""
    chance = random.Random(seed)
    due: array[float] = array("d")
    at_s = chance.expovariate(rate)
    while at_s < seconds and (limit is None or len(due) < limit):
        due.append(at_s)
        at_s += chance.expovariate(rate)
    return due
