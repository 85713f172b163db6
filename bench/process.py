"""A server under test: a real process on the server's core, paused while others are measured.

It is started through `bot.tether`, so that it ends when the benchmark is killed, and in a process group of
its own: Ctrl-C is for the benchmark, which ends it in its orderly way, and the kernel wakes and ends a
paused one that is left alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.cores import Memory, memory_of, on_core
from bot import tether
from bot.errors import BotError

ROOT = Path(__file__).resolve().parent.parent
_START_LIMIT_S = 120.0
_END_LIMIT_S = 15.0
_LISTENS = re.compile(rb"^ready http://\S*:(\d+)\n", re.MULTILINE)


class ServerStartError(BotError):
    """A server did not come up; carries the end of its log."""


class ServerProcess:
    """One running server.

    Attributes:
        pid: Its process id.
        port: Where it listens on 127.0.0.1.
        started_in_s: Seconds from the start of the process to its line ``ready http://…``.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, started_in_s: float) -> None:
        self._process = process
        self.pid = process.pid
        self.port = port
        self.started_in_s = started_in_s

    @classmethod
    def start(cls, arguments: Sequence[str], core: int, log: Path) -> ServerProcess:
        """Start ``python <arguments>`` on `core` and wait until it says where it listens.

        Raises:
            ServerStartError: It ended, or said nothing within two minutes.
        """
        python = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), sys.executable]
        begun_s = time.perf_counter()
        with on_core(core), log.open("ab") as errors:
            process = subprocess.Popen(
                [*python, *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                process_group=0,
            )
        try:
            port = _await_ready(process, log)
        except BaseException:
            _end(process)
            raise
        return cls(process, port, time.perf_counter() - begun_s)

    def pause(self) -> None:
        """Stop it where it is, so that it takes no time from the server being measured."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        os.kill(self.pid, signal.SIGCONT)

    def memory(self) -> Memory:
        """Return what it holds now."""
        return memory_of(self.pid)

    def stop(self) -> None:
        """End it in its orderly way, or by force after 15 s."""
        _end(self._process)


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> int:
    assert process.stdout is not None
    deadline_s = time.monotonic() + _START_LIMIT_S
    said = b""
    while not (found := _LISTENS.search(said)):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not select.select([process.stdout], [], [], left_s)[0]:
            raise ServerStartError(f"no word from the server for {_START_LIMIT_S:.0f} s; {_tail(log)}")
        chunk = process.stdout.read(4096)
        if not chunk:
            raise ServerStartError(f"the server ended before it was ready; {_tail(log)}")
        said += chunk
    return int(found[1])


def _tail(log: Path) -> str:
    return "its log ends:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)
        process.terminate()
    try:
        process.wait(_END_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
