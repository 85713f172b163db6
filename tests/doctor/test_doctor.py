"""`run.py doctor` against a running server and a vendor that can be made to refuse: each fault is named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from bot.clock import FixedClock, from_ms
from bot.config import load_config
from bot.doctor.examination import Places, run_doctor
from bot.sandbox.faults import Fault
from bot.sandbox.server import SandboxServer
from tests.e2e.deployments import APP, OA, Deployment
from tests.e2e.serving import run
from tests.ports import held_port

pytestmark = [pytest.mark.crash, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Practice:
    """A deployment that runs, its vendor, and a doctor who may be told another story than the server."""

    deployment: Deployment
    vendor: SandboxServer
    port: int

    def tree(self) -> dict[str, Any]:
        """The server's configuration with the two channels of these tests."""
        tree = self.deployment._tree()
        tree["channels"] = [channel for channel in tree["channels"] if channel["name"] in {"app", "oa"}]
        tree["communities"] = []
        tree["server"]["port"] = self.port
        return tree

    async def ask(self, tree: dict[str, Any] | None = None) -> tuple[int, dict[str, dict[str, Any]]]:
        """Run the doctor; return its exit code and the findings by ``subject code``."""
        path = self.deployment.folder / "doctor.yaml"
        path.write_text(json.dumps(tree or self.tree(), ensure_ascii=False), encoding="utf-8")
        done = await asyncio.to_thread(run, "doctor", "--json", "--config", str(path))
        assert done.returncode in {0, 1}, done.stderr
        findings = json.loads(done.stdout)
        return done.returncode, {f"{one['subject']} {one['code']}": one for one in findings}

    async def wrongs(self, tree: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
        """Run the doctor; return what is wrong, and check that it is said with cause and cure."""
        code, findings = await self.ask(tree)
        wrong = {name: one for name, one in findings.items() if one["level"] == "wrong"}
        assert code == (1 if wrong else 0)
        for one in wrong.values():
            assert one["text"]["cause"]
            assert one["text"]["cure"]
            assert one["text"]["cure_zh"]
        return wrong


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="running")
async def _running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Practice]:
    """One server for all of them: the doctor changes nothing."""
    tmp_path = tmp_path_factory.mktemp("practice")
    with held_port() as port:
        async with SandboxServer([APP, OA]) as vendor:
            deployment = Deployment(
                tmp_path,
                {"server": {"port": port}, "communities": []},
                api_base=vendor.api_base,
            )
            server = deployment.serve()
            ready = await asyncio.to_thread(server.__enter__)
            vendor.sandbox.callback_base = ready.base
            try:
                yield Practice(deployment, vendor, port)
            finally:
                await asyncio.to_thread(server.__exit__, None, None, None)


@pytest.fixture
def practice(running: Practice) -> Iterator[Practice]:
    yield running
    running.vendor.sandbox.faults.clear()


async def test_a_healthy_deployment_has_nothing_wrong_and_says_what_was_looked_at(practice: Practice) -> None:
    code, findings = await practice.ask()

    assert code == 0
    assert {name: one["level"] for name, one in findings.items()} == {
        "redis redis_answers": "well",
        "sql sql_answers": "well",
        "deliveries no_dead_deliveries": "well",
        "server no_public_url": "warning",
        "server server_runs": "well",
        "channel app callback_answers": "well",
        "channel oa callback_answers": "well",
        "channel app clock_right": "well",
        "channel oa clock_right": "well",
        "channel app token_granted": "well",
        "channel oa token_granted": "well",
        "channel app may_send": "well",
        "channel oa may_send": "well",
    }
    assert not practice.vendor.sandbox.inbox("app", "ana")  # nobody was written to


async def test_secrets_are_never_shown(practice: Practice) -> None:
    path = practice.deployment.folder / "doctor.yaml"
    tree = practice.tree()
    tree["channels"][0]["secret"] = "wrong-secret-that-nobody-may-see"
    path.write_text(json.dumps(tree), encoding="utf-8")
    for arguments in (("--json",), ()):
        done = await asyncio.to_thread(run, "doctor", *arguments, "--config", str(path))
        assert "40001" in done.stdout
        for secret in ("wrong-secret", OA.secret, APP.token, APP.encoding_aes_key, OA.token):
            assert secret not in done.stdout + done.stderr


async def test_a_wrong_secret(practice: Practice) -> None:
    tree = practice.tree()
    tree["channels"][0]["secret"] = "another"
    wrong = await practice.wrongs(tree)
    assert list(wrong) == ["channel app errcode_40001"]
    assert "secret" in wrong["channel app errcode_40001"]["text"]["cure"]


async def test_a_wrong_app_id_of_the_official_account(practice: Practice) -> None:
    tree = practice.tree()
    tree["channels"][1]["app_id"] = "wx0000000000other0"
    assert "channel oa errcode_40013" in await practice.wrongs(tree)


async def test_a_server_whose_address_the_platform_does_not_trust(practice: Practice) -> None:
    errmsg = "not allow to access from your ip, hint: [17], from ip: 203.0.113.9, more info at …"
    practice.vendor.sandbox.faults.add(Fault("app", "message/send", errcode=60020, errmsg=errmsg))
    wrong = await practice.wrongs()
    assert wrong["channel app trusted_ip"]["detail"] == "203.0.113.9"


async def test_a_permission_that_is_missing(practice: Practice) -> None:
    practice.vendor.sandbox.faults.add(Fault("oa", "message/custom/send", errcode=48001))
    wrong = await practice.wrongs()
    assert "verify the account" in wrong["channel oa errcode_48001"]["text"]["cure"]


async def test_a_callback_token_other_than_the_running_servers(practice: Practice) -> None:
    tree = practice.tree()
    tree["channels"][0]["token"] = "anotherToken"
    assert list(await practice.wrongs(tree)) == ["channel app callback_signature"]


async def test_an_aes_key_other_than_the_running_servers(practice: Practice) -> None:
    tree = practice.tree()
    tree["channels"][0]["encoding_aes_key"] = "A" * 43
    assert list(await practice.wrongs(tree)) == ["channel app callback_key"]


async def test_a_public_address_that_nobody_listens_on(practice: Practice) -> None:
    tree = practice.tree()
    with held_port() as port:
        tree["server"]["public_url"] = f"http://127.0.0.1:{port}"
        assert set(await practice.wrongs(tree)) == {
            "channel app callback_unreachable",
            "channel oa callback_unreachable",
        }


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (
            "callback_answers_page",
            web.Response(text="<html>Welcome to nginx!</html>", content_type="text/html"),
        ),
        ("callback_not_found", web.Response(status=404, text="no such path")),
        ("callback_redirects", web.Response(status=301, headers={"Location": "https://elsewhere.invalid/"})),
        ("callback_altered", web.Response(text='"quoted"')),
        ("callback_failed", web.Response(status=502, text="bad gateway")),
    ],
)
async def test_a_proxy_in_front_that_does_not_pass_the_callback_on(
    practice: Practice, code: str, answer: web.Response
) -> None:
    async with _proxy(answer) as base:
        tree = practice.tree()
        tree["channels"] = tree["channels"][:1]
        tree["server"]["public_url"] = base
        wrong = await practice.wrongs(tree)
    assert list(wrong) == [f"channel app {code}"]


class _proxy:  # noqa: N801 - used as a context
    """Something on the way that answers everything alike."""

    def __init__(self, answer: web.Response) -> None:
        self._text, self._status = answer.text, answer.status
        self._headers = {"Location": answer.headers["Location"]} if "Location" in answer.headers else {}
        self._type = answer.content_type

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, _: web.Request) -> web.Response:
        return web.Response(
            status=self._status, text=self._text, content_type=self._type, headers=self._headers
        )


async def test_an_api_that_cannot_be_reached_and_one_that_is_no_api(practice: Practice) -> None:
    tree = practice.tree()
    practice.vendor.sandbox.faults.add(Fault("oa", "stable_token", http_status=502))
    with held_port() as port:
        tree["channels"][0]["api_base"] = f"http://127.0.0.1:{port}"
        wrong = await practice.wrongs(tree)
    assert set(wrong) == {"channel app platform_unreachable", "channel oa platform_no_json"}


async def test_a_clock_that_is_off(practice: Practice) -> None:
    """The machine's clock cannot be moved, so the doctor is given another."""
    path = practice.deployment.folder / "doctor.yaml"
    path.write_text(json.dumps(practice.tree()), encoding="utf-8")
    config = load_config(path, {})
    redis_url = (practice.deployment.data_dir / "redis.url").read_text(encoding="ascii")
    now_ms = practice.vendor.sandbox.clock.now_ms()
    said: list[str] = []
    places = Places(redis_url, f"sqlite+aiosqlite:///{practice.deployment.data_dir}/history.db", "")
    slow = FixedClock(from_ms(now_ms - 400_000))
    code = await asyncio.to_thread(
        lambda: run_doctor(config, places, as_json=True, echo=said.append, clock=slow)
    )
    findings = {f"{one['subject']} {one['code']}": one for one in json.loads(said[0])}
    assert code == 1
    assert int(findings["channel app clock_skew"]["detail"].removesuffix(" s")) in range(-405, -395)
    assert findings["redis redis_clock"]["level"] == "warning"


async def test_stores_that_are_away(practice: Practice) -> None:
    tree = practice.tree()
    with held_port() as port:
        tree["storage"] = {
            "data_dir": "data",
            "redis": f"redis://127.0.0.1:{port}",
            "database": f"postgresql+asyncpg://nobody@127.0.0.1:{port}/none",
        }
        assert set(await practice.wrongs(tree)) == {"redis redis_away", "sql sql_away"}


async def test_with_the_server_stopped_it_says_so_and_looks_at_the_rest(tmp_path: Path) -> None:
    async with SandboxServer([replace(APP)]) as vendor:
        deployment = Deployment(tmp_path, {"communities": []}, api_base=vendor.api_base)
        with held_port() as port:
            code, findings = await Practice(deployment, vendor, port).ask()
    assert findings["server server_stopped"]["level"] == "warning"
    assert "channel app may_send" in findings
    assert code == 1  # the account is not known to this vendor
