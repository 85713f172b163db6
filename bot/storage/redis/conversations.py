"""Conversations: the state of a talk in several steps with one member in one chat.

A conversation belongs to a community, a channel, a group (or the direct chat) and a member: in a group only
that member's own messages feed it. It is read with the event (scripts/accept.lua) and changed in the step
that decides the answer which changes it (scripts/settle.lua, scripts/late_done.lua), so that question and
state cannot part: a handler that runs again after a crash finds the conversation as its first run found it,
and a repeat of an answered message changes nothing (`docs/decisions/0010-conversations.md`).

Two messages that two processes handle at once: the second to be decided finds that the conversation has
moved on, and its handler runs again with what the first made of it.

A record is ``<digest of the event that set it, 32 hex digits><JSON>``. It expires by the instant it holds;
Redis drops it some time later. It is not part of history: what Redis loses is asked anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from bot.model import Turn

if TYPE_CHECKING:
    from bot.storage.redis.client import RedisClient
    from bot.storage.redis.inbox import Ticket
    from bot.storage.redis.link import Value

MOST_DATA_BYTES: Final = 8192
"""Most bytes of what a conversation remembers, as JSON."""

LONGEST_S: Final = 86_400
"""Longest time a conversation waits for the member."""

_ID_LENGTH = 32
_GARBAGE_AFTER_MS = 60_000  # clocks of processes differ; the instant in the record is what counts


@dataclass(frozen=True, slots=True)
class Conversation:
    """A talk that waits for its member.

    Attributes:
        step: What comes next, as `Router.step` names it.
        data: What was learnt so far.
        expires_at_ms: From when it counts no more, Unix ms.
        set_by: Digest of the event that set this step, in hex. The same for whatever answers the step, so
            it serves as the cause of an effect that one step may have once.
    """

    step: str
    data: Mapping[str, Any]
    expires_at_ms: int
    set_by: str


class Change(NamedTuple):
    """What deciding an answer does to a conversation; ARGV of scripts/lib/converse.lua.

    `seen` begins the record that the handler saw, '' for none, '*' when that does not matter; `record` is
    the new one, '' ends the conversation, '=' leaves it.
    """

    key: str
    seen: str
    record: bytes
    keep_ms: int


class Conversations:
    """Reads conversations outside of taking an event in."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def read(self, ticket: Ticket) -> bytes:
        """Return the record of the conversation that the event may belong to, empty for none."""
        record: bytes | None = await self._redis.call("GET", ticket.conversation_key)
        return record or b""


def turn_to(step: str, data: Mapping[str, object], expires_s: int) -> Turn:
    """Return what makes `step` the next one of a conversation.

    Raises:
        ValueError: `data` is more than `MOST_DATA_BYTES` or no JSON object, or `expires_s` is not 1 to
            `LONGEST_S`.
    """
    if not 1 <= expires_s <= LONGEST_S:
        raise ValueError(f"expires_s must be 1 to {LONGEST_S}, not {expires_s}")
    if not fits(data):
        raise ValueError(f"the data of a conversation has at most {MOST_DATA_BYTES} bytes as JSON")
    return Turn(step, orjson.dumps(dict(data)), expires_s)


def fits(data: Mapping[str, object]) -> bool:
    """Whether a conversation can remember this.

    Raises:
        ValueError: It is no JSON object.
    """
    try:
        return len(orjson.dumps(dict(data))) <= MOST_DATA_BYTES
    except TypeError as error:
        raise ValueError(f"the data of a conversation must be a JSON object: {error}") from error


def begins(record: bytes) -> str:
    """Return what tells this record from any other of the same conversation."""
    return record[:_ID_LENGTH].decode("latin-1")


def read_conversation(record: bytes) -> Conversation | None:
    """Return what a record says; None for none, and for one that another version wrote."""
    try:
        fields = orjson.loads(record[_ID_LENGTH:])
        return Conversation(fields["step"], fields["data"], fields["expires_at_ms"], begins(record))
    except (ValueError, KeyError, TypeError):
        return None


def change_key(prefix: str, change: Change | None) -> str:
    """Return the key of scripts/lib/converse.lua; `prefix` is the shard's (`Keys.prefix`)."""
    return f"{prefix}talk:" if change is None else change.key


def change_args(change: Change | None) -> tuple[Value, Value, Value]:
    """Return its ARGV: what was seen, the new record, how long Redis keeps it, ms."""
    return ("*", "=", 0) if change is None else (change.seen, change.record, change.keep_ms)


def make_change(ticket: Ticket, seen: str, turn: Turn | None, now_ms: int) -> Change:
    """Return what `turn`, decided now, does; None leaves the conversation, but only if it is as `seen`."""
    record, keep_ms = b"=", 0
    if turn is not None:
        record = b""
        if turn.step:
            keep_ms = turn.expires_s * 1000 + _GARBAGE_AFTER_MS
            fields = {
                "step": turn.step,
                "data": orjson.Fragment(turn.data),
                "expires_at_ms": now_ms + turn.expires_s * 1000,
            }
            record = ticket.id.encode() + orjson.dumps(fields)
    return Change(ticket.conversation_key, seen, record, keep_ms)
