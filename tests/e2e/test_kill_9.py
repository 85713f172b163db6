"""Killed by −9 at any moment under load: nothing acknowledged is lost, nothing counts twice.

The moments are drawn from fixed seeds, as a number of answers after which the kill comes, so that they lie in
the middle of the load on any machine.
"""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from bot.sandbox.vendor import Sandbox
from bot.sandbox.wire import Callback
from tests.e2e.deployments import Deployment
from tests.e2e.lines import Answer, Line
from tests.e2e.records import Records, until
from tests.e2e.serving import ProcessId, Server, run, tell

pytestmark = pytest.mark.crash

MEMBERS = 200  # who check in, per round
LINES = 10  # connections of the load


@dataclass
class CheckIn:
    """One member's check-in and what came of its deliveries."""

    channel: str
    user_id: str
    callback: Callback
    answers: set[str] = field(default_factory=set)

    @property
    def member(self) -> str:
        return f"{self.channel}:{self.user_id}"

    @property
    def event_id(self) -> str:
        msg_id = self.callback.plaintext.partition("<MsgId>")[2].partition("<")[0]
        return f"{self.member}:{msg_id}"

    @property
    def acknowledged(self) -> bool:
        return bool(self.answers)


class Load:
    """Check-ins of many members, some delivered more than once, and a kill in the middle."""

    def __init__(self, vendor: Sandbox, rng: Random, number: int) -> None:
        self._vendor, self._rng = vendor, rng
        self.check_ins = []
        for place in range(MEMBERS):
            channel, user_id = rng.choice(("app", "oa")), f"r{number}m{place}"
            self.check_ins.append(CheckIn(channel, user_id, vendor.build_callback(channel, user_id, "签到")))
        again = rng.sample(self.check_ins, MEMBERS // 3)
        self._waiting = deque(rng.sample([*self.check_ins, *again], MEMBERS + len(again)))
        self._answered = asyncio.Event()
        self._left = rng.randrange(1, len(self._waiting) * 9 // 10)

    async def run(self, server: Server, victims: list[ProcessId]) -> int:
        """Deliver all, kill `victims` after so many answers; return how many had come by then."""
        pumps = [asyncio.create_task(self._pump(server)) for _ in range(LINES)]
        moment = self._left
        await asyncio.wait_for(self._answered.wait(), 20)
        for victim in self._rng.sample(victims, len(victims)):
            victim.send(signal.SIGKILL)
        await asyncio.gather(*pumps)
        return moment

    async def _pump(self, server: Server) -> None:
        """Deliver one after the other; where the server is gone, it is gone for all that is left."""
        while self._waiting:
            try:
                async with Line(server.base) as line:
                    while self._waiting:
                        check_in = self._waiting.popleft()
                        answer = await line.post(check_in.channel, check_in.callback)
                        self._note(check_in, answer)
                        if not answer.status:
                            break
            except OSError:
                return

    def _note(self, check_in: CheckIn, answer: Answer) -> None:
        assert answer.status in {0, 200, 503}, answer
        if answer.status == 200:
            check_in.answers.add(self._vendor.open_answer(check_in.channel, answer.body))
        self._left -= 1
        if self._left <= 0:
            self._answered.set()

    async def repeat_all(self, server: Server) -> None:
        """Deliver everything again, as the platforms do; a process may need a moment to find a new store."""
        async with Line(server.base) as line:
            for check_in in self.check_ins:

                async def is_answered(check_in: CheckIn = check_in) -> bool:
                    answer = await line.post(check_in.channel, check_in.callback)
                    self._note(check_in, answer)
                    return answer.status == 200

                await until(is_answered, f"an answer to {check_in.member}", 5.0)


class Series:
    """A number of rounds on one data directory."""

    def __init__(self, deployment: Deployment, kinds: Sequence[str], seed: int) -> None:
        self.deployment, self.rng = deployment, Random(seed)
        # Every kind comes equally often, in an order of the seed's.
        self._kinds = self.rng.sample(kinds, len(kinds))
        self._server: Server

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Have a server, which the rounds replace."""
        self._start()
        try:
            yield
            assert self._server.stop() == 0
        finally:
            self._server.clean_up()

    def _start(self) -> None:
        self._server = Server(self.deployment.config)
        try:
            self._server.wait_ready()
        except BaseException:
            self._server.clean_up()
            raise

    def _victims(self, kind: str) -> list[ProcessId]:
        server = self._server
        if kind == "worker":
            return [self.rng.choice(server.workers())]
        return {
            "main": [server.main],
            "store": [server.store()],
            "all": [server.main, *server.family()],
        }[kind]

    async def round(self, number: int, vendor: Sandbox) -> None:
        """Load, kill, start again where needed, and look at everything."""
        load = Load(vendor, self.rng, number)
        kind = self._kinds[number % len(self._kinds)]
        victims = self._victims(kind)
        async with self.deployment.records() as records:
            await records.free_drain()  # so that the server drains while it is loaded and killed
        moment = await load.run(self._server, victims)
        acknowledged = [one for one in load.check_ins if one.acknowledged]
        tell(f"round {number}: {kind} killed after {moment} answers, {len(acknowledged)} acknowledged")
        if self._server.main in victims:
            self._server.kill()
            self._start()
        await until(lambda: _answers(self._server), "the server's health")
        async with self.deployment.records() as records:
            await self._compare(records, load, acknowledged)
            before = {one.member: set(one.answers) for one in acknowledged}
            await load.repeat_all(self._server)
            for one in acknowledged:
                assert one.answers == before[one.member], "a repeat was answered otherwise"
            for one in load.check_ins:  # also where the first delivery died between the effect and its answer
                assert all("签到成功！" in answer for answer in one.answers), one
            await self._compare(records, load, load.check_ins)
            assert await records.disagreements(self.deployment.config) == []

    async def _compare(self, records: Records, load: Load, acknowledged: list[CheckIn]) -> None:
        """Every acknowledged check-in is there once; one that was not is there once or not at all."""
        drained = await records.drained()
        entries = {row["member"]: row for row in drained.ledger}
        days = {row["member"]: row for row in drained.check_ins}
        counted = {row["member"]: row for row in drained.activity}
        assert len(entries) == len(drained.ledger), "points given twice"
        assert entries.keys() == days.keys()
        for one in acknowledged:
            assert one.member in entries, f"an acknowledged check-in of {one.member} is lost"
        for one in load.check_ins:
            if one.member in entries:
                assert (entries[one.member]["delta"], entries[one.member]["cause"]) == (10, one.event_id)
                assert (counted[one.member]["messages"], counted[one.member]["check_ins"]) == (1, 1)


async def _answers(server: Server) -> bool:
    async def ask() -> Answer:
        async with Line(server.base) as line:
            return await line.ask("GET", "/readyz")

    try:
        return (await ask()).status == 200
    except OSError:
        return False


@pytest.mark.parametrize(
    ("rounds", "workers", "appendfsync", "seed"),
    [(12, 1, "everysec", 20261101), (12, 2, "everysec", 20261102), (6, 1, "always", 20261103)],
)
async def test_nothing_acknowledged_is_lost_and_nothing_counts_twice_by_a_kill_at_any_moment(
    tmp_path: Path, vendor: Sandbox, rounds: int, workers: int, appendfsync: str, seed: int
) -> None:
    settings = {"server": {"workers": workers}, "storage": {"appendfsync": appendfsync}}
    tell(f"seed {seed}")
    kinds = ("main", "store", "all", "worker")[: 4 if workers > 1 else 3]
    series = Series(Deployment(tmp_path, settings), kinds, seed)
    with series.serving():
        for number in range(rounds):
            await series.round(number, vendor)
        async with series.deployment.records() as records:
            await records.until_drained()  # by the server itself; up to here it was hurried
        assert_verified(series.deployment)
    assert_verified(series.deployment)  # also without a server


def assert_verified(deployment: Deployment) -> None:
    done = run("verify", "--config", str(deployment.config))
    assert done.returncode == 0, done.stdout + done.stderr
