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


def round_entry(number: int, /, **fields: str) -> DrainedEntry:
    return _entry(
        number,
        "round",
        {
            "community": "milk",
            "id": "r1",
            "moves": "0",
            "game": "red_packet",
            "place": "app:g1",
            "state": "open",
            "end": "",
            "channel": "app",
            "user_id": "ana",
            "group_id": "g1",
            "host": "app:ana",
            "payer": "",
            "settings": '{"total":30}',
            "word": "",
            "seed": "00" * 32,
            "commitment": "11" * 32,
            "once": "1",
            "seats": "2",
            "pot": "30",
            "staked": "0",
            "house": "0",
            "paid": "0",
            "refund": "0",
            "at_ms": "1777852800000",
            "ends_at_ms": "1777852860000",
            "ended_at_ms": "0",
            "day": "2026-05-04",
            "facts": "",
            "shares": "10 20",
        }
        | fields,
    )


def move_entry(number: int, /, **fields: str) -> DrainedEntry:
    return _entry(
        number,
        "move",
        {
            "community": "milk",
            "round": "r1",
            "number": "0",
            "member": "app:ana",
            "at_ms": str(1_777_852_800_000 + number),
            "said": "grab",
            "stake": "0",
            "house": "0",
            "points": "10",
            "cause": f"app:ana:{number}",
        }
        | fields,
    )


def _entry(number: int, kind: str, fields: dict[str, str]) -> DrainedEntry:
    return DrainedEntry(id=f"07-1777852800000-{number}", kind=kind, fields=fields)
