"""Thousands grab one red packet through four processes that are killed by −9 meanwhile.

The moments of the kills are drawn from a fixed seed, as a number of answers; two of them lie where the shares
go, one in what comes after.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from bot.sandbox.courier import Settings
from bot.sandbox.server import SandboxServer
from bot.sandbox.vendor import Sandbox
from bot.sandbox.wire import Callback
from bot.storage.redis.keys import Keys
from bot.storage.redis.rounds import Rounds
from bot.storage.sql import tables
from games.fairness import commitment
from games.red_packet import RedPacket
from games.rules import End, Move
from tests.e2e.deployments import ACCOUNTS, MANAGER, Deployment
from tests.e2e.lines import Answer, Line
from tests.e2e.records import Records, Row, until
from tests.e2e.serving import Server, run, tell

# On embedded stores alone: `tests/storage/redis/test_rounds.py` does the race on all.
pytestmark = pytest.mark.crash

SEED = 20261201
MEMBERS = 5_000
TOTAL, SHARES, BEST, CONSOLATION = 5_000, 200, 50, 10
COMMAND = f"发红包 {TOTAL} {SHARES} 最佳{BEST} 安慰{CONSOLATION}"
PUMPS = 12  # each has two connections
TOO_LATE = "手慢了"

_WON = re.compile(r"你抢到 (\d+) 积分（第 (\d+) 个，份额 (\d+)）！现有 (\d+) 积分。")
_PROOF = re.compile(r"编号 ([0-9a-f]{16})，种子 ([0-9a-f]{64})")
_COMMITMENT = re.compile(r"公平承诺 ([0-9a-f]{32})…（编号 ([0-9a-f]{16})")


@dataclass
class Grab:
    """One member's 抢 and what came of its deliveries."""

    channel: str
    user_id: str
    callback: Callback
    twin: bool = False  # its first delivery is made on two connections at once
    answers: list[str] = field(default_factory=list)

    @property
    def member(self) -> str:
        return f"{self.channel}:{self.user_id}"

    @property
    def answer(self) -> str:
        """What its deliveries were answered, which is the same."""
        (answer,) = set(self.answers)
        return answer


class Flood:
    """The members, their deliveries in the order in which they are made, and the server they meet."""

    def __init__(self, deployment: Deployment, vendor: Sandbox, rng: Random) -> None:
        self._deployment, self._vendor, self._rng = deployment, vendor, rng
        self.grabs = [self._grab(number) for number in range(MEMBERS)]
        self._waiting = deque(self._deliveries())
        self._up = asyncio.Event()
        self._moment = asyncio.Event()
        self._kill_at = 0
        self.answered = 0
        self.cut_off = 0  # deliveries that got no answer
        self.down_s = 0.0
        self.server: Server

    def _grab(self, number: int) -> Grab:
        channel, user_id = ("oa", "app")[number % 2], f"g{number}"
        return Grab(channel, user_id, self._vendor.build_callback(channel, user_id, "抢"))

    def _deliveries(self) -> list[Grab]:
        """All first deliveries in no order; every third callback comes again, at once or some time later."""
        placed = []
        for number, grab in enumerate(self.grabs):
            first = self._rng.random()
            placed.append((first, number, grab))
            if number % 3 == 0:
                grab.twin = self._rng.random() < 0.5
                if not grab.twin:
                    placed.append((self._rng.uniform(first, 1.1), number, grab))
        return [grab for _, _, grab in sorted(placed, key=lambda one: one[:2])]

    # ------------------------------------------------------------ the server

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Have a server, which the flood replaces."""
        self.server = Server(self._deployment.config)
        try:
            self.server.wait_ready()
            self._up.set()
            yield
            assert self.server.stop() == 0
        finally:
            self.server.clean_up()

    async def kill_a_worker(self) -> None:
        self._rng.choice(self.server.workers()).send(signal.SIGKILL)

    async def kill_everything(self) -> None:
        """Kill the main process by −9, which ends all others, and start the server again."""
        self._up.clear()
        begun_s = time.monotonic()
        await asyncio.to_thread(self.server.kill)
        self.server = Server(self._deployment.config)
        await asyncio.to_thread(self.server.wait_ready)
        self.down_s = time.monotonic() - begun_s
        self._up.set()

    # ------------------------------------------------------------ the flood

    async def run(self) -> None:
        """Make every delivery, with three kills in between."""
        pumps = [asyncio.create_task(self._pump()) for _ in range(PUMPS)]
        kills = (
            (self._rng.randrange(20, 100), self.kill_a_worker),
            (self._rng.randrange(120, 230), self.kill_everything),
            (self._rng.randrange(1_000, 4_500), self.kill_a_worker),
        )
        for moment, kill in kills:
            self._kill_at = moment
            self._moment.clear()
            await asyncio.wait_for(self._moment.wait(), 30)
            at = self.answered
            await kill()
            tell(f"{kill.__name__} after {at} answers")
        await asyncio.gather(*pumps)

    async def _pump(self) -> None:
        """Deliver one after the other; where there is no answer, the next goes to whoever is there then."""
        while self._waiting:
            await self._up.wait()
            try:
                async with Line(self.server.base) as line, Line(self.server.base) as other:
                    while self._waiting and await self._deliver(self._waiting.popleft(), line, other):
                        pass
            except OSError:
                await asyncio.sleep(0.01)  # a process that was killed is being replaced

    async def _deliver(self, grab: Grab, line: Line, other: Line) -> bool:
        """Make a delivery, of a twin two at once; whether all of it was answered."""
        twin = grab.twin and not grab.answers
        answers = await asyncio.gather(
            *(one.post(grab.channel, grab.callback) for one in ((line, other) if twin else (line,)))
        )
        for answer in answers:
            self._note(grab, answer)
        return all(answer.status for answer in answers)

    def _note(self, grab: Grab, answer: Answer) -> None:
        assert answer.status in {0, 200, 503}, answer
        if answer.status == 200:
            grab.answers.append(self._vendor.open_answer(grab.channel, answer.body))
            self.answered += 1
            if self.answered >= self._kill_at:
                self._moment.set()
        else:
            self.cut_off += 1

    async def repeat(self, grabs: list[Grab]) -> None:
        """Deliver again what is named, until it is answered."""
        async with Line(self.server.base) as line:
            for grab in grabs:

                async def is_answered(grab: Grab = grab) -> bool:
                    answer = await line.post(grab.channel, grab.callback)
                    self._note(grab, answer)
                    return answer.status == 200

                await until(is_answered, f"an answer to {grab.member}", 5.0)


@asynccontextmanager
async def flood(folder: Path, rng: Random) -> AsyncIterator[tuple[Flood, Deployment, Sandbox]]:
    async with SandboxServer(ACCOUNTS, settings=Settings(token_grace_s=0.0)) as platforms:
        deployment = Deployment(folder, {"server": {"workers": 4}}, api_base=platforms.api_base)
        yield Flood(deployment, platforms.sandbox, rng), deployment, platforms.sandbox


async def test_of_thousands_who_grab_exactly_as_many_as_there_are_shares_get_one_whoever_is_killed(
    tmp_path: Path,
) -> None:
    async with flood(tmp_path, Random(SEED)) as (members, deployment, vendor):
        with members.serving():
            async with Line(members.server.base) as line:
                answer = await line.post("app", vendor.build_callback("app", MANAGER, COMMAND))
            sent = vendor.open_answer("app", answer.body)
            assert "发了一个红包" in sent

            begun_s = time.monotonic()
            await members.run()
            seconds = time.monotonic() - begun_s - members.down_s
            unanswered = [grab for grab in members.grabs if not grab.answers]
            tell(
                f"seed {SEED}: {members.answered} deliveries answered in {seconds:.1f} s"
                f" ({members.answered / seconds:.0f} grabs/s, {members.down_s:.1f} s of restart aside),"
                f" {members.cut_off} killed, {len(unanswered)} of their callbacks not answered since"
            )
            assert members.cut_off, "the kills met nobody"
            await members.repeat(unanswered)
            winners = {grab.member: grab for grab in members.grabs if _WON.search(grab.answers[0])}
            await members.repeat(list(winners.values()))

            told = assert_a_share_each(members, winners, sent)
            async with deployment.records() as records:
                await assert_recorded(records, winners, told)
                await assert_told(records, vendor, told, winners)
        assert_verified(deployment)


@dataclass
class Told:
    """What the last hand was told, and what follows from it."""

    round_id: str
    text: str
    last: str
    prizes: dict[str, int]  # member → what they get beside their share


def assert_a_share_each(members: Flood, winners: dict[str, Grab], sent: str) -> Told:
    """Whoever got a share got one, as the seed cut it; all others were too late; repeats were told alike."""
    for grab in members.grabs:
        assert len(set(grab.answers)) == 1, f"a repeat of {grab.member} was answered otherwise"
        if grab.member not in winners:
            assert TOO_LATE in grab.answer, grab
    assert len(winners) == SHARES

    (last,) = [grab for grab in winners.values() if "红包抢完了" in grab.answer]
    proof, sealed = _PROOF.search(last.answer), _COMMITMENT.search(sent)
    assert proof is not None
    assert sealed is not None
    round_id, seed = proof[1], bytes.fromhex(proof[2])
    assert (commitment(seed)[:32], round_id) == (sealed[1], sealed[2])
    rules = RedPacket()
    state = rules.open(
        rules.settings({"total": TOTAL, "shares": SHARES, "best": BEST, "consolation": CONSOLATION}),
        seed,
        round_id,
    )
    seats: dict[int, str] = {}
    for member, grab in winners.items():
        found = _WON.search(grab.answer)
        assert found is not None
        points, seat, share, balance = map(int, found.groups())
        assert points == share == balance == state.shares[seat - 1]
        assert seat not in seats, f"{member} and {seats[seat]} share a seat"
        seats[seat] = member
    assert sorted(seats) == list(range(1, SHARES + 1))
    assert sum(state.shares) == TOTAL
    assert min(state.shares) >= 1
    assert seats[SHARES] == last.member

    for number in range(SHARES):
        state, _ = rules.play(state, Move(number, seats[number + 1], 0, "grab"))
    prizes: Counter[str] = Counter()
    for award in rules.settle(state, End.OVER).awards:
        prizes[award.member] += award.points
    return Told(round_id, "🧧 红包抢完了" + last.answer.partition("🧧 红包抢完了")[2], last.member, prizes)


async def assert_recorded(records: Records, winners: dict[str, Grab], told: Told) -> None:
    """Ledger, balances, budget and counters are those of one packet given once."""
    drained = await records.drained(community="milk")
    by_reason = Counter(reason for reason, _ in drained.deltas)
    assert by_reason == {"round_share": SHARES, "round_prize": 2}
    held: Counter[str] = Counter()
    for row in drained.ledger:
        held[row["member"]] += row["delta"]
        assert row["round"] == told.round_id
    assert sum(held.values()) == TOTAL + BEST + CONSOLATION
    for member, grab in winners.items():
        found = _WON.search(grab.answer)
        assert found is not None
        assert held[member] == int(found[1]) + told.prizes.get(member, 0)
    assert drained.messages == MEMBERS + 1
    assert sum(row["plays"] for row in drained.activity) == SHARES

    rounds = Rounds(records.redis, Keys(64), memory_ms=0)
    played = await rounds.get("milk", told.round_id)
    assert played is not None
    assert (played.state, played.end, played.refund) == ("closed", "over", 0)
    assert await rounds.budget_spent("milk", played.day) == TOTAL + BEST + CONSOLATION
    assert [one.member for one in await rounds.moves("milk", told.round_id)] == [
        member for member, _ in sorted(winners.items(), key=lambda one: _seat(one[1]))
    ]


def _seat(grab: Grab) -> int:
    found = _WON.search(grab.answer)
    assert found is not None
    return int(found[2])


async def assert_told(records: Records, vendor: Sandbox, told: Told, winners: Mapping[str, Grab]) -> None:
    """Who gave the packet and who has a share are told by a message, the last hand by its answer."""
    others = {f"app:{MANAGER}", *winners} - {told.last}

    async def rows() -> list[Row]:
        await records.drain()
        return await records.rows(tables.deliveries, cause=f"round:{told.round_id}")

    async def are_sent() -> bool:
        return {row["state"] for row in await rows()} == {"delivered"}

    await until(are_sent, "the deliveries of the end", 20.0)
    assert Counter(row["member"] for row in await rows()) == Counter(others)
    for member in others:
        channel, _, user_id = member.partition(":")
        texts = [entry.text for entry in vendor.inbox(channel, user_id)]
        assert any(text.startswith("🧧 红包抢完了") and told.round_id in text for text in texts), (
            member,
            texts,
        )


def assert_verified(deployment: Deployment) -> None:
    done = run("verify", "--config", str(deployment.config))
    assert done.returncode == 0, done.stdout + done.stderr
