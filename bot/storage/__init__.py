"""Live state in Redis, history in SQL."""
