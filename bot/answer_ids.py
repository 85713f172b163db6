"""Names of deliveries that come from what they answer or follow: the same however often that is handled."""

from __future__ import annotations

from hashlib import blake2b


def answer_id(event_id: str) -> str:
    """Return the id of the delivery that answers an event: the same however often the event is handled."""
    return blake2b(f"reply\0{event_id}".encode(), digest_size=12).hexdigest()


def follow_up_id(community: str, name: str) -> str:
    """Return the id of the delivery of a follow-up; `name` is unique within the community."""
    return blake2b(f"follow_up\0{community}\0{name}".encode(), digest_size=12).hexdigest()
