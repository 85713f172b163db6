"""Deliveries to groups, with an end of use and a feature; opt-outs, chat groups, blobs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_OLD = (
    "id", "community", "channel", "user_id", "member", "cause", "state", "route", "reason", "attempts",
    "created_at_ms", "updated_at_ms", "parts", "next_part", "position",
)  # fmt: skip
_INDEXES = {
    "ix_deliveries_time": ["created_at_ms", "id"],
    "ix_deliveries_state": ["state", "created_at_ms", "id"],
    "ix_deliveries_community": ["community", "created_at_ms", "id"],
}


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, _WORDS, nullable=False)


def _whole(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _added() -> tuple[sa.Column[Any], ...]:
    return (
        _text("group_id"),
        _whole("useful_until_ms"),
        _text("feature"),
        _text("answer_to"),
        _whole("not_before_ms"),
    )


def upgrade() -> None:
    """Add what is new; deliveries of before go to a person, for ever useful, as an answer."""
    if op.get_bind().dialect.name == "sqlite":
        _remake_deliveries()
    else:
        _widen_deliveries()
    op.create_table(
        "opt_outs",
        _text("community"),
        _text("receiver"),
        sa.Column("opted_out", sa.Boolean, nullable=False),
        _whole("at_ms"),
        _text("operator"),
        _whole("position"),
        sa.PrimaryKeyConstraint("community", "receiver"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "chat_groups",
        _text("community"),
        _text("channel"),
        _text("chat_id"),
        _text("name"),
        _text("origin"),
        _whole("first_seen_ms"),
        _whole("last_seen_ms"),
        sa.PrimaryKeyConstraint("community", "channel", "chat_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "blobs",
        _text("digest"),
        sa.Column("content", sa.LargeBinary, nullable=False),
        _text("content_type"),
        _text("file_name"),
        _whole("size_bytes"),
        _whole("created_at_ms"),
        sa.PrimaryKeyConstraint("digest"),
    )


def _remake_deliveries() -> None:
    """SQLite adds a column behind the primary key's clause; made anew, the table reads as in `tables`."""
    for name in _INDEXES:
        op.drop_index(name, "deliveries")
    op.rename_table("deliveries", "deliveries_0001")
    op.create_table(
        "deliveries",
        *(
            _whole(name)
            if name in {"attempts", "next_part", "position"} or name.endswith("_ms")
            else _text(name)
            for name in _OLD
        ),
        *_added(),
        sa.PrimaryKeyConstraint("id"),
    )
    names = ", ".join(_OLD)
    op.execute(f"INSERT INTO deliveries SELECT {names}, '', 0, '', '', 0 FROM deliveries_0001")  # noqa: S608 - ours
    op.drop_table("deliveries_0001")
    for name, columns in _INDEXES.items():
        op.create_index(name, "deliveries", columns)


def _widen_deliveries() -> None:
    for column in _added():
        column.server_default = sa.DefaultClause("0" if column.name.endswith("_ms") else "")
        op.add_column("deliveries", column)
        op.alter_column("deliveries", column.name, server_default=None)
