"""The history's schema, revision by revision, for Alembic.

A new revision is a module in `versions/` with the next number, an entry in
`bot.storage.sql.migrate.REVISIONS` and the same change in `bot.storage.sql.tables`; a test compares all
three. A revision is never edited once it was released.
"""
