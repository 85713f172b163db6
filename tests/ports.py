"""Ports of this machine that a configuration has to name before anybody listens on them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """A port that nobody is given who asks the system for any, while the context lasts.

    Whoever is told to listen on it can, with ``SO_REUSEADDR``, as our server does; before that, connections
    are refused.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
