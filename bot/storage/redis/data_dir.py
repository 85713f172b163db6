"""The embedded store's files in the data directory: where they are and who owns them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bot.errors import DataDirBusyError, StoreError

# A Unix socket's path has to fit `sun_path`: 108 bytes on Linux, 104 on macOS, with the final NUL.
_SOCKET_PATH_LIMIT_BYTES = 103
_SOCKET_NAME = "valkey.sock"


@dataclass(frozen=True, slots=True)
class StoreFiles:
    """Where the embedded store of one data directory keeps its files.

    Attributes:
        data_dir: The directory, absolute, without symbolic links.
        socket: Where the store listens; in `data_dir`, unless that path is too long for a socket.
    """

    data_dir: Path
    socket: Path

    @classmethod
    def prepare(cls, data_dir: Path) -> StoreFiles:
        """Make `data_dir` (mode 0700) where it is missing, and choose the place of the socket.

        Raises:
            StoreError: The directory cannot be made, or there is no safe place for the socket.
        """
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            resolved = data_dir.resolve(strict=True)
        except OSError as error:
            raise StoreError(f"data directory {data_dir} cannot be used: {error}") from error
        return cls(resolved, _socket_path(resolved))

    @property
    def url(self) -> str:
        """The store's address as a client takes it; odd characters of the path are %-encoded."""
        return f"unix://{quote(str(self.socket))}?db=0"

    @property
    def owner_lock(self) -> Path:
        """Locked by the process that owns the directory; holds its pid."""
        return self.data_dir / "owner.lock"

    @property
    def guests_lock(self) -> Path:
        """Locked, shared, by command-line tools that use the store of another owner."""
        return self.data_dir / "guests.lock"

    @property
    def server_lock(self) -> Path:
        """Locked by the server process itself, through a descriptor it is given and never closes."""
        return self.data_dir / "valkey.lock"

    @property
    def server_pid(self) -> Path:
        """The server's pid, written by the server while it runs."""
        return self.data_dir / "valkey.pid"

    @property
    def configuration(self) -> Path:
        """The server's configuration, written anew at every start."""
        return self.data_dir / "valkey.conf"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.data_dir / "valkey.log"

    @property
    def append_only_dir(self) -> Path:
        """The server's append-only files: the data."""
        return self.data_dir / "appendonlydir"

    @property
    def address(self) -> Path:
        """Holds `url` while an owner's store is up."""
        return self.data_dir / "redis.url"

    def publish_address(self) -> None:
        """Write `address`, whole or not at all."""
        draft = self.address.with_name(f"{self.address.name}.new")
        draft.write_text(self.url, encoding="ascii")
        draft.replace(self.address)

    def published_address(self) -> str:
        """Return the URL of the present owner's store, or of a killed one's; empty for none.

        It differs from `url` only where the owner had another temporary directory for its socket.
        """
        try:
            return self.address.read_text(encoding="ascii")
        except FileNotFoundError:
            return ""


class FileLock:
    """An flock(2) on a file; the kernel drops it when its holder ends, however it ends.

    The descriptor is not inherited by programs that the holder starts. A child made by `fork` alone
    (a process pool with the start method "fork") does share it: use "spawn" there.
    """

    def __init__(self, fd: int) -> None:
        """Hold the locked descriptor `fd`; use `take`."""
        self.fd = fd

    @classmethod
    def take(cls, path: Path, *, shared: bool = False, wait_s: float = 0.0) -> FileLock | None:
        """Lock `path`, which is made where it is missing; try again for `wait_s` seconds.

        Returns:
            The lock, or None if somebody else kept it all the time.

        Raises:
            StoreError: The file system refuses the file or the lock.
        """
        deadline = time.monotonic() + wait_s
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"lock file {path} cannot be opened: {error}") from error
        while True:
            try:
                fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(fd)
                    return None
            except OSError as error:
                os.close(fd)
                raise StoreError(f"{path} cannot be locked: {error}") from error
            else:
                return cls(fd)
            time.sleep(0.005)

    def write(self, text: str) -> None:
        """Make `text` the content of the locked file."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, text.encode(), 0)

    def release(self) -> None:
        """Unlock, for descriptors shared with forked children too."""
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        os.close(self.fd)


def claim(files: StoreFiles) -> FileLock:
    """Become the owner of the data directory; the lock's content is the owner's pid.

    Raises:
        DataDirBusyError: It has an owner, which may be this very process.
        StoreError: The file system refuses the lock.
    """
    lock = FileLock.take(files.owner_lock)
    if lock is None:
        raise DataDirBusyError(str(files.data_dir), _owner_pid(files))
    try:
        lock.write(str(os.getpid()))
    except OSError as error:
        lock.release()
        raise StoreError(f"{files.owner_lock} cannot be written: {error}") from error
    return lock


def _owner_pid(files: StoreFiles) -> int:
    """Return the owner's pid, 0 if unknown.

    A fresh owner writes its pid just after it has the lock; until then the file is empty or names the
    one before it, who is gone: hence the short patience.
    """
    for _ in range(40):
        pid = read_pid(files.owner_lock)
        if pid and _lives(pid):
            return pid
        time.sleep(0.005)
    return 0


def read_pid(path: Path) -> int:
    """Return the pid that `path` holds, 0 if there is none."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _socket_path(data_dir: Path) -> Path:
    """Return the socket's path: in `data_dir`, or where that is too long in a private one named after it."""
    path = data_dir / _SOCKET_NAME
    if _fits(path):
        return path
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    short_dir = Path(tempfile.gettempdir()).resolve() / f"huoqun-{os.geteuid()}-{name}"
    path = short_dir / _SOCKET_NAME
    if not _fits(path):
        raise StoreError(
            f"data directory {data_dir} and the system's temporary directory are both too long for a "
            f"Unix socket ({_SOCKET_PATH_LIMIT_BYTES} bytes): set a shorter storage.data_dir"
        )
    _make_private(short_dir)
    return path


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT_BYTES


def _make_private(directory: Path) -> None:
    """Make `directory`, or accept it only if nobody else can have put anything into it.

    Raises:
        StoreError: It exists and is a link, another user's, or open to others.
    """
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise StoreError(f"socket directory {directory} cannot be used: {error}") from error
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    if not private:
        raise StoreError(
            f"socket directory {directory} is not a private directory of this user: "
            "remove it, or set a shorter storage.data_dir"
        )
