"""How fast red packets are grabbed: ``python -m bench.grab_rate '{"grabs": 5000, …}'``.

Ours goes through the life of rounds, many members at once, whose calls share round trips. The bare figure is
the same act alone: EVALSHA commands made into bytes beforehand, in pipelines on one socket, their answers
parsed and nothing else done with them.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hiredis
import uvloop

from bench.apart import own_store, run_measure
from bench.crowd import AT_MS, COMMUNITY, make_event
from bot.catalog import load_catalog
from bot.clock import FixedClock, from_ms
from bot.config import Config
from bot.model import Community
from bot.rounds.life import RoundLife
from bot.rounds.orders import Order
from bot.storage.redis.inbox import Ticket
from bot.storage.redis.rounds import Caps, MoveWord, Round
from bot.storage.redis.script_files import read_scripts
from bot.storage.sql.database import embedded_url
from bot.storage.sql.migrate import migrate
from bot.wiring import Service, open_service
from run import ROUTERS

_SHARES = 200
_TOTAL = 5_000
_TOGETHER = 100  # members whose grabs are under way at once; commands of one pipeline
_NO_CAPS = Caps(0, 0, 0, 0)
_CONFIG = {
    "channels": [
        {
            "name": "app", "kind": "wecom_app", "corp_id": "ww00000000000bench", "agent_id": 1, "secret": "s",
            "token": "token", "encoding_aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        }
    ],
    "communities": [
        {
            "id": COMMUNITY, "name": "鲜奶社群", "channels": ["app"],
            "games": {"budget_per_day": 1_000_000_000, "own": {"red_packet": {"most_open": 50}}},
        }
    ],
}  # fmt: skip


def measure(amounts: dict[str, Any]) -> dict[str, Any]:
    """Grab, in turns with the bare act; return the grabs of a turn and the seconds of each.

    `seconds` and `bare_seconds` are of packets where every grab gets a share, `flood_seconds` of as many
    members who want the shares of one packet.
    """
    with own_store(amounts["store_core"]) as (url, data_dir):
        return uvloop.run(_measure(url, data_dir, amounts["grabs"], amounts["turns"]))


async def _measure(url: str, data_dir: Path, grabs: int, turns: int) -> dict[str, Any]:
    database = embedded_url(data_dir)
    await asyncio.to_thread(lambda: asyncio.run(migrate(database)))
    clock = FixedClock(from_ms(AT_MS))
    config = Config.model_validate(_CONFIG)
    service = await open_service(config, ROUTERS, load_catalog(), clock, redis_url=url, database_url=database)
    try:
        bench = _Grabs(service, clock, grabs)
        seconds, bare, flood = [], [], []
        for _ in range(turns):
            seconds.append(await bench.ours())
            bare.append(await bench.bare(url))
            flood.append(await bench.flood())
        await bench.check()
    finally:
        await service.close()
    return {"grabs": bench.grabs, "seconds": seconds, "bare_seconds": bare, "flood_seconds": flood}


class _Grabs:
    """Packets and the members who want them; `grabs` is rounded to whole packets."""

    def __init__(self, service: Service, clock: FixedClock, grabs: int) -> None:
        self._service = service
        self._life: RoundLife = service.parts.life
        self._now_ms = clock.now_ms()
        community = service.parts.communities.get(COMMUNITY)
        assert community is not None
        self._community: Community = community
        self._day = service.parts.communities.calendar(community).day_of(self._now_ms)
        self._packets = max(1, grabs // _SHARES)
        self.grabs = self._packets * _SHARES
        self._number = 0
        self._wanting = 0
        self._opened: list[str] = []

    async def ours(self) -> float:
        """Grab every share of all packets; return the seconds it took."""
        packets = [await self._packet() for _ in range(self._packets)]
        wanted = [(packet, ticket) for packet in packets for ticket in self._tickets(_SHARES)]
        begun_s = time.perf_counter()
        won = await self._grab_all(wanted)
        seconds = time.perf_counter() - begun_s
        if won != self.grabs:
            raise SystemExit(f"{won} of {self.grabs} grabs got a share")
        return seconds

    async def flood(self) -> float:
        """Let as many members want the shares of one packet; return the seconds it took."""
        packet = await self._packet()
        wanted = [(packet, ticket) for ticket in self._tickets(self.grabs)]
        begun_s = time.perf_counter()
        won = await self._grab_all(wanted)
        seconds = time.perf_counter() - begun_s
        if won != _SHARES:
            raise SystemExit(f"{won} members got one of {_SHARES} shares")
        return seconds

    async def bare(self, url: str) -> float:
        """Run the same act as often, and nothing else; return the seconds it took."""
        store = self._service.parts.stores.rounds
        sha = read_scripts()["round_take"].sha
        commands = []
        for _ in range(self._packets):
            packet = await self._packet()
            for ticket in self._tickets(_SHARES):
                keys, args = store.take_call(ticket, packet, _NO_CAPS, self._now_ms)
                command = ("EVALSHA", sha, str(len(keys)), *keys, *map(str, args))
                commands.append(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub's fault
        seconds = await asyncio.to_thread(_pipelined, url, commands)
        for packet_id in self._opened[-self._packets :]:  # what was taken so is ended by our own code
            await self._life.end(self._community, packet_id, "stopped")
        return seconds

    async def check(self) -> None:
        """Compare what was given with the sums of the packets.

        Raises:
            SystemExit: They differ.
        """
        store = self._service.parts.stores.rounds
        spent = await store.budget_spent(COMMUNITY, self._day.iso)
        if spent != len(self._opened) * _TOTAL:
            raise SystemExit(f"{spent} points were given, {len(self._opened) * _TOTAL} expected")

    async def _packet(self) -> Round:
        self._number += 1
        started = await self._life.start(
            Order(
                community=self._community,
                game="red_packet",
                place="app:g1",
                channel="app",
                group_id="g1",
                given={"total": _TOTAL, "shares": _SHARES},
                cause=f"bench:{self._number}",
                host="api:bench",
                now_ms=self._now_ms,
                day=self._day,
            )
        )
        if started.opened.refused is not None:
            raise SystemExit(f"no packet: {started.opened.refused}")
        self._opened.append(started.round.id)
        return started.round

    def _tickets(self, count: int) -> list[Ticket]:
        inbox = self._service.parts.stores.inbox
        first = self._wanting
        self._wanting += count
        return [
            inbox.ticket(make_event(number, member=number), COMMUNITY, self._day)
            for number in range(first, first + count)
        ]

    async def _grab_all(self, wanted: Sequence[tuple[Round, Ticket]]) -> int:
        waiting = iter(wanted)
        won = 0

        async def grab() -> None:
            nonlocal won
            for packet, ticket in waiting:
                play = await self._life.take(self._community, packet.id, ticket, self._now_ms)
                won += play.word is MoveWord.DONE

        await asyncio.gather(*(grab() for _ in range(_TOGETHER)))
        return won


def _pipelined(url: str, commands: Sequence[bytes]) -> float:
    """Send commands in pipelines, parse the answers, and return the seconds it took."""
    reader = hiredis.Reader()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.connect(urlsplit(url).path)
        begun_s = time.perf_counter()
        for first in range(0, len(commands), _TOGETHER):
            pipeline = commands[first : first + _TOGETHER]
            link.sendall(b"".join(pipeline))
            for _ in pipeline:
                while (answer := reader.gets()) is False:
                    reader.feed(link.recv(65_536))
                if isinstance(answer, hiredis.ReplyError) or answer[0] != b"done":
                    raise SystemExit(f"the bare act answered {answer!r}")
        return time.perf_counter() - begun_s


if __name__ == "__main__":
    run_measure(measure)
