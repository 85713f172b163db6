"""Several worker processes behind one port, with real processes and signals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientError, ClientSession, TCPConnector

from bot.errors import RefusedError
from bot.lifeline import Lifeline
from bot.processes import listen
from bot.storage.redis.embedded import EmbeddedRedis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

_ROOT = Path(__file__).parents[2]
_PROGRAM = Path(__file__).with_name("serving_program.py")

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc; run it on Linux"),
]


def states(*pids: int) -> str:
    """Return the kernel's letters for what these processes do; X for one that is gone."""
    letters = ""
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
            letters += stat.rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            letters += "X"
    return letters


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    return states(pid) not in "ZX"


async def wait_until(condition: Callable[[], bool], limit_s: float = 15.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.005)


def can_bind(port: int) -> bool:
    with contextlib.suppress(RefusedError):
        for listener in listen("127.0.0.1", port):
            listener.close()
        return True
    return False


@dataclass
class Server:
    """A running `serving_program.py`."""

    process: subprocess.Popen[str]
    data_dir: Path
    port: int = 0
    main_pid: int = 0
    store_pid: int = 0

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def worker_pids(self) -> list[int]:
        """Return the main process's children that are workers and not the store."""
        task = Path(f"/proc/{self.process.pid}/task")
        children = " ".join(file.read_text(encoding="ascii") for file in task.glob("*/children"))
        return [int(pid) for pid in children.split() if int(pid) != self.store_pid]

    async def get(self, path: str) -> Any:
        """Ask over a connection of its own, as a new client would."""
        async with (
            ClientSession(connector=TCPConnector(force_close=True)) as session,
            session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
        ):
            return await answer.json()

    async def ends(self, limit_s: float = 15.0) -> int:
        """Wait for the main process's end and return its exit code."""
        await wait_until(lambda: self.process.poll() is not None, limit_s)
        return self.process.returncode


@contextlib.contextmanager
def start(data_dir: Path, workers: int = 2, grace_s: float = 5.0, **environment: str) -> Iterator[Server]:
    """Start the program without waiting for it; kill at the end what it started."""
    command = [sys.executable, str(_PROGRAM), str(data_dir), str(workers), str(grace_s)]
    variables = {**os.environ, "PYTHONPATH": str(_ROOT), **environment}
    # A process group of its own stands for a terminal's, which Ctrl-C signals as a whole.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
        start_new_session=True,
    ) as process:
        server = Server(process, data_dir)
        started: list[int] = []
        try:
            yield server
            started = server.worker_pids() if process.poll() is None else []
        finally:
            process.kill()
            for pid in (*started, server.store_pid):
                if pid and runs(pid):
                    os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def ready(
    data_dir: Path, workers: int = 2, grace_s: float = 5.0, **environment: str
) -> AsyncIterator[Server]:
    """Start the program and wait until it says it is ready."""
    with start(data_dir, workers, grace_s, **environment) as server:
        line = await asyncio.to_thread(server.line)
        assert line, server.process.communicate()
        said = json.loads(line)
        server.port, server.main_pid, server.store_pid = said["port"], said["main"], said["store"]
        yield server


async def test_every_worker_answers_on_the_one_port_and_shares_the_store(tmp_path: Path) -> None:
    async with ready(tmp_path) as server:
        pids = server.worker_pids()
        assert len(pids) == 2
        seen: set[int] = set()
        while seen != set(pids):  # the kernel decides who accepts; all do in the end
            seen.update(await asyncio.gather(*(server.get("/pid") for _ in range(20))))
        counts = await asyncio.gather(*(server.get("/count") for _ in range(20)))
        assert sorted(counts) == list(range(1, 21))

        given = await server.get("/environment")
        assert given["metrics"] == str(tmp_path / "metrics")
        assert given["role"] is None  # a program the worker starts is no worker
        assert given["inheritable"] == [False]


async def test_a_killed_main_process_takes_workers_and_store_along_and_data_stays(tmp_path: Path) -> None:
    """Within 5 seconds nothing runs, the port is free, and every acknowledged count is still there."""
    rng = random.Random(20240503)
    acknowledged = 0
    for _ in range(2):
        async with ready(tmp_path) as server:
            workers = server.worker_pids()
            asyncio.get_running_loop().call_later(rng.uniform(0.0, 0.3), server.process.kill)
            with contextlib.suppress(ClientError):
                while True:
                    acknowledged = await server.get("/count")
            await wait_until(lambda: not any(map(runs, (*workers, server.store_pid))), 5.0)  # noqa: B023
            await wait_until(lambda: can_bind(server.port), 5.0)
    assert acknowledged > 0
    async with ready(tmp_path) as server:
        assert await server.get("/count") >= acknowledged + 1


async def test_a_main_process_killed_before_its_workers_are_up_leaves_nothing(tmp_path: Path) -> None:
    with start(tmp_path) as server:
        await wait_until(lambda: len(server.worker_pids()) == 3)  # the store, not yet known, and two workers
        children = server.worker_pids()
        server.process.kill()
        await wait_until(lambda: not any(map(runs, children)))
    with EmbeddedRedis.start(tmp_path):
        pass


async def test_a_worker_that_does_not_feel_its_parents_end_is_ended_by_the_lifeline() -> None:
    """The kernel's signal is one way, the lifeline another: a worker without the first has the second."""
    link, far_link = socket.socketpair()
    (listener,) = listen("127.0.0.1", 0)
    role = f"0:{far_link.fileno()}:{listener.fileno()}"
    program = (
        "import time; from bot import lifeline; lifeline.tether = print;"
        "lifeline.Lifeline.from_environment().ready(); time.sleep(60)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        pass_fds=(far_link.fileno(), listener.fileno()),
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "HUOQUN_WORKER": role},
    )
    far_link.close()
    listener.close()
    try:
        assert await asyncio.to_thread(link.recv, 1) == b"r"
        assert process.returncode is None
        link.close()
        assert await asyncio.wait_for(process.wait(), 5) == 1
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_process_that_is_no_worker_has_no_lifeline() -> None:
    assert Lifeline.from_environment() is None


async def test_a_killed_worker_is_replaced_and_queued_connections_are_served(tmp_path: Path) -> None:
    """With every worker stopped, connections wait in the queue they share; the death of one loses none."""
    async with ready(tmp_path) as server:
        first, second = server.worker_pids()
        for pid in (first, second):
            os.kill(pid, signal.SIGSTOP)
        await wait_until(lambda: states(first, second) == "TT")
        waiting = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(10)]
        for _, writer in waiting:
            writer.write(b"GET /pid HTTP/1.0\r\n\r\n")
        os.kill(first, signal.SIGKILL)
        answers = [await asyncio.wait_for(reader.read(), 15) for reader, _ in waiting]
        for _, writer in waiting:
            writer.close()
            await writer.wait_closed()
        replacement = (set(server.worker_pids()) - {second}).pop()
        os.kill(second, signal.SIGCONT)
        assert {answer.rpartition(b"\r\n")[2] for answer in answers} == {b"%d" % replacement}


async def test_a_worker_that_dies_of_a_fault_is_replaced_under_its_index(tmp_path: Path) -> None:
    async with ready(tmp_path, workers=1) as server:
        (before,) = server.worker_pids()
        with contextlib.suppress(ClientError):
            await server.get("/fail")
        assert await server.get("/pid") != before
        assert (await server.get("/environment"))["index"] == 0


async def test_sigterm_lets_workers_finish_their_requests_then_ends_all(tmp_path: Path) -> None:
    async with ready(tmp_path) as server:
        workers = server.worker_pids()
        answer = asyncio.create_task(server.get("/slow?s=0.5"))
        assert await asyncio.to_thread(server.line) == "slow"
        server.process.terminate()
        assert await answer == "done"
        assert await server.ends() == 0
        assert await asyncio.to_thread(server.line) == "ended"
        assert not any(map(runs, (*workers, server.store_pid)))
        assert can_bind(server.port)
        assert server.process.stderr
        assert server.process.stderr.read() == ""


async def test_ctrl_c_reaches_every_process_but_main_ends_the_workers(tmp_path: Path) -> None:
    """A terminal signals the whole group: a worker that obeyed would cut its requests off."""
    async with ready(tmp_path) as server:
        answer = asyncio.create_task(server.get("/slow?s=0.5"))
        assert await asyncio.to_thread(server.line) == "slow"
        os.killpg(server.process.pid, signal.SIGINT)
        assert await answer == "done"
        assert await server.ends() == 0
        assert not runs(server.store_pid)


async def test_a_worker_that_does_not_end_in_its_grace_is_killed(tmp_path: Path) -> None:
    async with ready(tmp_path, grace_s=0.2, STUBBORN="1") as server:
        workers = server.worker_pids()
        server.process.terminate()
        assert await server.ends() == 0
        assert not any(map(runs, workers))


async def test_a_second_signal_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    async with ready(tmp_path, workers=1, grace_s=60.0, STUBBORN="1") as server:
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(AssertionError, match="in time"):
            await server.ends(0.3)
        server.process.send_signal(signal.SIGINT)
        assert await server.ends() == 0


async def test_a_worker_that_never_gets_ready_ends_the_start_with_its_exit_code(tmp_path: Path) -> None:
    with start(tmp_path, FAILING="1") as server:
        assert await server.ends(30.0) == 1
        assert server.process.stderr
        assert "worker 1 ended again and again" in (said := server.process.stderr.read())
        assert "exit code 3" in said
        assert "main" not in server.line()  # it never said it was ready


async def test_a_dead_workers_live_gauges_and_a_former_runs_figures_are_dropped(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    (metrics / "counter_1.db").write_bytes(b"of a former run")
    async with ready(tmp_path, workers=1) as server:
        assert list(metrics.iterdir()) == []
        (pid,) = server.worker_pids()
        live, total = metrics / f"gauge_livesum_{pid}.db", metrics / f"counter_{pid}.db"
        live.touch()
        total.touch()
        os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: not live.exists())
        assert total.exists()  # what it counted stays counted


def test_a_busy_port_is_refused_with_the_cure() -> None:
    listeners = listen("127.0.0.1", 0)
    port = listeners[0].getsockname()[1]
    with pytest.raises(RefusedError, match=rf"port {port}.*server\.port"):
        listen("127.0.0.1", port)
    for listener in listeners:
        listener.close()


def test_a_host_that_is_not_ours_is_refused() -> None:
    for host in ("192.0.2.1", "no such host"):
        with pytest.raises(RefusedError, match=host):
            listen(host, 0)


def test_a_name_of_several_addresses_is_served_on_all_with_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = socket.getaddrinfo

    def both(_: object, port: int, **options: Any) -> list[Any]:
        return [entry for host in ("127.0.0.1", "127.0.0.2") for entry in genuine(host, port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    listeners = listen("localhost", 0)
    names = [listener.getsockname() for listener in listeners]
    for listener in listeners:
        listener.close()
    assert [name[0] for name in names] == ["127.0.0.1", "127.0.0.2"]
    assert names[0][1] == names[1][1] > 0
