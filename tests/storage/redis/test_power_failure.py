"""What `appendfsync: always` promises: nothing is acknowledged before the disk has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from redis import Redis

from bot.storage.redis.embedded import EmbeddedRedis

STRACE = shutil.which("strace")
WRITES = 20
pytestmark = pytest.mark.crash


def test_with_always_every_answer_leaves_after_its_own_sync(tmp_path: Path) -> None:
    """Read off the server's system calls: sync, answer, sync, answer; never an answer before its sync."""
    if STRACE is None:
        assert "CI" not in os.environ, "CI installs strace"
        pytest.skip("needs strace (apt-get install strace)")
    calls = tmp_path / "calls"
    with (
        EmbeddedRedis.start(tmp_path / "data", appendfsync="always") as store,
        Redis.from_url(store.url) as client,
    ):
        client.ping()  # the connection's own greetings are over
        command = [STRACE, "-f", "-e", "trace=fdatasync,fsync,write", "-o", str(calls), "-p", str(store.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
            assert tracer.stderr is not None
            assert b"attached" in tracer.stderr.readline()
            for number in range(WRITES):
                client.set(f"key{number}", number)
            tracer.terminate()
    seen = ["sync" if "sync(" in line else "answer" for line in _calls(calls)]
    assert seen == ["sync", "answer"] * WRITES


def _calls(file: Path) -> list[str]:
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        lines = [line for line in file.read_text().splitlines() if "sync(" in line or '"+OK' in line]
        if len(lines) >= 2 * WRITES:
            return lines[: 2 * WRITES]
        time.sleep(0.01)
    raise AssertionError("strace wrote too little")
