"""The live side of keyword rules: cool-downs and answers that take turns.

Redis away: `StoreUnavailableError`; the callback fails and is repeated by the platform.
"""

from __future__ import annotations

from bot.model import Event, KeywordRule
from bot.storage.redis.client import RedisClient
from bot.storage.redis.keys import Keys


class KeywordGate:
    """Decides whether a rule may answer now; one atomic step per rule asked."""

    def __init__(self, redis: RedisClient, keys: Keys, *, event_memory_ms: int) -> None:
        self._redis = redis
        self._keys = keys
        self._memory_ms = event_memory_ms

    async def pass_through(
        self, event: Event, digest: bytes, community: str, rule: KeywordRule, now_ms: int
    ) -> int | None:
        """Return the turn (from 0) of the rule's answer, or None while the rule cools down."""
        passed, turn = await self._redis.script(
            "keyword_fire",
            [
                self._cool_down(event, community, rule),
                self._keys.key("turn", community, str(rule.id)),
                self._keys.key("once", community, f"rule{rule.id}", digest.hex()),
            ],
            [now_ms, rule.cool_down_s * 1000, int(rule.pick == "in_turn"), self._memory_ms],
        )
        return turn if passed else None

    async def cooling_ms(self, event: Event, community: str, rule: KeywordRule, now_ms: int) -> int:
        """Return for how long the rule stays silent in the event's scope, 0 when it may answer."""
        until_ms = int(await self._redis.call("GET", self._cool_down(event, community, rule)) or 0)
        return max(0, until_ms - now_ms)

    def _cool_down(self, event: Event, community: str, rule: KeywordRule) -> str:
        """The scope's key; a direct chat is its member's own group."""
        scope: tuple[str, ...]
        if rule.cool_down_scope == "rule":
            scope = ()
        elif rule.cool_down_scope == "group" and event.group_id:
            scope = (f"{event.channel}:{event.group_id}",)
        else:
            scope = (event.member_id,)
        return self._keys.key("cool_down", community, str(rule.id), *scope)
