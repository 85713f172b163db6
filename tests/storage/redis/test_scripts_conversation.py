"""The conversation of a member in a chat: seen with the event, changed with the answer."""

from __future__ import annotations

import pytest

from bot.errors import ConversationMovedError
from bot.model import Event, TextMessage, Turn
from bot.storage.redis.conversations import (
    LONGEST_S,
    MOST_DATA_BYTES,
    Conversations,
    begins,
    make_change,
    read_conversation,
    turn_to,
)
from bot.storage.redis.inbox import Standing
from tests.storage.live import MINUTE_MS, NOW_MS, Live, at_once, event


async def said(live: Live, happened: Event, turn: Turn | None, seen: str = "*") -> None:
    """Take an event in and decide its answer, which makes `turn` of the conversation."""
    ticket = live.ticket(happened)
    await live.inbox.take(ticket, NOW_MS)
    await live.inbox.settle(ticket, NOW_MS, b"t", change=make_change(ticket, seen, turn, NOW_MS))


async def record_of(live: Live, happened: Event) -> bytes:
    return await Conversations(live.redis).read(live.ticket(happened))


async def test_fifty_messages_at_once_each_see_what_the_one_before_made_of_it(processes: list[Live]) -> None:
    """Read, then write would lose most of them."""

    async def count_one(live: Live) -> None:
        ticket = live.ticket(event())
        await live.inbox.take(ticket, NOW_MS)
        while True:
            record = await Conversations(live.redis).read(ticket)
            found = read_conversation(record)
            turn = turn_to("count", {"n": 1 if found is None else found.data["n"] + 1}, 300)
            try:
                await live.inbox.settle(
                    ticket, NOW_MS, b"t", change=make_change(ticket, begins(record), turn, NOW_MS)
                )
            except ConversationMovedError:
                continue
            return

    await at_once(count_one(processes[number % 4]) for number in range(50))
    found = read_conversation(await record_of(processes[0], event()))
    assert found is not None
    assert found.data == {"n": 50}


async def test_an_event_decided_fifty_times_at_once_changes_the_conversation_once(
    processes: list[Live],
) -> None:
    ticket = processes[0].ticket(event())
    turns = [turn_to("s", {"by": number}, 300) for number in range(50)]
    decisions = await at_once(
        processes[number % 4].inbox.settle(
            ticket, NOW_MS, b"%d" % number, change=make_change(ticket, "", turns[number], NOW_MS)
        )
        for number in range(50)
    )
    found = read_conversation(await record_of(processes[0], ticket.event))
    assert found is not None
    assert {decision.answer for decision in decisions} == {b"%d" % found.data["by"]}


async def test_what_moved_on_decides_nothing(live: Live) -> None:
    await said(live, event(), turn_to("one", {}, 300))
    ticket = live.ticket(event())
    await live.inbox.take(ticket, NOW_MS)
    for turn in (turn_to("two", {}, 300), Turn(), None):
        with pytest.raises(ConversationMovedError):
            await live.inbox.settle(ticket, NOW_MS, b"t", change=make_change(ticket, "", turn, NOW_MS))
    again = await live.inbox.take(ticket, NOW_MS)
    assert again.standing is Standing.OPEN
    found = read_conversation(again.conversation or b"")
    assert found is not None
    assert found.step == "one"


async def test_a_late_answer_changes_the_conversation_when_it_leaves_the_queue_and_once(live: Live) -> None:
    happened = event()
    ticket = live.ticket(happened)
    await live.inbox.take(ticket, NOW_MS)
    await live.inbox.defer(ticket, NOW_MS, 1000, b"the event")
    first = make_change(ticket, "", turn_to("late", {}, 300), NOW_MS)
    assert (await live.inbox.settle(ticket, NOW_MS, b"t", change=first)).answer == b""
    assert await record_of(live, happened) == b""
    assert await live.late.finish("milk", happened.id, change=first)
    await said(live, event(), turn_to("after", {}, 300))
    assert not await live.late.finish("milk", happened.id, change=first)
    found = read_conversation(await record_of(live, happened))
    assert found is not None
    assert found.step == "after"


async def test_a_late_answer_whose_conversation_moved_on_stays_queued(live: Live) -> None:
    happened = event()
    ticket = live.ticket(happened)
    await live.inbox.defer(ticket, NOW_MS, 1000, b"the event")
    await said(live, event(), turn_to("after", {}, 300))
    with pytest.raises(ConversationMovedError):
        await live.late.finish("milk", happened.id, change=make_change(ticket, "", Turn(), NOW_MS))
    assert await live.late.finish("milk", happened.id, change=make_change(ticket, "*", Turn(), NOW_MS))
    assert await record_of(live, happened) == b""


async def test_a_known_answer_is_not_decided_for_a_member_in_conversation(live: Live) -> None:
    await said(live, event(), turn_to("s", {"a": 1}, 300))
    ticket = live.ticket(event())
    taken = await live.inbox.take(ticket, NOW_MS, b"known")
    assert (taken.standing, taken.this_minute) == (Standing.NEW, 2)
    found = read_conversation(taken.conversation or b"")
    assert found is not None
    assert (found.step, found.data, found.expires_at_ms) == ("s", {"a": 1}, NOW_MS + 5 * MINUTE_MS)
    assert (await live.inbox.take(ticket, NOW_MS)).standing is Standing.OPEN
    for other in (event("bob"), event(group_id="wr1")):
        taken = await live.inbox.take(live.ticket(other), NOW_MS, b"known")
        assert taken.conversation == b""
        assert (await live.inbox.take(live.ticket(other), NOW_MS)).standing is Standing.DECIDED


async def test_a_conversation_is_cleared_away_some_time_after_it_has_expired(live: Live) -> None:
    await said(live, event(), turn_to("s", {}, 300))
    left_ms = await live.redis.call("PTTL", live.ticket(event()).conversation_key)
    assert 5 * MINUTE_MS < left_ms <= 6 * MINUTE_MS


async def test_what_another_version_wrote_counts_as_none() -> None:
    for record in (b"", b"x", b"0" * 32, b"0" * 32 + b"[1]", b"0" * 32 + b"{}", b"0" * 32 + b"\xff"):
        assert read_conversation(record) is None


async def test_data_has_a_limit_and_is_json() -> None:
    most = {"a": "x" * (MOST_DATA_BYTES - len('{"a":""}'))}
    assert len(turn_to("s", most, LONGEST_S).data) == MOST_DATA_BYTES
    with pytest.raises(ValueError, match="at most 8192 bytes"):
        turn_to("s", most | {"b": 1}, 300)
    with pytest.raises(ValueError, match="JSON object"):
        turn_to("s", {"a": object()}, 300)
    for seconds in (0, -1, LONGEST_S + 1):
        with pytest.raises(ValueError, match="expires_s must be 1 to 86400"):
            turn_to("s", {}, seconds)


async def test_a_text_of_any_kind_survives(live: Live) -> None:
    text = '换行\n\x00"\\ 😀 \u2028'
    await said(live, event(content=TextMessage("x")), turn_to("s", {"text": text}, 300))
    found = read_conversation(await record_of(live, event()))
    assert found is not None
    assert found.data == {"text": text}
