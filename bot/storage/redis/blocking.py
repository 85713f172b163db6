"""A blocking connection for the few words that start and end the embedded store; hiredis packs and parses.

redis-py's client would do the same and take 7 MiB of every serving process.
"""

from __future__ import annotations

import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import hiredis

from bot.errors import CommandRefusedError

_CHUNK_BYTES = 1 << 16


class BlockingLink:
    """A connection to a server on a Unix socket, as a context."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        """Prepare to connect to `path`; each wait takes at most `timeout_s` seconds."""
        self._path = path
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace", replyError=CommandRefusedError)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, *command: str) -> Any:
        """Run one command and return its answer, texts decoded.

        Raises:
            CommandRefusedError: The server refused it, for example while it loads its data.
            TimeoutError: It did not answer in time; this connection is closed.
            ConnectionError: Nobody listens there, or the connection ended.
        """
        try:
            connection = self._connected()
            connection.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub is too narrow
            answer = self._reader.gets()
            while answer is False:
                data = connection.recv(_CHUNK_BYTES)
                if not data:
                    raise ConnectionResetError("the server ended the connection")
                self._reader.feed(data)
                answer = self._reader.gets()
        except TimeoutError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise ConnectionError(str(error)) from error
        if isinstance(answer, CommandRefusedError):
            raise answer
        return answer

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(self._timeout_s)
            self._socket.connect(str(self._path))
        return self._socket
