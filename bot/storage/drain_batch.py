"""What the drain reads from one shard of Redis, as what SQL takes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from bot.storage.sql.activity import ActivityRow
from bot.storage.sql.entries import DrainedEntry

BATCH = 500  # of one shard


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read of one shard, and what of it must be deleted or noted once it is written.

    Attributes:
        shard: Its number.
        entries: What goes to SQL, in the order of the stream.
        stream_ids: The ids under which the stream holds them.
        activity: Absolute counters that go to SQL.
        counted: Names of the counters that were read, with their values as they were.
        unreadable: Names among the changed counters that are none of ours.
        cursor: Where the next look at the changed counters begins; b"0" when all were seen.
    """

    shard: int
    entries: list[DrainedEntry]
    stream_ids: list[bytes]
    activity: list[ActivityRow]
    counted: list[tuple[str, list[bytes | None]]]
    unreadable: list[bytes]
    cursor: bytes

    @property
    def is_last(self) -> bool:
        """Whether the shard had no more when this was read."""
        return len(self.stream_ids) < BATCH and self.cursor == b"0"


def read_entry(shard: int, stream_id: bytes, fields: list[bytes]) -> DrainedEntry:
    """Return one outbox entry; its id holds the shard, so it is unique over all outboxes."""
    texts = [field.decode(errors="replace") for field in fields]
    values = dict(zip(texts[::2], texts[1::2], strict=True))
    kind = values.pop("kind", "")
    return DrainedEntry(id=f"{shard:02d}-{stream_id.decode()}", kind=kind, fields=values)


def read_activity(name: str, counts: Sequence[bytes | None]) -> ActivityRow | None:
    """Read ``<community>:<group or ->:<member>:<YYYY-MM-DD>``; a member's id holds colons of its own.

    None when nothing is counted any more: the counters are no longer kept.

    Raises:
        ValueError: It is no such name, or a count is no number.
    """
    if not any(counts):
        return None
    community, group, rest = name.split(":", 2)
    member, _, day = rest.rpartition(":")
    messages, check_ins, plays, events, last_at_ms = (int(count or 0) for count in counts)
    return ActivityRow(
        community=community,
        group_id="" if group == "-" else group,
        member=member,
        day=date.fromisoformat(day),
        messages=messages,
        check_ins=check_ins,
        plays=plays,
        events=events,
        last_at_ms=last_at_ms,
    )


def unreadable_entry(shard: int, name: bytes) -> DrainedEntry:
    """Return counters nobody can read as an entry of an unknown kind, which ends among the faults."""
    identifier = f"{shard:02d}-counters-{hashlib.sha256(name).hexdigest()}"
    return DrainedEntry(id=identifier, kind="counters", fields={"name": name.decode(errors="replace")})
