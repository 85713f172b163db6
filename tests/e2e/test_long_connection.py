"""The product in a group through the AI bot's long connection: real processes, the sandbox as vendor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.channel import SandboxChannel
from bot.sandbox.courier import Settings
from bot.sandbox.faults import CALLBACK, Fault
from bot.sandbox.server import SandboxServer
from bot.sandbox.vendor import Sandbox
from bot.storage.sql import tables
from tests.e2e.deployments import Deployment
from tests.e2e.records import Records
from tests.e2e.serving import tell
from tests.e2e.slow_plugin import GATES

# On embedded stores alone: `tests/connection` does it on all.
pytestmark = pytest.mark.crash

BOT = SandboxChannel("bot", "wecom_aibot", "", "aib-bot", "", "", "bot-secret", mode="long_connection")
GROUP = "wrDEMO01"
PATIENCE_S = 20.0
KICK_S = 5.0  # contract, section 8


@dataclass
class Scene:
    """A bot of two processes, its vendor, and the gates its handlers wait at."""

    vendor: Sandbox
    records: Records
    gates: Path

    async def ask(self, user_id: str, text: str) -> str:
        """Let a member mention the bot in the group and return the answer."""
        outcome = await self.vendor.say("bot", user_id, text, group=GROUP)
        assert outcome.status == "answered", outcome
        return outcome.text

    async def connected(self) -> None:
        await self.vendor.connections.wait_connected("bot", timeout_s=PATIENCE_S)

    def said(self) -> list[str]:
        """Return everything complete that the bot said in the group."""
        return [entry.text for entry in self.vendor.heard("bot", group=GROUP)]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    gates = folder / "gates"
    gates.mkdir()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            SandboxServer([BOT], settings=Settings(away_s=PATIENCE_S, answer_patience_s=PATIENCE_S))
        )
        channel: dict[str, Any] = {
            "name": BOT.name,
            "kind": BOT.kind,
            "mode": BOT.mode,
            "bot_id": BOT.account_id,
            "secret": BOT.secret,
            "ws_base": server.api_base.replace("http", "ws", 1),
        }
        settings = {
            "server": {"workers": 2, "soft_deadline_s": 0.5},
            "plugins": ["tests.e2e.slow_plugin"],
            "channels": [channel],
            "communities": [{"id": "milk", "channels": ["bot"], "managers": ["bot:boss"]}],
        }
        deployment = Deployment(folder, settings, environment={GATES: str(gates)})
        running = deployment.serve()
        await asyncio.to_thread(running.__enter__)
        try:
            async with deployment.records() as records:
                one = Scene(server.sandbox, records, gates)
                await one.connected()
                yield one
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)


async def test_a_group_lives_through_the_long_connection_with_every_fault_it_may_meet(tmp_path: Path) -> None:
    async with scene(tmp_path) as group:
        vendor = group.vendor
        assert "签到成功" in await group.ask("ana", "签到")
        assert "已经签到" in await group.ask("ana", "签到")
        assert "10" in await group.ask("ana", "积分")

        # A callback that comes twice at once counts once and is answered once.
        vendor.faults.add(Fault(endpoint=CALLBACK, doubled=True))
        before = len(group.said())
        assert "签到成功" in await group.ask("bo", "签到")
        await group.ask("cyd", "积分")
        assert len(group.said()) == before + 2

        # The acknowledgement of an answer is lost: the connection is left, the answer stands once.
        vendor.faults.add(Fault(endpoint="aibot_respond_msg", hang=True, acted=True))
        before = len(group.said())
        await group.ask("dora", "签到")
        await group.connected()
        await group.ask("cyd", "排行")
        assert len(group.said()) == before + 2

        # The answer itself is lost.
        vendor.faults.add(Fault(endpoint="aibot_respond_msg", drop=True))
        await vendor.say("bot", "eve", "记 丢过一次", group=GROUP)
        await vendor.wait_for("bot", group=GROUP, text="记下了 丢过一次", timeout_s=PATIENCE_S)

        # A handler that takes long.
        saying = asyncio.create_task(vendor.say("bot", "ana", "等 a", group=GROUP))
        await group.ask("bo", "记 b")
        (group.gates / "a").touch()
        assert (await saying).text == "等到了 a"

        # The platform goes away, comes back, and another client takes the place.
        await vendor.connections.close("bot")
        assert "10" in await group.ask("ana", "积分")
        await vendor.connections.kick("bot")
        kicked_s = time.monotonic()
        await group.connected()
        assert time.monotonic() - kicked_s >= KICK_S
        assert "10" in await group.ask("ana", "积分")

        points = {row["member"]: row["delta"] for row in (await group.records.drained()).ledger}
        assert points == {"bot:ana": 10, "bot:bo": 10, "bot:dora": 10}
        dead = await group.records.rows(tables.deliveries, state="dead")
        assert dead == []
        tell(f"exercised: {vendor.exercised()}")
        assert not {name for name in vendor.violations() if "after_finish" not in name}
