"""Rounds of games and their moves; the ledger entries of a round."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, _WORDS, nullable=False)


def _whole(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    """Add both tables, and the way from a round to its ledger entries."""
    op.create_table(
        "rounds",
        _text("community"),
        _text("id"),
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
        sa.Column("once", sa.Boolean, nullable=False),
        _text("shares"),
        _whole("pot"),
        _whole("staked"),
        _whole("house"),
        _whole("paid"),
        _whole("refund"),
        _whole("at_ms"),
        _whole("ends_at_ms"),
        _whole("ended_at_ms"),
        sa.Column("day", sa.Date, nullable=False),
        _text("facts"),
        _whole("moves"),
        _whole("position"),
        sa.PrimaryKeyConstraint("community", "id"),
    )
    op.create_index("ix_rounds_time", "rounds", ["community", "at_ms", "id"])
    op.create_index("ix_rounds_state", "rounds", ["community", "state", "at_ms", "id"])
    op.create_index("ix_rounds_day", "rounds", ["community", "day"])
    op.create_index("ix_rounds_id", "rounds", ["id"])
    op.create_table(
        "round_moves",
        _text("community"),
        _text("round"),
        _whole("number"),
        _text("member"),
        _whole("at_ms"),
        _text("said"),
        _whole("stake"),
        _whole("house"),
        _whole("points"),
        _text("cause"),
        sa.PrimaryKeyConstraint("community", "round", "number"),
        sqlite_with_rowid=False,
    )
    of_a_round = sa.text("round != ''")
    op.create_index(
        "ix_ledger_round",
        "ledger",
        ["community", "round"],
        sqlite_where=of_a_round,
        postgresql_where=of_a_round,
    )
