"""How acts that decide an answer create the delivery of what the HTTP answer cannot carry."""

from __future__ import annotations

from bot.storage.redis.deliveries import Delivery, delivery_fields, due_key
from bot.storage.redis.link import Value


def delivery_keys(prefix: str, delivery: Delivery | None) -> tuple[str, str, str, str]:
    """Return the KEYS of scripts/lib/deliver.lua: record, due times, order of receivers, outbox.

    `prefix` is the shard's (`Keys.prefix`).
    """
    if delivery is None:
        return (f"{prefix}delivery:", f"{prefix}due", f"{prefix}due:order", f"{prefix}outbox")
    due = due_key(prefix, delivery.route, delivery.channel)
    return (f"{prefix}delivery:{delivery.id}", due, f"{due}:order", f"{prefix}outbox")


def delivery_args(delivery: Delivery | None, due_ms: int) -> tuple[Value, ...]:
    """Return its ARGV: id ('' for no delivery), due time, field, value …."""
    if delivery is None:
        return ("", 0)
    return (delivery.id, due_ms, *delivery_fields(delivery))
