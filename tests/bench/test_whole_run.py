from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.process import ROOT

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="the benchmark needs Linux and two cores",
)

EXPECTED_ROWS = (
    "floor: bare aiohttp handler",
    "the same handler on uvloop",
    "**Huoqun, 40 rules** ÷ floor",
    "Huoqun, AI bot in a group (JSON), 40 rules",
    "Huoqun, 40 rules, Redis on the server's core too",
    "Huoqun, 40 rules, `appendfsync always`",
    "Huoqun, check-ins (签到)",
    "Huoqun, check-ins, `appendfsync always`",
    "(b) wechatpy + aiohttp as documented",
    "(b), Redis on the server's core too",
    "(c) WeRoBot",
    "load generator against a server that does nothing",
    "Huoqun ÷ (b)",
    "cost of a message at 40 rules ÷ at 40",
    "p50 / p99 / p99.9 at 50% of own throughput: floor",
    "p50 / p99 / p99.9 at 80% of own throughput: floor",
    "p50 / p99 / p99.9 of Huoqun at 50%, while 100 messages leave",
    "memory of **Huoqun, 40 rules**",
    "start until ready: empty directory",
    "second start",
    "start with 40 rules and what this run left",
    "building the index of 40 rules",
    "a message at 50 members ÷ at 10",
    "Redis memory per member active today",
    "a message at 20 groups ÷ at 1",
    "Redis memory per remembered event",
    "Redis memory per kept answer",
    "drain into SQLite",
    "100 deliveries to 100 people",
    "answers received",
)


@contextlib.contextmanager
def toy_run(temporary: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "--toy"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_toy_run_gets_every_answer_right_and_fills_every_row_of_its_table(short_path: Path) -> None:
    with toy_run(short_path) as process:
        table, progress = process.communicate(timeout=240)
    assert process.returncode == 0, progress
    measured = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    for row in EXPECTED_ROWS:
        assert [cell for cell in measured if cell.startswith(row)], f"{row!r} is missing in\n{table}"
    assert table.splitlines()[-1].split("|")[2].strip().endswith("; 0")  # wrong answers
    assert list(short_path.glob("huoqun-bench-*")) == []


@pytest.mark.crash
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_or_killed_run_leaves_no_process_behind(short_path: Path, number: int) -> None:
    with toy_run(short_path) as process:
        # A paused server and its store are there, and another server is about to start or has done so.
        wait_until(
            lambda: state_of_all(started := descendants(process.pid)).count("T") >= 1 and len(started) >= 4
        )
        started = descendants(process.pid)
        process.send_signal(number)
        process.wait(60)
    wait_until(lambda: set(state_of_all(started)) <= {"", "Z"})


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def descendants(pid: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [child for child, parent in parents.items() if parent == pid]
    return found + [deeper for child in found for deeper in descendants(child)]


def state_of_all(pids: list[int]) -> list[str]:
    """The kernel's letter for each: T is paused, Z a zombie; nothing for one that is gone."""
    return [state_of(pid) for pid in pids]


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
