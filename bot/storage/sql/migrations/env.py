"""What Alembic runs to reach the database: the connection `bot.storage.sql.upgrade` made and locked."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
