"""Answers that a platform polls for: what each of them shows, and how many a member has under way.

A stream lives in the shard of its event's community, beside the delivery that its answer becomes, so a poll
can take the first part out of the delivery in one step (`scripts/stream_poll.lua`). What nobody takes within
`POLL_GRACE_MS` goes the delivery's own way; so nothing is lost when the platform stops polling.

Redis away: `StoreUnavailableError`; each step may be repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from bot.answer_ids import answer_id
from bot.model import Part
from bot.storage.redis.client import RedisClient
from bot.storage.redis.deliveries import decode_parts
from bot.storage.redis.keys import Keys

POLLED_MS = 360_000
"""How long after the message the platform polls (WeCom, AI bot, streaming: 6 minutes)."""
POLL_GRACE_MS = 8_000
"""How long a finished answer waits for a poll, which comes every second or so, before it goes another way."""
STREAM_KEPT_MS = 900_000
"""How long a stream is kept: as long as it is polled, and as long as repeats want the same answer."""
REST_DELAY_MS = 1_500
"""How long what follows the part that a poll took waits, so that the person reads that one first."""

_STREAM_ID = re.compile(r"([0-9]{1,4})-([0-9a-f]{24})")
_SHOWN_LIMIT_BYTES = 20_480  # of a stream's content
_USED_MS = 2 * 3_600_000  # longer than an address to answer with is good


class Progress(StrEnum):
    """How far an answer is; see `StreamView`."""

    WORKING = "working"
    SAID = "said"
    SILENT = "silent"
    ELSEWHERE = "elsewhere"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class StreamView:
    """What a poll finds.

    Attributes:
        progress: WORKING; SAID, there is an answer and the poll has taken it; SILENT, there is none;
            ELSEWHERE, a sender has it, or nothing is known of the stream; APART, it was to go another way
            from the start.
        shown: What the handler has shown so far, where it works.
        part: The answer, where it is SAID.
        owner: Whom the stream counts for; empty where nothing is known.
    """

    progress: Progress
    shown: str = ""
    part: Part | None = None
    owner: str = ""


class AddressUse(StrEnum):
    """What came of taking the one use of an address to answer with."""

    FIRST = "first"
    AGAIN = "again"  # the same part has tried before
    TAKEN = "taken"  # another part has used it


def stream_id(keys: Keys, community: str, event_id: str) -> str:
    """Return the name of the stream that answers an event: its shard, and the id of its delivery."""
    return f"{keys.shard(community)}-{answer_id(event_id)}"


class Streams:
    """Typed access to the streams of all shards; `memory_ms` is how long an ended delivery is known."""

    def __init__(self, redis: RedisClient, keys: Keys, *, memory_ms: int) -> None:
        self._redis = redis
        self._keys = keys
        self._memory_ms = memory_ms

    async def begin(self, stream: str, owner: str, now_ms: int, most: int) -> bool:
        """Count one more unfinished answer of `owner`, a member's id; False where they have `most`."""
        args = (stream, now_ms, POLLED_MS, most)
        return bool(await self._redis.script("stream_begin", [self._open_key(owner)], args))

    async def end(self, stream: str, owner: str) -> None:
        """Count an answer as finished; doing it twice is harmless."""
        await self._redis.call("ZREM", self._open_key(owner), stream)

    async def show(self, stream: str, text: str) -> None:
        """Let the next poll show `text`, cut to what a stream holds; no effect once there is an answer."""
        found = self._find(stream)
        if found is not None:
            shard, id_ = found
            shown = text.encode("utf-8", "replace")[:_SHOWN_LIMIT_BYTES].decode("utf-8", "ignore")
            key = self._keys.of_shard(shard, f"stream:{id_}")
            await self._redis.script("stream_show", [key], [shown, STREAM_KEPT_MS])

    async def look(self, channel: str, stream: str, now_ms: int) -> StreamView:
        """Return what a poll of a channel is to show, and take the answer for it where one waits.

        `stream` may be anything; what is none of our names is answered ELSEWHERE.
        """
        found = self._find(stream)
        if found is None:
            return StreamView(Progress.ELSEWHERE)
        shard, id_ = found
        names = (f"stream:{id_}", f"delivery:{id_}", "due", "due:order", "outbox")
        word, text, owner = await self._redis.script(
            "stream_poll",
            [self._keys.of_shard(shard, name) for name in names],
            [id_, now_ms, self._memory_ms, now_ms + REST_DELAY_MS, channel],
        )
        progress = Progress(word.decode())
        if progress is Progress.SAID:
            return StreamView(progress, part=decode_parts(text)[0], owner=owner.decode())
        return StreamView(progress, shown=text.decode(), owner=owner.decode())

    def _find(self, stream: str) -> tuple[int, str] | None:
        """Return shard and delivery id of a stream's name; None for anything else."""
        found = _STREAM_ID.fullmatch(stream)
        if found is None or int(found[1]) >= self._keys.shards:
            return None
        return int(found[1]), found[2]

    def _open_key(self, owner: str) -> str:
        # By member over all communities of a channel, so in no shard.
        return self._keys.shared("streams", owner)


class AddressUses:
    """Who has the one use of each address to answer with; safe over processes and their deaths."""

    def __init__(self, redis: RedisClient, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def take(self, delivery_id: str, part_number: int) -> AddressUse:
        """Take it for one part of a delivery, whose event gave the address."""
        key = self._keys.shared("answer_use", delivery_id)
        word = await self._redis.script("answer_use", [key], [part_number, _USED_MS])
        return AddressUse(word.decode())

    async def give_back(self, delivery_id: str) -> None:
        """Let the next try be a first one: the platform is known not to have seen this one."""
        await self._redis.call("DEL", self._keys.shared("answer_use", delivery_id))
