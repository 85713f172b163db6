"""Rounds of every game whose server is killed by −9, all of it, and started again on what it left behind.

Each game is played in a group of the AI bot and in the direct chats of an Official Account, all at the same
time, so that one kill meets them all.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bot.sandbox.courier import Settings
from bot.sandbox.server import SandboxServer
from bot.sandbox.vendor import Sandbox
from bot.sandbox.wire import Callback
from bot.storage.redis.keys import Keys
from bot.storage.redis.rounds import Round, Rounds, RoundState
from bot.storage.sql import tables
from games.dice_compare import DiceCompare
from games.dice_point import DicePoint
from games.dice_size import DiceSize
from games.dice_sum import DiceSum
from games.fairness import Luck, commitment
from games.red_packet import RedPacket
from games.rules import End, Move, Rules, Settlement
from tests.e2e.deployments import BOT, MANAGER, OA, Deployment, games_deployment
from tests.e2e.lines import Line
from tests.e2e.records import Records, until
from tests.e2e.serving import ProcessId, Server, run, tell

# On embedded stores alone: `tests/storage/redis/test_rounds.py` does each act on all.
pytestmark = pytest.mark.crash

LONG = "20分钟"  # so that no time is up where a test ends the round itself
SHORT_S = 12
SWEPT_S = 10.0  # what a sweeper that died had taken is free again after 15 s; nothing was taken here

_BEGUN = re.compile(r"公平承诺 ([0-9a-f]{32})…（编号 ([0-9a-f]{16})")
_PROOF = re.compile(r"编号 ([0-9a-f]{16})，种子 ([0-9a-f]{64})")
_CONTENT = re.compile(r"<Content><!\[CDATA\[(.*?)\]\]></Content>", re.DOTALL)


# ---------------------------------------------------------------- the games


@dataclass(frozen=True)
class Kind:
    """A game as it is played here.

    Attributes:
        rules: Its rules.
        settings: Those of its rounds.
        begin: What begins one.
        moves: What is said, what that is as a move, and the stake; each by a member of its own.
        stop: What ends it; empty where a move decides it.
    """

    rules: Rules[Any, Any]
    settings: Mapping[str, object]
    begin: str
    moves: tuple[tuple[str, str, int], ...]
    stop: str = ""

    @property
    def name(self) -> str:
        return self.rules.name


KINDS = (
    Kind(
        RedPacket(),
        {"total": 40, "shares": 4, "best": 5},
        "发红包 40 4 最佳5",
        (("抢", "grab", 0),) * 4,
    ),
    Kind(
        DicePoint(),
        {"prize": 50, "point": 6, "interval_s": 0},
        "开局 指定点数 点数6 奖50 间隔0秒",
        (("骰子", "roll", 0),),  # as often as it takes
    ),
    Kind(
        DiceSize(),
        {"prize": 100, "stake_most": 50},
        "开局 猜大小 奖100 最多押50",
        (("猜大 5", "big", 5), ("猜小", "small", 0), ("猜单 3", "odd", 3), ("猜双 2", "even", 2)),
        "结束 猜大小",
    ),
    Kind(
        DiceSum(),
        {"prize": 100, "stake_most": 20},
        "开局 猜点数 奖100 最多押20",
        (("猜 11 2", "11", 2), ("猜 10", "10", 0), ("猜 12 3", "12", 3), ("猜 9 1", "9", 1)),
        "结束 猜点数",
    ),
    Kind(
        DiceCompare(),
        {"prize": 100, "entry": 5},
        "开局 比大小 奖100 入场5",
        (("加入", "join", 5),) * 4,
        "结束 比大小",
    ),
)


@dataclass(frozen=True)
class Place:
    """Where rounds are played; with `groups` each game has a group of its own."""

    channel: str
    community: str
    groups: bool


PLACES = (Place("bot", "group", groups=True), Place("oa", "direct", groups=False))


# ---------------------------------------------------------------- the server and who talks to it


@dataclass
class Said:
    """One message and what its deliveries were answered."""

    channel: str
    user_id: str
    callback: Callback
    answers: list[str] = field(default_factory=list)


class Scene:
    """A server that is killed and started again, and the platforms it talks to."""

    def __init__(self, deployment: Deployment, vendor: Sandbox) -> None:
        self.deployment, self.vendor = deployment, vendor
        self.server: Server

    async def start(self) -> None:
        self.server = Server(self.deployment.config)
        await asyncio.to_thread(self.server.wait_ready)

    def processes(self) -> list[ProcessId]:
        """All processes of the server, the store too."""
        return [self.server.main, *self.server.family()]

    async def kill(self, victims: Sequence[ProcessId]) -> None:
        """Kill by −9 what was found before: to find it takes longer than much of what is to be met."""
        for one in victims:
            one.send(signal.SIGKILL)
        await asyncio.to_thread(self.server.kill)

    def say(self, channel: str, user_id: str, text: str, group: str = "") -> Said:
        return Said(channel, user_id, self.vendor.build_callback(channel, user_id, text, group=group))

    async def ask(self, said: Said) -> str:
        """Deliver a message and return the words it is answered with."""
        async with Line(self.server.base) as line:
            answer = await line.post(said.channel, said.callback)
        assert answer.status == 200, answer
        inner = self.vendor.open_answer(said.channel, answer.body, nonce=said.callback.nonce)
        said.answers.append(words(said.channel, inner))
        return said.answers[-1]

    async def ask_again(self, said: Said) -> str:
        """Deliver a message whose answer was lost, twice, and return what both were answered with."""
        first, second = await self.ask(said), await self.ask(said)
        assert first == second, "a repeat was answered otherwise"
        return first


def is_received(answer: str) -> bool:
    """Whether an answer says that a move was received."""
    return any(word in answer for word in ("抢到", "要掷出", "记下了", "已加入"))


def words(channel: str, inner: str) -> str:
    """The words of an answer, which is there at once."""
    if channel == "oa":
        found = _CONTENT.search(inner)
        assert found is not None, inner
        return found[1]
    stream = json.loads(inner)["stream"]
    assert stream["finish"] is True
    return str(stream["content"])


@asynccontextmanager
async def playing(folder: Path) -> AsyncIterator[Scene]:
    """Have a server and its platforms; at the end both stores agree."""
    async with SandboxServer([BOT, OA], settings=Settings(token_grace_s=0.0)) as platforms:
        for kind in KINDS:
            platforms.sandbox.add_group("bot", f"wr{kind.name}", kind.name, [MANAGER])
        scene = Scene(games_deployment(folder, platforms.api_base), platforms.sandbox)
        try:
            await scene.start()
            yield scene
            assert await asyncio.to_thread(scene.server.stop) == 0
        finally:
            scene.server.clean_up()
        done = await asyncio.to_thread(run, "verify", "--config", str(scene.deployment.config))
        assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------- one round


class Table:
    """One round: who moved in it, and how it must end."""

    def __init__(self, scene: Scene, kind: Kind, place: Place, number: int = 0) -> None:
        self.scene, self.kind, self.place = scene, kind, place
        self.group = f"wr{kind.name}" if place.groups else ""
        self.moves: list[Move] = []
        self.round_id = self.sealed = ""
        self.decided_by = len(kind.moves) - 1  # number of the last move
        self._number = number
        self._script = iter(chain(kind.moves, repeat(kind.moves[-1])))

    def __repr__(self) -> str:
        return f"{self.kind.name} in {self.place.community}"

    def say(self, user_id: str, text: str) -> Said:
        return self.scene.say(self.place.channel, user_id, text, self.group)

    async def begin(self, life: str, records: Records) -> None:
        """Begin the round; one of 指定点数 until it is decided by a move that is neither early nor late."""
        for _ in range(40):
            announced = await self.scene.ask(self.say(MANAGER, f"{self.kind.begin} {life}"))
            begun = _BEGUN.search(announced)
            assert begun is not None, (self, announced)
            self.sealed, self.round_id = begun[1], begun[2]
            if self.kind.name != "dice_point":
                return
            luck = Luck(bytes.fromhex((await self.known(records)).seed), self.round_id)
            sixes = [number for number in range(20) if luck.die(6, f"roll {number}") == 6]
            if sixes and sixes[0] >= 4:
                self.decided_by = sixes[0]
                return
            await self.scene.ask(self.say(MANAGER, "结束 指定点数"))
        raise AssertionError("40 dice in a row that fell early")

    async def enrol(self) -> None:
        """Give those who will stake something the points of a check-in."""
        for number, (_, _, stake) in enumerate(self.kind.moves):
            if stake:
                assert "签到成功" in await self.scene.ask(self.say(self._player(number), "签到"))

    def _player(self, number: int) -> str:
        return f"{self.kind.name}{self._number}n{number}"

    def next_move(self) -> Said:
        """Return the next move, which counts from now on as made."""
        said, move, stake = next(self._script)
        user_id = self._player(len(self.moves))
        self.moves.append(Move(len(self.moves), f"{self.place.channel}:{user_id}", 0, move, stake))
        return self.say(user_id, said)

    async def move(self, count: int) -> None:
        """Have so many members move; none of these moves decides the round."""
        for _ in range(count):
            answer = await self.scene.ask(self.next_move())
            assert _PROOF.search(answer) is None, (self, answer)
            assert is_received(answer), (self, answer)

    def deciding(self) -> Said:
        """Return what ends the round: its last move, or the word of who began it."""
        return self.say(MANAGER, self.kind.stop) if self.kind.stop else self.next_move()

    @property
    def before_the_end(self) -> int:
        """How many moves there are still to make before the deciding one."""
        return self.decided_by + bool(self.kind.stop) - len(self.moves)

    @property
    def end(self) -> End:
        """Why it ends when it is played to its end."""
        return End.STOPPED if self.kind.stop else End.OVER

    # ------------------------------------------------------------ what came of it

    async def known(self, records: Records) -> Round:
        found = await store(records).get(self.place.community, self.round_id)
        assert found is not None, self
        return found

    async def is_open(self, records: Records) -> bool:
        return (await self.known(records)).is_open

    def replay(self, told: str, end: End) -> tuple[Settlement, list[tuple[str, str, int]]]:
        """Recompute the round from the seed that was told.

        Returns:
            Its settlement, and (member, reason, points) of all ledger entries it must have made.
        """
        proof = _PROOF.search(told)
        assert proof is not None, (self, told)
        seed = bytes.fromhex(proof[2])
        assert (proof[1], commitment(seed)[:32]) == (self.round_id, self.sealed), self
        rules = self.kind.rules
        state = rules.open(rules.settings(self.kind.settings), seed, self.round_id)
        seats, entries = rules.seats(state), []
        for move in self.moves:
            state, _ = rules.play(state, move)
            if seats:
                entries.append((move.member, "round_share", seats[move.number]))
            if move.stake:
                entries.append((move.member, "round_stake", -move.stake))
        settlement = rules.settle(state, end)
        entries += [(award.member, "round_prize", award.points) for award in settlement.awards]
        return settlement, entries

    async def assert_ended(self, records: Records, told: str, end: End) -> Settlement:
        """It ended as it had to, was paid once, and says so."""
        settlement, entries = self.replay(told, end)
        rows = await records.rows(tables.ledger, round=self.round_id)
        booked = [(row["member"], row["reason"], row["delta"]) for row in rows]
        assert sorted(booked) == sorted(entries), self
        played = await self.known(records)
        expired = end is End.TIME and not self.kind.rules.mixed
        assert (played.state, played.end) == (RoundState.EXPIRED if expired else RoundState.CLOSED, end), self
        moves = await store(records).moves(self.place.community, self.round_id)
        assert [(move.member, move.said, move.stake) for move in moves] == [
            (move.member, move.said, move.stake) for move in self.moves
        ], self
        for shown in SHOWN[self.kind.name](settlement.facts):
            assert shown in told, (self, shown, told)
        return settlement

    def persons(self, teller: str) -> list[str]:
        """User ids of those who are told of the end by a message of their own; of direct chats."""
        players = {move.member.partition(":")[2] for move in self.moves}
        return sorted({MANAGER, *players} - {teller})

    def received(self, user_id: str = "") -> list[str]:
        """What was told of this round's end by a message: to a person, or to its group."""
        entries = self.scene.vendor.inbox(self.place.channel, user_id, group="" if user_id else self.group)
        return [entry.text for entry in entries if self.round_id in entry.text]


SHOWN: Mapping[str, Callable[[Mapping[str, Any]], Iterable[str]]] = {
    "red_packet": lambda facts: [f"{facts['shares']} 份", name_of(facts["best_member"])],
    "dice_point": lambda facts: [name_of(facts["winner"]) or "没有人", f"{facts['rolls']} 次"],
    "dice_size": lambda facts: ["、".join(map(str, facts["dice"])), f"合计 {facts['sum']}"],
    "dice_sum": lambda facts: ["、".join(map(str, facts["dice"])), f"合计 {facts['sum']}"],
    "dice_compare": lambda facts: [
        f"🏆 {name_of(facts['winner'])}",
        *(f"{each} 点" for each in facts["sums"]),
    ],
}
"""What must stand in the words that tell of an end, by its facts."""


def name_of(member: str) -> str:
    return member.partition(":")[2]


def store(records: Records) -> Rounds:
    return Rounds(records.redis, Keys(64), memory_ms=0)


async def all_begun(scene: Scene, life: str, number: int = 0) -> list[Table]:
    """Begin a round of every game in every place."""
    tables_ = [Table(scene, kind, place, number) for place in PLACES for kind in KINDS]
    for table in tables_:
        await table.enrol()
    async with scene.deployment.records() as records:
        for table in tables_:
            await table.begin(life, records)
    return tables_


async def killed_with_messages_unanswered(
    scene: Scene, messages: Sequence[Said], ready: Callable[[], Any] | None = None
) -> None:
    """Send messages without reading what is answered, wait for `ready`, and kill the server."""
    victims = scene.processes()
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(Line(scene.server.base)) for _ in messages]
        for line, said in zip(lines, messages, strict=True):
            await line.send_callback(said.channel, said.callback)
        if ready is not None:
            await ready()
        await scene.kill(victims)


async def assert_budgets(records: Records, ended: Iterable[tuple[Table, str, End]]) -> None:
    """The budget of each community gave what members won less what they staked, and nothing more."""
    given: Counter[tuple[str, str]] = Counter()
    for table, told, end in ended:
        _, entries = table.replay(told, end)
        day = (await table.known(records)).day
        given[table.place.community, day] += sum(points for _, _, points in entries)
    for (community, day), points in given.items():
        assert await store(records).budget_spent(community, day) == points


# ---------------------------------------------------------------- the round goes on


async def test_rounds_go_on_after_a_kill_and_are_played_to_their_right_ends(tmp_path: Path) -> None:
    async with playing(tmp_path) as scene:
        rounds = await all_begun(scene, LONG)
        for table in rounds:
            await table.move(2)
        unread = [table.next_move() for table in rounds]
        await killed_with_messages_unanswered(scene, unread)
        await scene.start()
        for table, said in zip(rounds, unread, strict=True):
            assert is_received(await scene.ask_again(said)), table
        tellers, told = {}, {}
        for table in rounds:
            await table.move(table.before_the_end)
            last = table.deciding()
            tellers[table], told[table] = last.user_id, await scene.ask_again(last)
        async with scene.deployment.records() as records:
            await records.drain()
            for table in rounds:
                await table.assert_ended(records, told[table], table.end)
                if table.group:
                    assert table.received() == [], table  # the group has read the answer
                    continue
                persons = table.persons(tellers[table])
                await assert_received(table, persons)
                for person in persons:
                    (letter,) = table.received(person)
                    assert letter in told[table], table
            await assert_budgets(records, [(table, told[table], table.end) for table in rounds])
        assert scene.vendor.violations() == {}


async def assert_received(table: Table, persons: Sequence[str]) -> None:
    """Wait until each of these persons, or with an empty name the group, has read of the end."""
    for person in persons:

        async def has_read(person: str = person) -> bool:
            return bool(table.received(person))

        await until(has_read, f"{table}: the end of the round to {person or table.group}", 20.0)


async def assert_sent_once(records: Records, table: Table, persons: Sequence[str]) -> None:
    """These persons, and nobody else, have one message each; what a sender that died held has to wait."""
    rows = await records.rows(tables.deliveries, cause=f"round:{table.round_id}")
    assert sorted(row["member"] for row in rows) == [f"{table.place.channel}:{one}" for one in persons]
    assert {row["state"] for row in rows} <= {"queued", "delivered"}, table


# ---------------------------------------------------------------- time is up while nobody is there


async def test_rounds_whose_time_is_up_while_the_server_is_dead_end_by_themselves_after_it(
    tmp_path: Path,
) -> None:
    async with playing(tmp_path) as scene:
        rounds = await all_begun(scene, f"{SHORT_S}秒")
        for table in rounds:
            await table.move(2)
        async with scene.deployment.records() as records:
            known = [await table.known(records) for table in rounds]
            ends_at_ms = max(one.ends_at_ms for one in known)
            assert all(one.is_open for one in known), "too slow a machine for so short a life"
        left_s = ends_at_ms / 1000 - time.time()
        await scene.kill(scene.processes())
        tell(f"killed {left_s:.1f} s before the last of the rounds had to end")
        while time.time() * 1000 <= ends_at_ms:  # noqa: ASYNC110 - it is the time of day that is waited for
            await asyncio.sleep(0.05)
        await scene.start()

        async with scene.deployment.records() as records:
            begun_s = time.monotonic()
            await have_ended(records, rounds, len(rounds))
            seconds = time.monotonic() - begun_s
            tell(f"ended {seconds:.1f} s after the server was ready")
            assert seconds < SWEPT_S
            await records.drain()
            told = {}
            for table in rounds:
                first = "" if table.group else MANAGER
                await assert_received(table, [first])
                (told[table],) = table.received(first)
                await table.assert_ended(records, told[table], End.TIME)
                if not table.group:
                    persons = table.persons("")
                    await assert_received(table, persons)
                    for person in persons:
                        assert table.received(person) == [told[table]], table
            await assert_budgets(records, [(table, told[table], End.TIME) for table in rounds])
            for table in rounds:  # and nothing more is taken
                answer = await scene.ask(table.next_move())
                assert not is_received(answer), (table, answer)
                assert len(await store(records).moves(table.place.community, table.round_id)) == 2
        assert scene.vendor.violations() == {}


# ---------------------------------------------------------------- killed at the end


async def have_ended(records: Records, rounds: Sequence[Table], count: int) -> None:
    """Return as soon as so many rounds have ended, and not much later."""
    keys = [Keys(64).key("round", table.place.community, table.round_id) for table in rounds]
    async with asyncio.timeout(15):
        while True:
            states = await records.redis.call_many([("HGET", key, "state") for key in keys])
            if len(states) - states.count(b"open") >= count:
                return


async def test_a_round_whose_deciding_message_was_not_answered_ends_once_and_is_told_to_who_repeats_it(
    tmp_path: Path,
) -> None:
    """Killed when the messages have been sent, and when so many of the rounds have ended."""
    rng = Random(20261202)
    async with playing(tmp_path) as scene:
        ended: list[tuple[Table, str, End]] = []
        for number, kill_after in enumerate((0, 3, 7)):
            rounds = await all_begun(scene, LONG, number)
            for table in rounds:
                await table.move(table.before_the_end)
            last = {table: table.deciding() for table in rng.sample(rounds, len(rounds))}
            async with scene.deployment.records() as records:
                await killed_with_messages_unanswered(
                    scene, list(last.values()), partial(have_ended, records, rounds, kill_after)
                )
            await scene.start()
            async with scene.deployment.records() as records:
                were_open = {table for table in rounds if await table.is_open(records)}
                tell(f"killed when {len(rounds) - len(were_open)} of {len(rounds)} rounds had ended")
                told = {table: await scene.ask_again(said) for table, said in last.items()}
                await records.drain()
                for table in rounds:
                    await table.assert_ended(records, told[table], table.end)
                    ended.append((table, told[table], table.end))
                    if not table.group:
                        persons = table.persons(last[table].user_id)
                        await assert_sent_once(records, table, persons)
                await assert_budgets(records, ended)
