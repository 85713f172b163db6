from __future__ import annotations

from dataclasses import replace

from bot.model import Event, KeywordRule
from tests.storage.live import MINUTE_MS, NOW_MS, Live, at_once, event

RULE = KeywordRule(("营业时间",), ("每天 9:00",), id=7)


async def _fire(live: Live, happened: Event, rule: KeywordRule, now_ms: int = NOW_MS) -> int | None:
    return await live.gate.pass_through(happened, live.ticket(happened).digest, "milk", rule, now_ms)


async def test_of_fifty_messages_at_once_a_rule_that_cools_down_answers_one(processes: list[Live]) -> None:
    rule = replace(RULE, cool_down_s=60, cool_down_scope="rule")
    turns = await at_once(_fire(processes[number % 4], event(f"u{number}"), rule) for number in range(50))
    assert [turn for turn in turns if turn is not None] == [0]
    assert await processes[0].gate.cooling_ms(event(), "milk", rule, NOW_MS + 1000) == 59_000


async def test_fifty_messages_at_once_take_fifty_turns(processes: list[Live]) -> None:
    rule = replace(RULE, pick="in_turn")
    turns = await at_once(_fire(processes[number % 4], event(), rule) for number in range(50))
    assert sorted(turn for turn in turns if turn is not None) == list(range(50))


async def test_fifty_deliveries_of_one_message_get_one_turn(processes: list[Live]) -> None:
    rule = replace(RULE, pick="in_turn", cool_down_s=60)
    await _fire(processes[0], event("bob"), rule)
    same = event()
    turns = await at_once(_fire(processes[number % 4], same, rule) for number in range(50))
    assert set(turns) == {1}


async def test_a_cool_down_ends_at_its_instant(live: Live) -> None:
    rule = replace(RULE, cool_down_s=60, cool_down_scope="rule")
    assert await _fire(live, event(), rule) == 0
    assert await _fire(live, event(), rule, NOW_MS + MINUTE_MS - 1) is None
    assert await _fire(live, event(), rule, NOW_MS + MINUTE_MS) == 0


async def test_each_scope_cools_down_for_itself(live: Live) -> None:
    by_member = replace(RULE, cool_down_s=60, cool_down_scope="member")
    by_group = replace(RULE, id=8, cool_down_s=60, cool_down_scope="group")
    asked = [event("ana"), event("bob"), event("ana", group_id="g1"), event("bob", group_id="g1")]
    assert [await _fire(live, one, by_member) for one in asked] == [0, 0, None, None]
    # A direct chat is its member's own group.
    assert [await _fire(live, one, by_group) for one in asked] == [0, 0, 0, None]


async def test_a_refused_message_changes_nothing(live: Live) -> None:
    rule = replace(RULE, pick="in_turn", cool_down_s=60, cool_down_scope="rule")
    assert await _fire(live, event(), rule) == 0
    assert await _fire(live, event(), rule) is None
    assert await _fire(live, event(), rule, NOW_MS + MINUTE_MS) == 1
