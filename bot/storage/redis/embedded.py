"""The embedded store: a Valkey server of our own on a Unix socket in the data directory.

* **One owner.** `EmbeddedRedis.start` takes the directory's lock or refuses, naming the owner's pid.
* **Watched.** A thread of the owner, the keeper, starts the server, starts it anew when it dies, and
  syncs its files each second. Where the server ends with the thread that started it (Linux), that
  thread is the keeper, so it does not matter on which thread `start` was called.
* **Never outlives its owner**, not even a killed one (Linux). Where one does, the next start ends it.
* **Nothing acknowledged is lost** by killing either process. `appendfsync` decides about power loss
  only: ``always`` loses nothing, ``everysec`` up to about a second, ``no`` what the system kept back.

There is no state outside the objects: one process may own several data directories. It must not
fork without exec (process pools: start method "spawn"), since a forked child would share the lock.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import structlog

from bot.errors import DataDirBusyError, StoreError
from bot.storage.redis.aof_sync import AppendOnlyFileSync
from bot.storage.redis.data_dir import FileLock, StoreFiles, claim
from bot.storage.redis.valkey import AppendFsync, ValkeyProcess, answers, stop_orphan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

_TICK_S = 0.1
_SYNC_EVERY_S = 1.0
_END_GRACE_S = 10.0
_STEADY_S = 1.0  # a server that ran this long did not die of its start
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 2.0
_ATTACH_LIMIT_S = 15.0
_GUESTS_LIMIT_S = 60.0

_log = structlog.get_logger("huoqun")


class EmbeddedRedis:
    """The store of one data directory, owned by this process from `start` to `stop`.

    Also a context manager that stops at its end. Without `stop`, it is stopped when the process ends.

    Attributes:
        url: Where clients connect, ``unix:///…?db=0``; stays the same when the server is restarted.
    """

    def __init__(self, files: StoreFiles, lock: FileLock, appendfsync: AppendFsync) -> None:
        """Hold the claimed directory; use `start`."""
        self.url = files.url
        self._files, self._lock, self._appendfsync = files, lock, appendfsync
        self._owner_pid = os.getpid()
        self._server_pid = 0
        self._stopping = threading.Event()
        self._started: Future[None] = Future()
        # A daemon, so that it never keeps a finished process alive; `atexit` ends it properly.
        self._keeper = threading.Thread(target=self._keep, name="valkey-keeper", daemon=True)

    @classmethod
    def start(cls, data_dir: Path, *, appendfsync: AppendFsync = "everysec") -> EmbeddedRedis:
        """Own `data_dir`, start its store and return when it answers; typically after 50 ms.

        Blocks the calling thread. A server left over by an owner that was killed is ended first.

        Raises:
            DataDirBusyError: The directory has an owner; names its pid.
            StoreError: The store did not start; carries the end of its log.
        """
        files = StoreFiles.prepare(data_dir)
        store = cls(files, claim(files), appendfsync)
        try:
            store._keeper.start()
            store._started.result()
            files.publish_address()
        except BaseException:
            store.stop()
            raise
        atexit.register(store.stop)
        return store

    @property
    def pid(self) -> int:
        """The process id of the server, of the last one while that is dead and not yet replaced."""
        return self._server_pid

    def stop(self) -> None:
        """End the server in its orderly way and give the directory up; does nothing the second time."""
        if self._owner_pid != os.getpid():  # a forked child runs its parent's exit handlers
            return
        self._owner_pid = 0
        atexit.unregister(self.stop)
        self._stopping.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        self._files.address.unlink(missing_ok=True)
        self._lock.write("")
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _keep(self) -> None:
        """Start the server and watch it until `stop`; the keeper thread's work."""
        try:
            orphan_pid = stop_orphan(self._files)
            self._files.address.unlink(missing_ok=True)  # the former owner's
            if orphan_pid:
                _log.warning("ended an embedded store that had outlived its owner", pid=orphan_pid)
            server = self._launch()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that called start
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        server = self._watch(server)
        if server.exit_code is None and not server.end(_END_GRACE_S):
            _log.warning("embedded store did not end in time and was killed", grace_s=_END_GRACE_S)

    def _launch(self) -> ValkeyProcess:
        server = ValkeyProcess.launch(self._files, self._appendfsync, self._stopping)
        self._server_pid = server.pid
        return server

    def _watch(self, server: ValkeyProcess) -> ValkeyProcess:
        """Keep a server running until `stop`; return the last one."""
        files_sync = AppendOnlyFileSync(self._files.append_only_dir)
        born_s = synced_s = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.wait(_TICK_S):
            now_s = time.monotonic()
            if server.exit_code is not None:
                steady = now_s - born_s > _STEADY_S
                pause_s = _FIRST_PAUSE_S if steady else min(2 * pause_s, _LONGEST_PAUSE_S)
                server = self._replace(server, pause_s)
                born_s = time.monotonic()
            elif self._appendfsync == "everysec" and now_s - synced_s >= _SYNC_EVERY_S:
                _sync(files_sync)
                synced_s = now_s
        return server

    def _replace(self, dead: ValkeyProcess, pause_s: float) -> ValkeyProcess:
        """Start another server in place of a dead one; where that fails, the next tick tries again."""
        _log.error("embedded store is down", pid=dead.pid, exit_code=dead.exit_code, next_start_in_s=pause_s)
        if self._stopping.wait(pause_s):
            return dead
        try:
            return self._launch()
        except StoreError as error:
            if not self._stopping.is_set():
                _log.error("embedded store cannot be started again", error=str(error))
            return dead


def _sync(files_sync: AppendOnlyFileSync) -> None:
    try:
        files_sync.sync()
    except OSError as error:
        _log.error("embedded store's files cannot be synced to the disk", error=str(error))


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """A store that a command-line tool may use: `url` for a client; `attached` if another process owns it."""

    url: str
    attached: bool


@contextlib.contextmanager
def open_store(data_dir: Path, appendfsync: AppendFsync = "everysec") -> Iterator[OpenedStore]:
    """Give a command-line tool the store of `data_dir`, whether or not a server runs on it.

    Where the directory has an owner, the owner's store is used. Else this process owns it for the
    time, starts the store and stops it at the end, after other tools that attached to it meanwhile are
    done (at most a minute).

    Raises:
        StoreError: The store did not start, or the owner's does not answer within 15 s.
    """
    files = StoreFiles.prepare(data_dir)
    deadline = time.monotonic() + _ATTACH_LIMIT_S
    while True:
        try:
            store = EmbeddedRedis.start(data_dir, appendfsync=appendfsync)
        except DataDirBusyError as busy:
            owner_pid = busy.pid
        else:
            with store:
                try:
                    yield OpenedStore(store.url, attached=False)
                finally:
                    _await_guests(files)
            return
        guest = FileLock.take(files.guests_lock, shared=True)
        if guest is not None:
            try:
                url = files.published_address()
                if url and answers(url):
                    yield OpenedStore(url, attached=True)
                    return
            finally:
                guest.release()
        if time.monotonic() > deadline:
            raise StoreError(f"process {owner_pid} owns {files.data_dir} but its store does not answer")
        time.sleep(0.02)


def _await_guests(files: StoreFiles) -> None:
    """Wait until no other tool uses our store; who comes later finds it closed and starts its own."""
    lock = FileLock.take(files.guests_lock, wait_s=_GUESTS_LIMIT_S)
    if lock is not None:
        lock.release()
