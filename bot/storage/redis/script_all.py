"""Many calls of one act in one round trip, all of which must be taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.storage.redis.client import RedisClient
from bot.storage.redis.link import Value

ScriptCall = tuple[Sequence[str], Sequence[Value]]  # keys, arguments


async def script_all(redis: RedisClient, name: str, calls: Sequence[ScriptCall]) -> list[Any]:
    """Run one act once per call, each on its own, and return the answers in order.

    Raises:
        CommandRefusedError: The server refused one; the others have run.
        StoreUnavailableError: Not all answers came; each may or may not have run.
    """
    answers = await redis.script_many(name, calls) if calls else []
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers
