"""How the program starts, refuses to start, ends and dies; and what its outside says of it."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from bot.sandbox.vendor import Sandbox
from tests.e2e.deployments import ACCOUNTS, MANAGER, Deployment
from tests.e2e.lines import Line
from tests.e2e.records import until
from tests.e2e.serving import Server, run, tell, wait_until
from tests.e2e.slow_plugin import GATES

# On embedded stores alone, whose processes are what is looked at.
pytestmark = pytest.mark.crash

WORKERS = [1, 4]


def several(folder: Path, workers: int, **server: object) -> Deployment:
    return Deployment(folder, {"server": {"workers": workers, **server}})


def port_of(server: Server) -> int:
    return int(server.base.rpartition(":")[2])


def can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


async def check_in(server: Server, vendor: Sandbox, user_id: str) -> str:
    async with Line(server.base) as line:
        answer = await line.post("app", vendor.build_callback("app", user_id, "签到"))
    assert answer.status == 200
    return vendor.open_answer("app", answer.body)


@pytest.mark.parametrize("workers", WORKERS)
async def test_ctrl_c_ends_everything_and_the_next_start_has_the_data(
    tmp_path: Path, vendor: Sandbox, workers: int
) -> None:
    deployment = several(tmp_path, workers)
    with deployment.serve() as server:
        assert "签到成功！" in await check_in(server, vendor, "ana")
        assert len(server.workers()) == (0 if workers == 1 else workers)
        family = server.family()
        assert len(family) == len(server.workers()) + 1  # and the store
        first_log = server.log()
        signal_group(server, signal.SIGINT)
        assert server.process.wait(20) == 0
        assert not [one for one in family if one.runs()]
        assert can_bind(port_of(server))
        assert server.said() == f"ready {server.base}\n"  # one line, and nothing else
        assert '"level":"error"' not in first_log + server.log()
        assert "Traceback" not in server.log()
    with several(tmp_path, 1).serve() as server:  # the number of processes may change from start to start
        assert "今天已经签到过了" in await check_in(server, vendor, "ana")


def signal_group(server: Server, number: signal.Signals) -> None:
    """What a terminal does on Ctrl-C: every process of the group gets it (the store has its own)."""
    os.killpg(server.process.pid, number)


@pytest.mark.parametrize("workers", WORKERS)
async def test_a_main_process_killed_by_9_leaves_nothing_running_and_the_port_free(
    tmp_path: Path, vendor: Sandbox, workers: int
) -> None:
    deployment = several(tmp_path, workers)
    with deployment.serve() as server:
        await check_in(server, vendor, "ana")
        family, port = server.family(), port_of(server)
        assert len(family) == 1 + (0 if workers == 1 else workers)
        server.process.kill()
        server.process.wait()
        took_s = wait_until(
            lambda: can_bind(port) and not any(one.runs() for one in family),
            "no process, and a free port",
            5.0,
        )
        tell(f"gone after {took_s:.2f} s")
    with several(tmp_path, 1).serve() as server:
        assert "今天已经签到过了" in await check_in(server, vendor, "ana")


async def test_killed_workers_are_replaced_while_the_others_answer(tmp_path: Path, vendor: Sandbox) -> None:
    with several(tmp_path, 2).serve() as server:
        first, second = server.workers()
        first.send(signal.SIGKILL)
        assert "签到成功！" in await check_in(server, vendor, "ana")
        wait_until(lambda: len(server.workers()) == 2, "a new worker")
        second.send(signal.SIGKILL)
        wait_until(lambda: second not in server.workers() and len(server.workers()) == 2, "another one")
        assert "今天已经签到过了" in await check_in(server, vendor, "ana")


async def test_a_second_start_on_the_same_data_is_refused_with_the_owners_pid(
    tmp_path: Path, vendor: Sandbox
) -> None:
    deployment = several(tmp_path, 1)
    with deployment.serve() as server:
        refused = run("serve", "--config", str(deployment.config))
        assert refused.returncode == 2
        assert refused.stdout == ""
        assert f"process {server.process.pid}" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert "签到成功！" in await check_in(server, vendor, "ana")
        # Tools do work beside it.
        verified = run("verify", "--config", str(deployment.config))
        assert verified.returncode == 0, verified.stdout + verified.stderr


async def test_a_port_in_use_is_refused_and_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run("serve", "--config", str(several(tmp_path, 1, port=port).config))
    assert refused.returncode == 2
    assert str(port) in refused.stderr
    assert "Traceback" not in refused.stderr


# ---------------------------------------------------------------- configuration


@pytest.mark.parametrize("place", ["before", "after"])
def test_check_says_well_wherever_the_file_is_named(tmp_path: Path, place: str) -> None:
    option = ["--config", str(several(tmp_path, 1).config)]
    done = run(*option, "check") if place == "before" else run("check", *option)
    assert (done.returncode, done.stderr) == (0, "")


FAULTY = {
    "server.soft_deadlines_s": ("server", {"soft_deadlines_s": 4}, "soft_deadline_s"),
    "storage.shard": ("storage", {"shard": 64}, "shards"),
    "communites": ("communites", [], "communities"),
    "server.port": ("server", {"port": 70_000}, "server.port"),
    "plugins[0]": ("plugins", ["tests.e2e.no_such_plugin"], "tests.e2e.no_such_plugin"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_configuration_is_refused_with_its_place_and_cure(tmp_path: Path, name: str) -> None:
    """`check` ends with 1, whatever wanted to run with 2; both name the key path and the nearest key."""
    section, value, expected = FAULTY[name]
    config = str(Deployment(tmp_path, {section: value}).config)
    checked, served = run("check", "--config", config), run("serve", "--config", config)
    assert (checked.returncode, served.returncode) == (1, 2)
    for said in (checked.stdout, served.stderr):
        assert config in said
        assert name in said
        assert expected in said
    assert served.stdout == ""
    for text in (checked.stdout + checked.stderr, served.stderr):
        assert "Traceback" not in text
        assert not any(secret in text for secret in secrets())


def test_every_fault_of_a_configuration_is_told_at_once(tmp_path: Path) -> None:
    settings = {"server": {"prot": 1, "workers": 0}, "storage": {"redis": "radish://x"}}
    done = run("check", "--config", str(Deployment(tmp_path, settings).config))
    assert done.returncode == 1
    for name in ("server.prot", "server.workers", "storage.redis"):
        assert name in done.stdout


def test_a_missing_file_is_no_traceback(tmp_path: Path) -> None:
    done = run("serve", "--config", str(tmp_path / "nowhere.yaml"))
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- what it says of itself


def secrets() -> list[str]:
    """Everything of the configuration that nobody may read."""
    values = [value for one in ACCOUNTS for value in (one.token, one.encoding_aes_key, one.secret)]
    return [value for value in values if value]


async def test_the_log_has_a_line_per_event_and_neither_secrets_nor_what_people_wrote(
    tmp_path: Path, vendor: Sandbox
) -> None:
    """Also where a handler fails with the member's words in its hands, and where a callback is refused."""
    gates = tmp_path / "gates"
    gates.mkdir()
    deployment = Deployment(tmp_path, {"plugins": ["tests.e2e.slow_plugin"]}, environment={GATES: str(gates)})
    wrote = ["悄悄话一", "悄悄话二", "悄悄话三", "悄悄话四"]
    with deployment.serve() as server:
        async with Line(server.base) as line:
            for text in (wrote[0], f"坏 {wrote[1]}", f"加分 ana {wrote[2]}", "签到"):
                assert (await line.post("app", vendor.build_callback("app", MANAGER, text))).status == 200
            refused = vendor.build_callback("app", "ana", wrote[3])
            assert (await line.ask("POST", "/callback/app?nonce=1", refused.body)).status == 403
            odd = await line.ask(
                "POST", "/callback/oa?signature=x&nonce=1&timestamp=1", refused.plaintext.encode()
            )
            assert odd.status in {400, 403}
        server.stop()
        log = server.log()
    lines = [json.loads(one) for one in log.splitlines()]
    events = [one for one in lines if one["event"] == "event"]
    assert len(events) == 4
    for event in events:
        assert event["id"].startswith(f"app:{MANAGER}:")
        assert {"channel", "handler", "outcome", "ms", "at"} <= event.keys()
    (failed,) = [one for one in lines if one["level"] == "error"]
    assert failed["exception"][0]["exc_type"] == "ValueError"  # what is needed to mend it is there
    assert "slow_plugin.py" in json.dumps(failed)
    assert len([one for one in lines if one["event"] == "callback refused"]) == 2
    found = [
        word for word in (*wrote, *secrets()) if word in log or word.encode("unicode_escape").decode() in log
    ]
    assert not found


async def test_the_health_addresses_say_how_it_is(tmp_path: Path, vendor: Sandbox) -> None:
    with several(tmp_path, 1).serve() as server:
        async with Line(server.base) as line:
            alive = await line.ask("GET", "/healthz")
            assert (alive.status, json.loads(alive.body)) == (200, {"status": "ok"})
            ready = await line.ask("GET", "/readyz")
            state = json.loads(ready.body)
            assert (ready.status, state["redis"], state["sql"]) == (200, "ok", "ok")

            store = server.store()
            store.send(signal.SIGSTOP)  # it hangs: neither an answer nor a closed connection
            try:
                away = await line.ask("GET", "/readyz")
                assert (away.status, json.loads(away.body)["redis"] == "ok") == (503, False)
                assert (await line.ask("GET", "/healthz")).status == 200
            finally:
                store.send(signal.SIGCONT)

            async def is_ready() -> bool:
                return (await line.ask("GET", "/readyz")).status == 200

            await until(is_ready, "ready again")
        assert "签到成功！" in await check_in(server, vendor, "ana")
