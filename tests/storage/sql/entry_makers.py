"""Outbox entries as the scripts in Redis write them."""

from __future__ import annotations

from bot.storage.sql.drained import DrainedEntry


def ledger_entry(number: int, **fields: str) -> DrainedEntry:
    return _entry(
        number,
        "ledger",
        {
            "community": "milk",
            "member": "app:ana",
            "delta": "10",
            "reason": "check_in",
            "cause": f"app:ana:{number}",
            "at_ms": str(1_777_852_800_000 + number),
            "day": "2026-05-04",
            "balance": "10",
            "rule": "",
            "operator": "",
            "note": "",
            "round": "",
            "reverses": "",
        }
        | fields,
    )


def check_in_entry(number: int, **fields: str) -> DrainedEntry:
    return _entry(
        number,
        "check_in",
        {
            "community": "milk",
            "member": "app:ana",
            "day": "2026-05-04",
            "at_ms": str(1_777_852_800_000 + number),
            "cause": f"app:ana:{number}",
            "streak": "3",
            "total": "12",
            "rank": "1",
            "points": "20",
            "made_up": "0",
        }
        | fields,
    )


def member_entry(number: int, **fields: str) -> DrainedEntry:
    return _entry(
        number,
        "member",
        {
            "community": "milk",
            "member": "app:ana",
            "channel": "app",
            "user_id": "ana",
            "name": "安娜",
            "joined_at_ms": "1777852800000",
            "left_at_ms": "",
            "joins": "1",
            "at_ms": "1777852800000",
        }
        | fields,
    )


def delivery_entry(number: int, **fields: str) -> DrainedEntry:
    return _entry(
        number,
        "delivery",
        {
            "id": "d1",
            "community": "milk",
            "channel": "app",
            "user_id": "ana",
            "member": "app:ana",
            "cause": "app:ana:1",
            "state": "queued",
            "route": "message/send",
            "reason": "",
            "attempts": "0",
            "created_at_ms": "1777852800000",
            "updated_at_ms": str(1_777_852_800_000 + number),
            "parts": '[{"kind":"text","text":"您好"}]',
            "next_part": "0",
        }
        | fields,
    )


def _entry(number: int, kind: str, fields: dict[str, str]) -> DrainedEntry:
    return DrainedEntry(id=f"07-1777852800000-{number}", kind=kind, fields=fields)
