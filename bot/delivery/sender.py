"""Finds deliveries that are due and has them carried; every process may run one.

What is due is found by asking all shards in one shared round trip, five times a second: an answer that waits
here is late already, and the question costs less than a message. Between these looks a shard is asked at once
when this process knows of work there: it has just created a delivery (`Sender.wake`), or carried one whose
successor is due now. Deliveries are claimed under a lease, so those of a process that died are carried by any
other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from random import Random

import structlog

from bot.clock import Clock
from bot.delivery.client import ActiveClient
from bot.delivery.courier import Courier, Observer, Patience, Persons, unknown_persons
from bot.delivery.decency import DecencyGate
from bot.delivery.routes import ChannelAbilities
from bot.errors import StoreUnavailableError
from bot.storage.redis.deliveries import Delivery, DeliveryStore
from bot.storage.redis.pacing import PaceStore

_log = structlog.get_logger(__name__)
_AWAY_S = 1.0
_OVERDUE_EVERY_S = 1.0
_OVERDUE_AT_ONCE = 50  # of each shard


def _ignore(_channel: str, _outcome: str) -> None:
    """Observe nothing."""


class Sender:
    """Carries what is due."""

    def __init__(
        self,
        deliveries: DeliveryStore,
        pace: PaceStore,
        clients: Mapping[str, ActiveClient],
        abilities: Mapping[str, ChannelAbilities],
        clock: Clock,
        *,
        decency: DecencyGate | None = None,
        persons: Persons = unknown_persons,
        on_outcome: Observer = _ignore,
        patience: Patience | None = None,
        lane: str = "",
        poll_s: float = 0.2,
        most_at_once: int = 64,
        random: Random | None = None,
    ) -> None:
        """Send through `clients` by channel; a channel that is not among them has no route.

        `abilities` are those of every channel. `decency` decides about what nobody asked for; without it all
        may go at once. `persons` tells the size of a group, for rates that count persons. `lane` names the
        channel whose long connection this process holds: the sender then carries that channel's own lane and
        nothing else.
        """
        self._deliveries = deliveries
        self._clock = clock
        self._patience = patience or Patience()
        self._lane = lane
        self._poll_s = poll_s
        self._most_at_once = most_at_once
        self._random = random or Random()  # noqa: S311 - spreads waits, guards nothing
        self._courier = Courier(
            deliveries,
            pace,
            clients,
            abilities,
            clock,
            patience=self._patience,
            decency=decency,
            persons=persons,
            on_outcome=on_outcome,
            random=self._random,
        )
        self._under_way: set[asyncio.Task[None]] = set()
        self._woken: set[int] = set()  # shards where there may be work, known before the next look at all
        self._news = asyncio.Event()  # set by whatever ends a pause

    def wake(self, community: str) -> None:
        """Look at once whether a delivery of `community` is due: this process has just created one."""
        self._nudge(self._deliveries.shard(community))

    def _nudge(self, shard: int) -> None:
        self._woken.add(shard)
        self._news.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Carry what is due until `stop` is set; then finish the parts under way and give the rest back."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.create_task(self._tell_of(stop))
        away, look_s, overdue_s = False, loop.time(), loop.time()
        try:
            while not stop.is_set():
                self._news.clear()
                try:
                    if loop.time() >= look_s:
                        more = await self._claim_due()
                        look_s = loop.time() + (0 if more else self._poll_s)
                    else:
                        more = await self._claim_woken()
                    if loop.time() >= overdue_s:
                        await self._courier.bury_overdue(_OVERDUE_AT_ONCE, self._lane)
                        overdue_s = loop.time() + _OVERDUE_EVERY_S
                except StoreUnavailableError as error:
                    if not away:
                        _log.warning("deliveries_wait", problem=str(error))
                    away = True
                    await _pause(stop, _AWAY_S)
                    continue
                away = False
                if more and self._room() >= self._most_at_once // 4:
                    continue
                # Full: until a quarter is free, so that claims stay large. Nothing due: until there is news.
                await self._wait(self._poll_s if more else max(0.0, look_s - loop.time()))
            self._courier.stop()
            await asyncio.gather(*self._under_way)
        finally:
            stopping.cancel()
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(stopping, *self._under_way, return_exceptions=True)

    async def _tell_of(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._news.set()

    async def _wait(self, length_s: float) -> None:
        try:
            async with asyncio.timeout(length_s):
                await self._news.wait()
        except TimeoutError:
            return

    async def run_once(self) -> None:
        """Carry everything that is due now, and what becomes due by that, to its end or its next wait.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        await self._courier.bury_overdue(_OVERDUE_AT_ONCE, self._lane)
        while await self._claim_due() or self._under_way:
            await asyncio.gather(*self._under_way)

    # ------------------------------------------------------------ claims

    def _room(self) -> int:
        return self._most_at_once - len(self._under_way)

    async def _claim_due(self) -> bool:
        """Look at every shard, claim what there is room for and start it; whether more may be due."""
        self._woken.clear()
        if self._room() <= 0:
            return True
        now_ms = self._clock.now_ms()
        due, _ = await asyncio.gather(self._deliveries.due(now_ms, self._lane), self._courier.learn_blocks())
        self._random.shuffle(due)  # no shard is always the last to be served
        await self._claim(due, now_ms)
        return bool(due)

    async def _claim_woken(self) -> bool:
        """Claim from the shards where there is known to be work, up to the room there is."""
        room = self._room()
        if not self._woken or room <= 0:
            return bool(self._woken)
        shards, self._woken = self._woken, set()
        await self._claim([(shard, room) for shard in shards], self._clock.now_ms())
        return bool(self._woken)

    async def _claim(self, due: Iterable[tuple[int, int]], now_ms: int) -> None:
        """Claim from shards, of which each has that many due, and start what was claimed."""
        room, until_ms = self._room(), now_ms + self._patience.lease_ms
        claims, left = [], list(due)
        while left and room > 0:
            shard, count = left.pop()
            share = min(count, max(1, room // (len(left) + 1)))
            claims.append(self._start(shard, now_ms, until_ms, share))
            room -= share
        await asyncio.gather(*claims)

    async def _start(self, shard: int, now_ms: int, until_ms: int, most: int) -> None:
        for delivery in await self._deliveries.claim(shard, now_ms, until_ms, most, self._lane):
            task = asyncio.create_task(self._carry(shard, delivery, until_ms), name=f"delivery-{delivery.id}")
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._room() >= self._most_at_once // 4:
            self._news.set()

    async def _carry(self, shard: int, delivery: Delivery, held_ms: int) -> None:
        try:
            if await self._courier.carry(delivery, held_ms):
                self._nudge(shard)  # its receiver's next one is due
        except StoreUnavailableError as error:
            _log.warning("delivery_left", delivery=delivery.id, problem=str(error))
        except Exception:  # noqa: BLE001 - logged, and the others go on
            # A mistake of ours: its lease ends and it is tried again.
            _log.exception("delivery_error", delivery=delivery.id)


async def _pause(stop: asyncio.Event, length_s: float) -> None:
    try:
        async with asyncio.timeout(length_s):
            await stop.wait()
    except TimeoutError:
        return
