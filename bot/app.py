"""The straight line from a callback to its answer, and the one place where the parts are wired.

::

    receive     size limit, raw query and body                              413, 404
    open        platform: verify → decrypt → decode → Event                 403, 400
    route       dispatcher: command, keyword or kind of event → handler     no state asked yet
    take        inbox: told apart from repeats, counted; one round trip     an answer that needs no state is
                                                                            decided in it, and the line ends here
    work        middlewares → handler → Reply, in the order of the chat     late: queued, then acknowledged
    settle      inbox: the first decision stands, repeats get the same
    render      platform: answer → encrypted bytes
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from aiohttp import web

from bot.catalog import Catalog
from bot.clock import Clock
from bot.codec import EventCodec, decode_answer, encode_answer
from bot.communities import Communities
from bot.delivery.compose import Composer
from bot.delivery.routes import REST_DELAY_MS, Division, divide, takes_passive_reply
from bot.errors import CallbackError, OversizeError, StoreError
from bot.logs import EventLog
from bot.metrics import Metrics
from bot.model import Event, Reply, Unknown
from bot.order import ChatOrder, Place
from bot.platforms.protocol import Platform
from bot.routing.context import Context, Question
from bot.routing.dispatcher import Dispatcher
from bot.routing.keyword_book import KeywordBook
from bot.routing.router import Route
from bot.routing.stores import Stores
from bot.storage.redis.deliveries import Delivery
from bot.storage.redis.inbox import Decision, Standing, Taken, Ticket
from bot.storage.redis.late import LateQueue

_log = structlog.get_logger("huoqun")

LEASE_MS = 15_000  # of a late handler; renewed while it runs, so this is how long a crash delays its answer
HANDLER_LIMIT_S = 300.0  # a handler that takes longer has failed


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the line goes through, wired by `bot.wiring`."""

    platforms: Mapping[str, Platform]
    communities: Communities
    dispatcher: Dispatcher
    keywords: KeywordBook
    stores: Stores
    late: LateQueue
    composer: Composer
    catalog: Catalog
    clock: Clock
    metrics: Metrics
    event_log: EventLog
    soft_deadline_s: float
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class Case:
    """One delivery of an event: where it belongs and who answers it."""

    platform: Platform
    question: Question
    route: Route
    ticket: Ticket
    now_ms: int

    def divide(self, reply: Reply | None, *, inline: bool = True) -> Division:
        """Return what of a reply goes in the HTTP answer, unless it is too late for that, and what after it."""
        event, kind = self.question.event, self.platform.kind
        inline = inline and takes_passive_reply(kind, event.content.name, is_message=event.is_message)
        return divide(() if reply is None else reply.parts, kind, inline=inline)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one delivery of an event.

    `word` is answered, nobody (no handler), repeated, old (answer no longer kept) or late.
    """

    decision: Decision
    route: str
    word: str


@dataclass(frozen=True, slots=True)
class Work:
    """A handler at work in this process."""

    task: asyncio.Task[Decision]
    place: Place


class Line:
    """The way of one message."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._codec = EventCodec()
        self._order = ChatOrder()
        self._at_work: dict[str, Work] = {}

    # ------------------------------------------------------------ receive

    async def receive(self, platform: Platform, request: web.Request) -> web.Response:
        """Answer one POST of a platform."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        parts = self._parts
        now_ms = parts.clock.now_ms()
        try:
            body = await self._read(request)
            event = platform.open(request.rel_url.raw_query_string, body, now_ms)
        except CallbackError as error:
            return self._refuse(platform, error)
        except TimeoutError:
            return self._refuse(platform, CallbackError("the body did not arrive in time"))
        try:
            outcome = await self.answer(platform, event, now_ms, begun_s)
        except StoreError as error:
            await _log.awarning("callback not taken, its platform will repeat it", id=event.id, error=str(error))
            parts.metrics.event(event.channel, "store_away", loop.time() - begun_s)
            return web.Response(status=503)
        seconds = loop.time() - begun_s
        parts.metrics.event(event.channel, outcome.word, seconds)
        parts.event_log.write(event.id, event.channel, outcome.route, outcome.word, seconds * 1000)
        part = decode_answer(outcome.decision.answer)
        body = platform.render(event, part, outcome.decision.at_ms)
        return web.Response(body=body, content_type=platform.content_type if part else "text/plain")

    async def _read(self, request: web.Request) -> bytes:
        """Read the body, as a rule already here; a slow one may take the soft deadline."""
        length = request.content_length
        if length is not None and length > self._parts.max_body_bytes:
            raise self._oversize()
        try:
            if request.content.is_eof():
                return await request.read()
            async with asyncio.timeout(self._parts.soft_deadline_s):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise self._oversize() from None

    def _oversize(self) -> OversizeError:
        return OversizeError(f"a callback has at most {self._parts.max_body_bytes} bytes")

    def _refuse(self, platform: Platform, error: CallbackError) -> web.Response:
        self._parts.metrics.refused(platform.channel, error.status)
        _log.warning("callback refused", channel=platform.channel, status=error.status, why=str(error))
        return web.Response(status=error.status, text=f"{error}\n")

    # ------------------------------------------------------------ answer

    async def answer(self, platform: Platform, event: Event, now_ms: int, begun_s: float) -> Outcome:
        """Take the event in and decide its answer.

        `begun_s` is the loop's time of the first byte, from which the soft deadline runs.

        Raises:
            StoreUnavailableError: Redis is away; nothing may be acknowledged.
        """
        inbox = self._parts.stores.inbox
        case = self._case(platform, event, now_ms)
        known = _known_answer(case)
        taken = await inbox.take(case.ticket, now_ms, known)
        if taken.decision is not None:
            return Outcome(taken.decision, case.route.name, "repeated")
        if taken.standing is Standing.OLD:
            return Outcome(Decision(now_ms, b""), case.route.name, "old")
        if taken.standing is Standing.NEW:
            if type(event.content) is Unknown:
                self._parts.metrics.unknown_type(event.channel)
            if known and inbox.within_rate(taken):
                word = "answered" if case.route.constant else "nobody"
                return Outcome(Decision(now_ms, known), case.route.name, word)
        return await self._work(case, taken, begun_s)

    def _case(self, platform: Platform, event: Event, now_ms: int) -> Case:
        """Say where an event belongs and who answers it; asks no state, the same for every delivery."""
        parts = self._parts
        community = parts.communities.find(event.channel, event.group_id)
        calendar = parts.communities.calendar(community)
        keywords = parts.keywords.of(community.id)
        question = Question(event, community, calendar, parts.keywords.text_of(event), keywords)
        route = parts.dispatcher.route(question)
        ticket = parts.stores.inbox.ticket(event, community.id, calendar.day_of(event.sent_at_ms))
        return Case(platform, question, route, ticket, now_ms)

    def _context(self, case: Case, taken: Taken) -> Context:
        parts, question, route = self._parts, case.question, case.route
        return Context(
            event=question.event,
            community=question.community,
            calendar=question.calendar,
            ticket=case.ticket,
            taken=taken,
            now_ms=case.now_ms,
            stores=parts.stores,
            catalog=parts.catalog,
            keywords=question.keywords,
            commands=parts.dispatcher.commands,
            command_words=parts.dispatcher.command_words,
            normaliser=parts.dispatcher.normaliser,
            word=route.word,
            rest=route.rest,
            for_managers=route.for_managers,
        )

    # ------------------------------------------------------------ work

    async def _work(self, case: Case, taken: Taken, begun_s: float) -> Outcome:
        """Run the handler, or join it where it runs already, until the soft deadline."""
        event, loop = case.question.event, asyncio.get_running_loop()
        work = self._at_work.get(event.id)
        if work is None:
            place = self._order.enter(f"{event.channel}:{event.group_id or event.user_id}")
            task = loop.create_task(self._handle(case, taken, place), name=f"handle {event.id}")
            work = self._at_work[event.id] = Work(task, place)
            task.add_done_callback(lambda _: self._at_work.pop(event.id, None))
        left_s = max(0.0, begun_s + self._parts.soft_deadline_s - loop.time())
        await asyncio.wait((work.task,), timeout=left_s)
        if work.task.done():
            return Outcome(work.task.result(), case.route.name, "answered")
        work.place.leave()
        decision = await self._parts.stores.inbox.defer(
            case.ticket, self._parts.clock.now_ms(), LEASE_MS, self._codec.encode(event)
        )
        return Outcome(decision, case.route.name, "late")

    async def _handle(self, case: Case, taken: Taken, place: Place) -> Decision:
        """Run the handler in its place and decide; a reply that comes too late goes to delivery."""
        renewal = asyncio.create_task(self._renew(case))
        try:
            await place.wait(self._parts.soft_deadline_s)
            reply = await self._reply(case, taken)
            return await self._decide(case, reply)
        finally:
            renewal.cancel()
            place.leave()

    async def _reply(self, case: Case, taken: Taken) -> Reply | None:
        context = self._context(case, taken)
        try:
            async with asyncio.timeout(HANDLER_LIMIT_S):
                return await self._parts.dispatcher.answer(context, case.route)
        except TimeoutError:
            await _log.aerror("handler gave no answer in time", id=case.ticket.event.id, handler=case.route.name)
            return context.say("common.failed")

    async def _renew(self, case: Case) -> None:
        """Keep the lease of an event while its handler runs here; no effect until it is late."""
        while True:
            await asyncio.sleep(LEASE_MS / 3000)
            until_ms = self._parts.clock.now_ms() + LEASE_MS
            await self._parts.late.renew(case.ticket.community, case.ticket.event.id, until_ms)

    async def _decide(self, case: Case, reply: Reply | None) -> Decision:
        """Settle the answer; what the HTTP answer cannot carry becomes a delivery in the same step.

        Dies here: the event is open or queued, and its handler runs again. Comes twice: the first decision
        stands; a second reply to a queued event finds it finished.
        """
        now_ms = self._parts.clock.now_ms()
        division = case.divide(reply)
        rest = self._compose(case, division, now_ms)
        answer = encode_answer(division.passive)
        decision = await self._parts.stores.inbox.settle(
            case.ticket, now_ms, answer, rest, now_ms + REST_DELAY_MS
        )
        if not decision.answer:  # it was acknowledged without an answer: all of the reply goes another way
            whole = self._compose(case, case.divide(reply, inline=False), now_ms)
            await self._parts.late.finish(case.ticket.community, case.ticket.event.id, whole, now_ms)
        return decision

    def _compose(self, case: Case, division: Division, now_ms: int) -> Delivery | None:
        return self._parts.composer.compose(case.ticket.event, case.ticket.community, division.rest, now_ms)

    # ------------------------------------------------------------ again

    async def run_again(self, raw: bytes) -> None:
        """Run the handler of a queued event whose process died; see `bot.late_worker`."""
        event = self._codec.decode(raw)
        if event.id in self._at_work:
            return
        case = self._case(self._parts.platforms[event.channel], event, self._parts.clock.now_ms())
        place = self._order.enter(f"{event.channel}:{event.group_id or event.user_id}")
        await self._handle(case, Taken(Standing.OPEN), place)

    async def give_up(self, raw: bytes) -> None:
        """Answer a queued event, whose handler ended its process each time it ran, with an apology."""
        event = self._codec.decode(raw)
        case = self._case(self._parts.platforms[event.channel], event, self._parts.clock.now_ms())
        await self._decide(case, self._context(case, Taken(Standing.OPEN)).say("common.failed"))

    async def finish(self, grace_s: float) -> None:
        """Let running handlers end before the process does; what is late then stays on the queue."""
        tasks = [work.task for work in self._at_work.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)


def _known_answer(case: Case) -> bytes:
    """Return the encoded answer where no state is needed for it; empty where a handler must run."""
    if case.route.handler is not None:
        return b""
    if case.route.constant is None:
        return encode_answer(None)
    division = case.divide(case.route.constant)
    return b"" if division.rest else encode_answer(division.passive)
