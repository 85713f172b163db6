"""Which core does what, what a process weighs, and the machine in words (Linux)."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the server under test, and the one of everything else: load and Redis."""

    server: int
    load: int

    @classmethod
    def choose(cls) -> Cores:
        """Take the first two cores this process may use.

        Raises:
            RefusedError: There is only one, or this system cannot bind processes to cores.
        """
        if not hasattr(os, "sched_getaffinity"):
            raise RefusedError("the benchmark binds processes to cores, which only Linux lets us do")
        found = sorted(os.sched_getaffinity(0))
        if len(found) < 2:
            raise RefusedError("the benchmark needs two cores, one for the server and one for the load")
        return cls(found[0], found[1])


def pin(pid: int, core: int) -> None:
    """Bind every thread of a process to `core`; threads made later inherit it."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Bind the calling thread to `core` for a while; processes it starts meanwhile stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process holds, MiB: all its pages, and its share where pages are shared with others."""

    rss_mib: float
    pss_mib: float


def memory_of(pid: int) -> Memory:
    """Return what the process holds now."""
    figures = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, _, rest = line.partition(":")
        figures[name] = int(rest.split()[0]) / 1024
    return Memory(figures["Rss"], figures["Pss"])


@dataclass(frozen=True, slots=True)
class Busy:
    """What the threads of a process have had of their core so far, seconds.

    `ran_s` is CPU time; `waited_s` is time in which they could have run and something else did.
    """

    ran_s: float
    waited_s: float


def busy(pid: int) -> Busy:
    """Return the CPU and waiting time of a process since its start."""
    ran_ns = waited_ns = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        ran, waited, _ = (task / "schedstat").read_text(encoding="ascii").split()
        ran_ns += int(ran)
        waited_ns += int(waited)
    return Busy(ran_ns / 1e9, waited_ns / 1e9)


def machine() -> str:
    """Describe the machine without anything that names it: ``2-core Linux VM, CPython 3.11``."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    kind = "VM" if " hypervisor" in flags else "machine"
    version = ".".join(platform.python_version_tuple()[:2])
    return f"{os.cpu_count()}-core {platform.system()} {kind}, {platform.python_implementation()} {version}"
