"""The way in: each event is taken once, counted once and decided once.

What a repeat finds (contract, promise 1):

=========  =======================================================================================
new        nobody has seen the event
open       seen, but no answer decided: its first delivery still works or has died; the handler runs
           (again): every effect is idempotent under the event's id, and the first decision stands
decided    the answer that was decided, the same for every delivery
old        seen, the answer is no longer kept: acknowledged without a word
=========  =======================================================================================

Redis away: `StoreUnavailableError`, the callback fails, the platform repeats it.

Memory per event: 8 bytes for the digest in an integer set, kept one to two periods of
`server.event_memory_s`, and one record of some 200 bytes while the answer is kept (`docs/benchmarks.md`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple

from bot.answer_ids import answer_id
from bot.day import Day
from bot.errors import ConversationMovedError, StoreError
from bot.model import Event
from bot.storage.redis.client import RedisClient
from bot.storage.redis.conversations import Change, change_args, change_key
from bot.storage.redis.deliveries import Delivery
from bot.storage.redis.keys import Keys
from bot.storage.redis.link import Value
from bot.storage.redis.new_delivery import delivery_args, delivery_keys
from bot.storage.redis.streams import STREAM_KEPT_MS

_DAY_MS = 86_400_000
COUNTERS_KEPT_MS = 9 * _DAY_MS  # a late message counts on its own day for at least 7 days back
_BUCKETS = (
    1024  # per shard and period: 512 digests each, Redis' default limit of an integer set, are 33 million
)
NO_GROUP = "-"


def place_of(event: Event) -> str:
    """Return the place of rounds that an event's chat is: ``<channel>:<group id>``; ``*`` for a direct chat.

    A round of the place ``*`` is the whole community's: whoever has a direct chat with the bot may play.
    """
    return f"{event.channel}:{event.group_id}" if event.group_id else "*"


def event_mark(event_id: str) -> str:
    """Return the digest of an event's id in hexadecimal, as `Ticket.id` has it."""
    return _digest(event_id).hex()


def _digest(event_id: str) -> bytes:
    return blake2b(event_id.encode(), digest_size=16).digest()


class Standing(StrEnum):
    """What the inbox knows of an event; see the module's table."""

    NEW = "new"
    OPEN = "open"
    DECIDED = "decided"
    OLD = "old"


class Decision(NamedTuple):
    """An answer as stored: `at_ms` is when it was decided, `answer` empty for silence."""

    at_ms: int
    answer: bytes


class Taken(NamedTuple):
    """What came of taking an event in.

    `this_minute` is how many events the member has sent in the running minute, 0 for a repeat;
    `decision` is set when `standing` is decided. `conversation` is the record of the one its member is in
    here, empty for none; None when it was not asked for. `rounds` are the open rounds of its chat
    (`bot.storage.redis.rounds.read_open`), empty for none.
    """

    standing: Standing
    this_minute: int = 0
    decision: Decision | None = None
    conversation: bytes | None = None
    rounds: bytes = b""


class Ticket(NamedTuple):
    """An event's names in Redis, made once per delivery."""

    event: Event
    community: str
    day: Day
    digest: bytes
    record_key: str
    conversation_key: str
    counters: str  # the name of the member's day: <community>:<group or ->:<member>:<YYYY-MM-DD>

    @property
    def id(self) -> str:
        """The digest of the event's id in hexadecimal."""
        return self.digest.hex()


class Inbox:
    """Takes events in; one round trip each."""

    def __init__(
        self,
        redis: RedisClient,
        keys: Keys,
        *,
        reply_memory_ms: int,
        event_memory_ms: int,
        member_rate_per_min: int,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._reply_memory_ms = reply_memory_ms
        self._period_ms = event_memory_ms
        self._rate = member_rate_per_min

    def ticket(self, event: Event, community: str, day: Day) -> Ticket:
        """Return the names under which this event is kept; the same for every delivery of it."""
        digest = _digest(event.id)
        prefix = self._keys.prefix(community)
        chat = f"{community}:{event.group_id or NO_GROUP}:{event.channel}:{event.user_id}"
        return Ticket(
            event=event,
            community=community,
            day=day,
            digest=digest,
            record_key=f"{prefix}event:{digest.hex()}",
            conversation_key=f"{prefix}talk:{chat}",
            counters=f"{chat}:{day.iso}",
        )

    async def take(self, ticket: Ticket, now_ms: int, answer: bytes = b"") -> Taken:
        """Take an event in and count it; with `answer`, where it depends on no state, also decide it.

        Raises:
            StoreUnavailableError: Redis did not answer; the event may or may not have been taken.
        """
        return _taken(await self._redis.script("accept", *self._call(ticket, now_ms, answer)))

    def take_many(
        self, events: Sequence[tuple[Ticket, bytes]], now_ms: int
    ) -> Awaitable[list[Taken | StoreError]]:
        """Take several events in, in this order, in one shared round trip; otherwise as `take`.

        They are on their way when this returns; what came of them is awaited. One that Redis refused is an
        error among the results, and the others are not held up by it.
        """
        calls = [self._call(ticket, now_ms, answer) for ticket, answer in events]
        return _taken_many(self._redis.script_many("accept", calls))

    async def take_queued(self, ticket: Ticket, now_ms: int, lease_ms: int, event: bytes) -> Taken:
        """Take in an event that its platform never repeats and put it on the queue, in one step.

        Where the standing is new, the event is ours for `lease_ms`; it is acknowledged without an answer, and
        all of its reply is a delivery. Errors as of `take`.
        """
        prefix = self._keys.prefix(ticket.community)
        keys, args = self._call(ticket, now_ms, b"")
        queue = (f"{prefix}late", f"{prefix}late_events")
        leased = (now_ms + lease_ms, ticket.event.id, event)
        return _taken(await self._redis.script("take_queued", (*keys, *queue), (*args[:-1], *leased)))

    def _call(self, ticket: Ticket, now_ms: int, answer: bytes) -> tuple[Sequence[str], Sequence[Value]]:
        """Return KEYS and ARGV of scripts/accept.lua."""
        event, digest = ticket.event, ticket.digest
        prefix = self._keys.prefix(ticket.community)
        period = now_ms // self._period_ms
        bucket = int.from_bytes(digest[8:10], "big") % _BUCKETS
        keys = (
            f"{prefix}seen:{period}:{bucket}",
            f"{prefix}seen:{period - 1}:{bucket}",
            ticket.record_key,
            f"{prefix}day:{ticket.counters}",
            f"{prefix}unwritten",
            f"{prefix}rate:{ticket.community}:{event.channel}:{event.user_id}",
            f"{prefix}seen:{period + 1}:{bucket}",
            ticket.conversation_key,
            f"{prefix}rounds:{ticket.community}",
        )
        args = (
            int.from_bytes(digest[:8], "big", signed=True),
            now_ms,
            self._reply_memory_ms,
            2 * self._period_ms,
            COUNTERS_KEPT_MS,
            "messages" if event.is_message else "events",
            event.sent_at_ms,
            ticket.counters,
            self._rate,
            f"{event.channel}:{event.group_id}" if event.group_id else "*",  # `place_of`, without its call
            answer,
        )
        return keys, args

    def within_rate(self, taken: Taken) -> bool:
        """Whether a new event keeps to the number of events a member may send per minute."""
        return taken.this_minute <= self._rate

    def first_above_rate(self, taken: Taken) -> bool:
        """Whether a new event is the first above that number, the one that is told so."""
        return taken.this_minute == self._rate + 1

    async def settle(
        self,
        ticket: Ticket,
        now_ms: int,
        answer: bytes,
        delivery: Delivery | None = None,
        due_ms: int = 0,
        change: Change | None = None,
    ) -> Decision:
        """Decide the answer; what stands is returned, which is another's when that one was first.

        What does not fit into the HTTP answer becomes `delivery`, due at `due_ms`, in the same step, which
        also makes `change` of the member's conversation.

        Raises:
            ConversationMovedError: The conversation is not the one that `change` was made for.
        """
        prefix = self._keys.prefix(ticket.community)
        record: bytes = await self._redis.script(
            "settle",
            (ticket.record_key, change_key(prefix, change), *delivery_keys(prefix, delivery)),
            (
                now_ms,
                self._reply_memory_ms,
                answer,
                *change_args(change),
                *delivery_args(delivery, due_ms),
            ),
        )
        if not record:
            raise ConversationMovedError("another message of the member was answered meanwhile")
        return _decision(record)

    async def defer(
        self,
        ticket: Ticket,
        now_ms: int,
        lease_ms: int,
        event: bytes,
        *,
        stream: str = "",
    ) -> Decision:
        """Acknowledge an event whose handler is late and put it on the queue, in one step.

        Args:
            ticket: The event's names.
            now_ms: Now, Unix milliseconds.
            lease_ms: How long its handler is trusted to run here without a renewal.
            event: The event, for whoever runs its handler again.
            stream: What polls find, where the platform polls for the answer: working, or apart where it is
                to go another way; empty where there are no polls.
        """
        prefix = self._keys.prefix(ticket.community)
        record: bytes = await self._redis.script(
            "late_defer",
            (
                ticket.record_key,
                f"{prefix}late",
                f"{prefix}late_events",
                f"{prefix}stream:{answer_id(ticket.event.id)}",
            ),
            (
                now_ms,
                self._reply_memory_ms,
                ticket.event.id,
                now_ms + lease_ms,
                event,
                stream,
                ticket.event.member_id,
                STREAM_KEPT_MS,
            ),
        )
        return _decision(record)


async def _taken_many(replies: Awaitable[list[Any]]) -> list[Taken | StoreError]:
    return [
        StoreError(f"Redis refused an event: {reply}") if isinstance(reply, Exception) else _taken(reply)
        for reply in await replies
    ]


def _taken(reply: Sequence[Any]) -> Taken:
    """Read what scripts/accept.lua returns."""
    word = reply[0]
    if word == b"new":
        return Taken(Standing.NEW, reply[1], None, reply[2], reply[3])
    if word == b"decided":
        return Taken(Standing.DECIDED, decision=_decision(reply[1]))
    if word == b"open":
        return Taken(Standing.OPEN, conversation=reply[2], rounds=reply[3])
    return Taken(Standing.OLD)


def _decision(record: bytes) -> Decision:
    at, _, answer = record.partition(b"A")
    return Decision(int(at), answer)
