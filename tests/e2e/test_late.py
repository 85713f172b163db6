"""Handlers that take longer than the platform waits: acknowledged in time, answered another way, once."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.sandbox.courier import Settings
from bot.sandbox.faults import Fault
from bot.sandbox.server import SandboxServer
from bot.sandbox.vendor import Sandbox
from bot.storage.sql import tables
from bot.work import LEASE_MS
from tests.e2e.deployments import ACCOUNTS, Deployment
from tests.e2e.lines import Answer, Line, lines_to_workers
from tests.e2e.records import Records, Row, until
from tests.e2e.serving import Server, serving
from tests.e2e.slow_plugin import GATES

# On embedded stores alone: `tests/delivery` does it on all.
pytestmark = pytest.mark.crash

SOFT_DEADLINE_S = 0.5
PATIENCE_S = 10.0  # of a member, for an active send


@dataclass
class Scene:
    """A bot with the plug-in, its platforms, and the gates its handlers wait at."""

    deployment: Deployment
    vendor: Sandbox
    gates: Path

    def open_gate(self, name: str) -> None:
        (self.gates / name).touch()

    def done(self) -> list[str]:
        """What handlers did, in order."""
        file = self.gates / "done"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    async def begun(self, name: str, times: int = 1, limit_s: float = 15.0) -> float:
        """Wait until a handler has begun so many times."""

        async def seen() -> bool:
            return self.done().count(f"begun {name}") >= times

        return await until(seen, f"handler {name}, time {times}", limit_s)

    async def ask(self, line: Line, channel: str, user_id: str, text: str) -> tuple[str, float]:
        """Let a member write; return the answer's inner XML and the seconds it took."""
        callback = self.vendor.build_callback(channel, user_id, text)
        begun_s = time.monotonic()
        answer = await line.post(channel, callback)
        seconds = time.monotonic() - begun_s
        assert answer.status == 200
        return self.vendor.open_answer(channel, answer.body), seconds

    async def received(self, channel: str, user_id: str, limit_s: float = PATIENCE_S) -> str:
        """Wait for an active send to a member and return its words."""
        (entry,) = await self.vendor.wait_for_inbox(channel, user_id, timeout_s=limit_s)
        return entry.text


@asynccontextmanager
async def scene(folder: Path, workers: int = 1) -> AsyncIterator[Scene]:
    """Set up the platforms; the bot is to be started."""
    gates = folder / "gates"
    gates.mkdir()
    async with SandboxServer(ACCOUNTS, settings=Settings(token_grace_s=0.0)) as platforms:
        server = {"workers": workers, "soft_deadline_s": SOFT_DEADLINE_S}
        settings = {"server": server, "plugins": ["tests.e2e.slow_plugin"]}
        deployment = Deployment(
            folder, settings, api_base=platforms.api_base, environment={GATES: str(gates)}
        )
        yield Scene(deployment, platforms.sandbox, gates)


async def delivery(records: Records, channel: str, user_id: str, state: str) -> Row:
    """Wait until the one delivery to a member is in `state`, and return it."""

    async def is_there() -> bool:
        return bool(await records.rows(tables.deliveries, member=f"{channel}:{user_id}", state=state))

    await until(is_there, f"a delivery {state}")
    (row,) = await records.rows(tables.deliveries, member=f"{channel}:{user_id}")
    return row


async def test_a_late_handler_is_acknowledged_in_time_and_its_answer_sent_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as late:
        with late.deployment.serve() as server:
            async with late.deployment.records() as records, Line(server.base) as line:
                for channel in ("app", "oa"):
                    answer, seconds = await late.ask(line, channel, "ana", f"等 {channel}")
                    assert answer == ""
                    assert SOFT_DEADLINE_S <= seconds < 5.0
                    assert late.done()[-1] == f"begun {channel}"  # acknowledged before it ended
                    assert late.vendor.inbox(channel, "ana") == ()
                    late.open_gate(channel)
                    assert await late.received(channel, "ana") == f"等到了 {channel}"
                    row = await delivery(records, channel, "ana", "delivered")
                    assert (row["attempts"], row["cause"].rpartition(":")[0]) == (0, f"{channel}:ana")
                assert late.done() == ["begun app", "ended app", "begun oa", "ended oa"]
                assert len(late.vendor.inbox("app", "ana")) == len(late.vendor.inbox("oa", "ana")) == 1


async def test_repeats_of_a_late_event_are_acknowledged_alike_and_do_not_run_it_again(tmp_path: Path) -> None:
    """Before and after it ended, on the process that runs it and on the other."""
    async with scene(tmp_path, workers=2) as late:
        with late.deployment.serve() as server:
            async with late.deployment.records() as records, lines_to_workers(server, 2) as workers:
                lines = [line for opened in workers.values() for line in opened]
                callback = late.vendor.build_callback("app", "ana", "等 a")
                at_work = asyncio.create_task(lines[0].post("app", callback))
                await late.begun("a")
                begun_again = [lines[1].post("app", callback)]  # joins the handler at work
                assert await asyncio.gather(at_work, *begun_again) == [Answer(200), Answer(200)]
                assert [await line.post("app", callback) for line in lines] == [Answer(200)] * 4
                late.open_gate("a")
                await late.received("app", "ana")
                await delivery(records, "app", "ana", "delivered")
                assert [await line.post("app", callback) for line in lines] == [Answer(200)] * 4
                await records.until_drained()
                assert late.done() == ["begun a", "ended a"]
                assert len(late.vendor.inbox("app", "ana")) == 1
                (counted,) = await records.rows(tables.activity, member="app:ana")
                assert counted["messages"] == 1


async def test_what_a_member_says_after_a_late_message_is_answered_at_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as late:
        with late.deployment.serve() as server:
            async with Line(server.base) as line:
                await late.ask(line, "app", "ana", "等 a")
                answer, _ = await late.ask(line, "app", "ana", "记 b")
                assert "记下了 b" in answer
                late.open_gate("a")
                assert await late.received("app", "ana") == "等到了 a"


async def test_an_acknowledged_event_whose_process_is_killed_is_answered_once_by_another(
    tmp_path: Path,
) -> None:
    """The whole server dies, or one of two workers; side by side, for the event's lease has to end first."""
    folders = [tmp_path / "whole", tmp_path / "worker"]
    for folder in folders:
        folder.mkdir()
    await asyncio.gather(*(kill_at_work(folder, number) for number, folder in enumerate(folders, 1)))


async def kill_at_work(folder: Path, workers: int) -> None:
    async with scene(folder, workers) as late, AsyncExitStack() as stack:
        server = stack.enter_context(late.deployment.serve())
        async with lines_to_one(server) as (pid, line):
            for channel in ("app", "oa"):
                answer, _ = await late.ask(line, channel, "ana", f"等 {channel}")
                assert answer == ""
        if workers == 1:
            server.kill()
            server = stack.enter_context(serving(late.deployment.config, late.deployment.environment))
        else:
            (victim,) = (worker for worker in server.workers() if worker.pid == pid)
            victim.send(signal.SIGKILL)
        for channel in ("app", "oa"):
            await late.begun(channel, 2, LEASE_MS / 1000 + 10)
            late.open_gate(channel)
            assert await late.received(channel, "ana") == f"等到了 {channel}"
        async with late.deployment.records() as records:
            for channel in ("app", "oa"):
                await delivery(records, channel, "ana", "delivered")
                assert len(late.vendor.inbox(channel, "ana")) == 1
                assert late.done().count(f"ended {channel}") == 1
                (counted,) = await records.rows(tables.activity, member=f"{channel}:ana")
                assert counted["messages"] == 1


@asynccontextmanager
async def lines_to_one(server: Server) -> AsyncIterator[tuple[int, Line]]:
    """A connection to a process, and its pid."""
    if not server.workers():
        async with Line(server.base) as line:
            yield server.process.pid, line
        return
    async with lines_to_workers(server, 1) as workers:
        pid, (line,) = next(iter(workers.items()))
        yield pid, line


async def test_where_there_is_no_other_way_the_answer_is_listed_as_dead(tmp_path: Path) -> None:
    """A channel without a secret cannot send: nothing is dropped in silence."""
    async with scene(tmp_path) as late:
        with late.deployment.serve() as server:
            async with late.deployment.records() as records, Line(server.base) as line:
                answer, _ = await late.ask(line, "mute", "ana", "等 a")
                assert answer == ""
                late.open_gate("a")
                row = await delivery(records, "mute", "ana", "dead")
                assert row["reason"] == "no_route"
                assert "等到了 a" in row["parts"]


async def test_refused_access_tokens_are_replaced_and_the_answer_arrives_once(tmp_path: Path) -> None:
    """One refusal per channel: a second one so soon would be waited out."""
    async with scene(tmp_path) as late:
        with late.deployment.serve() as server:
            async with late.deployment.records() as records, Line(server.base) as line:
                for channel, endpoint, errcode in (
                    ("newyork", "message/send", 42001),
                    ("oa", "message/custom/send", 40001),
                    ("plain", "message/custom/send", 40014),
                ):
                    late.vendor.faults.add(Fault(channel=channel, endpoint=endpoint, errcode=errcode))
                    await answered_late(late, line, records, channel, "refused")
                    assert late.vendor.room(channel).errcodes[endpoint, errcode] == 1
                # And now the platform really means it.
                await answered_late(late, line, records, "app", "first")
                assert late.vendor.tokens.withdraw("app") == 1
                await answered_late(late, line, records, "app", "second")
                assert late.vendor.room("app").errcodes["message/send", 40014] == 1
                await answered_late(late, line, records, "compatible", "first")
                assert late.vendor.tokens.expire("compatible") == 1
                await answered_late(late, line, records, "compatible", "second")
                assert late.vendor.room("compatible").errcodes["message/custom/send", 42001] == 1


async def answered_late(late: Scene, line: Line, records: Records, channel: str, user_id: str) -> None:
    """Have a late answer arrive, without an attempt that failed."""
    name = f"{channel}-{user_id}"
    answer, _ = await late.ask(line, channel, user_id, f"等 {name}")
    assert answer == ""
    late.open_gate(name)
    assert await late.received(channel, user_id) == f"等到了 {name}"
    row = await delivery(records, channel, user_id, "delivered")
    assert row["attempts"] == 0
    assert len(late.vendor.inbox(channel, user_id)) == 1
