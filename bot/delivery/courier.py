"""Carries one claimed delivery: part after part, at the platform's pace, to its end or its next wait.

What a crash or a lost answer costs: the part whose answer was not recorded is sent again. On WeCom the
platform is asked to drop that second copy (see `PaceStore.ask`), which it does for four hours; the Official
Account has no such check, so there a person may read that one part twice. No other part, and never none.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import structlog

from bot.clock import Clock
from bot.delivery.body import content_of
from bot.delivery.client import ActiveClient, Receiver
from bot.delivery.decency import DecencyGate
from bot.delivery.outcome import Failure, judge
from bot.delivery.routes import Abilities, ChannelAbilities, Rate, Route, Scope
from bot.errors import BotError, StoreUnavailableError
from bot.model import Part
from bot.storage.redis.deliveries import Delivery, DeliveryStore, decode_parts
from bot.storage.redis.pacing import Block, Leave, PaceRate, PaceStore, Word

_log = structlog.get_logger(__name__)

Observer = Callable[[str, str], None]
"""Told (channel, outcome) of every step: delivered, dead, retried (an attempt failed) or waited."""

Persons = Callable[[str, str], Awaitable[int]]
"""Tells how many members a group (channel, chat id) has; 0 where nobody knows."""

CAUTIOUS_PERSONS = 200
"""Taken for a group whose size nobody knows, where a rate counts persons."""


async def unknown_persons(_channel: str, _chat_id: str) -> int:
    """Know no group's size."""
    return 0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things are tried.

    Attributes:
        lease_ms: How long a claimed delivery is ours; longer than `part_timeout_s`.
        part_timeout_s: The longest one part may take, its access token included.
        max_attempts: Failed attempts at one part after which the delivery is dead.
        backoff_s: Waits after the first, second … failed attempt; the last one repeats. A fifth more or
            less is chosen at random, so that many do not come back together.
        give_up_after_ms: How long a delivery that has no `useful_until_ms` waits for a channel that is
            blocked as a whole.
        pace_margin_ms: Added to every rate's length, since the platform counts on arrival, not on departure.
        full_wait_ms: Wait of a delivery whose channel already makes as many calls as it may, or is being
            tried by another delivery.
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
    ended: bool = False  # delivered or dead, by us


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
        decency: DecencyGate | None,
        persons: Persons,
        on_outcome: Observer,
        random: Random,
    ) -> None:
        self._deliveries = deliveries
        self._pace = pace
        self._clients = clients
        self._abilities = abilities
        self._clock = clock
        self._patience = patience
        self._decency = decency
        self._persons = persons
        self._on_outcome = on_outcome
        self._random = random
        self._blocks: dict[str, Block] = {}
        self._busy: Counter[str] = Counter()
        self._stopping = False

    def stop(self) -> None:
        """Give every delivery back after the part that is under way."""
        self._stopping = True

    async def learn_blocks(self) -> None:
        """Read which channels are to wait, so that what waits for them costs no question each."""
        self._blocks = await self._pace.blocks(self._clients)

    async def carry(self, delivery: Delivery, held_ms: int) -> bool:
        """Carry a delivery whose lease ends at `held_ms`; whether it ended, delivered or dead, by that.

        Raises:
            StoreUnavailableError: Redis went away; whoever claims the delivery after the lease goes on.
        """
        client = self._clients.get(delivery.channel)
        known = self._abilities.get(delivery.channel)
        row = None if known is None else known.row(delivery.group_id)
        if client is None or row is None or row.later is Route.NONE:
            return await self._dead(delivery, held_ms, "no_route", delivery.next_part)
        try:
            parts = decode_parts(delivery.parts)
        except ValueError:
            return await self._dead(delivery, held_ms, "unreadable", delivery.next_part)
        trip = _Trip(delivery, held_ms, client, row, delivery.next_part, delivery.attempts)
        await self._carry_parts(trip, parts)
        return trip.ended

    async def _carry_parts(self, trip: _Trip, parts: Sequence[Part]) -> None:
        delivery, first = trip.delivery, trip.number
        if not await self._welcome(trip):
            return
        for number in range(first, len(parts)):
            trip.number = number
            if not await self._carry_part(trip, parts[number]):
                return
            if number + 1 < len(parts) and not await self._step(trip):
                return
        trip.ended = await self._recorded(
            lambda: self._deliveries.delivered(delivery, len(parts), self._clock.now_ms())
        )
        if trip.ended:
            self._on_outcome(delivery.channel, "delivered")

    async def _welcome(self, trip: _Trip) -> bool:
        """Whether it may be sent at this hour, to this receiver; else what follows has been arranged."""
        delivery, now_ms = trip.delivery, self._clock.now_ms()
        if delivery.not_before_ms > now_ms:
            await self._give_back(trip, delivery.not_before_ms)
            return False
        if self._is_late(delivery, now_ms):
            await self._end(trip, "too_late")
            return False
        if not delivery.feature or self._decency is None:
            return True
        admitted = await self._decency.ask(delivery, now_ms)
        if admitted.reason:
            await self._end(trip, admitted.reason)
        elif admitted.wait_until_ms:
            await self._give_back(trip, admitted.wait_until_ms)
        else:
            return True
        return False

    # ------------------------------------------------------------ one part

    async def _carry_part(self, trip: _Trip, part: Part) -> bool:
        """Send one part; False when it was not accepted, and what follows has been arranged."""
        channel = trip.delivery.channel
        if self._stopping:
            await self._give_back(trip, self._clock.now_ms())
            return False
        refused = self._refusal(trip, part)
        if refused:
            await self._end(trip, refused)
            return False
        if self._busy[channel] >= trip.row.concurrency:
            await self._give_back(trip, self._clock.now_ms() + self._spread(self._patience.full_wait_ms))
            return False
        self._busy[channel] += 1
        try:
            leave = await self._leave(trip, part)
            if leave is None:
                return False
            failure = await self._send(trip, part, guard=leave.guard)
        finally:
            self._busy[channel] -= 1
        if failure is not None:
            await self._failed(trip, failure, leave)
            return False
        await self._answered(channel, leave)
        return True

    def _refusal(self, trip: _Trip, part: Part) -> str:
        """Return why this part can never be sent, empty where it may be."""
        if part.kind not in trip.row.active_parts:
            return f"unsendable:{part.kind}"
        if self._is_late(trip.delivery, self._clock.now_ms()):
            return "too_late"
        return ""

    async def _leave(self, trip: _Trip, part: Part) -> Leave | None:
        """Return the leave to send a part; None when it may not be sent now, and is given back."""
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
        leave = await self._pace.ask(
            f"{delivery.channel}:{delivery.group_id or delivery.user_id}",
            now_ms,
            [await self._rate(rate, delivery) for rate in row.rates],
            claim=f"{delivery.id}:{trip.number}" if row.drops_duplicates_ms else "",
            content=content_of(part) if row.drops_duplicates_ms else b"",
            duplicate_memory_ms=row.drops_duplicates_ms + self._patience.pace_margin_ms,
            probe_ms=int(self._patience.part_timeout_s * 1000),
        )
        match leave.word:
            case Word.GO | Word.PROBE:
                return leave
            case Word.BLOCKED:
                await self._await_block(trip, Block(leave.wait_until_ms, leave.reason))
            case Word.PROBED:
                soon_ms = now_ms + self._spread(self._patience.full_wait_ms)
                await self._give_back(trip, min(leave.wait_until_ms, soon_ms))
            case Word.FULL:
                await self._give_back(trip, leave.wait_until_ms)
        return None

    async def _rate(self, rate: Rate, delivery: Delivery) -> PaceRate:
        persons = int(rate.persons)
        if rate.persons and delivery.group_id:
            persons = await self._persons(delivery.channel, delivery.group_id) or CAUTIOUS_PERSONS
        return PaceRate(
            rate.most, rate.per_ms + self._patience.pace_margin_ms, rate.scope is Scope.CHANNEL, persons
        )

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

    async def _answered(self, channel: str, leave: Leave) -> None:
        """End a block when its probe was answered; what began while another call was under way stays."""
        if leave.word is Word.PROBE:
            self._blocks.pop(channel, None)
            await self._pace.unblock(channel)

    # ------------------------------------------------------------ when it was not accepted

    async def _failed(self, trip: _Trip, failure: Failure, leave: Leave) -> None:
        delivery, now_ms = trip.delivery, self._clock.now_ms()
        wait_until_ms = 0
        if failure.first_s:
            wait_until_ms = await self._pace.block(
                delivery.channel, failure.reason, now_ms, failure.first_s * 1000, failure.longest_s * 1000
            )
            self._blocks[delivery.channel] = Block(wait_until_ms, failure.reason)
        elif failure.answered:
            await self._answered(delivery.channel, leave)
        if failure.counts:
            given_up = trip.attempts + 1 >= self._patience.max_attempts
        else:
            given_up = self._gives_up(delivery, now_ms)
        if failure.final or given_up:
            await self._end(trip, failure.reason)
            return
        due_ms = max(now_ms + self._backoff_ms(trip.attempts), wait_until_ms)
        if self._is_late(delivery, due_ms):
            await self._end(trip, "too_late")
        elif await self._deliveries.retry_later(
            delivery, trip.held_ms, due_ms, failure.reason, now_ms, counts=failure.counts
        ):
            self._on_outcome(delivery.channel, "retried" if failure.counts else "waited")

    async def _await_block(self, trip: _Trip, block: Block) -> None:
        if self._gives_up(trip.delivery, self._clock.now_ms()):
            await self._end(trip, block.reason)
        else:
            await self._give_back(trip, block.until_ms + self._spread(self._patience.full_wait_ms))

    def _gives_up(self, delivery: Delivery, now_ms: int) -> bool:
        """Whether a delivery without an end of its own has waited long enough for its channel."""
        waited_ms = now_ms - delivery.queued_at_ms
        return not delivery.useful_until_ms and waited_ms > self._patience.give_up_after_ms

    def _is_late(self, delivery: Delivery, at_ms: int) -> bool:
        return 0 < delivery.useful_until_ms <= at_ms

    async def _give_back(self, trip: _Trip, due_ms: int) -> None:
        """Wait until `due_ms`; a wait after which it would be worth nothing ends it at once."""
        delivery = trip.delivery
        if self._is_late(delivery, due_ms):
            await self._end(trip, "too_late")
        elif await self._deliveries.give_back(delivery, trip.held_ms, due_ms, self._clock.now_ms()):
            self._on_outcome(delivery.channel, "waited")

    async def _end(self, trip: _Trip, reason: str) -> None:
        trip.ended = await self._dead(trip.delivery, trip.held_ms, reason, trip.number)

    async def _dead(self, delivery: Delivery, held_ms: int, reason: str, next_part: int) -> bool:
        dead = await self._deliveries.dead(delivery, held_ms, reason, next_part, self._clock.now_ms())
        if dead:
            self._buried(delivery, reason)
        return dead

    async def bury_overdue(self, most: int, lane: str) -> None:
        """End what nobody carries and is no longer worth sending, up to `most` of each shard and lane.

        It waits behind another of its receiver, or in the lane of a long connection that nobody holds: the
        sender of the common lane looks after all lanes. What waits for an instant ends before, since no
        wait goes beyond the end of use.
        """
        now_ms = self._clock.now_ms()
        for known in {lane} if lane else {"", *self._lanes()}:
            for delivery in await self._deliveries.overdue(now_ms, most, known):
                if await self._deliveries.overdue_dead(delivery, "too_late", now_ms):
                    self._buried(delivery, "too_late")

    def _lanes(self) -> set[str]:
        """Return the channels whose deliveries wait in lanes of their own."""
        return {
            name
            for name, known in self._abilities.items()
            if any(row is not None and row.later is Route.CONNECTION for row in (known.direct, known.group))
        }

    def _buried(self, delivery: Delivery, reason: str) -> None:
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
