"""A talk in several steps over HTTP, whose process is killed by −9 in the middle of a step."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from bot.sandbox.vendor import Sandbox
from bot.sandbox.wire import Callback
from tests.e2e.deployments import Deployment
from tests.e2e.lines import Line
from tests.e2e.records import until
from tests.e2e.serving import Server
from tests.e2e.slow_plugin import GATES

pytestmark = pytest.mark.crash


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    folder = tmp_path / "gates"
    folder.mkdir()
    return folder


def deployed(folder: Path, gates: Path) -> Deployment:
    return Deployment(folder, {"plugins": ["tests.e2e.talk_plugin"]}, environment={GATES: str(gates)})


async def post(server: Server, vendor: Sandbox, callback: Callback) -> str:
    """Deliver a callback and return the words of the answer."""
    async with Line(server.base) as line:
        answer = await line.post("app", callback)
    assert answer.status == 200
    return vendor.open_answer("app", answer.body)


async def begun(gates: Path, times: int) -> None:
    async def seen() -> bool:
        file = gates / "done"
        return file.exists() and len(file.read_text("utf-8").splitlines()) >= times

    await until(seen, f"the step, time {times}", 15.0)


async def test_a_step_killed_after_its_effect_runs_again_on_the_question_it_answers(
    tmp_path: Path, gates: Path, vendor: Sandbox
) -> None:
    deployment = deployed(tmp_path, gates)
    first, name, seats, after = (
        vendor.build_callback("app", "xiaoming", text) for text in ("报名", "小明", "2", "2")
    )
    server = Server(deployment.config, deployment.environment)
    try:
        server.wait_ready()
        assert "叫什么名字？" in await post(server, vendor, first)
        lost = asyncio.create_task(post(server, vendor, name))
        await begun(gates, 1)
        server.kill()
        with suppress(OSError, AssertionError):
            await lost
    finally:
        server.clean_up()
    (gates / "gate").touch()
    with deployment.serve() as server:
        answer = await post(server, vendor, name)
        assert "小明 报名成功，积分 1。要几个座位？" in answer
        assert await post(server, vendor, name) == answer
        assert (gates / "done").read_text("utf-8").splitlines() == ["begun 小明"] * 2
        assert "2 个座位。" in await post(server, vendor, seats)
        assert "座位" not in await post(server, vendor, after)
        assert "叫什么名字？" in await post(server, vendor, first)
        async with deployment.records() as records:
            assert [row["delta"] for row in (await records.drained()).ledger] == [1]
