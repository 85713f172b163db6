"""Real processes of `run.py`: started, watched, and ended by the pids they were seen to have."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = ROOT / "run.py"
START_LIMIT_S = 90.0
_TICK_S = 0.005


@dataclass(frozen=True)
class ProcessId:
    """A process that cannot be mistaken for a later one of the same number."""

    pid: int
    born: str

    def runs(self) -> bool:
        """Whether it still does something; one that has ended and waits to be reaped does not."""
        stat = _stat(self.pid)
        return stat is not None and stat[19] == self.born and stat[0] not in "ZX"

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.runs():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def command(self) -> str:
        """Its command line; empty when it has ended."""
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            return ""


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat behind the name: 0 state, 1 parent's pid, …, 19 time of birth."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None


def descendants(pid: int) -> list[ProcessId]:
    """Everything that descends from a process now."""
    parents: dict[int, list[ProcessId]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) is not None and stat[0] not in "ZX":
            parents.setdefault(int(stat[1]), []).append(ProcessId(int(entry.name), stat[19]))
    found: list[ProcessId] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += [child.pid for child in children]
    return found


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = 15.0) -> float:
    """Wait until `condition` holds, at most `limit_s`; return how many seconds it took."""
    begun_s = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - begun_s
        assert waited_s < limit_s, f"not within {limit_s:g} s: {what}"
        time.sleep(_TICK_S)
    return time.monotonic() - begun_s


def tell(text: str) -> None:
    """Say something that pytest shows when the test fails, or with ``-s``."""
    sys.stdout.write(f"{text}\n")


def run(*arguments: str, limit_s: float = 60.0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command of `run.py` to its end."""
    return subprocess.run(
        [sys.executable, str(RUN), *arguments],
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
        env=os.environ | environment,
    )


class Server:
    """One `run.py serve`.

    Attributes:
        base: What the ready line said, ``http://host:port``.
        process: The main process.
    """

    def __init__(self, config: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start it, without waiting; its output goes to files beside `config`."""
        self.base = ""
        self._out, self._log = config.with_suffix(".out"), config.with_suffix(".log")
        self._family: dict[int, ProcessId] = {}
        with self._out.open("wb") as out, self._log.open("ab") as log:
            # A session of its own stands for a terminal's, which Ctrl-C signals as a whole.
            self.process = subprocess.Popen(
                [sys.executable, str(RUN), "serve", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def wait_ready(self, limit_s: float = START_LIMIT_S) -> None:
        """Wait for the ready line."""
        wait_until(lambda: self.said().endswith("\n") or self.has_ended, "the ready line", limit_s)
        assert self.said().startswith("ready http://"), f"{self.said()}\n{self.log()[-4000:]}"
        self.base = self.said().split()[1]
        self.family()

    def said(self) -> str:
        """Everything on its standard output."""
        return self._out.read_text(encoding="utf-8")

    def log(self) -> str:
        """Everything on the standard error of this server and of earlier ones with the same configuration."""
        return self._log.read_text(encoding="utf-8")

    # ------------------------------------------------------------ its processes

    @property
    def has_ended(self) -> bool:
        """Whether the main process has."""
        return self.process.poll() is not None

    @property
    def main(self) -> ProcessId:
        """The main process."""
        stat = _stat(self.process.pid)
        return ProcessId(self.process.pid, stat[19] if stat else "")

    def family(self) -> list[ProcessId]:
        """Every process below the main one that runs now; each is remembered for the end."""
        found = descendants(self.process.pid) if not self.has_ended else []
        self._family.update({one.pid: one for one in found})
        return found

    def store(self) -> ProcessId:
        """The embedded Redis."""
        return next(one for one in self.family() if "valkey-server" in one.command())

    def workers(self) -> list[ProcessId]:
        """The worker processes; none where the main process answers itself."""
        return [one for one in self.family() if str(RUN) in one.command()]

    def left_over(self) -> list[ProcessId]:
        """Those ever seen that still run, the main process included."""
        family = [*self._family.values(), *([] if self.has_ended else [self.main])]
        return [one for one in family if one.runs()]

    # ------------------------------------------------------------ its end

    def stop(self, number: signal.Signals = signal.SIGTERM, limit_s: float = 20.0) -> int:
        """End it in the orderly way; return the exit code."""
        self.family()
        self.process.send_signal(number)
        return self.process.wait(limit_s)

    def kill(self) -> None:
        """Kill the main process by −9 and wait until everything it started is gone."""
        self.family()
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not self.left_over(), "the end of what a killed main process started", 5.0)

    def clean_up(self) -> None:
        """Leave nothing of it behind, whatever happened."""
        self.family()
        if not self.has_ended:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.left_over(), "the end", 5.0)
        for one in self.left_over():
            one.send(signal.SIGKILL)


@contextlib.contextmanager
def serving(config: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server that is ready; ended at the end, orderly unless it has ended by then."""
    server = Server(config, environment)
    try:
        server.wait_ready()
        yield server
        if not server.has_ended:
            server.stop()
    finally:
        server.clean_up()
