"""The main process of several: it starts worker processes, replaces dead ones and ends them.

How ``serve`` uses it::

    lifeline = Lifeline.from_environment()          # bot.lifeline; first of all
    if lifeline is not None:                        # a worker: web.SockSite(runner, s) for each of
        return await work(lifeline)                 # lifeline.listeners, SIGTERM = finish and end,
                                                    # lifeline.ready() when it answers
    listeners = listen(host, port)                  # refuses a busy port before anything is started
    with EmbeddedRedis.start(data_dir) as store:    # stopped last; also if we are killed
        await migrate()
        if workers == 1:
            return await serve_here(listeners, on_ready)    # its own SIGTERM and SIGINT
        command = [sys.executable, *sys.orig_argv[1:]]      # the same command line again
        await Supervisor(command, workers, listeners, data_dir=data_dir, on_ready=print_ready).run()

All workers accept from the same listening sockets, which the main process keeps open: a connection
that waits in the queue is served by whoever lives. When the main process dies, the workers end at
once (see `bot.lifeline`), the store follows (see `bot.storage.redis.embedded`), the port is free.
Workers must not start processes by fork alone, which would share the sockets; "spawn" is right.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import socket
from typing import TYPE_CHECKING

import structlog
from prometheus_client import multiprocess

from bot.errors import RefusedError, WorkerStartError
from bot.lifeline import READY, VARIABLE

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from pathlib import Path

_BACKLOG = 1024
_START_TRIES = 3
_STEADY_S = 2.0  # a worker that lived this long did not die of its start
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0

_log = structlog.get_logger("huoqun")


def listen(host: str, port: int, *, backlog: int = _BACKLOG) -> tuple[socket.socket, ...]:
    """Listen on every address `host` stands for (``localhost``: IPv4 and IPv6; empty: all).

    With `port` 0 the system chooses one, the same for all addresses.

    Raises:
        RefusedError: The name is unknown, or the port busy or forbidden; says what to do.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise RefusedError(f"server.host {host!r} is not an address of this machine: {error}") from error
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    listeners: list[socket.socket] = []
    for family, address in addresses:
        try:
            listeners.append(_bind(family, (address[0], port, *address[2:]), backlog))
        except OSError as error:
            if error.errno in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL} and len(addresses) > 1:
                continue  # the name also stands for a family this machine has switched off
            for listener in listeners:
                listener.close()
            raise RefusedError(
                f"cannot listen on {host or 'all addresses'}, port {port}: {error.strerror}; "
                "end the program that uses it, or set another server.port"
            ) from error
        port = port or int(listeners[0].getsockname()[1])
    if not listeners:
        raise RefusedError(f"server.host {host!r} is not an address of this machine")
    return tuple(listeners)


def _bind(family: int, address: tuple[object, ...], backlog: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(backlog)
        listener.settimeout(0)  # not blocking
    except OSError:
        listener.close()
        raise
    return listener


class Supervisor:
    """Keeps a number of equal worker processes running."""

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        listeners: Sequence[socket.socket],
        *,
        data_dir: Path,
        on_ready: Callable[[], None],
        grace_s: float = 10.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare `count` workers; each is `command` with `listeners`.

        Args:
            command: Program and arguments of a worker, which calls `Lifeline.from_environment`.
            count: How many, 1 or more.
            listeners: Listening sockets that the workers share; stay the caller's to close.
            data_dir: Gets the directory ``metrics``, emptied at the start, through which
                prometheus_client sums the figures of all workers.
            on_ready: Called once, when every worker is ready.
            grace_s: Seconds a worker has, after SIGTERM, to finish its requests.
            environment: Variables of the workers; by default the main process's.
        """
        self._command, self._count = tuple(command), count
        self._listeners = tuple(listeners)
        self._metrics_dir = data_dir.resolve() / "metrics"
        self._on_ready, self._grace_s = on_ready, grace_s
        self._environment = dict(os.environ if environment is None else environment)
        self._environment["PROMETHEUS_MULTIPROC_DIR"] = str(self._metrics_dir)
        self._ready = [asyncio.Event() for _ in range(count)]
        self._stopping, self._hurry = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Run the workers until SIGTERM or SIGINT, then end them; a second signal ends them at once.

        Call it on the main thread: signals arrive there, and workers end with the thread that
        started them.

        Raises:
            WorkerStartError: A worker ended several times before it was ready; the others are ended.
        """
        shutil.rmtree(self._metrics_dir, ignore_errors=True)
        self._metrics_dir.mkdir(mode=0o700, parents=True)
        with self._signals():
            tasks = [asyncio.create_task(self._keep(index)) for index in range(self._count)]
            tasks.append(asyncio.create_task(self._announce()))
            try:
                await asyncio.gather(*tasks)
            finally:
                self._stopping.set()
                await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def _announce(self) -> None:
        for ready in self._ready:
            await _first_of(ready.wait(), self._stopping.wait())
        if not self._stopping.is_set():
            self._on_ready()

    async def _keep(self, index: int) -> None:
        """Run worker `index`, and another one in its place whenever it ends, until told to stop."""
        loop = asyncio.get_running_loop()
        pause_s, early_ends = _FIRST_PAUSE_S, 0
        while not self._stopping.is_set():
            born_s = loop.time()
            pid, exit_code = await self._run_one(index)
            if self._stopping.is_set():
                return
            early_ends += not self._ready[index].is_set()
            if early_ends == _START_TRIES:
                raise WorkerStartError(index, exit_code)
            steady = loop.time() - born_s > _STEADY_S
            pause_s = _FIRST_PAUSE_S if steady else min(2 * pause_s, _LONGEST_PAUSE_S)
            _log.warning("worker ended", worker=index, pid=pid, exit_code=exit_code, next_start_in_s=pause_s)
            await _first_of(self._stopping.wait(), timeout_s=pause_s)

    async def _run_one(self, index: int) -> tuple[int, int | None]:
        """Run one worker process to its end; return its pid and exit code (below 0: a signal)."""
        link, far_link = socket.socketpair()
        link.settimeout(0)  # not blocking
        with link:
            with far_link:
                process = await self._spawn(index, far_link)
            try:
                await _first_of(process.wait(), self._stopping.wait(), self._await_ready(index, link))
            finally:
                await self._end(process)
                # prometheus_client has no annotations here
                multiprocess.mark_process_dead(process.pid, str(self._metrics_dir))  # type: ignore[no-untyped-call]
        return process.pid, process.returncode

    async def _spawn(self, index: int, far_link: socket.socket) -> Process:
        fds = [listener.fileno() for listener in self._listeners]
        role = f"{index}:{far_link.fileno()}:{','.join(map(str, fds))}"
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(far_link.fileno(), *fds),
            env={**self._environment, VARIABLE: role},
        )

    async def _await_ready(self, index: int, link: socket.socket) -> None:
        """Note that worker `index` is ready, when it says so; never returns."""
        with contextlib.suppress(OSError):
            if await asyncio.get_running_loop().sock_recv(link, 1) == READY:
                self._ready[index].set()
        await asyncio.Event().wait()

    async def _end(self, process: Process) -> None:
        """End a worker: by SIGTERM and, after the grace or a second signal to us, by SIGKILL."""
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await _first_of(process.wait(), self._hurry.wait(), timeout_s=self._grace_s)
        if process.returncode is None:
            _log.warning("worker did not end in time and is killed", pid=process.pid, grace_s=self._grace_s)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _first_of(*waits: Coroutine[None, None, object], timeout_s: float | None = None) -> None:
    """Return when the first of `waits` is over, or after `timeout_s` seconds; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
