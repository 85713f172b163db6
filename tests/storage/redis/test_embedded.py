"""The embedded store, with real processes: owned by one, never lost, never left behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from bot.errors import DataDirBusyError, StoreError
from bot.storage.redis import embedded, valkey
from bot.storage.redis.aof_sync import AppendOnlyFileSync
from bot.storage.redis.embedded import EmbeddedRedis, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOT = Path(__file__).parents[3]
_OWNER = Path(__file__).with_name("store_owner.py")

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc; run it on Linux"),
]


def wait_until(condition: Callable[[], bool], limit_s: float = 15.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def ended(pid: int) -> bool:
    return not runs(pid)


@pytest.fixture
def pids() -> Iterator[list[int]]:
    """Collects pids of processes the test started; what still runs at its end is killed."""
    started: list[int] = []
    yield started
    for pid in started:
        if runs(pid):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def owner(data_dir: Path, pids: list[int], *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run another process that owns `data_dir`; gives it and its store's pid, and kills it at the end."""
    command = [sys.executable, str(_OWNER), str(data_dir), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        store_pid = int(process.stdout.readline())
        pids += [process.pid, store_pid]
        try:
            yield process, store_pid
        finally:
            process.kill()


@contextlib.contextmanager
def client(url: str) -> Iterator[Redis]:
    with Redis.from_url(url, decode_responses=True) as connected:
        yield connected


def ask(url: str, *command: str | int) -> Any:
    with client(url) as connected:
        return connected.execute_command(*command)  # type: ignore[no-untyped-call]


def test_a_started_store_answers_on_a_private_socket_only_and_writes_an_append_only_file(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "new" / "data"
    with EmbeddedRedis.start(data_dir) as store:
        with client(store.url) as connected:
            settings: Any = connected.config_get("*")
            info: Any = connected.info()
        modes = [
            stat.S_IMODE(path.stat().st_mode)
            for path in (data_dir, data_dir / "valkey.sock", *(data_dir / "appendonlydir").iterdir())
        ]
        pid_in_file = int((data_dir / "valkey.pid").read_text(encoding="ascii"))

    wanted = {
        "port": "0",
        "appendonly": "yes",
        "save": "",
        "aof-use-rdb-preamble": "yes",
        "aof-load-truncated": "yes",
        "set-max-intset-entries": "4096",
        "loglevel": "notice",
        "dir": str(data_dir),
    }
    assert {name: settings[name] for name in wanted} == wanted
    assert info["process_id"] == store.pid == pid_in_file
    assert all(mode & 0o077 == 0 for mode in modes), modes
    assert "Ready to accept connections" in (data_dir / "valkey.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(("wish", "of_the_server"), [("always", "always"), ("everysec", "no"), ("no", "no")])
def test_appendfsync_is_the_servers_for_always_and_ours_for_everysec(
    tmp_path: Path, wish: valkey.AppendFsync, of_the_server: str
) -> None:
    """Left to the server, `everysec` holds writes back in its memory while a sync is under way."""
    with EmbeddedRedis.start(tmp_path, appendfsync=wish) as store:
        assert ask(store.url, "CONFIG GET", "appendfsync") == {"appendfsync": of_the_server}


def test_each_growth_of_the_append_only_file_is_synced_once(tmp_path: Path) -> None:
    with EmbeddedRedis.start(tmp_path, appendfsync="no") as store:
        files = AppendOnlyFileSync(tmp_path / "appendonlydir")
        ask(store.url, "SET", "a", 1)
        first, second = files.sync(), files.sync()
        ask(store.url, "SET", "a", 2)
        third = files.sync()
    assert first == third == ["appendonly.aof.1.incr.aof"]
    assert second == []


def test_everysec_syncs_within_seconds_of_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    genuine = AppendOnlyFileSync.sync
    monkeypatch.setattr(AppendOnlyFileSync, "sync", lambda self: synced.extend(genuine(self)))
    with EmbeddedRedis.start(tmp_path) as store:
        ask(store.url, "SET", "a", 1)
        wait_until(lambda: bool(synced))


def test_data_and_address_stay_from_one_start_to_the_next(tmp_path: Path) -> None:
    with EmbeddedRedis.start(tmp_path) as store:
        url = store.url
        ask(url, "SET", "name", "活群")
    assert not (tmp_path / "redis.url").exists()
    with EmbeddedRedis.start(tmp_path) as store:
        assert (tmp_path / "redis.url").read_text(encoding="ascii") == store.url == url
        assert ask(url, "GET", "name") == "活群"


def test_stop_ends_the_server_and_a_second_stop_does_nothing(tmp_path: Path) -> None:
    store = EmbeddedRedis.start(tmp_path)
    store.stop()
    assert not runs(store.pid)
    store.stop()
    with EmbeddedRedis.start(tmp_path):
        store.stop()
        with pytest.raises(DataDirBusyError):
            EmbeddedRedis.start(tmp_path)


def test_a_second_start_in_the_same_process_is_refused_naming_it(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "data")
    with EmbeddedRedis.start(tmp_path / "data") as store:
        with pytest.raises(DataDirBusyError, match=str(os.getpid())) as refusal:
            EmbeddedRedis.start(link)
        assert refusal.value.pid == os.getpid()
        assert ask(store.url, "PING")


def test_a_second_start_in_another_process_is_refused_naming_the_owner(
    tmp_path: Path, pids: list[int]
) -> None:
    with (
        owner(tmp_path, pids) as (process, store_pid),
        pytest.raises(DataDirBusyError, match=r"storage\.data_dir") as refusal,
    ):
        EmbeddedRedis.start(tmp_path)
    assert refusal.value.pid == process.pid
    assert store_pid != process.pid


def test_one_process_owns_two_directories_that_know_nothing_of_each_other(tmp_path: Path) -> None:
    with EmbeddedRedis.start(tmp_path / "a") as one, EmbeddedRedis.start(tmp_path / "b") as other:
        ask(one.url, "SET", "only", "in a")
        assert ask(other.url, "GET", "only") is None
        one.stop()
        assert ask(other.url, "PING")


def test_a_killed_owner_takes_its_server_along_and_loses_nothing_it_acknowledged(
    tmp_path: Path, pids: list[int]
) -> None:
    rng = random.Random(20240501)
    acknowledged = 0
    for _ in range(3):
        with owner(tmp_path, pids, "count") as (process, store_pid):
            assert process.stdout
            # At a random moment of the counting.
            threading.Timer(rng.uniform(0.05, 0.4), process.kill).start()
            lines = [line for line in process.stdout if line.endswith("\n")]
            acknowledged = int(lines[-1]) if lines else acknowledged
        wait_until(partial(ended, store_pid), 5.0)
        with EmbeddedRedis.start(tmp_path) as store:
            # One more may have been counted whose answer nobody read.
            assert acknowledged <= int(ask(store.url, "GET", "counted") or 0) <= acknowledged + 1
    assert acknowledged > 0


def test_a_killed_server_is_replaced_at_the_same_address_with_everything_acknowledged(
    tmp_path: Path, pids: list[int]
) -> None:
    rng = random.Random(20240502)
    with EmbeddedRedis.start(tmp_path) as store:
        acknowledged = 0
        for _ in range(3):
            pid = int(ask(store.url, "INFO", "server")["process_id"])
            pids.append(pid)
            threading.Timer(rng.uniform(0.02, 0.2), os.kill, (pid, signal.SIGKILL)).start()
            with contextlib.suppress(RedisError):
                while True:
                    acknowledged = int(ask(store.url, "INCR", "counted"))
            wait_until(partial(ended, pid))
            wait_until(partial(valkey.answers, store.url))
            counted = int(ask(store.url, "GET", "counted"))
            assert acknowledged <= counted <= acknowledged + 1
            acknowledged = counted


def test_half_a_command_at_the_end_of_the_file_is_dropped_and_the_rest_is_loaded(tmp_path: Path) -> None:
    """What a power failure in the middle of a write leaves behind."""
    with EmbeddedRedis.start(tmp_path) as store:
        ask(store.url, "SET", "whole", 1)
        ask(store.url, "SET", "torn", "x" * 100)
    file = tmp_path / "appendonlydir" / "appendonly.aof.1.incr.aof"
    os.truncate(file, file.stat().st_size - 20)
    with EmbeddedRedis.start(tmp_path) as store:
        assert (ask(store.url, "GET", "whole"), ask(store.url, "GET", "torn")) == ("1", None)


def test_a_failed_start_says_what_the_server_logged_this_time_and_frees_the_directory(tmp_path: Path) -> None:
    with EmbeddedRedis.start(tmp_path) as store:
        ask(store.url, "SET", "a", 1)
    manifest = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
    genuine = manifest.read_text(encoding="utf-8")
    manifest.write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(StoreError, match="Invalid AOF manifest") as failure:
        EmbeddedRedis.start(tmp_path)
    assert "Ready to accept" not in str(failure.value)  # of the first start
    manifest.write_text(genuine, encoding="utf-8")
    with EmbeddedRedis.start(tmp_path) as store:
        assert ask(store.url, "GET", "a") == "1"


def test_a_directory_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be used"):
        EmbeddedRedis.start(tmp_path / "file" / "data")


def test_a_store_started_on_a_thread_outlives_the_thread(tmp_path: Path) -> None:
    """The kernel ends the server with the thread that started it: that has to be the store's own."""
    stores: list[EmbeddedRedis] = []
    thread = threading.Thread(target=lambda: stores.append(EmbeddedRedis.start(tmp_path)))
    thread.start()
    thread.join()
    native_threads = Path(f"/proc/{os.getpid()}/task")
    wait_until(lambda: str(thread.native_id) not in {task.name for task in native_threads.iterdir()})
    with stores[0] as store:
        pid = store.pid
        for _ in range(20):
            assert ask(store.url, "INCR", "a") > 0
        assert store.pid == pid
        assert runs(pid)


def test_no_program_the_owner_starts_inherits_its_lock(tmp_path: Path, pids: list[int]) -> None:
    """One that did would keep the directory owned after the owner was killed."""

    def held(pid: int) -> set[str]:
        return {os.path.realpath(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}

    with EmbeddedRedis.start(tmp_path) as store, subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        pids.append(child.pid)
        wait_until(lambda: Path(f"/proc/{child.pid}/comm").read_text(encoding="utf-8") == "sleep\n")
        inherited, of_the_server = held(child.pid), held(store.pid)
        child.kill()
    assert not {path for path in inherited if path.startswith(str(tmp_path))}
    assert str(tmp_path / "owner.lock") not in of_the_server
    assert str(tmp_path / "valkey.lock") in of_the_server


@contextlib.contextmanager
def lone_server(data_dir: Path, *settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on `data_dir` that nobody owns, as one that outlived its owner."""
    data_dir.mkdir(exist_ok=True)
    socket_path = data_dir / "valkey.sock"
    command = [str(valkey.server_program()), "--port", "0", "--unixsocket", str(socket_path), *settings]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=data_dir) as process:
        try:
            wait_until(lambda: valkey.answers(f"unix://{socket_path}"))
            yield process
        finally:
            process.kill()


def test_a_server_that_outlived_its_owner_is_ended_and_its_data_taken_over(tmp_path: Path) -> None:
    with EmbeddedRedis.start(tmp_path) as store:
        url = store.url
    pid_file = str(tmp_path / "valkey.pid")
    with lone_server(
        tmp_path, "--dir", str(tmp_path), "--appendonly", "yes", "--pidfile", pid_file
    ) as orphan:
        ask(url, "SET", "from", "orphan")
        with EmbeddedRedis.start(tmp_path) as store:
            assert orphan.wait(5) == 0
            assert ask(url, "GET", "from") == "orphan"
            assert store.pid != orphan.pid


def test_a_foreign_server_on_our_socket_is_left_alone_and_the_start_refused(tmp_path: Path) -> None:
    """It works in another directory, or is not the process our pid file names."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ours = tmp_path / "ours"
    pid_file = str(ours / "valkey.pid")
    with lone_server(ours, "--dir", str(elsewhere), "--pidfile", pid_file) as foreign:
        with pytest.raises(StoreError, match=f"process {foreign.pid} listens"):
            EmbeddedRedis.start(ours)
        assert foreign.poll() is None
    with lone_server(ours, "--dir", str(ours)) as foreign:
        Path(pid_file).write_text("1\n", encoding="ascii")
        with pytest.raises(StoreError, match=f"process {foreign.pid} listens"):
            EmbeddedRedis.start(ours)
        assert foreign.poll() is None


def test_a_server_that_holds_the_files_without_listening_keeps_another_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pids: list[int]
) -> None:
    """Two servers on one append-only file would destroy it; the lock the server holds is the proof."""
    monkeypatch.setattr(valkey, "_ORPHAN_LIMIT_S", 0.05)
    with owner(tmp_path, pids) as (process, store_pid):
        os.kill(store_pid, signal.SIGSTOP)
        process.kill()
        process.wait()
        (tmp_path / "valkey.sock").unlink()
        with pytest.raises(StoreError, match=f"last known pid {store_pid}"):
            EmbeddedRedis.start(tmp_path)
        os.kill(store_pid, signal.SIGCONT)
        wait_until(lambda: not runs(store_pid))
    EmbeddedRedis.start(tmp_path).stop()


def test_a_path_too_long_for_a_socket_gets_a_private_short_one(
    tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, other = short_path / "a", short_path / "b"
    for folder in (short, other):
        folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(short))
    data_dir = tmp_path / ("long" * 40)
    with EmbeddedRedis.start(data_dir) as store:
        ask(store.url, "SET", "a", 1)
        (socket_path,) = short.glob("*/valkey.sock")
        assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700
        with pytest.raises(DataDirBusyError):
            EmbeddedRedis.start(data_dir)
        monkeypatch.setattr("tempfile.tempdir", str(other))  # the owner's address counts, not ours
        with open_store(data_dir) as opened:
            assert ask(opened.url, "GET", "a") == "1"
    monkeypatch.setattr("tempfile.tempdir", str(short))
    assert list(socket_path.parent.iterdir()) == []
    socket_path.parent.chmod(0o755)
    with pytest.raises(StoreError, match="not a private directory"):
        EmbeddedRedis.start(data_dir)


def test_a_tool_starts_the_store_where_nobody_owns_it_and_stops_it_afterwards(tmp_path: Path) -> None:
    with open_store(tmp_path) as opened:
        assert not opened.attached
        ask(opened.url, "SET", "a", 1)
    assert not valkey.answers(opened.url)
    with EmbeddedRedis.start(tmp_path) as store:
        assert ask(store.url, "GET", "a") == "1"


def test_a_tool_attaches_to_the_owners_store_and_leaves_it_running(tmp_path: Path) -> None:
    with EmbeddedRedis.start(tmp_path) as store:
        with open_store(tmp_path, "always") as opened:
            assert opened.attached
            assert opened.url == store.url
        assert ask(store.url, "PING")


def test_tools_that_run_at_once_do_not_stop_the_store_under_each_other(tmp_path: Path) -> None:
    """The one that started it waits for those that attached to it."""
    attached, failures = threading.Event(), []
    release = threading.Event()

    def guest() -> None:
        try:
            with open_store(tmp_path) as opened:
                attached.set()
                release.wait(10)
                for _ in range(50):
                    ask(opened.url, "INCR", "by guest")
        except (StoreError, RedisError) as error:  # pragma: no cover - the defect this test looks for
            failures.append(error)

    thread = threading.Thread(target=guest)
    with open_store(tmp_path):
        thread.start()
        assert attached.wait(10)
        threading.Timer(0.2, release.set).start()
    thread.join()
    assert failures == []
    with EmbeddedRedis.start(tmp_path) as store:
        assert ask(store.url, "GET", "by guest") == "50"


def test_a_tool_gives_up_on_an_owner_whose_store_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pids: list[int]
) -> None:
    monkeypatch.setattr(embedded, "_ATTACH_LIMIT_S", 0.1)
    with owner(tmp_path, pids) as (process, store_pid):
        os.kill(store_pid, signal.SIGSTOP)
        with pytest.raises(StoreError, match=f"process {process.pid} owns"), open_store(tmp_path):
            pass
        os.kill(store_pid, signal.SIGCONT)
