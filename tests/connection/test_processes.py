"""Real processes compete for the connection; the one that has it is killed, or stopped and woken again.

On embedded stores alone: the lease itself is tested on all.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.storage.redis.keys import Keys
from bot.storage.redis.leases import ConnectionKnown, ConnectionState, ConnectionStatus
from tests.connection.conftest import until
from tests.connection.platform import BOT_ID, SECRET, AibotPlatform
from tests.e2e.deployments import Deployment
from tests.e2e.records import Records
from tests.e2e.serving import ProcessId, Server, tell
from tests.e2e.slow_plugin import GATES

pytestmark = pytest.mark.crash

LEASE_S = 15.0
TAKEN_OVER_S = 30.0  # contract, section 8
PEOPLE = 10


@dataclass
class Scene:
    """A deployment of two processes, its platform, and the gates its handlers wait at."""

    server: Server
    platform: AibotPlatform
    records: Records
    gates: Path

    async def known(self) -> ConnectionKnown:
        return await ConnectionStatus(self.records.redis, Keys(64)).read("bot")

    async def holder(self) -> ProcessId:
        """Wait until the connection is held, and return the process that holds it."""

        async def connected() -> bool:
            return (await self.known()).state is ConnectionState.CONNECTED

        await until(connected, "a connection", TAKEN_OVER_S)
        pid = int((await self.known()).holder.partition(":")[2])
        return next(worker for worker in self.server.workers() if worker.pid == pid)

    def begun(self) -> Counter[str]:
        """How often each handler has begun."""
        file = self.gates / "done"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return Counter(line.partition(" ")[2] for line in lines if line.startswith("begun"))


@contextlib.asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    gates = folder / "gates"
    gates.mkdir()
    async with AibotPlatform() as platform:
        channel: dict[str, Any] = {
            "name": "bot",
            "kind": "wecom_aibot",
            "mode": "long_connection",
            "bot_id": BOT_ID,
            "secret": SECRET,
            "ws_base": platform.ws_base,
        }
        settings = {
            "server": {"workers": 2, "soft_deadline_s": 1.0},
            "plugins": ["tests.e2e.slow_plugin"],
            "channels": [channel],
            "communities": [],
        }
        deployment = Deployment(folder, settings, environment={GATES: str(gates)})
        with contextlib.ExitStack() as stack:
            server = await asyncio.to_thread(stack.enter_context, deployment.serve())
            async with deployment.records() as records:
                yield Scene(server, platform, records, gates)
            await asyncio.to_thread(server.stop)


async def test_the_holder_is_killed_and_every_message_it_had_taken_in_is_answered_once(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as running:
        platform = running.platform
        await platform.connected(limit_s=TAKEN_OVER_S)
        holder = await running.holder()
        for number in range(PEOPLE):
            await platform.say(f"m{number}", f"等 {number}")
            await platform.say(f"m{number}", f"记 {number}")
        await platform.until(lambda: len(running.begun()) == PEOPLE, "all handlers")
        await platform.until(
            lambda: all(len(platform.chats[f"m{number}"]) == 2 for number in range(PEOPLE)), "signs of life"
        )
        holder.send(signal.SIGKILL)
        for number in range(PEOPLE):
            (running.gates / str(number)).touch()
        seconds = await platform.until(
            lambda: len(platform.subscribed_at_s) == 2, "another connection", TAKEN_OVER_S
        )
        tell(f"a killed holder was replaced after {seconds:.1f} s")
        assert seconds < LEASE_S + 3.0
        for number in range(PEOPLE):
            texts = await platform.shown(f"m{number}", 2, limit_s=TAKEN_OVER_S)
            assert Counter(texts) == Counter([f"等到了 {number}", f"记下了 {number}"])
        assert platform.kicks == 0
        await platform.say("m0", "记 后来")
        assert (await platform.shown("m0", 3))[-1] == "记下了 后来"


async def test_a_holder_that_slept_through_its_lease_leaves_the_connection_to_its_successor(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as running:
        platform = running.platform
        await platform.connected(limit_s=TAKEN_OVER_S)
        sleeper = await running.holder()
        await platform.say("ana", "记 一")
        await platform.shown("ana")
        sleeper.send(signal.SIGSTOP)
        await platform.say("ana", "记 二")  # into a connection that nobody reads
        await platform.until(lambda: len(platform.subscribed_at_s) == 2, "another connection", TAKEN_OVER_S)
        successor = await running.holder()
        assert successor.pid != sleeper.pid
        await platform.say("bo", "记 三")
        assert await platform.shown("bo") == ["记下了 三"]
        sleeper.send(signal.SIGCONT)
        assert Counter(await platform.shown("ana", 2)) == Counter(["记下了 一", "记下了 二"])
        await platform.until(lambda: platform.wires[0].socket.closed, "the sleeper's goodbye")
        await platform.say("bo", "记 四")
        assert await platform.shown("bo", 2) == ["记下了 三", "记下了 四"]
        assert platform.kicks == 1  # the successor took over; the sleeper did not come back
        assert len(platform.subscribed_at_s) == 2
        assert (await running.holder()).pid == successor.pid
