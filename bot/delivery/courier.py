"""Carries one claimed delivery: part after part, at the platform's pace, to its end or its next wait.

What a crash or a lost answer costs: the part whose answer was not recorded is sent again. On WeCom the
platform is asked to drop that second copy (see `PaceStore.ask`), which it does for four hours; the Official
Account has no such check, so there a person may read that one part twice. No other part, and never none.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random

import structlog

from bot.clock import Clock
from bot.delivery.body import content_of
from bot.delivery.client import ActiveClient, Receiver
from bot.delivery.outcome import Failure, judge
from bot.delivery.routes import Abilities, ChannelAbilities
from bot.errors import BotError, StoreUnavailableError
from bot.model import Part
from bot.storage.redis.deliveries import Delivery, DeliveryStore, decode_parts
from bot.storage.redis.pacing import Block, PaceStore

_log = structlog.get_logger(__name__)

Observer = Callable[[str, str], None]
"""Told (channel, outcome) of every step: delivered, dead, retried (an attempt failed) or waited."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things are tried.

    Attributes:
        lease_ms: How long a claimed delivery is ours; longer than `part_timeout_s`.
        part_timeout_s: The longest one part may take, its access token included.
        max_attempts: Failed attempts at one part after which the delivery is dead.
        backoff_s: Waits after the first, second … failed attempt; the last one repeats. A fifth more or
            less is chosen at random, so that many do not come back together.
        give_up_after_ms: How long a delivery waits for a channel that is blocked as a whole.
        pace_margin_ms: Added to every rate's length, since the platform counts on arrival, not on departure.
        full_wait_ms: Wait of a delivery whose channel already makes as many calls as it may.
        record_for_s: How long we insist on recording what the platform has accepted while Redis is away.
    """

    lease_ms: int = 40_000
    part_timeout_s: float = 25.0
    max_attempts: int = 6
    backoff_s: tuple[float, ...] = (5, 15, 45, 120, 300)
    give_up_after_ms: int = 2 * 3_600_000
    pace_margin_ms: int = 5_000
    full_wait_ms: int = 500
    record_for_s: float = 10.0


@dataclass(slots=True)
class _Trip:
    """A claimed delivery on its way; `held_ms` is the proof of its lease."""

    delivery: Delivery
    held_ms: int
    client: ActiveClient
    row: Abilities
    number: int  # of the present part, from 0
    attempts: int  # failed at the present part


class Courier:
    """Carries deliveries; shared by everything one process carries at a time."""

    def __init__(
        self,
        deliveries: DeliveryStore,
        pace: PaceStore,
        clients: Mapping[str, ActiveClient],
        abilities: Mapping[str, ChannelAbilities],
        clock: Clock,
        *,
        patience: Patience,
        on_outcome: Observer,
        random: Random,
    ) -> None:
        self._deliveries = deliveries
        self._pace = pace
        self._clients = clients
        self._abilities = abilities
        self._clock = clock
        self._patience = patience
        self._on_outcome = on_outcome
        self._random = random
        self._blocks: dict[str, Block] = {}
        self._busy: Counter[str] = Counter()
        self._stopping = False

    def stop(self) -> None:
        """Give every delivery back after the part that is under way."""
        self._stopping = True

    async def learn_blocks(self) -> None:
        """Read which channels are to wait."""
        self._blocks = await self._pace.blocks(self._clients)

    async def carry(self, delivery: Delivery, held_ms: int) -> None:
        """Carry a delivery whose lease ends at `held_ms`.

        Raises:
            StoreUnavailableError: Redis went away; whoever claims the delivery after the lease goes on.
        """
        client = self._clients.get(delivery.channel)
        known = self._abilities.get(delivery.channel)
        row = None if known is None else known.row(delivery.group_id)
        if client is None or row is None:
            await self._dead(delivery, held_ms, "no_route", delivery.next_part)
            return
        try:
            parts = decode_parts(delivery.parts)
        except ValueError:
            await self._dead(delivery, held_ms, "unreadable", delivery.next_part)
            return
        first = delivery.next_part
        trip = _Trip(delivery, held_ms, client, row, first, delivery.attempts)
        for number in range(first, len(parts)):
            trip.number = number
            if not await self._carry_part(trip, parts[number]):
                return
            if number + 1 < len(parts) and not await self._step(trip):
                return
        if await self._recorded(
            lambda: self._deliveries.delivered(delivery, len(parts), self._clock.now_ms())
        ):
            self._on_outcome(delivery.channel, "delivered")

    # ------------------------------------------------------------ one part

    async def _carry_part(self, trip: _Trip, part: Part) -> bool:
        """Send one part; False when it was not accepted, and what follows has been arranged."""
        channel = trip.delivery.channel
        if self._stopping:
            await self._give_back(trip, self._clock.now_ms())
            return False
        if self._busy[channel] >= trip.row.concurrency:
            await self._give_back(trip, self._clock.now_ms() + self._spread(self._patience.full_wait_ms))
            return False
        if part.kind not in trip.row.active_parts:
            await self._dead(trip.delivery, trip.held_ms, f"unsendable:{part.kind}", trip.number)
            return False
        self._busy[channel] += 1
        try:
            guard = await self._leave(trip, part)
            if guard is None:
                return False
            failure = await self._send(trip, part, guard=guard)
        finally:
            self._busy[channel] -= 1
        if failure is not None:
            await self._failed(trip, failure)
            return False
        await self._succeeded(channel)
        return True

    async def _leave(self, trip: _Trip, part: Part) -> bool | None:
        """Return whether to guard against a duplicate; None when the part may not be sent now."""
        delivery, now_ms = trip.delivery, self._clock.now_ms()
        block = self._blocks.get(delivery.channel)
        if block is not None and block.until_ms > now_ms:
            await self._await_block(trip, block)
            return None
        if trip.held_ms - now_ms < self._patience.part_timeout_s * 1000:
            until_ms = now_ms + self._patience.lease_ms
            if not await self._deliveries.hold(delivery, trip.held_ms, until_ms):
                return None
            trip.held_ms = until_ms
        row = trip.row
        if not row.rates and not row.drops_duplicates_ms:
            return False
        leave = await self._pace.ask(
            f"{delivery.channel}:{delivery.group_id or delivery.user_id}",
            now_ms,
            [(rate.most, rate.per_ms + self._patience.pace_margin_ms) for rate in row.rates],
            claim=f"{delivery.id}:{trip.number}" if row.drops_duplicates_ms else "",
            content=content_of(part),
            duplicate_memory_ms=row.drops_duplicates_ms + self._patience.pace_margin_ms,
        )
        if leave.wait_until_ms:
            await self._give_back(trip, leave.wait_until_ms)
            return None
        return leave.guard

    async def _send(self, trip: _Trip, part: Part, *, guard: bool) -> Failure | None:
        try:
            async with asyncio.timeout(self._patience.part_timeout_s):
                await trip.client.send(_receiver(trip), part, guard=guard)
        except StoreUnavailableError:
            raise
        except (BotError, TimeoutError) as error:
            return judge(trip.client.kind, error)
        except Exception as error:  # noqa: BLE001 - logged and counted
            # Whatever it is, one delivery must neither stop the others nor be tried for ever.
            _log.exception("delivery_error", delivery=trip.delivery.id, channel=trip.delivery.channel)
            return judge(trip.client.kind, error)
        return None

    async def _step(self, trip: _Trip) -> bool:
        """Record the part as sent and go on to the next; False when the lease was lost."""
        now_ms = self._clock.now_ms()
        until_ms = now_ms + self._patience.lease_ms
        held = await self._recorded(
            lambda: self._deliveries.part_sent(trip.delivery, trip.held_ms, until_ms, trip.number, now_ms)
        )
        trip.held_ms, trip.attempts = until_ms, 0
        return held

    async def _succeeded(self, channel: str) -> None:
        """Forget a wait that is over; one that began while this call was under way stays."""
        block = self._blocks.get(channel)
        if block is not None and block.until_ms <= self._clock.now_ms():
            del self._blocks[channel]
            await self._pace.unblock(channel)

    # ------------------------------------------------------------ when it was not accepted

    async def _failed(self, trip: _Trip, failure: Failure) -> None:
        delivery, now_ms = trip.delivery, self._clock.now_ms()
        wait_until_ms = 0
        if failure.first_s:
            wait_until_ms = await self._pace.block(
                delivery.channel, failure.reason, now_ms, failure.first_s * 1000, failure.longest_s * 1000
            )
            self._blocks[delivery.channel] = Block(wait_until_ms, failure.reason)
        if failure.counts:
            given_up = trip.attempts + 1 >= self._patience.max_attempts
        else:
            given_up = now_ms - delivery.queued_at_ms > self._patience.give_up_after_ms
        if failure.final or given_up:
            await self._dead(delivery, trip.held_ms, failure.reason, trip.number)
            return
        due_ms = max(now_ms + self._backoff_ms(trip.attempts), wait_until_ms)
        if await self._deliveries.retry_later(
            delivery, trip.held_ms, due_ms, failure.reason, now_ms, counts=failure.counts
        ):
            self._on_outcome(delivery.channel, "retried" if failure.counts else "waited")

    async def _await_block(self, trip: _Trip, block: Block) -> None:
        age_ms = self._clock.now_ms() - trip.delivery.queued_at_ms
        if age_ms > self._patience.give_up_after_ms:
            await self._dead(trip.delivery, trip.held_ms, block.reason, trip.number)
        else:
            await self._give_back(trip, block.until_ms + self._spread(self._patience.full_wait_ms))

    async def _give_back(self, trip: _Trip, due_ms: int) -> None:
        if await self._deliveries.hold(trip.delivery, trip.held_ms, due_ms):
            self._on_outcome(trip.delivery.channel, "waited")

    async def _dead(self, delivery: Delivery, held_ms: int, reason: str, next_part: int) -> None:
        if await self._deliveries.dead(delivery, held_ms, reason, next_part, self._clock.now_ms()):
            _log.warning("delivery_dead", delivery=delivery.id, channel=delivery.channel, reason=reason)
            self._on_outcome(delivery.channel, "dead")

    # ------------------------------------------------------------ time

    async def _recorded(self, record: Callable[[], Awaitable[bool]]) -> bool:
        """Record what the platform has accepted; insist while Redis is away, rather than send twice."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._patience.record_for_s
        while True:
            try:
                return await record()
            except StoreUnavailableError:
                if loop.time() > deadline_s:
                    raise
                await asyncio.sleep(0.2)

    def _backoff_ms(self, attempts: int) -> int:
        waits_s = self._patience.backoff_s
        wait_s = waits_s[min(attempts, len(waits_s) - 1)]
        return int(wait_s * 1000 * self._random.uniform(0.8, 1.2))

    def _spread(self, length_ms: int) -> int:
        return int(length_ms * self._random.uniform(1.0, 2.0))


def _receiver(trip: _Trip) -> Receiver:
    delivery = trip.delivery
    return Receiver(delivery.user_id, delivery.group_id, delivery.answer_to, delivery.id, trip.number)
