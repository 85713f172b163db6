"""What dialogues share: times of a community, names, and a look at the books."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from bot.codec import decode_answer
from bot.model import KeywordRule, LedgerEntry, Subscribed, Text, TextMessage
from bot.testing import CHANNEL, FakeChat

COMMUNITY = "test"
SHANGHAI = ZoneInfo("Asia/Shanghai")


def shanghai(month: int, day: int, clock: str = "12:00") -> datetime:
    """Return a time of 2026 by Shanghai's clock, ``HH:MM`` or ``HH:MM:SS``."""
    return datetime.fromisoformat(f"2026-{month:02d}-{day:02d}T{clock}").replace(tzinfo=SHANGHAI)


async def introduce(chat: FakeChat, user_id: str, name: str) -> None:
    """Let a member follow under a name, which only other kinds of channels tell us."""
    service = chat.service
    await service.redis.call(
        "HSET", service.keys.key("member", COMMUNITY, f"{CHANNEL}:{user_id}"), "name", name
    )
    await chat.send(user_id, Subscribed())


async def say_in(chat: FakeChat, group: str, user_id: str, text: str) -> str | None:
    """Let a member say something in a group of the app; return the answer."""
    event = chat.event(user_id, TextMessage(text))._replace(group_id=group)
    answer = decode_answer((await chat.deliver_event(event)).decision.answer)
    return answer.text if isinstance(answer, Text) else None


async def add_rule(chat: FakeChat, *triggers: str, answers: tuple[str, ...], **settings: object) -> int:
    """Save a keyword rule as the API does, live at once; return its id."""
    rule = KeywordRule(triggers=triggers, answers=answers, **settings)  # type: ignore[arg-type]
    saved = await chat.service.parts.stores.keyword_rules.create(COMMUNITY, rule, created_by="api")
    await chat.refresh_keywords()
    return saved.id


async def ledger(chat: FakeChat, user_id: str | None = None) -> list[LedgerEntry]:
    """Return the ledger, oldest first, of one member or of all."""
    await chat.service.drain.flush(COMMUNITY)
    member = None if user_id is None else f"{CHANNEL}:{user_id}"
    page = await chat.service.parts.stores.ledger.page(COMMUNITY, member=member, limit=200)
    return list(reversed(page.items))


async def balance(chat: FakeChat, user_id: str) -> int:
    """Return what a member has."""
    return await chat.service.parts.stores.points.balance(COMMUNITY, f"{CHANNEL}:{user_id}")
