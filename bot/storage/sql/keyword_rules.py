"""Keyword rules: the one part of the history that people write directly.

Every change bumps the community's version in the same transaction; processes compare versions and load anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Text, cast, delete, select, update

from bot.model import KeywordRule
from bot.storage.sql.pages import Page, check_limit, decode_cursor, fits_int64, paged
from bot.storage.sql.tables import clean_text, keyword_rules, keyword_versions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy import Delete, Select, Update
    from sqlalchemy.ext.asyncio import AsyncConnection

    from bot.clock import Clock
    from bot.storage.sql.database import Database, Record

_COLUMNS = keyword_rules.c
_RULE = (
    _COLUMNS.id, _COLUMNS.triggers, _COLUMNS.answers, _COLUMNS.match, _COLUMNS.pick, _COLUMNS.priority,
    _COLUMNS.cool_down_s, _COLUMNS.cool_down_scope, _COLUMNS.hours, _COLUMNS.weekdays, _COLUMNS.groups,
    _COLUMNS.enabled,
)  # fmt: skip

# About 2 ms of the loop's time each.
_LOAD_ROWS = 250
_INSERT_ROWS = 250


class KeywordRuleStore:
    """Keeps the rules of all communities; every method raises as `Database.read` or `write` does."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Keep them in `database`; `clock` tells when a rule was made or changed."""
        self._database, self._clock = database, clock

    async def page(self, community: str, *, cursor: str | None = None, limit: int = 50) -> Page[KeywordRule]:
        """Return rules of `community`, oldest first.

        Raises:
            RefusedError: `cursor` is not one of this list.
        """
        query = _all_of(community).limit(check_limit(limit) + 1)
        if cursor is not None:
            query = query.where(_COLUMNS.id > decode_cursor(cursor, int)[0])
        return paged(
            [_rule(row) for row in await self._database.fetch(query)], limit, lambda rule: (rule.id,)
        )

    async def get(self, community: str, rule_id: int) -> KeywordRule | None:
        """Return the rule of that id, None when the community has none."""
        if not fits_int64(rule_id):
            return None
        rows = await self._database.fetch(_all_of(community).where(_COLUMNS.id == rule_id))
        return _rule(rows[0]) if rows else None

    async def load(self, community: str) -> AsyncIterator[tuple[KeywordRule, ...]]:
        """Yield every rule of `community`, also those not enabled, oldest first, in chunks of one state.

        Ask `versions` first: a change in between is then loaded, and seen again as a newer version.
        """
        async for rows in self._database.stream(_all_of(community), chunk_rows=_LOAD_ROWS):
            yield tuple(_rule(row) for row in rows)

    async def versions(self) -> dict[str, int]:
        """Return the version of every community that ever had a rule; a change makes it higher."""
        rows = await self._database.fetch(select(keyword_versions.c.community, keyword_versions.c.version))
        return {row.community: row.version for row in rows}

    async def create(self, community: str, rule: KeywordRule, *, created_by: str) -> KeywordRule:
        """Save a new rule of `community` and return it with its id; `rule.id` is not looked at."""
        values = self._new_row(community, rule, created_by)
        async with self._database.write() as connection:
            await self._bump(connection, community)
            statement = self._database.insert(keyword_rules).values(values).returning(*_RULE)
            return _rule((await connection.execute(statement)).one())

    async def create_many(self, community: str, rules: Sequence[KeywordRule], *, created_by: str) -> int:
        """Save all of `rules` or, when one is refused, none; return how many that is."""
        if not rules:
            return 0
        statement = self._database.insert(keyword_rules)
        async with self._database.write() as connection:
            await self._bump(connection, community)
            for start in range(0, len(rules), _INSERT_ROWS):
                chunk = rules[start : start + _INSERT_ROWS]
                await connection.execute(
                    statement, [self._new_row(community, rule, created_by) for rule in chunk]
                )
        return len(rules)

    async def replace(self, community: str, rule: KeywordRule) -> KeywordRule | None:
        """Save `rule` in the place of the rule with its id; return None when the community has none."""
        if not fits_int64(rule.id):
            return None
        statement = (
            update(keyword_rules)
            .where(_COLUMNS.community == community, _COLUMNS.id == rule.id)
            .values(_row(rule) | {"updated_at_ms": self._clock.now_ms()})
            .returning(*_RULE)
        )
        async with self._database.write() as connection:
            saved = (await connection.execute(statement)).one_or_none()
            if saved is not None:
                await self._bump(connection, community)
        return None if saved is None else _rule(saved)

    async def delete(self, community: str, rule_id: int) -> bool:
        """Delete the rule of that id; return whether there was one."""
        if not fits_int64(rule_id):
            return False
        statement = delete(keyword_rules).where(_COLUMNS.community == community, _COLUMNS.id == rule_id)
        async with self._database.write() as connection:
            deleted = (await connection.execute(statement)).rowcount > 0
            if deleted:
                await self._bump(connection, community)
        return deleted

    async def put_single(self, community: str, rule: KeywordRule, *, created_by: str) -> bool:
        """Save `rule`, of one trigger, in the place of the rule with that trigger alone, or as a new one.

        Returns:
            Whether a rule was replaced.
        """
        row = self._new_row(community, rule, created_by)
        async with self._database.write() as connection:
            await self._bump(connection, community)
            found = await _with_trigger(connection, community, rule.triggers[0])
            same = [known.id for known in found if len(known.triggers) == 1]
            await connection.execute(delete(keyword_rules).where(_COLUMNS.id.in_(same[1:])))
            if same:
                await connection.execute(update(keyword_rules).where(_COLUMNS.id == same[0]).values(row))
            else:
                await connection.execute(self._database.insert(keyword_rules).values(row))
        return bool(same)

    async def remove_trigger(self, community: str, trigger: str) -> int:
        """Take exactly `trigger` out of every rule, and delete the rules that have no other.

        Returns:
            How many rules had it.
        """
        async with self._database.write() as connection:
            found = await _with_trigger(connection, community, trigger)
            for rule in found:
                left = [known for known in rule.triggers if known != clean_text(trigger)]
                await connection.execute(self._without_triggers_but(rule.id, left))
            if found:
                await self._bump(connection, community)
        return len(found)

    def _without_triggers_but(self, rule_id: int, left: list[str]) -> Delete | Update:
        if not left:
            return delete(keyword_rules).where(_COLUMNS.id == rule_id)
        values = {"triggers": left, "updated_at_ms": self._clock.now_ms()}
        return update(keyword_rules).where(_COLUMNS.id == rule_id).values(values)

    async def _bump(self, connection: AsyncConnection, community: str) -> None:
        statement = self._database.insert(keyword_versions).values(community=community, version=1)
        statement = statement.on_conflict_do_update(
            index_elements=["community"], set_={"version": keyword_versions.c.version + 1}
        )
        await connection.execute(statement)

    def _new_row(self, community: str, rule: KeywordRule, created_by: str) -> dict[str, Any]:
        now_ms = self._clock.now_ms()
        return {
            "community": community,
            "created_by": created_by,
            "created_at_ms": now_ms,
            "updated_at_ms": now_ms,
            **_row(rule),
        }


def _all_of(community: str) -> Select[Any]:
    return select(*_RULE).where(_COLUMNS.community == community).order_by(_COLUMNS.id)


async def _with_trigger(connection: AsyncConnection, community: str, trigger: str) -> list[KeywordRule]:
    trigger = clean_text(trigger)
    # The JSON text of a list holds the JSON text of each member; what else holds it is sorted out below.
    has_text = cast(_COLUMNS.triggers, Text).contains(orjson.dumps(trigger).decode(), autoescape=True)
    rows = await connection.execute(_all_of(community).where(has_text).with_for_update())
    return [rule for rule in map(_rule, rows) if trigger in rule.triggers]


def _row(rule: KeywordRule) -> dict[str, Any]:
    return {
        "triggers": [clean_text(trigger) for trigger in rule.triggers],
        "answers": [clean_text(answer) for answer in rule.answers],
        "match": rule.match,
        "pick": rule.pick,
        "priority": rule.priority,
        "cool_down_s": rule.cool_down_s,
        "cool_down_scope": rule.cool_down_scope,
        "hours": rule.hours,
        "weekdays": rule.weekdays,
        "groups": [clean_text(group) for group in rule.groups],
        "enabled": rule.enabled,
    }


def _rule(row: Record) -> KeywordRule:
    return KeywordRule(
        id=row.id,
        triggers=tuple(row.triggers),
        answers=tuple(row.answers),
        match=row.match,
        pick=row.pick,
        priority=row.priority,
        cool_down_s=row.cool_down_s,
        cool_down_scope=row.cool_down_scope,
        hours=tuple(row.hours),
        weekdays=tuple(row.weekdays),
        groups=tuple(row.groups),
        enabled=row.enabled,
    )
