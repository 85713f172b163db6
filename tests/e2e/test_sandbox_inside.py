"""The sandbox that a server brings along: people, platforms and active sends without anything outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.sandbox.remote import RemoteSandbox
from tests.e2e.deployments import ACCOUNTS, Deployment
from tests.e2e.lines import Line
from tests.e2e.records import until
from tests.e2e.slow_plugin import GATES
from tests.ports import held_port

pytestmark = pytest.mark.crash  # on embedded stores alone, as the demo is


@pytest.fixture
def port() -> Iterator[int]:
    """A port for the server: the configuration has to name it, for the bot's own API calls."""
    with held_port() as port:
        yield port


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_person_of_the_sandbox_is_answered_at_once_and_later(
    tmp_path: Path, port: int, workers: int
) -> None:
    """With several processes the sandbox is a process's beside them, and whoever is asked passes it on."""
    gates = tmp_path / "gates"
    gates.mkdir()
    base = f"http://127.0.0.1:{port}"
    settings = {
        "server": {"port": port, "workers": workers, "soft_deadline_s": 0.5},
        "sandbox": {"enabled": True},
        "plugins": ["tests.e2e.slow_plugin"],
    }
    deployment = Deployment(tmp_path, settings, api_base=base, environment={GATES: str(gates)})
    with deployment.serve() as server:
        assert server.base == base
        async with RemoteSandbox(base) as sandbox:
            for account in ACCOUNTS:
                assert (await sandbox.verify(account.name)).passed
                outcome = await sandbox.say(account.name, "ana", "签到")
                assert (outcome.status, outcome.attempts) == ("answered", 1)
                assert "签到成功！" in outcome.text

            (gates / "late").touch()
            assert (await sandbox.say("app", "ana", "等 late")).text == "等到了 late"  # not late at all
            late = await sandbox.say("app", "ana", "等 later")
            assert late.status == "acknowledged"
            (gates / "later").touch()

            async def has_arrived() -> bool:
                return [entry.text for entry in await sandbox.inbox("app", "ana")] == ["等到了 later"]

            await until(has_arrived, "the answer by an active send")
        async with Line(base) as line:
            page = await line.ask("GET", "/sandbox/")
            assert page.status == 200
            assert b"<html" in page.body
            assert json.loads((await line.ask("GET", "/sandbox/api/state")).body)
            outside = await line.ask("GET", "/sandbox/", headers={"X-Forwarded-For": "203.0.113.5"})
            assert outside.status == 403
