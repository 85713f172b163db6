from __future__ import annotations

from bot.model import Entered, Event, Subscribed, Unsubscribed
from bot.storage.redis.members import Greeting
from tests.storage.live import DAY_MS, HOUR_MS, NOW_MS, Live, at_once, event


async def _arrive(live: Live, happened: Event) -> Greeting:
    ticket = live.ticket(happened)
    return await live.members.arrive(happened, ticket.digest, live.community, ticket.day)


async def _leave(live: Live, at_ms: int) -> None:
    await live.members.leave(event(content=Unsubscribed(), at_ms=at_ms), live.community)


def _subscribed(at_ms: int = NOW_MS) -> Event:
    return event(content=Subscribed(), at_ms=at_ms)


def _entered(at_ms: int = NOW_MS) -> Event:
    return event(content=Entered(), at_ms=at_ms)


async def test_fifty_deliveries_of_one_arrival_at_once_are_greeted_alike_and_join_once(
    processes: list[Live],
) -> None:
    same = _subscribed()
    greetings = await at_once(_arrive(processes[number % 4], same) for number in range(50))
    assert set(greetings) == {Greeting.FIRST}
    member = await processes[0].members.get("milk", "app:ana")
    assert (member.joins, member.joined_at_ms) == (1, NOW_MS)
    assert len(await processes[0].outbox("member")) == 1


async def test_of_fifty_events_at_once_one_is_the_first(processes: list[Live]) -> None:
    greetings = await at_once(_arrive(processes[number % 4], _entered()) for number in range(50))
    assert greetings.count(Greeting.FIRST) == 1
    assert greetings.count(Greeting.RETURNING) == 1
    assert greetings.count(Greeting.QUIET) == 48


async def test_opening_the_chat_greets_a_member_once_a_day_and_following_always(live: Live) -> None:
    instants = [0, HOUR_MS, 2 * HOUR_MS, DAY_MS, DAY_MS + HOUR_MS, 2 * DAY_MS]
    greetings = [await _arrive(live, _entered(NOW_MS + after)) for after in instants]
    quiet, returning = Greeting.QUIET, Greeting.RETURNING
    assert greetings == [Greeting.FIRST, returning, quiet, returning, quiet, returning]
    assert await _arrive(live, _subscribed(NOW_MS + 2 * DAY_MS + HOUR_MS)) is returning


async def test_opening_the_chat_is_no_joining(live: Live) -> None:
    await _arrive(live, _entered())
    member = await live.members.get("milk", "app:ana")
    assert (member.joins, member.joined_at_ms) == (0, None)
    assert await live.outbox("member") == []


async def test_who_comes_back_joined_when_they_came_back(live: Live) -> None:
    await _arrive(live, _subscribed(NOW_MS))
    await _leave(live, NOW_MS + HOUR_MS)
    gone = await live.members.get("milk", "app:ana")
    assert (gone.joined_at_ms, gone.left_at_ms) == (NOW_MS, NOW_MS + HOUR_MS)
    assert await _arrive(live, _subscribed(NOW_MS + DAY_MS)) is Greeting.RETURNING
    back = await live.members.get("milk", "app:ana")
    assert (back.joined_at_ms, back.left_at_ms, back.joins) == (NOW_MS + DAY_MS, None, 2)
    rows = [(row["joined_at_ms"], row["left_at_ms"], row["joins"]) for row in await live.outbox("member")]
    assert rows == [
        (str(NOW_MS), "", "1"),
        (str(NOW_MS), str(NOW_MS + HOUR_MS), "1"),
        (str(NOW_MS + DAY_MS), "", "2"),
    ]


async def test_leaving_fifty_times_at_once_is_leaving_once(processes: list[Live]) -> None:
    await _arrive(processes[0], _subscribed(NOW_MS))
    await at_once(_leave(processes[number % 4], NOW_MS + HOUR_MS) for number in range(50))
    assert len(await processes[0].outbox("member")) == 2


async def test_an_arrival_told_after_the_leave_that_followed_it_does_not_bring_the_member_back(
    live: Live,
) -> None:
    await _leave(live, NOW_MS + HOUR_MS)
    await _arrive(live, _subscribed(NOW_MS))
    member = await live.members.get("milk", "app:ana")
    assert (member.joined_at_ms, member.left_at_ms, member.joins) == (NOW_MS, NOW_MS + HOUR_MS, 1)
    last = (await live.outbox("member"))[-1]
    assert (last["joined_at_ms"], last["left_at_ms"]) == (str(NOW_MS), str(NOW_MS + HOUR_MS))


async def test_a_leave_told_after_the_return_that_followed_it_does_not_send_the_member_away(
    live: Live,
) -> None:
    await _arrive(live, _subscribed(NOW_MS))
    await _arrive(live, _subscribed(NOW_MS + DAY_MS))
    await _leave(live, NOW_MS + HOUR_MS)
    member = await live.members.get("milk", "app:ana")
    assert (member.joined_at_ms, member.left_at_ms, member.joins) == (NOW_MS + DAY_MS, None, 2)
