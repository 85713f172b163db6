"""The one name under which the answer to an event is known: to delivery, and to the streams that carry it."""

from __future__ import annotations

from hashlib import blake2b


def answer_id(event_id: str) -> str:
    """Return the id of the delivery that answers an event: the same however often the event is handled."""
    return blake2b(f"reply\0{event_id}".encode(), digest_size=12).hexdigest()
