"""How a member is called in a chat."""

from __future__ import annotations

_READABLE = 16  # longer ids are openids: nobody recognises themselves in one, and nobody should copy it


def display_name(name: str, user_id: str) -> str:
    """Return the member's name on one line, else their account, shortened where it is a machine's id."""
    shown = " ".join(name.split())
    if shown:
        return shown
    return user_id if len(user_id) <= _READABLE else f"{user_id[:4]}…{user_id[-4:]}"


def display_member(name: str, member_id: str) -> str:
    """Return how the member `<channel>:<user_id>` is called."""
    return display_name(name, member_id.partition(":")[2])
