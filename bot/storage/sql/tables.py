"""The tables of the history, as SQLAlchemy Core sees them; `migrations/` makes them.

Instants are BIGINT Unix milliseconds UTC (`*_ms`), community-days are DATE. Text compares by code point on
both engines (SQLite's BINARY, PostgreSQL's "C"), so that sorting, cursors and prefixes mean the same.
`position` is the place of the newest outbox entry a row was written from, see `entries.position_of`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.types import TypeEngine


def clean_text(text: str) -> str:
    """Return `text` with U+FFFD for what not every database takes: NUL and half surrogate pairs."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def _clean_or_none(text: str | None) -> str | None:
    return None if text is None else clean_text(text)


class CleanText(TypeDecorator[str]):
    """Text that is cleaned on its way in, so that nothing a person wrote can fail a statement."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """Return text that compares by code point."""
        return Text(collation="C" if dialect.name == "postgresql" else None)

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:  # noqa: ARG002
        """Return what each value passes through; the quicker of SQLAlchemy's ways to say so."""
        return _clean_or_none


# WITHOUT ROWID keeps a table in its primary key: right where that key is how it is read. Not for members: for
# such a table SQLite prefers the key to a better index.
metadata = MetaData()
_serial = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER takes SQLite's own row number


def _text(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, CleanText, primary_key=primary_key, nullable=nullable)


def _whole(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


OF_A_ROUND = text("round != ''")
"""Which entries of the ledger belong to a round of a game."""

ledger = Table(
    "ledger",
    metadata,
    _text("id", primary_key=True),
    _text("community"),
    _text("member"),
    _whole("delta"),
    _text("reason"),
    _text("cause"),
    _whole("at_ms"),
    Column("day", Date, nullable=False),
    _whole("balance_after"),
    _text("rule"),
    _text("operator"),
    _text("note"),
    _text("round"),
    _text("reverses"),
    _whole("position"),
    Index("ix_ledger_member_time", "community", "member", "at_ms", "position"),
    Index("ix_ledger_time", "community", "at_ms", "position"),
    Index("ix_ledger_cause", "community", "cause", "member", "reason"),
    Index("ix_ledger_day", "community", "day", "member", "delta"),
    # Most entries belong to no round. A query finds it where it says `OF_A_ROUND`.
    Index("ix_ledger_round", "community", "round", sqlite_where=OF_A_ROUND, postgresql_where=OF_A_ROUND),
)

check_ins = Table(
    "check_ins",
    metadata,
    _text("community", primary_key=True),
    _text("member", primary_key=True),
    Column("day", Date, primary_key=True),
    _whole("at_ms"),
    _text("cause"),
    _whole("streak"),
    _whole("total"),
    _whole("rank"),
    _whole("points"),
    Column("made_up", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

members = Table(
    "members",
    metadata,
    _text("community", primary_key=True),
    _text("member", primary_key=True),
    _text("channel"),
    _text("user_id"),
    _text("name"),
    _whole("joined_at_ms", nullable=True),
    _whole("left_at_ms", nullable=True),
    _whole("joins"),
    _whole("first_seen_ms", nullable=True),
    _whole("last_seen_ms", nullable=True),
    _whole("position"),
    Index("ix_members_name", "community", "name", "member"),
    Index("ix_members_user", "community", "user_id", "member"),
)

activity = Table(
    "activity",
    metadata,
    _text("community", primary_key=True),
    _text("group_id", primary_key=True),
    _text("member", primary_key=True),
    Column("day", Date, primary_key=True),
    _whole("messages"),
    _whole("check_ins"),
    _whole("plays"),
    _whole("events"),
    _whole("last_at_ms"),
    Index("ix_activity_member", "community", "member", "day"),
    Index("ix_activity_day", "community", "day"),
    sqlite_with_rowid=False,
)

keyword_rules = Table(
    "keyword_rules",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    _text("community"),
    Column("triggers", JSON, nullable=False),
    Column("answers", JSON, nullable=False),
    _text("match"),
    _text("pick"),
    _whole("priority"),
    _whole("cool_down_s"),
    _text("cool_down_scope"),
    Column("hours", JSON, nullable=False),
    Column("weekdays", JSON, nullable=False),
    Column("groups", JSON, nullable=False),
    Column("enabled", Boolean, nullable=False),
    _text("created_by"),
    _whole("created_at_ms"),
    _whole("updated_at_ms"),
    Index("ix_keyword_rules_community", "community", "id"),
    sqlite_autoincrement=True,  # an id is never given twice: cool-downs are remembered under it
)

keyword_versions = Table(
    "keyword_versions",
    metadata,
    _text("community", primary_key=True),
    _whole("version"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _text("id", primary_key=True),
    _text("community"),
    _text("channel"),
    _text("user_id"),
    _text("member"),
    _text("cause"),
    _text("state"),
    _text("route"),
    _text("reason"),
    _whole("attempts"),
    _whole("created_at_ms"),
    _whole("updated_at_ms"),
    _text("parts"),
    _whole("next_part"),
    _whole("position"),
    _text("group_id"),
    _whole("useful_until_ms"),
    _text("feature"),
    _text("answer_to"),
    _whole("not_before_ms"),
    Index("ix_deliveries_time", "created_at_ms", "id"),
    Index("ix_deliveries_state", "state", "created_at_ms", "id"),
    Index("ix_deliveries_community", "community", "created_at_ms", "id"),
)

# Who wants nothing unprompted: `receiver` is a member id, `group:<channel>:<chat_id>`, or `*` for the whole
# community.
opt_outs = Table(
    "opt_outs",
    metadata,
    _text("community", primary_key=True),
    _text("receiver", primary_key=True),
    Column("opted_out", Boolean, nullable=False),
    _whole("at_ms"),
    _text("operator"),
    _whole("position"),
    sqlite_with_rowid=False,
)

# Rounds of games as they began and as they ended; what an open one holds is the sum of its moves. `seed` is a
# secret until the end, `shares` the points of its seats, `moves` how many there were at the end.
rounds = Table(
    "rounds",
    metadata,
    _text("community", primary_key=True),
    _text("id", primary_key=True),
    _text("game"),
    _text("place"),
    _text("state"),
    _text("end"),
    _text("channel"),
    _text("user_id"),
    _text("group_id"),
    _text("host"),
    _text("payer"),
    _text("settings"),
    _text("word"),
    _text("seed"),
    _text("commitment"),
    Column("once", Boolean, nullable=False),
    _text("shares"),
    _whole("pot"),
    _whole("staked"),
    _whole("house"),
    _whole("paid"),
    _whole("refund"),
    _whole("at_ms"),
    _whole("ends_at_ms"),
    _whole("ended_at_ms"),
    Column("day", Date, nullable=False),
    _text("facts"),
    _whole("moves"),
    _whole("position"),
    Index("ix_rounds_time", "community", "at_ms", "id"),
    Index("ix_rounds_state", "community", "state", "at_ms", "id"),
    Index("ix_rounds_day", "community", "day"),
    Index("ix_rounds_id", "id"),
)

# `number` is the place of a move in its round, from 0; `house` what was held back for its stake, `points`
# what it gave at once.
round_moves = Table(
    "round_moves",
    metadata,
    _text("community", primary_key=True),
    _text("round", primary_key=True),
    Column("number", BigInteger, primary_key=True),
    _text("member"),
    _whole("at_ms"),
    _text("said"),
    _whole("stake"),
    _whole("house"),
    _whole("points"),
    _text("cause"),
    sqlite_with_rowid=False,
)

# Chat groups; `origin` is seen (an event came from it) or made (by us, through the platform).
chat_groups = Table(
    "chat_groups",
    metadata,
    _text("community", primary_key=True),
    _text("channel", primary_key=True),
    _text("chat_id", primary_key=True),
    _text("name"),
    _text("origin"),
    _whole("first_seen_ms"),
    _whole("last_seen_ms"),
    sqlite_with_rowid=False,
)

# Pictures, voice, video and files that replies name by digest (SHA-256, hex).
blobs = Table(
    "blobs",
    metadata,
    _text("digest", primary_key=True),
    Column("content", LargeBinary, nullable=False),
    _text("content_type"),
    _text("file_name"),
    _whole("size_bytes"),
    _whole("created_at_ms"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", _serial, primary_key=True, autoincrement=True),
    _text("name"),
    _text("hash"),
    _text("role"),
    _text("community", nullable=True),
    _whole("created_at_ms"),
    _whole("revoked_at_ms", nullable=True),
    Index("ix_api_tokens_hash", "hash", unique=True),
    sqlite_autoincrement=True,
)

drain_faults = Table(
    "drain_faults",
    metadata,
    _text("id", primary_key=True),
    _text("raw"),
    _text("problem"),
)
