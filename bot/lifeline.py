"""A worker process's side of `bot.processes`: what it was given, and its end with the main process.

A worker ends at once when the main process is gone, by two independent ways: the kernel kills it
(Linux, see `bot.tether`), and the lifeline, a socket whose other end only the main process holds,
reads end-of-file; a thread waits for that, so a busy event loop does not delay it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from dataclasses import dataclass

from bot.tether import tether

VARIABLE = "HUOQUN_WORKER"  # <index>:<fd of the lifeline>:<fd of a listener>,<fd>,…
READY = b"r"
_EXIT_CODE_ORPHANED = 1


@dataclass(frozen=True, slots=True)
class Lifeline:
    """What a worker process was given.

    Attributes:
        index: Which worker it is, from 0; a replacement has the index of the one it replaces.
        listeners: The listening sockets, shared with the other workers.
    """

    index: int
    listeners: tuple[socket.socket, ...]
    _link: socket.socket

    @classmethod
    def from_environment(cls) -> Lifeline | None:
        """Take over what the main process passed on; call it early, once, on the main thread.

        From then on the process ignores SIGINT, since Ctrl-C in a terminal reaches every process and it
        is the main process that ends its workers, by SIGTERM; and programs it starts inherit neither
        the sockets nor the role.

        Returns:
            None if this process is no worker.
        """
        given = os.environ.pop(VARIABLE, None)
        if given is None:
            return None
        index, link_fd, listener_fds = given.split(":")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        tether(signal.SIGKILL)
        link = _inherited(int(link_fd))
        # The main process may have ended before this; then the link is at its end already.
        threading.Thread(target=_end_with, args=(link,), name="lifeline", daemon=True).start()
        listeners = tuple(_inherited(int(fd)) for fd in listener_fds.split(","))
        return cls(int(index), listeners, link)

    def ready(self) -> None:
        """Tell the main process that this worker answers requests."""
        self._link.sendall(READY)


def _inherited(fd: int) -> socket.socket:
    found = socket.socket(fileno=fd)
    found.set_inheritable(False)
    return found


def _end_with(link: socket.socket) -> None:
    """Wait until the other end of `link` is closed, then end this process without ceremony."""
    try:
        while link.recv(1):
            pass
    except OSError:
        pass  # reset: closed all the same
    os._exit(_EXIT_CODE_ORPHANED)
