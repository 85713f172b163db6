"""Within one chat, effects follow the order in which the server received the messages."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bot.sandbox.vendor import Sandbox
from tests.e2e.deployments import Deployment
from tests.e2e.lines import Line
from tests.e2e.records import Records, until
from tests.e2e.slow_plugin import GATES

# On embedded stores alone: order is made in the process, not in the stores.
pytestmark = pytest.mark.crash

LATER = [f"n{number}" for number in range(12)]


async def test_messages_of_one_member_have_their_effects_in_the_order_they_came(
    tmp_path: Path, vendor: Sandbox
) -> None:
    """The first handler is held: those behind it wait, though they have nothing to wait for themselves."""
    gates = tmp_path / "gates"
    gates.mkdir()
    settings = {"server": {"soft_deadline_s": 60.0}, "plugins": ["tests.e2e.slow_plugin"]}
    deployment = Deployment(tmp_path, settings, environment={GATES: str(gates)})

    def done() -> list[str]:
        file = gates / "done"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    async with AsyncExitStack() as stack:
        server = stack.enter_context(deployment.serve())
        records = await stack.enter_async_context(deployment.records())
        lines = [await stack.enter_async_context(Line(server.base)) for _ in range(len(LATER) + 2)]

        await lines[0].send_callback("app", vendor.build_callback("app", "ana", "等 first"))
        await received(records, "app:ana", 1)
        for number, (line, name) in enumerate(zip(lines[1:], LATER, strict=False), 2):
            await line.send_callback("app", vendor.build_callback("app", "ana", f"记 {name}"))
            await received(records, "app:ana", number)
        # Another member does not wait, and those who wait have done nothing.
        answer = await lines[-1].post("app", vendor.build_callback("app", "ben", "记 ben"))
        assert "记下了 ben" in vendor.open_answer("app", answer.body)
        assert done() == ["begun first", "noted ben"]

        (gates / "first").touch()
        answers = [await line.receive() for line in lines[:-1]]
        said = [vendor.open_answer("app", answer.body) for answer in answers]
        assert "等到了 first" in said[0]
        assert all(f"记下了 {name}]" in words for name, words in zip(LATER, said[1:], strict=True))
        assert done() == ["begun first", "noted ben", "ended first", *(f"noted {name}" for name in LATER)]


async def received(records: Records, member: str, count: int) -> None:
    """Wait until the server has counted so many messages of a member."""

    async def counted() -> bool:
        keys = [name async for chunk in records.redis.scan(f"*day:*:{member}:*") for name in chunk]
        values = await asyncio.gather(*(records.redis.call("HGET", key, "messages") for key in keys))
        return sum(int(value or 0) for value in values) == count

    await until(counted, f"message {count} of {member}")


async def test_what_was_sent_down_one_connection_without_waiting_is_done_in_that_order(
    tmp_path: Path, vendor: Sandbox
) -> None:
    gates = tmp_path / "gates"
    gates.mkdir()
    deployment = Deployment(tmp_path, {"plugins": ["tests.e2e.slow_plugin"]}, environment={GATES: str(gates)})
    with deployment.serve() as server:
        async with Line(server.base) as line:
            for name in LATER:
                await line.send_callback("oa", vendor.build_callback("oa", "ana", f"记 {name}"))
            for name in LATER:
                assert f"记下了 {name}]" in vendor.open_answer("oa", (await line.receive()).body)
    assert (gates / "done").read_text(encoding="utf-8").split() == [
        w for name in LATER for w in ("noted", name)
    ]
