"""Work: a handler runs, in the order of its chat, and its reply is decided; late ones find another way.

Dies here, at any line: the event stays open or on the queue, its handler runs again, and every effect is
idempotent under the event's id. Comes twice: the first decision stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from bot.case import Case, Outcome, Parts
from bot.codec import EventCodec, encode_answer
from bot.delivery.division import REST_DELAY_MS, Division
from bot.delivery.routes import Route as Way
from bot.errors import ConversationMovedError, StoreUnavailableError
from bot.model import Event, Reply
from bot.order import ChatOrder, Place
from bot.routing.context import Context
from bot.routing.router import Route
from bot.storage.redis.conversations import Change
from bot.storage.redis.deliveries import Delivery
from bot.storage.redis.inbox import Decision, Standing, Taken, place_of

_log = structlog.get_logger("huoqun")

LEASE_MS = 15_000  # of a late handler; renewed while it runs, so this is how long a crash delays its answer
HANDLER_LIMIT_S = 300.0  # a handler that takes longer has failed
_MOST_LOOKS = 5  # at a conversation that other messages of the member keep changing


async def _apologise(ctx: Context) -> Reply:
    return ctx.say("common.failed")


OnLate = Callable[[Event, str], Awaitable[object]]
"""Told of a message whose handler is late, and what to say meanwhile."""

_GIVEN_UP = Route("given_up", _apologise)


class Decide(Protocol):
    """Decides what becomes of a reply; with `surely` whatever the conversation has become."""

    async def __call__(self, case: Case, reply: Reply | None, *, surely: bool) -> Decision:
        """Return what was decided."""


@dataclass(frozen=True, slots=True)
class Running:
    """A handler at work in this process."""

    task: asyncio.Task[Decision]
    place: Place


class Work:
    """Runs handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._codec = EventCodec()
        self._order = ChatOrder()
        self._running: dict[str, Running] = {}
        self._watches: set[asyncio.Task[None]] = set()

    async def do(self, case: Case, taken: Taken, begun_s: float) -> Outcome:
        """Run the handler, or join it where it runs already, until the soft deadline.

        `begun_s` is the loop's time of the first byte, from which the deadline runs. A handler that is late
        is not cancelled: its event is put on the queue, in one step with the acknowledgement.

        Raises:
            StoreUnavailableError: Redis is away; nothing may be acknowledged.
        """
        event, loop = case.event, asyncio.get_running_loop()
        running = self._running.get(event.id)
        if taken.conversation or taken.rounds:
            case = self._parts.situate(case, taken.conversation or b"", taken.rounds)
        if running is None:
            place = self._order.enter(f"{event.channel}:{event.group_id or event.user_id}")
            task = loop.create_task(self._handle(case, taken, place), name=f"handle {event.id}")
            running = self._running[event.id] = Running(task, place)
            task.add_done_callback(partial(self._ended, event.id))
        left_s = max(0.0, begun_s + self._parts.soft_deadline_s - loop.time())
        await asyncio.wait((running.task,), timeout=left_s)
        if running.task.done():
            return Outcome(running.task.result(), case.route.name, "answered")
        running.place.leave()
        decision = await self._defer(case)
        self._keep_lease(case, running.task)
        return Outcome(decision, case.route.name, "late")

    async def _defer(self, case: Case) -> Decision:
        """Queue the event; where polls will show its answer, they find it there from the same step on.

        Dies between counting the stream and queueing: the count ends with the polling.
        """
        stores, now_ms = self._parts.stores, self._parts.clock.now_ms()
        streams, name, state = case.platform.streams, case.stream, ""
        if streams is not None and name:
            begun = await stores.streams.begin(name, case.event.member_id, now_ms, streams.most_open)
            state = "working" if begun else "apart"
        decision = await stores.inbox.defer(
            case.ticket, now_ms, LEASE_MS, self._codec.encode(case.event), stream=state
        )
        if decision.answer and name:  # decided meanwhile
            await stores.streams.end(name, case.event.member_id)
        return decision

    def _ended(self, event_id: str, task: asyncio.Task[Decision]) -> None:
        """Forget a handler; a store that went away under a late one is no news, the queue still has it."""
        del self._running[event_id]
        if not task.cancelled():
            task.exception()

    async def _handle(self, case: Case, taken: Taken, place: Place) -> Decision:
        """Run the handler in its place and decide; a reply that comes too late goes to delivery."""
        return await self._handle_in_place(case, taken, place, self._decide)

    async def _handle_in_place(self, case: Case, taken: Taken, place: Place, decide: Decide) -> Decision:
        """Run the handler when those before it in the chat are done, and have its reply decided.

        A message before it, here or in another process, may have changed what the bot talks about with its
        member: then it is handled as what it is by now.
        """
        try:
            waited = await place.wait(self._parts.soft_deadline_s)
            if waited or taken.conversation is None:
                case = await self._look(case)
            for look in range(1, _MOST_LOOKS):
                reply = await self._reply(case, taken)
                try:
                    return await decide(case, reply, surely=False)
                except ConversationMovedError:
                    _log.debug("conversation moved on", id=case.event.id, look=look)
                    case = await self._look(case)
            return await decide(case, await self._reply(case, taken), surely=True)
        finally:
            place.leave()

    async def _look(self, case: Case) -> Case:
        """Return the case in the conversation of its member, and among the rounds, as they are now."""
        stores, ticket = self._parts.stores, case.ticket
        record, rounds = await asyncio.gather(
            stores.conversations.read(ticket),
            stores.rounds.open_in(ticket.community, place_of(ticket.event)),
        )
        known = record or rounds or case.seen or case.rounds
        return self._parts.situate(case, record, rounds) if known else case

    async def _reply(self, case: Case, taken: Taken) -> Reply | None:
        context = self._parts.context(case, taken)
        try:
            async with asyncio.timeout(HANDLER_LIMIT_S):
                return await self._parts.dispatcher.answer(context, case.route)
        except TimeoutError:
            await _log.aerror("handler gave no answer in time", id=case.event.id, handler=case.route.name)
            return context.say("common.failed")

    def _keep_lease(self, case: Case, task: asyncio.Task[Decision]) -> None:
        """Renew the lease of a queued event for as long as its handler runs here."""
        renewal = asyncio.create_task(self._renew(case), name=f"lease {case.event.id}")
        task.add_done_callback(lambda _: renewal.cancel())

    async def _renew(self, case: Case) -> None:
        while True:
            await asyncio.sleep(LEASE_MS / 3000)
            until_ms = self._parts.clock.now_ms() + LEASE_MS
            with suppress(StoreUnavailableError):  # another may take the event over; that is harmless
                await self._parts.late.renew(case.ticket.community, case.event.id, until_ms)

    async def _decide(self, case: Case, reply: Reply | None, *, surely: bool) -> Decision:
        """Settle the answer; what the HTTP answer cannot carry becomes a delivery in the same step.

        The same step makes of the conversation what the reply says; where another message of the member has
        changed it meanwhile, nothing is decided (`ConversationMovedError`), unless `surely`.

        Dies here: the event is open or queued, and its handler runs again. Comes twice: the first decision
        stands; a second reply to a queued event finds it finished.
        """
        now_ms = self._parts.clock.now_ms()
        division = case.divide(reply)
        rest = self._compose(case, division, reply, now_ms)
        answer = encode_answer(division.passive)
        change = self._parts.change(case, reply, now_ms, surely=surely)
        decision = await self._parts.stores.inbox.settle(
            case.ticket, now_ms, answer, rest, now_ms + REST_DELAY_MS, change
        )
        if not decision.answer:  # it was acknowledged without an answer: all of the reply goes another way
            late = case.divide(reply, inline=False)
            whole = self._compose(case, late, reply, now_ms)
            showable = _showable(case, late)
            await self._finish_late(case, whole, now_ms, change, showable=showable)
        return decision

    def _compose(self, case: Case, division: Division, reply: Reply | None, now_ms: int) -> Delivery | None:
        return self._parts.composer.compose(
            case.event,
            case.ticket.community,
            division.rest,
            now_ms,
            useful_for_s=None if reply is None else reply.useful_for_s,
        )

    # ------------------------------------------------------------ events that nobody repeats

    async def queue(self, case: Case, on_late: OnLate) -> Taken:
        """Take an event in that its platform never repeats, and start its handler; ends when that is safe.

        The event is on the queue from the moment it is taken in. All of its reply is a delivery, made in the
        step that takes the event off the queue. `on_late` is called when the soft deadline of a message has
        passed without an answer.

        Raises:
            StoreUnavailableError: Redis is away; ask again.
        """
        event = case.event
        place = self._order.enter(f"{event.channel}:{event.group_id or event.user_id}")
        try:
            taken = await self._parts.stores.inbox.take_queued(
                case.ticket, self._parts.clock.now_ms(), LEASE_MS, self._codec.encode(event)
            )
        except BaseException:
            place.leave()
            raise
        if taken.conversation or taken.rounds:
            case = self._parts.situate(case, taken.conversation or b"", taken.rounds)
        if taken.standing is Standing.NEW:
            task = self._start_queued(case, taken, place)
            if event.is_message:
                watch = asyncio.create_task(
                    self._watch(case, taken, task, place, on_late), name=f"watch {event.id}"
                )
                self._watches.add(watch)
                watch.add_done_callback(self._watches.discard)
        else:
            place.leave()
        return taken

    def _start_queued(self, case: Case, taken: Taken, place: Place) -> asyncio.Task[Decision]:
        task = asyncio.create_task(self._handle_queued(case, taken, place), name=f"queued {case.event.id}")
        self._running[case.event.id] = Running(task, place)
        task.add_done_callback(partial(self._ended, case.event.id))
        self._keep_lease(case, task)
        return task

    async def _handle_queued(self, case: Case, taken: Taken, place: Place) -> Decision:
        """Run the handler of a queued event in its place; its whole reply becomes a delivery."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        decision = await self._handle_in_place(case, taken, place, self._decide_queued)
        seconds, event = loop.time() - begun_s, case.event
        word = "nobody" if case.route.handler is None and case.route.constant is None else "answered"
        self._parts.metrics.event(event.channel, word, seconds)
        self._parts.event_log.write(event.id, event.channel, case.route.name, word, seconds * 1000)
        return decision

    async def _decide_queued(self, case: Case, reply: Reply | None, *, surely: bool) -> Decision:
        """Hand the whole reply to delivery, in the step that takes the event off the queue; see `_decide`."""
        now_ms = self._parts.clock.now_ms()
        whole = self._compose(case, case.divide(reply, inline=False), reply, now_ms)
        change = self._parts.change(case, reply, now_ms, surely=surely)
        await self._finish_late(case, whole, now_ms, change)
        return Decision(now_ms, b"")

    async def _finish_late(
        self,
        case: Case,
        whole: Delivery | None,
        now_ms: int,
        change: Change | None,
        *,
        showable: bool = False,
    ) -> None:
        """Take an event off the queue with its whole reply as a delivery, and have that sent at once."""
        community = case.ticket.community
        await self._parts.late.finish(community, case.event.id, whole, now_ms, change, showable=showable)
        if whole is not None:
            self._parts.nudges.wake(community)

    async def _watch(
        self, case: Case, taken: Taken, task: asyncio.Task[Decision], place: Place, on_late: OnLate
    ) -> None:
        """Let the chat go on, and say that work goes on, once the soft deadline has passed."""
        await asyncio.wait((task,), timeout=self._parts.soft_deadline_s)
        if not task.done():
            place.leave()
            context = self._parts.context(case, taken)
            context.language = context.community.language
            await on_late(case.event, context.text("stream.working"))

    async def run_again(self, raw: bytes) -> None:
        """Run the handler of a queued event whose process died; see `bot.late_worker`."""
        event = self._codec.decode(raw)
        if event.id in self._running:
            return
        case = self._parts.case(self._parts.platforms[event.channel], event, self._parts.clock.now_ms())
        place = self._order.enter(f"{event.channel}:{event.group_id or event.user_id}")
        if case.row.later is Way.CONNECTION:
            await asyncio.wait((self._start_queued(case, Taken(Standing.OPEN), place),))
            return
        task = asyncio.create_task(self._handle(case, Taken(Standing.OPEN), place), name=f"again {event.id}")
        self._running[event.id] = Running(task, place)
        task.add_done_callback(partial(self._ended, event.id))
        self._keep_lease(case, task)
        await asyncio.wait((task,))

    async def give_up(self, raw: bytes) -> None:
        """Answer a queued event, whose handler ended its process each time it ran, with an apology."""
        event = self._codec.decode(raw)
        case = self._parts.case(self._parts.platforms[event.channel], event, self._parts.clock.now_ms())
        case = case._replace(route=_GIVEN_UP)
        if case.row.later is Way.CONNECTION:
            place = self._order.enter(f"{event.channel}:{event.group_id or event.user_id}")
            await asyncio.wait((self._start_queued(case, Taken(Standing.OPEN), place),))
            return
        await self._decide(case, await self._reply(case, Taken(Standing.OPEN)), surely=True)

    async def finish(self, grace_s: float) -> None:
        """Let running handlers end before the process does; what is late then stays on the queue."""
        tasks = [running.task for running in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)


def _showable(case: Case, late: Division) -> bool:
    """Whether a poll may take the first part of a late reply."""
    streams = case.platform.streams
    return streams is not None and bool(late.rest) and streams.takes(case.event, late.rest[0])
