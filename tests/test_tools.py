"""The commands as a person calls them: real processes on embedded stores."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.config import Config, load_config, resolve_communities
from bot.errors import RefusedError
from bot.serve import database_url
from bot.storage.redis.client import connect
from bot.storage.redis.embedded import open_store
from bot.storage.redis.keys import Keys
from bot.storage.sql.database import Database
from bot.tools import run_sandbox
from tests.storage.live import Live, event
from tests.storage.playing import Playing

ROOT = Path(__file__).parent.parent
CONFIG = """
server: {{port: {port}}}
storage: {{data_dir: {data_dir}}}
sandbox: {{enabled: {sandbox}}}
channels:
  - name: app
    kind: wecom_app
    corp_id: ww0000000000test00
    agent_id: 1000002
    secret: secret
    token: token
    encoding_aes_key: abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG
communities: [{{id: milk, channels: [app]}}]
"""


@dataclass(slots=True)
class Deployment:
    """A configuration file with embedded stores beside it."""

    path: Path

    @property
    def config(self) -> Config:
        return load_config(self.path, {})

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *arguments, "--config", str(self.path)],
            cwd=self.path.parent, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    async def act(self, redis_url: str, *, tamper: bool = False) -> None:
        """Let two members check in, or change a balance behind the product's back."""
        client = await connect(redis_url)
        [community] = resolve_communities(self.config)
        live = Live(client, Keys(64), community)
        if tamper:
            await client.call("HINCRBY", live.keys.key("member", "milk", "app:ana"), "points", 5)
        else:
            for user_id in ("ana", "bob"):
                await live.check_in(event(user_id))
        await client.close()

    async def play(self, redis_url: str) -> tuple[str, str]:
        """Play a red packet to its end, leave another one open, and return the ids of both."""
        client = await connect(redis_url)
        [community] = resolve_communities(self.config)
        playing = Playing.on(Live(client, Keys(64), community))
        played = await playing.start("red_packet", total=30, shares=2)
        for user_id in ("ana", "bob"):
            await playing.take(played, user_id)
        open_one = await playing.start("red_packet", cause="api:2", total=30, shares=2)
        await client.close()
        return played.id, open_one.id

    async def falsify(self, statement: str) -> None:
        database = await Database.open(database_url(self.config))
        async with database.write() as connection:
            await connection.execute(text(statement))
        await database.close()


def _deployment(folder: Path, *, sandbox: bool = True) -> Deployment:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = folder / "config.yaml"
    path.write_text(CONFIG.format(port=port, data_dir=folder / "data", sandbox=str(sandbox).lower()))
    return Deployment(path)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return _deployment(tmp_path)


def test_verify_and_rebuild_work_while_the_server_is_stopped_and_while_it_runs(
    deployment: Deployment,
) -> None:
    with open_store(deployment.config.storage.data_dir) as store:
        asyncio.run(deployment.act(store.url))
    well = deployment.run("verify")
    assert (well.returncode, well.stdout) == (0, "well: live state and history agree\n"), well.stderr
    with open_store(deployment.config.storage.data_dir) as store:
        asyncio.run(deployment.act(store.url, tamper=True))
        wrong = deployment.run("verify")
        assert wrong.returncode == 1, wrong.stderr
        assert "milk app:ana: balance: redis 15, sql 10 (run.py rebuild" in wrong.stdout
        assert "1 found" in wrong.stdout
        rebuilt = deployment.run("rebuild", "--json")
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert json.loads(rebuilt.stdout)["members"] == 2
    after = deployment.run("verify", "--json")
    assert (after.returncode, json.loads(after.stdout)) == (0, [])


def test_a_round_is_recomputed_by_its_id(deployment: Deployment) -> None:
    with open_store(deployment.config.storage.data_dir) as store:
        played, open_one = asyncio.run(deployment.play(store.url))
    well = deployment.run("verify-round", played)
    assert well.returncode == 0, well.stderr
    told = f"round {played} of red_packet in milk: 2 moves, 30 points paid: well, all of it agrees"
    assert well.stdout == told + "\n"
    assert deployment.run("verify").returncode == 0
    for unknown in (open_one, "0123456789abcdef", "nothing"):
        refused = deployment.run("verify-round", unknown)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert unknown in refused.stderr
    asyncio.run(deployment.falsify("UPDATE rounds SET seed = commitment WHERE state = 'closed'"))
    wrong = deployment.run("verify-round", played, "--json")
    assert wrong.returncode == 1, wrong.stderr
    found = json.loads(wrong.stdout)
    assert (found["round"], found["agrees"]) == (played, False)
    assert any("not the one that was committed to" in problem for problem in found["problems"])
    assert "app:" not in wrong.stdout


def test_the_sandbox_says_what_to_do_when_no_server_answers(deployment: Deployment) -> None:
    refused = deployment.run("sandbox")
    assert refused.returncode == 2
    assert f"no sandbox answers at http://127.0.0.1:{deployment.config.server.port}" in refused.stderr
    assert "is `run.py serve` running" in refused.stderr


def test_the_sandbox_says_when_the_configuration_has_none(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"sandbox\.enabled: true"):
        run_sandbox(_deployment(tmp_path, sandbox=False).config)


def test_the_sandbox_needs_to_know_the_port(deployment: Deployment) -> None:
    text = deployment.path.read_text()
    deployment.path.write_text(text.replace(f"port: {deployment.config.server.port}", "port: 0"))
    with pytest.raises(RefusedError, match=r"server\.port is 0"):
        run_sandbox(deployment.config)
