"""A timer with microseconds that can be waited for together with sockets (Linux timerfd).

epoll waits for whole milliseconds, in which a fast server answers several requests; sleeping elsewhere in
the loop would delay answers, and spinning would take the core from Redis.
"""

from __future__ import annotations

import ctypes
import os
import time
from types import TracebackType
from typing import Self

_SHORTEST_S = 1e-6  # 0 would switch it off


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class Alarm:
    """Makes `fd` readable at the time it is set to.

    The standard library has timerfd from Python 3.13 on; this calls the C library, also on 3.11.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def set(self, in_s: float) -> None:
        """Go off in `in_s` seconds, at once for the past; forgets the time set before."""
        whole, rest = divmod(max(in_s, _SHORTEST_S), 1.0)
        spec = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(int(whole), int(rest * 1e9)))
        if self._libc.timerfd_settime(self.fd, 0, ctypes.byref(spec), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def clear(self) -> None:
        """Take note that it went off."""
        os.read(self.fd, 8)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.fd)
