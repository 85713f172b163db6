"""Outbox entries as they come from Redis, and the rows they become."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from bot.storage.sql.pages import fits_int64
from bot.storage.sql.tables import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bot.storage.sql.activity import ActivityRow

Row = dict[str, Any]

# PostgreSQL refuses an index entry above 2704 bytes; the widest of ours holds four ids.
ID_LIMIT_BYTES = 512
# Characters of a name that are kept; it is indexed too, and no platform allows a third of that.
NAME_LIMIT = 128

_ENTRY_ID = re.compile(r"[0-9]{1,6}-([0-9]{1,13})-([0-9]{1,18})")
_WHOLE = re.compile(r"-?[0-9]{1,19}")
_WHOLES = re.compile(r"(?:[0-9]{1,18}(?: [0-9]{1,18})*)?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_STATES = frozenset({"queued", "delivered", "dead"})
_ROUND_STATES = frozenset({"open", "closed", "cancelled", "expired"})


@dataclass(frozen=True, slots=True)
class DrainedEntry:
    """One entry of an outbox stream.

    Attributes:
        id: ``<shard number>-<stream id>``, unique over all time.
        kind: ledger | check_in | member | delivery | opt_out | round | move.
        fields: The entry's other fields, as text; not in `repr`, they hold what people wrote.
    """

    id: str
    kind: str
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ParsedEntries:
    """Rows by table, in the order of the entries; `faults` is for `drain_faults`."""

    ledger: list[Row] = field(default_factory=list)
    check_ins: list[Row] = field(default_factory=list)
    members: list[Row] = field(default_factory=list)
    deliveries: list[Row] = field(default_factory=list)
    opt_outs: list[Row] = field(default_factory=list)
    rounds: list[Row] = field(default_factory=list)
    moves: list[Row] = field(default_factory=list)
    faults: list[Row] = field(default_factory=list)


class MalformedError(ValueError):
    """An entry cannot become a row; the text names the field, never its value."""


def position_of(entry_id: str) -> int:
    """Return the place of an entry in its outbox as one number: milliseconds × 2²⁰ + sequence number.

    Raises:
        MalformedError: `entry_id` is not of the form ``<shard number>-<milliseconds>-<sequence number>``.
    """
    found = _ENTRY_ID.fullmatch(entry_id)
    position = (int(found[1]) << 20) + int(found[2]) if found else -1
    if not found or not fits_int64(position):
        raise MalformedError("id: not <shard>-<stream id>")
    return position


def entry_of(position: int) -> str:
    """Return the stream id ``<milliseconds>-<sequence number>`` of a place in the outbox."""
    return f"{position >> 20}-{position & 0xFFFFF}"


def parse_entries(entries: Iterable[DrainedEntry], parsed: ParsedEntries) -> None:
    """Add the rows of `entries` to `parsed`; one that cannot be read becomes a fault instead of an error."""
    destinations = {
        "ledger": (_ledger_row, parsed.ledger),
        "check_in": (_check_in_row, parsed.check_ins),
        "member": (_member_row, parsed.members),
        "delivery": (_delivery_row, parsed.deliveries),
        "opt_out": (_opt_out_row, parsed.opt_outs),
        "round": (_round_row, parsed.rounds),
        "move": (_move_row, parsed.moves),
    }
    for entry in entries:
        try:
            if entry.kind not in destinations:
                raise MalformedError("kind: unknown")  # noqa: TRY301 - one way to the faults
            to_row, rows = destinations[entry.kind]
            rows.append(to_row(entry, position_of(entry.id)))
        except MalformedError as error:
            parsed.faults.append(_fault_row(entry, str(error)))


def fault_row(refused: DrainedEntry | ActivityRow, problem: str) -> Row:
    """Return the row of `drain_faults` that keeps what no table takes."""
    if isinstance(refused, DrainedEntry):
        return _fault_row(refused, problem)
    return _activity_fault_row(_activity_row(refused), problem)


def _fault_row(entry: DrainedEntry, problem: str) -> Row:
    # JSON in ASCII: whatever is wrong with the text, this can be stored.
    raw = json.dumps({"kind": entry.kind, "fields": dict(entry.fields)})
    return {"id": entry.id, "raw": raw, "problem": problem}


def _ledger_row(entry: DrainedEntry, position: int) -> Row:
    fields = entry.fields
    delta = _whole(fields, "delta")
    if delta == 0:
        raise MalformedError("delta: nothing changed")
    return {
        "id": entry.id,
        "community": _id(fields, "community"),
        "member": _id(fields, "member"),
        "delta": delta,
        "reason": _id(fields, "reason"),
        "cause": _id(fields, "cause"),
        "at_ms": _whole(fields, "at_ms"),
        "day": _day(fields, "day"),
        "balance_after": _whole(fields, "balance"),
        "rule": _text(fields, "rule"),
        "operator": _text(fields, "operator"),
        "note": _text(fields, "note"),
        "round": _text(fields, "round"),
        "reverses": _text(fields, "reverses"),
        "position": position,
    }


def _check_in_row(entry: DrainedEntry, _position: int) -> Row:
    fields = entry.fields
    made_up = _text(fields, "made_up")
    if made_up not in ("0", "1"):
        raise MalformedError("made_up: neither 0 nor 1")
    return {
        "community": _id(fields, "community"),
        "member": _id(fields, "member"),
        "day": _day(fields, "day"),
        "at_ms": _whole(fields, "at_ms"),
        "cause": _text(fields, "cause"),
        "streak": _whole(fields, "streak"),
        "total": _whole(fields, "total"),
        "rank": _whole(fields, "rank"),
        "points": _whole(fields, "points"),
        "made_up": made_up == "1",
    }


def _member_row(entry: DrainedEntry, position: int) -> Row:
    fields = entry.fields
    return {
        "community": _id(fields, "community"),
        "member": _id(fields, "member"),
        "channel": _id(fields, "channel"),
        "user_id": _id(fields, "user_id"),
        "name": _text(fields, "name")[:NAME_LIMIT],
        "joined_at_ms": _whole_or_none(fields, "joined_at_ms"),
        "left_at_ms": _whole_or_none(fields, "left_at_ms"),
        "joins": _whole_or_none(fields, "joins") or 0,
        "position": position,
    }


def _delivery_row(entry: DrainedEntry, position: int) -> Row:
    fields = entry.fields
    state = _text(fields, "state")
    if state not in _STATES:
        raise MalformedError("state: unknown")
    return {
        "id": _id(fields, "id"),
        "community": _id(fields, "community"),
        "channel": _text(fields, "channel"),
        "user_id": _text(fields, "user_id"),
        "member": _text(fields, "member"),
        "cause": _text(fields, "cause"),
        "state": state,
        "route": _text(fields, "route"),
        "reason": _text(fields, "reason"),
        "attempts": _whole(fields, "attempts"),
        "created_at_ms": _whole(fields, "created_at_ms"),
        "updated_at_ms": _whole(fields, "updated_at_ms"),
        "parts": _text(fields, "parts"),
        "next_part": _whole(fields, "next_part"),
        # Entries of an earlier version may still wait in the outbox without these.
        "group_id": fields.get("group_id", ""),
        "useful_until_ms": _whole(fields, "useful_until_ms") if fields.get("useful_until_ms") else 0,
        "feature": fields.get("feature", ""),
        "answer_to": fields.get("answer_to", ""),
        "not_before_ms": _whole(fields, "not_before_ms") if fields.get("not_before_ms") else 0,
        "position": position,
    }


def _opt_out_row(entry: DrainedEntry, position: int) -> Row:
    fields = entry.fields
    opted_out = _text(fields, "opted_out")
    if opted_out not in ("0", "1"):
        raise MalformedError("opted_out: neither 0 nor 1")
    return {
        "community": _id(fields, "community"),
        "receiver": _id(fields, "receiver"),
        "opted_out": opted_out == "1",
        "at_ms": _whole(fields, "at_ms"),
        "operator": _text(fields, "operator"),
        "position": position,
    }


def _round_row(entry: DrainedEntry, position: int) -> Row:
    fields = entry.fields
    state, once = _text(fields, "state"), _text(fields, "once")
    if state not in _ROUND_STATES:
        raise MalformedError("state: unknown")
    if once not in ("0", "1"):
        raise MalformedError("once: neither 0 nor 1")
    if not _WHOLES.fullmatch(_text(fields, "shares")):
        raise MalformedError("shares: not whole numbers")
    return {
        "community": _id(fields, "community"),
        "id": _id(fields, "id"),
        "game": _id(fields, "game"),
        "place": _id(fields, "place"),
        "state": state,
        **{name: _text(fields, name) for name in _ROUND_TEXTS},
        "once": once == "1",
        **{name: _whole(fields, name) for name in _ROUND_FIGURES},
        "day": _day(fields, "day"),
        "position": position,
    }


_ROUND_TEXTS = (
    "end", "channel", "user_id", "group_id", "host", "payer", "settings", "word", "seed", "commitment",
    "shares", "facts",
)  # fmt: skip
_ROUND_FIGURES = (
    "pot", "staked", "house", "paid", "refund", "at_ms", "ends_at_ms", "ended_at_ms", "moves",
)  # fmt: skip


def _move_row(entry: DrainedEntry, _position: int) -> Row:
    fields = entry.fields
    return {
        "community": _id(fields, "community"),
        "round": _id(fields, "round"),
        "number": _whole(fields, "number"),
        "member": _id(fields, "member"),
        "at_ms": _whole(fields, "at_ms"),
        "said": _text(fields, "said"),
        "stake": _whole(fields, "stake"),
        "house": _whole(fields, "house"),
        "points": _whole(fields, "points"),
        "cause": _text(fields, "cause"),
    }


def _text(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name)
    if value is None:
        raise MalformedError(f"{name}: missing")
    return value


def _id(fields: Mapping[str, str], name: str) -> str:
    value = _text(fields, name)
    if not value:
        raise MalformedError(f"{name}: empty")
    if _is_too_long(value):
        raise MalformedError(f"{name}: longer than {ID_LIMIT_BYTES} bytes")
    return value


def _is_too_long(value: str) -> bool:
    # A character is four bytes at most, so nearly every id is answered by its length.
    return len(value) * 4 > ID_LIMIT_BYTES and len(clean_text(value).encode()) > ID_LIMIT_BYTES


def _whole(fields: Mapping[str, str], name: str) -> int:
    text = _text(fields, name)
    value = int(text) if _WHOLE.fullmatch(text) else None
    if value is None or not fits_int64(value):
        raise MalformedError(f"{name}: not a whole number of 64 bits")
    return value


def _whole_or_none(fields: Mapping[str, str], name: str) -> int | None:
    return None if _text(fields, name) == "" else _whole(fields, name)


def _day(fields: Mapping[str, str], name: str) -> date:
    text = _text(fields, name)
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise MalformedError(f"{name}: not a day YYYY-MM-DD")


@dataclass(frozen=True, slots=True)
class ParsedActivity:
    """Rows for `activity`, `members` (who was seen), `chat_groups` (where) and `drain_faults`."""

    activity: list[Row] = field(default_factory=list)
    seen: list[Row] = field(default_factory=list)
    groups: list[Row] = field(default_factory=list)
    faults: list[Row] = field(default_factory=list)


def parse_activity(activity: Iterable[ActivityRow], parsed: ParsedActivity) -> None:
    """Add the rows of absolute counters to `parsed`; one that no table can hold becomes a fault."""
    groups: dict[tuple[str, str, str], Row] = {}
    for counted in activity:
        row = _activity_row(counted)
        if any(map(_is_too_long, (counted.community, counted.group_id, counted.member))):
            problem = f"an id: longer than {ID_LIMIT_BYTES} bytes"
            parsed.faults.append(_activity_fault_row(row, problem))
            continue
        channel, _, user_id = counted.member.partition(":")
        parsed.activity.append(row)
        parsed.seen.append(
            {
                "community": counted.community,
                "member": counted.member,
                "channel": channel,
                "user_id": user_id,
                "name": "",
                "joins": 0,
                "first_seen_ms": counted.last_at_ms,
                "last_seen_ms": counted.last_at_ms,
                "position": 0,
            }
        )
        if counted.group_id:
            _see_group(groups, counted, channel)
    parsed.groups.extend(groups.values())


def _activity_row(counted: ActivityRow) -> Row:
    # `dataclasses.asdict` copies every value, which takes ten times as long.
    return {
        "community": counted.community,
        "group_id": counted.group_id,
        "member": counted.member,
        "day": counted.day,
        "messages": counted.messages,
        "check_ins": counted.check_ins,
        "plays": counted.plays,
        "events": counted.events,
        "last_at_ms": counted.last_at_ms,
    }


def _see_group(groups: dict[tuple[str, str, str], Row], counted: ActivityRow, channel: str) -> None:
    """Note that somebody did something in a group."""
    at_ms = counted.last_at_ms
    key = (counted.community, channel, counted.group_id)
    row = groups.get(key)
    if row is None:
        groups[key] = {
            "community": counted.community,
            "channel": channel,
            "chat_id": counted.group_id,
            "name": "",
            "origin": "seen",
            "first_seen_ms": at_ms,
            "last_seen_ms": at_ms,
        }
        return
    row["first_seen_ms"] = min(row["first_seen_ms"], at_ms)
    row["last_seen_ms"] = max(row["last_seen_ms"], at_ms)


def _activity_fault_row(row: Row, problem: str) -> Row:
    # Counters have no id of their own; the same ones again give the same id.
    raw = json.dumps(row, default=str)
    digest = hashlib.sha256(raw.encode()).hexdigest()
    return {"id": f"activity-{digest}", "raw": raw, "problem": problem}
