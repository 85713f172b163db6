"""Finds deliveries that are due and has them carried; every process may run one.

What is due is found by asking all shards in one shared round trip, five times a second: an answer that waits
here is late already, and the question costs less than a message. Deliveries are claimed under a lease, so
those of a process that died are carried by any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random

import structlog

from bot.clock import Clock
from bot.delivery.client import ActiveClient
from bot.delivery.courier import Courier, Observer, Patience
from bot.delivery.routes import ChannelAbilities
from bot.errors import StoreUnavailableError
from bot.storage.redis.deliveries import Delivery, DeliveryStore
from bot.storage.redis.pacing import PaceStore

_log = structlog.get_logger(__name__)
_AWAY_S = 1.0


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
        on_outcome: Observer = _ignore,
        patience: Patience | None = None,
        lane: str = "",
        nudge: asyncio.Event | None = None,
        poll_s: float = 0.2,
        most_at_once: int = 64,
        random: Random | None = None,
    ) -> None:
        """Send through `clients` by channel; a channel that is not among them has no route.

        `abilities` are those of every channel. `lane` names the channel whose long connection this process
        holds: the sender then carries that channel's own lane and nothing else. `nudge` is set when something
        may be due before it would look again.
        """
        self._deliveries = deliveries
        self._clock = clock
        self._patience = patience or Patience()
        self._lane = lane
        self._nudge = nudge or asyncio.Event()
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
            on_outcome=on_outcome,
            random=self._random,
        )
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Carry what is due until `stop` is set; then finish the parts under way and give the rest back."""
        away = False
        try:
            while not stop.is_set():
                self._nudge.clear()
                try:
                    more = await self._claim_due()
                except StoreUnavailableError as error:
                    if not away:
                        _log.warning("deliveries_wait", problem=str(error))
                    away = True
                    await _pause(stop, _AWAY_S)
                    continue
                away = False
                if not more:
                    await self._rest(stop)
                elif len(self._under_way) >= self._most_at_once:
                    await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            self._courier.stop()
            await asyncio.gather(*self._under_way)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def run_once(self) -> None:
        """Carry everything that is due now, and what becomes due by that, to its end or its next wait.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        while await self._claim_due() or self._under_way:
            await asyncio.gather(*self._under_way)

    async def _claim_due(self) -> bool:
        """Claim what there is room for and start it; whether more may be due."""
        room = self._most_at_once - len(self._under_way)
        if room <= 0:
            return True
        now_ms = self._clock.now_ms()
        due, _ = await asyncio.gather(self._deliveries.due(now_ms, self._lane), self._courier.learn_blocks())
        if not due:
            return False
        self._random.shuffle(due)  # no shard is always the last to be served
        until_ms = now_ms + self._patience.lease_ms
        claims = []
        for index, (shard, count) in enumerate(due):
            share = min(count, max(1, room // (len(due) - index)))
            claims.append(self._deliveries.claim(shard, now_ms, until_ms, share, self._lane))
            room -= share
            if room <= 0:
                break
        for deliveries in await asyncio.gather(*claims):
            for delivery in deliveries:
                task = asyncio.create_task(self._carry(delivery, until_ms), name=f"delivery-{delivery.id}")
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
        return True

    async def _rest(self, stop: asyncio.Event) -> None:
        """Wait until it is time to look again, something is said to be due, or the end."""
        waits = [asyncio.create_task(event.wait()) for event in (stop, self._nudge)]
        try:
            await asyncio.wait(waits, timeout=self._poll_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _carry(self, delivery: Delivery, held_ms: int) -> None:
        try:
            await self._courier.carry(delivery, held_ms)
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
