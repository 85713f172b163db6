"""The straight line from a callback to its answer.

::

    receive     size limit, raw query and body                              413, 404
    open        platform: verify → decrypt → decode → Event                 403, 400
    route       dispatcher: command, keyword or kind of event → handler     no state asked yet
    take        inbox: told apart from repeats, counted; one round trip     decides what needs no state
    work        middlewares → handler → Reply, in the order of the chat     `bot.work`; late: queued, then
                                                                            acknowledged
    settle      inbox: the first decision stands, repeats get the same
    render      platform: answer → encrypted bytes

Callbacks that arrive in one turn of the event loop go through open, route and take together, stage by
stage, and share the round trip: code that has just run is still in the processor's caches, which halves
its cost (`docs/benchmarks.md`). Nothing waits for company: a lone callback is a turn of its own. A large
turn goes in parts, so that Redis takes the first one in while the next is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar, cast

import structlog
from aiohttp import web

from bot.callback_response import CallbackResponse
from bot.case import Case, Outcome, Parts
from bot.codec import decode_answer, encode_answer
from bot.errors import CallbackError, OversizeError, StoreError
from bot.model import Event, Text, Unknown
from bot.platforms.protocol import Platform, Poll
from bot.polling import Polling
from bot.storage.redis.inbox import Decision, Standing, Taken
from bot.storage.redis.rounds import listens
from bot.work import OnLate, Work

_log = structlog.get_logger("huoqun")

# Callbacks of a turn that go to Redis together. Fewer, and the caches are cold for more of them; more, and
# this process waits for Redis where it could open the next ones (`docs/benchmarks.md`).
_TOGETHER = 25

Given = TypeVar("Given")
Made = TypeVar("Made")


class Callback(NamedTuple):
    """One POST of a platform, received; `begun_s` is the loop's time when its answer began to be due."""

    platform: Platform
    query: str
    body: bytes
    begun_s: float
    answered: asyncio.Future[web.StreamResponse | Poll | tuple[Case, Taken]]


class Line:
    """The way of one message."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.work = Work(parts)
        self._turn: list[Callback] = []
        self._turns: set[asyncio.Task[None]] = set()
        self._polling = Polling(parts)
        self._polled = any(platform.streams is not None for platform in parts.platforms.values())

    # ------------------------------------------------------------ receive

    async def receive(self, platform: Platform, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one POST of a platform."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        try:
            content = request.content
            # As a rule the whole body is here already; a slow one may take the soft deadline.
            body = content.read_nowait() if content.is_eof() else await self._read(request)
            if len(body) > self._parts.max_body_bytes:
                raise self._oversize()
            query = request.rel_url.raw_query_string
            taken = await self._join(Callback(platform, query, body, begun_s, loop.create_future()))
            if not isinstance(taken, tuple):
                return taken
            if isinstance(taken, Poll):
                return await self._polling.answer(platform, taken.stream_id, query)
            case, standing = taken
            if standing.decision is None:
                outcome = await self.work.do(case, standing, begun_s)
            else:
                outcome = Outcome(standing.decision, case.route.name, "repeated")
            if not outcome.decision.answer and case.stream:
                return await self._show(case, outcome, begun_s, query)
        except CallbackError as error:
            return self._refuse(platform, error)
        except StoreError as error:
            return self._store_away(platform, error, loop.time() - begun_s)
        return self._respond(case, outcome, loop.time() - begun_s, query)

    async def verify(self, platform: Platform, request: web.Request) -> web.Response:
        """Answer the handshake by which a platform tests the address."""
        try:
            return web.Response(body=platform.verify_url(request.rel_url.raw_query_string))
        except CallbackError as error:
            return self._refuse(platform, error)

    async def _read(self, request: web.BaseRequest) -> bytes:
        """Read a body that is still under way; one of unknown length (in chunks) only up to the limit."""
        limit = self._parts.max_body_bytes
        length = request.content_length
        if length is not None and length > limit:
            raise self._oversize()
        body = bytearray()
        try:
            async with asyncio.timeout(self._parts.soft_deadline_s):
                while chunk := await request.content.readany():
                    body += chunk
                    if len(body) > limit:
                        raise self._oversize()
        except TimeoutError:
            raise CallbackError("the body did not arrive in time") from None
        return bytes(body)

    def _oversize(self) -> OversizeError:
        return OversizeError(f"a callback has at most {self._parts.max_body_bytes} bytes")

    # ------------------------------------------------------------ open, route, take: together, by turns

    def _join(self, callback: Callback) -> asyncio.Future[web.StreamResponse | Poll | tuple[Case, Taken]]:
        """Join this turn of the loop; the future is the answer, or what a handler needs to find it."""
        if not self._turn:
            asyncio.get_running_loop().call_soon(self._begin_turn)
        self._turn.append(callback)
        return callback.answered

    def _begin_turn(self) -> None:
        callbacks, self._turn = self._turn, []
        now_ms = self._parts.clock.now_ms()
        for start in range(0, len(callbacks), _TOGETHER):
            self._begin(callbacks[start : start + _TOGETHER], now_ms)

    def _begin(self, callbacks: Sequence[Callback], now_ms: int) -> None:
        """Open and route some callbacks of a turn and send them to Redis; it works while the next come."""
        opened = _stage(
            lambda one, _: one.platform.open(one.query, one.body, now_ms),
            zip(callbacks, callbacks, strict=True),
        )
        events = _without_polls(opened) if self._polled else cast("list[tuple[Callback, Event]]", opened)
        known = _stage(lambda one, event: self._route(one.platform, event, now_ms), events)
        if known:
            taking = self._parts.stores.inbox.take_many(
                [(case.ticket, answer) for _, (case, answer) in known], now_ms
            )
            task = asyncio.create_task(self._take(known, taking))
            self._turns.add(task)
            task.add_done_callback(self._turns.discard)

    def _route(self, platform: Platform, event: Event, now_ms: int) -> tuple[Case, bytes]:
        """Return the event's case, and its answer where that needs no state."""
        case = self._parts.case(platform, event, now_ms)
        return case, _known_answer(case)

    async def _take(
        self, turn: list[tuple[Callback, tuple[Case, bytes]]], taking: Awaitable[list[Taken | StoreError]]
    ) -> None:
        """Wait until events are taken in, and answer those whose answer needs no state."""
        try:
            taken = await taking
        except StoreError as error:
            taken = [error] * len(turn)
        now_s = asyncio.get_running_loop().time()

        def finish(callback: Callback, result: tuple[tuple[Case, bytes], Taken | StoreError]) -> None:
            (case, answer), taken = result
            if isinstance(taken, StoreError):
                raise taken
            outcome = self._decided(case, taken, answer)
            if not callback.answered.done():
                seconds = now_s - callback.begun_s
                callback.answered.set_result(
                    (case, taken)
                    if outcome is None
                    else self._respond(case, outcome, seconds, callback.query)
                )

        _stage(finish, [(one, (case, result)) for (one, case), result in zip(turn, taken, strict=True)])

    def _decided(self, case: Case, taken: Taken, known: bytes) -> Outcome | None:
        """Return what is decided by now; None when a handler must run, or an answer be looked for."""
        if taken.decision is not None:
            if not taken.decision.answer and case.stream:
                return None  # a repeat of what was late: shown as a poll would show it
            return Outcome(taken.decision, case.route.name, "repeated")
        if taken.standing is Standing.OLD:
            return Outcome(Decision(case.now_ms, b""), case.route.name, "old")
        if taken.standing is Standing.NEW:
            if type(case.event.content) is Unknown:
                self._parts.metrics.unknown_type(case.event.channel)
            waits = taken.conversation or (taken.rounds and listens(taken.rounds))
            if known and not waits and self._parts.stores.inbox.within_rate(taken):
                word = "nobody" if case.route.constant is None else "answered"
                return Outcome(Decision(case.now_ms, known), case.route.name, word)
        return None

    async def answer(self, platform: Platform, event: Event, begun_s: float) -> Outcome:
        """Answer one event that did not come by HTTP.

        Raises:
            StoreUnavailableError: Redis is away; nothing may be acknowledged.
        """
        case = self._parts.case(platform, event, self._parts.clock.now_ms())
        known = _known_answer(case)
        taken = await self._parts.stores.inbox.take(case.ticket, case.now_ms, known)
        outcome = self._decided(case, taken, known)
        if outcome is None and taken.decision is not None:
            return Outcome(taken.decision, case.route.name, "repeated")
        return outcome or await self.work.do(case, taken, begun_s)

    async def queue(self, platform: Platform, event: Event, on_late: OnLate) -> str:
        """Take in an event that did not come by HTTP and that its platform never repeats.

        When this returns the event is decided, or on the durable queue and its handler has begun; all of its
        reply becomes a delivery. `on_late` is told of a message whose handler takes long.

        Returns:
            The outcome: queued, or nobody, repeated, old as of `Outcome`.

        Raises:
            StoreUnavailableError: Redis is away; ask again.
        """
        case = self._parts.case(platform, event, self._parts.clock.now_ms())
        if case.route.handler is None and case.route.constant is None and not event.is_message:
            # A message that no rule knows may still answer what the bot has asked its sender.
            taken = await self._parts.stores.inbox.take(case.ticket, case.now_ms, encode_answer(None))
            word = "nobody"
            if taken.standing is Standing.NEW and type(event.content) is Unknown:
                self._parts.metrics.unknown_type(event.channel)
        else:
            taken = await self.work.queue(case, on_late)
            word = "queued"
        if taken.standing is not Standing.NEW:
            word = "old" if taken.standing is Standing.OLD else "repeated"
        if word != "queued":  # that one is counted when it is answered
            self._parts.metrics.event(event.channel, word, 0.0)
            self._parts.event_log.write(event.id, event.channel, case.route.name, word, 0.0)
        return word

    # ------------------------------------------------------------ render

    def _respond(self, case: Case, outcome: Outcome, seconds: float, query: str) -> web.StreamResponse:
        event, platform = case.event, case.platform
        self._parts.metrics.event(event.channel, outcome.word, seconds)
        self._parts.event_log.write(event.id, event.channel, outcome.route, outcome.word, seconds * 1000)
        part = decode_answer(outcome.decision.answer)
        body = platform.render(event, part, outcome.decision.at_ms, query)
        return CallbackResponse(body, platform.content_type if part else "text/plain")

    async def _show(self, case: Case, outcome: Outcome, begun_s: float, query: str) -> web.StreamResponse:
        """Answer an event that was late, or a repeat of one, with what its stream shows."""
        event, response = case.event, await self._polling.answer(case.platform, case.stream, query)
        seconds = asyncio.get_running_loop().time() - begun_s
        self._parts.metrics.event(event.channel, outcome.word, seconds)
        self._parts.event_log.write(event.id, event.channel, outcome.route, outcome.word, seconds * 1000)
        return response

    def _refuse(self, platform: Platform, error: CallbackError) -> web.Response:
        self._parts.metrics.refused(platform.channel, error.status)
        _log.warning("callback refused", channel=platform.channel, status=error.status, why=str(error))
        return web.Response(status=error.status, text=f"{error}\n")

    def _store_away(self, platform: Platform, error: StoreError, seconds: float) -> web.StreamResponse:
        """Fail, so that the platform repeats the callback: nothing may be acknowledged that is not stored."""
        self._parts.metrics.event(platform.channel, "store_away", seconds)
        _log.warning("callback not taken", channel=platform.channel, why=str(error))
        return web.Response(status=503, text="the store is away, please repeat\n")


def _stage(
    step: Callable[[Callback, Given], Made], turn: Iterable[tuple[Callback, Given]]
) -> list[tuple[Callback, Made]]:
    """Take every callback of a turn one step further; one that fails leaves with its error."""
    passed = []
    for callback, given in turn:
        try:
            passed.append((callback, step(callback, given)))
        except Exception as error:  # noqa: BLE001 - raised again where the callback waits
            if not callback.answered.done():
                callback.answered.set_exception(error)
    return passed


def _without_polls(opened: list[tuple[Callback, Event | Poll]]) -> list[tuple[Callback, Event]]:
    """Return the events; polls leave the turn here, since they are told apart from nothing."""
    events: list[tuple[Callback, Event]] = []
    for callback, found in opened:
        if isinstance(found, Event):
            events.append((callback, found))
        elif not callback.answered.done():
            callback.answered.set_result(found)
    return events


def _known_answer(case: Case) -> bytes:
    """Return the encoded answer where no state is needed for it; empty where a handler must run."""
    if case.route.handler is not None:
        return b""
    if case.route.constant is None:
        return encode_answer(None)
    parts, limit = case.route.constant.parts, case.row.text_limit_bytes
    if (
        len(parts) == 1
        and type(parts[0]) is Text
        and len(parts[0].text) * 4 <= limit
        and case.event.is_message
    ):
        return encode_answer(parts[0])  # fits whatever its characters are, as nearly all do
    division = case.divide(case.route.constant)
    return b"" if division.rest else encode_answer(division.passive)
