"""The stores a handler may use, wired once in `bot/wiring.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.storage.drain import Drain
    from bot.storage.redis.check_ins import CheckIns
    from bot.storage.redis.conversations import Conversations
    from bot.storage.redis.decency import DecencyStore
    from bot.storage.redis.inbox import Inbox
    from bot.storage.redis.keyword_gate import KeywordGate
    from bot.storage.redis.members import Members
    from bot.storage.redis.points import Points
    from bot.storage.redis.rounds import Rounds
    from bot.storage.redis.streams import Streams
    from bot.storage.sql.keyword_rules import KeywordRuleStore
    from bot.storage.sql.ledger import LedgerHistory
    from bot.storage.sql.members import MemberHistory


@dataclass(frozen=True, slots=True)
class Stores:
    """Live state and history, each behind typed methods.

    `drain` brings what the live state still holds for history into it; ask it before reading history that
    must show what has just happened.
    """

    inbox: Inbox
    points: Points
    check_ins: CheckIns
    conversations: Conversations
    members: Members
    keyword_gate: KeywordGate
    streams: Streams
    decency: DecencyStore
    rounds: Rounds
    drain: Drain
    ledger: LedgerHistory
    member_history: MemberHistory
    keyword_rules: KeywordRuleStore
