"""The first history: ledger, check-ins, members, activity, keyword rules, deliveries, tokens."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, _WORDS, nullable=nullable)


def _whole(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _day() -> sa.Column[Any]:
    return sa.Column("day", sa.Date, nullable=False)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON, nullable=False)


def upgrade() -> None:
    """Make every table."""
    _make_ledger()
    _make_check_ins()
    _make_members()
    _make_activity()
    _make_keywords()
    _make_deliveries()
    _make_api_tokens()
    op.create_table(
        "drain_faults", _text("id"), _text("raw"), _text("problem"), sa.PrimaryKeyConstraint("id")
    )


def _make_ledger() -> None:
    op.create_table(
        "ledger",
        _text("id"),
        _text("community"),
        _text("member"),
        _whole("delta"),
        _text("reason"),
        _text("cause"),
        _whole("at_ms"),
        _day(),
        _whole("balance_after"),
        _text("rule"),
        _text("operator"),
        _text("note"),
        _text("round"),
        _text("reverses"),
        _whole("position"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_ledger_member_time", "ledger", ["community", "member", "at_ms", "position"])
    op.create_index("ix_ledger_time", "ledger", ["community", "at_ms", "position"])
    op.create_index("ix_ledger_cause", "ledger", ["community", "cause", "member", "reason"])
    op.create_index("ix_ledger_day", "ledger", ["community", "day", "member", "delta"])


def _make_check_ins() -> None:
    op.create_table(
        "check_ins",
        _text("community"),
        _text("member"),
        _day(),
        _whole("at_ms"),
        _text("cause"),
        _whole("streak"),
        _whole("total"),
        _whole("rank"),
        _whole("points"),
        sa.Column("made_up", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("community", "member", "day"),
        sqlite_with_rowid=False,
    )


def _make_members() -> None:
    op.create_table(
        "members",
        _text("community"),
        _text("member"),
        _text("channel"),
        _text("user_id"),
        _text("name"),
        _whole("joined_at_ms", nullable=True),
        _whole("left_at_ms", nullable=True),
        _whole("joins"),
        _whole("first_seen_ms", nullable=True),
        _whole("last_seen_ms", nullable=True),
        _whole("position"),
        sa.PrimaryKeyConstraint("community", "member"),
    )
    op.create_index("ix_members_name", "members", ["community", "name", "member"])
    op.create_index("ix_members_user", "members", ["community", "user_id", "member"])


def _make_activity() -> None:
    op.create_table(
        "activity",
        _text("community"),
        _text("group_id"),
        _text("member"),
        _day(),
        _whole("messages"),
        _whole("check_ins"),
        _whole("plays"),
        _whole("events"),
        _whole("last_at_ms"),
        sa.PrimaryKeyConstraint("community", "group_id", "member", "day"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_activity_member", "activity", ["community", "member", "day"])
    op.create_index("ix_activity_day", "activity", ["community", "day"])


def _make_keywords() -> None:
    op.create_table(
        "keyword_rules",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        _text("community"),
        _json("triggers"),
        _json("answers"),
        _text("match"),
        _text("pick"),
        _whole("priority"),
        _whole("cool_down_s"),
        _text("cool_down_scope"),
        _json("hours"),
        _json("weekdays"),
        _json("groups"),
        sa.Column("enabled", sa.Boolean, nullable=False),
        _text("created_by"),
        _whole("created_at_ms"),
        _whole("updated_at_ms"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_keyword_rules_community", "keyword_rules", ["community", "id"])
    op.create_table(
        "keyword_versions", _text("community"), _whole("version"), sa.PrimaryKeyConstraint("community")
    )


def _make_deliveries() -> None:
    op.create_table(
        "deliveries",
        _text("id"),
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
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_deliveries_time", "deliveries", ["created_at_ms", "id"])
    op.create_index("ix_deliveries_state", "deliveries", ["state", "created_at_ms", "id"])
    op.create_index("ix_deliveries_community", "deliveries", ["community", "created_at_ms", "id"])


def _make_api_tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        _text("name"),
        _text("hash"),
        _text("role"),
        _text("community", nullable=True),
        _whole("created_at_ms"),
        _whole("revoked_at_ms", nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_tokens_hash", "api_tokens", ["hash"], unique=True)
