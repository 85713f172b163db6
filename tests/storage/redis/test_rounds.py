"""Rounds of games: begun, played and ended by many at once, each act whole and once."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.model import Event, Text
from bot.storage.redis import rounds as rounds_module
from bot.storage.redis.deliveries import Delivery, encode_parts
from bot.storage.redis.rounds import (
    Caps,
    Ending,
    EndWord,
    Moved,
    MoveWord,
    NewRound,
    Opened,
    OpenRefused,
    OpenRound,
    Paid,
    Round,
    Rounds,
    RoundState,
    Taken,
    read_open,
)
from tests.storage.live import DAY_MS, MEMORY_MS, MINUTE_MS, NOW_MS, Live, at_once, event

BUDGET = 1_000
FREE = Caps(plays=0, won=0, staked=0, budget=BUDGET)
TODAY = "2026-05-20"

_numbers = itertools.count(1)


def a_round(
    *,
    game: str = "red_packet",
    seats: tuple[int, ...] = (),
    pot: int = 0,
    once: bool = True,
    payer: str = "",
    place: str = "*",
    word: str = "",
    ends_at_ms: int = NOW_MS + MINUTE_MS,
) -> Round:
    """A round that may be begun now; every call makes another."""
    return Round(
        id=f"r{next(_numbers)}",
        community="milk",
        game=game,
        place=place,
        state=RoundState.OPEN,
        end="",
        channel="app",
        user_id="boss",
        group_id="",
        host="app:boss",
        payer=payer,
        settings="{}",
        word=word,
        seed="00" * 32,
        commitment="c" * 64,
        once=once,
        seats=seats,
        pot=pot or sum(seats),
        staked=0,
        house=0,
        paid=0,
        refund=0,
        at_ms=NOW_MS,
        ends_at_ms=ends_at_ms,
        ended_at_ms=0,
        day=TODAY,
        facts="",
    )


def store(live: Live) -> Rounds:
    return Rounds(live.redis, live.keys, memory_ms=MEMORY_MS)


async def begin(
    live: Live,
    one: Round,
    *,
    cause: str = "",
    budget: int = BUDGET,
    most_open: int = 50,
    checked_in: bool = False,
    joined_before_ms: int = 0,
) -> Opened:
    new = NewRound(
        one,
        cause or f"api:{one.id}",
        budget,
        most_open,
        checked_in=checked_in,
        joined_before_ms=joined_before_ms,
    )
    return await store(live).open(new, live.calendar.day_of(one.at_ms))


async def take(live: Live, one: Round, happened: Event, caps: Caps = FREE, *, now_ms: int = NOW_MS) -> Taken:
    return await store(live).take(live.ticket(happened), one, caps, now_ms)


async def move(
    live: Live,
    one: Round,
    happened: Event,
    caps: Caps = FREE,
    *,
    stake: int = 0,
    house: int = 0,
    seen: int = 0,
    now_ms: int = NOW_MS,
) -> Moved:
    return await store(live).move(live.ticket(happened), one, "roll", stake, house, caps, seen, now_ms)


def ending(*awards: Paid, made_of: int | None = None, why: str = "stopped", rest_ms: int = 0) -> Ending:
    return Ending(RoundState.CLOSED, why, awards, made_of, "{}", rest_ms=rest_ms)


async def end(live: Live, one: Round, how: Ending, *, now_ms: int = NOW_MS) -> tuple[EndWord, int]:
    return await store(live).end(one, how, live.calendar.day_of(now_ms), now_ms)


async def known(live: Live, one: Round) -> Round:
    found = await store(live).get("milk", one.id)
    assert found is not None
    return found


async def open_here(live: Live, place: str = "*") -> tuple[OpenRound, ...]:
    return read_open(await store(live).open_in("milk", place))


async def ledger(live: Live, one: Round) -> list[tuple[str, str, int]]:
    """(member, reason, points) of what a round moved."""
    return [
        (entry["member"], entry["reason"], int(entry["delta"]))
        for entry in await live.outbox("ledger")
        if entry["round"] == one.id
    ]


async def spent(live: Live) -> int:
    return await store(live).budget_spent("milk", TODAY)


# ---------------------------------------------------------------- seats, for many at once

SEATS = tuple(range(1, 26))


def grabs() -> list[Event]:
    """Two messages each of forty members, every one of them delivered twice, in no order of theirs."""
    sent = [event(f"m{member}") for member in range(40) for _ in range(2)]
    return [*sent[::2], *sent[::-1], *sent[1::2]]


def assert_one_seat_each(
    tried: Sequence[tuple[Event, Taken]], moves: Sequence[rounds_module.PlayedMove]
) -> None:
    """Every seat went to one member, every member has one, and every delivery was told of it alike."""
    assert [one.number for one in moves] == list(range(len(SEATS)))
    holders = {one.member: one for one in moves}
    assert len(holders) == len(SEATS), "a member has two seats"
    assert Counter(found.word for _, found in tried)[MoveWord.DONE] == len(SEATS)
    for happened, found in tried:
        held = holders.get(happened.member_id)
        if held is None:
            assert found.word is MoveWord.GONE, "a member who was given a seat has none"
            continue
        by_this = held.cause == happened.id
        assert found.word in ({MoveWord.DONE, MoveWord.AGAIN} if by_this else {MoveWord.ALREADY})
        assert (found.number, found.points) == (held.number, SEATS[held.number])


async def test_all_who_grab_at_once_get_a_seat_each_until_they_are_gone(processes: list[Live]) -> None:
    one, sent = a_round(seats=SEATS), grabs()
    await begin(processes[0], one)
    found = await at_once(take(processes[at % 4], one, happened) for at, happened in enumerate(sent))
    moves = await store(processes[0]).moves("milk", one.id)
    assert_one_seat_each(list(zip(sent, found, strict=True)), moves)

    balances = [await processes[0].balance(held.member.removeprefix("app:")) for held in moves]
    assert balances == list(SEATS)
    assert sorted(await ledger(processes[0], one)) == sorted(
        (held.member, "round_share", SEATS[held.number]) for held in moves
    )
    assert (await known(processes[0], one)).paid == sum(SEATS)
    rows = await processes[0].outbox("move")
    assert [(int(row["number"]), int(row["points"])) for row in rows] == list(enumerate(SEATS))


async def test_to_read_and_then_to_write_would_give_seats_twice(processes: list[Live]) -> None:
    """So that the test above is known to be able to fail."""
    one, sent = a_round(seats=SEATS), grabs()
    await begin(processes[0], one)
    found = await at_once(take_in_steps(processes[at % 4], one, happened) for at, happened in enumerate(sent))
    moves = await store(processes[0]).moves("milk", one.id)
    with pytest.raises(AssertionError):
        assert_one_seat_each(list(zip(sent, found, strict=True)), moves)


async def take_in_steps(live: Live, one: Round, happened: Event) -> Taken:
    """What scripts/round_take.lua does, but as single calls; one after the other they would do."""
    redis, member = live.redis, happened.member_id
    moves, marks, players, seats = (
        live.keys.key(name, "milk", one.id)
        for name in ("round_moves", "round_marks", "round_players", "round_seats")
    )
    taken = int(await redis.call("LLEN", moves))
    mark = live.ticket(happened).id
    mine, first = await redis.call("HGET", marks, mark), await redis.call("HGET", players, member)
    if mine or first:
        number = int(mine or first)
        points = int(await redis.call("LINDEX", seats, number))
        return Taken(MoveWord.AGAIN if mine else MoveWord.ALREADY, number, points)
    if taken >= len(one.seats):
        return Taken(MoveWord.GONE)
    points = int(await redis.call("LINDEX", seats, taken))
    row = json.dumps([member, str(NOW_MS), "grab", "0", happened.id])
    await redis.call("RPUSH", moves, row)
    await redis.call("HSET", marks, mark, taken)
    await redis.call("HSET", players, member, taken)
    return Taken(MoveWord.DONE, taken, points)


async def test_one_after_the_other_those_single_calls_give_each_a_seat(live: Live) -> None:
    """So that what fails above is the race and nothing else."""
    one, sent = a_round(seats=SEATS), grabs()
    await begin(live, one)
    found = [await take_in_steps(live, one, happened) for happened in sent]
    assert_one_seat_each(list(zip(sent, found, strict=True)), await store(live).moves("milk", one.id))


# ---------------------------------------------------------------- moves, of many at once


async def test_moves_made_at_once_are_numbered_without_gaps_and_each_event_has_one(
    processes: list[Live],
) -> None:
    one = a_round(game="dice_point", pot=50, once=False)
    await begin(processes[0], one)
    sent = [event(f"m{number % 10}") for number in range(50)]
    deliveries = [*sent, *sent[::-1]]
    found = await at_once(move(processes[at % 4], one, sent_) for at, sent_ in enumerate(deliveries))

    moves = await store(processes[1]).moves("milk", one.id)
    assert [one.number for one in moves] == list(range(50))
    assert Counter(made.word for made in found) == {MoveWord.DONE: 50, MoveWord.AGAIN: 50}
    for happened, made in zip(deliveries, found, strict=True):
        assert moves[made.number].cause == happened.id
        assert moves[made.number].member == happened.member_id
        # Whoever moved has seen all moves up to the own one, as they are.
        assert made.moves == moves[: len(made.moves)]
        assert len(made.moves) > made.number
    rows = await processes[0].outbox("move")
    assert [(int(row["number"]), row["cause"]) for row in rows] == [
        (played.number, played.cause) for played in moves
    ]


async def test_where_each_moves_once_the_first_of_a_members_moves_stands(processes: list[Live]) -> None:
    one = a_round(game="dice_size", pot=50)
    await begin(processes[0], one)
    sent = [event(f"m{number % 10}") for number in range(50)]
    found = await at_once(move(processes[at % 4], one, sent_) for at, sent_ in enumerate(sent))
    moves = await store(processes[0]).moves("milk", one.id)
    assert [one.number for one in moves] == list(range(10))
    assert {played.member for played in moves} == {f"app:m{number}" for number in range(10)}
    assert Counter(made.word for made in found) == {MoveWord.DONE: 10, MoveWord.ALREADY: 40}
    for happened, made in zip(sent, found, strict=True):
        assert moves[made.number].member == happened.member_id
        assert (moves[made.number].cause == happened.id) == (made.word is MoveWord.DONE)


async def test_nobody_stakes_more_than_they_have_however_many_moves_are_made_at_once(
    processes: list[Live],
) -> None:
    one = a_round(game="dice_point", pot=50, once=False)
    await begin(processes[0], one)
    for number in range(10):
        await processes[0].grant(f"app:m{number}", 7)
    sent = [event(f"m{number % 10}") for number in range(50)]
    deliveries = [*sent, *sent]
    found = await at_once(
        move(processes[at % 4], one, sent_, stake=2, house=2) for at, sent_ in enumerate(deliveries)
    )
    received = Counter(made.word for made in found)
    assert (received[MoveWord.DONE], received[MoveWord.AGAIN]) == (30, 30)
    assert received.keys() == {MoveWord.DONE, MoveWord.AGAIN, MoveWord.POOR}
    assert [await processes[0].balance(f"m{number}") for number in range(10)] == [1] * 10
    after = await known(processes[0], one)
    assert (after.staked, after.house) == (60, 60)
    assert await spent(processes[0]) == 50 + 60
    assert len(await ledger(processes[0], one)) == 30


async def test_a_caller_is_given_the_moves_it_has_not_seen(live: Live) -> None:
    one = a_round(game="dice_point", pot=50, once=False)
    await begin(live, one)
    sent = [event(f"m{number}") for number in range(4)]
    for happened in sent:
        await move(live, one, happened)
    again = await move(live, one, sent[0], seen=2)
    assert (again.word, again.number) == (MoveWord.AGAIN, 0)
    assert [(played.number, played.cause) for played in again.moves] == [(2, sent[2].id), (3, sent[3].id)]


async def test_in_a_round_time_never_goes_back(live: Live) -> None:
    one = a_round(game="dice_point", pot=50, once=False)
    await begin(live, one)
    for at_ms in (NOW_MS + 5, NOW_MS + 3, NOW_MS + 9):
        await move(live, one, event(), now_ms=at_ms)
    moves = await store(live).moves("milk", one.id)
    assert [played.at_ms - NOW_MS for played in moves] == [5, 5, 9]


# ---------------------------------------------------------------- beginning


async def test_twenty_rounds_begun_at_once_never_spend_more_than_the_budget_has(
    processes: list[Live],
) -> None:
    opened = await at_once(begin(processes[at % 4], a_round(pot=30), budget=100) for at in range(20))
    assert Counter(found.refused for found in opened) == {None: 3, OpenRefused.BUDGET: 17}
    assert {found.figure for found in opened if found.refused} == {10}
    assert await spent(processes[0]) == 90
    assert len(await open_here(processes[0])) == 3


async def test_twenty_rounds_begun_at_once_never_take_more_than_a_member_has(processes: list[Live]) -> None:
    await processes[0].grant("app:ana", 100)
    opened = await at_once(
        begin(processes[at % 4], a_round(pot=30, payer="app:ana"), budget=0) for at in range(20)
    )
    assert Counter(found.refused for found in opened) == {None: 3, OpenRefused.POOR: 17}
    assert {found.figure for found in opened if found.refused} == {10}
    assert await processes[0].balance() == 10
    assert await spent(processes[0]) == 0


async def test_one_cause_begins_one_round_and_pays_for_one(processes: list[Live]) -> None:
    one = a_round(seats=(3, 4))
    opened = await at_once(begin(processes[at % 4], one) for at in range(20))
    assert Counter((found.refused, found.again) for found in opened) == {(None, False): 1, (None, True): 19}
    assert await spent(processes[0]) == 7
    assert [found.id for found in await open_here(processes[0])] == [one.id]
    assert len(await processes[0].outbox("round")) == 1
    assert [(await take(processes[0], one, event(f"m{number}"))).points for number in range(2)] == [3, 4]


async def test_of_rounds_begun_at_once_where_one_may_be_open_one_is(processes: list[Live]) -> None:
    begun = [a_round(pot=1) for _ in range(20)]
    opened = await at_once(begin(processes[at % 4], one, most_open=1) for at, one in enumerate(begun))
    (first,) = (one for one, found in zip(begun, opened, strict=True) if found.refused is None)
    assert Counter(found.refused for found in opened) == {None: 1, OpenRefused.BUSY: 19}
    assert {found.busy_id for found in opened if found.refused} == {first.id}
    assert await spent(processes[0]) == 1
    # Another game and another place are free.
    assert (await begin(processes[0], a_round(game="dice_sum", pot=1), most_open=1)).refused is None
    assert (await begin(processes[0], a_round(place="bot:g1", pot=1), most_open=1)).refused is None


async def test_a_game_rests_after_a_round_for_as_long_as_it_was_told_to(live: Live) -> None:
    one = a_round(pot=1)
    await begin(live, one)
    await end(live, one, ending(rest_ms=10_000))
    next_ = replace(a_round(pot=1), at_ms=NOW_MS + 9_999)
    refused = await begin(live, next_)
    assert (refused.refused, refused.figure) == (OpenRefused.RESTING, NOW_MS + 10_000)
    assert (await begin(live, a_round(pot=1, place="bot:g1"))).refused is None
    assert (await begin(live, a_round(game="dice_sum", pot=1))).refused is None
    assert (await begin(live, replace(next_, at_ms=NOW_MS + 10_000))).refused is None


async def test_who_has_one_point_too_few_begins_nothing_and_keeps_them(live: Live) -> None:
    await live.grant("app:ana", 29)
    refused = await begin(live, a_round(pot=30, payer="app:ana"))
    assert (refused.refused, refused.figure) == (OpenRefused.POOR, 29)
    assert await live.balance() == 29
    assert await open_here(live) == ()


async def test_a_budget_short_by_one_point_begins_nothing_and_keeps_it(live: Live) -> None:
    refused = await begin(live, a_round(pot=30), budget=29)
    assert (refused.refused, refused.figure) == (OpenRefused.BUDGET, 29)
    assert await spent(live) == 0
    assert await open_here(live) == ()


# ---------------------------------------------------------------- the end


def letter(round_id: str) -> Delivery:
    return Delivery(
        id=f"d-{round_id}",
        community="milk",
        channel="app",
        user_id="boss",
        member="app:boss",
        cause=f"round:{round_id}",
        route="message/send",
        created_at_ms=NOW_MS,
        parts=encode_parts([Text("结束了")]),
    )


async def test_ten_who_end_a_round_at_once_pay_once_tell_once_and_give_back_once(
    processes: list[Live],
) -> None:
    await processes[0].grant("app:ana", 100)
    one = a_round(seats=(5, 6, 7), pot=30, payer="app:ana")
    await begin(processes[0], one)
    await take(processes[0], one, event("bob"))
    how = replace(
        ending(Paid("app:bob", 4, "best_luck"), Paid("app:cy", 3, "consolation"), made_of=1),
        deliveries=((letter(one.id), NOW_MS),),
    )
    ended = await at_once(end(processes[at % 4], one, how) for at in range(10))
    assert Counter(ended) == {(EndWord.DONE, 18): 1, (EndWord.AGAIN, 18): 9}

    live = processes[0]
    assert await ledger(live, one) == [
        ("app:ana", "round_pay", -30),
        ("app:bob", "round_share", 5),
        ("app:bob", "round_prize", 4),
        ("app:cy", "round_prize", 3),
        ("app:ana", "round_refund", 18),
    ]
    assert [await live.balance(who) for who in ("ana", "bob", "cy")] == [88, 9, 3]
    assert len(await live.outbox("delivery")) == 1
    after = await known(live, one)
    assert (after.state, after.end, after.paid, after.refund) == (RoundState.CLOSED, "stopped", 12, 18)
    assert (await take(live, one, event("dan"))).word is MoveWord.OVER


async def test_what_a_round_of_the_budget_does_not_give_goes_back_to_it_once(processes: list[Live]) -> None:
    one = a_round(game="dice_size", pot=50)
    await begin(processes[0], one)
    await processes[0].grant("app:bob", 10)
    await move(processes[0], one, event("bob"), stake=10, house=10)
    assert await spent(processes[0]) == 60
    how = ending(Paid("app:bob", 20, "winnings"), made_of=1)
    ended = await at_once(end(processes[at % 4], one, how) for at in range(10))
    assert Counter(ended) == {(EndWord.DONE, 50): 1, (EndWord.AGAIN, 50): 9}
    assert await spent(processes[0]) == 10  # what Bob won beside his stake
    assert await processes[0].balance("bob") == 20


async def test_moves_that_race_with_the_end_are_in_it_or_refused(processes: list[Live]) -> None:
    one = a_round(game="dice_size", pot=50)
    await begin(processes[0], one)

    async def end_it(live: Live) -> EndWord:
        while True:
            made_of = len(await store(live).moves("milk", one.id))
            word, _ = await end(live, one, ending(made_of=made_of))
            if word is not EndWord.MOVED:
                return word

    async def enter(live: Live, number: int) -> MoveWord:
        return (await move(live, one, event(f"m{number}"))).word

    words, ends = await asyncio.gather(
        at_once(enter(processes[number % 4], number) for number in range(50)),
        at_once(end_it(live) for live in processes),
    )
    assert Counter(ends) == {EndWord.DONE: 1, EndWord.AGAIN: 3}
    moves = await store(processes[0]).moves("milk", one.id)
    assert Counter(words)[MoveWord.DONE] == len(moves)
    assert set(words) <= {MoveWord.DONE, MoveWord.OVER}
    (_, last) = await processes[0].outbox("round")
    assert (last["state"], int(last["moves"])) == ("closed", len(moves))


async def test_an_end_made_of_other_moves_than_there_are_is_none(live: Live) -> None:
    one = a_round(game="dice_point", pot=50, once=False)
    await begin(live, one)
    await move(live, one, event("bob"))
    prize = Paid("app:bob", 50, "prize")
    assert await end(live, one, ending(prize, made_of=0)) == (EndWord.MOVED, 1)
    assert (await known(live, one)).is_open
    assert await live.balance("bob") == 0
    assert await end(live, one, ending(prize)) == (EndWord.DONE, 0)  # later moves do not matter to this one


async def test_an_end_that_would_give_more_than_there_is_gives_nothing(live: Live) -> None:
    one = a_round(pot=50)
    await begin(live, one)
    assert await end(live, one, ending(Paid("app:bob", 51, "prize"))) == (EndWord.UNBALANCED, -1)
    assert (await known(live, one)).is_open
    assert await live.balance("bob") == 0
    assert await end(live, a_round(), ending()) == (EndWord.UNKNOWN, 0)


async def test_an_ended_round_is_forgotten_where_it_was_open_and_no_other_is(live: Live) -> None:
    here, other = a_round(pot=1, place="bot:g1", word="恭喜"), a_round(pot=1, place="bot:g1")
    wide, elsewhere = a_round(pot=1), a_round(pot=1, place="bot:g2")
    for one in (here, other, wide, elsewhere):
        await begin(live, one)
    assert [found.id for found in await open_here(live, "bot:g1")] == [here.id, other.id, wide.id]
    assert rounds_module.listens(await store(live).open_in("milk", "bot:g1"))
    await end(live, here, ending())
    assert [found.id for found in await open_here(live, "bot:g1")] == [other.id, wide.id]
    assert not rounds_module.listens(await store(live).open_in("milk", "bot:g1"))
    await end(live, other, ending(), now_ms=NOW_MS + 5)
    assert [found.id for found in await open_here(live, "bot:g1")] == [wide.id]
    assert [found.id for found in await open_here(live, "bot:g2")] == [elsewhere.id, wide.id]
    assert await store(live).recent("milk", "bot:g1") == (
        (other.id, "red_packet", NOW_MS + 5),
        (here.id, "red_packet", NOW_MS),
    )
    await end(live, wide, ending())
    await end(live, elsewhere, ending())
    assert await store(live).open_in("milk", "bot:g1") == b""
    assert await store(live).due(NOW_MS + DAY_MS, NOW_MS + 2 * DAY_MS) == []


async def test_the_answer_address_of_the_last_who_moved_is_kept_only_until_the_end(live: Live) -> None:
    one = a_round(seats=(1, 2))
    await begin(live, one)
    await take(live, one, event("bob")._replace(answer_to="https://example.com/bob"))
    assert (await known(live, one)).answer_to == "https://example.com/bob"
    await end(live, one, ending())
    assert (await known(live, one)).answer_to == ""


# ---------------------------------------------------------------- time


async def test_a_round_whose_time_is_up_is_handed_to_one_of_several_sweepers(processes: list[Live]) -> None:
    due = [a_round(pot=1, ends_at_ms=NOW_MS) for _ in range(5)]
    later = a_round(pot=1, ends_at_ms=NOW_MS + 1)
    for one in (*due, later):
        await begin(processes[0], one)

    async def sweep(live: Live, now_ms: int) -> list[tuple[str, str]]:
        return await store(live).due(now_ms, now_ms + 15_000)

    found = await at_once(sweep(processes[at % 4], NOW_MS) for at in range(20))
    names = [name for some in found for name in some]
    assert sorted(names) == sorted(("milk", one.id) for one in due)

    # The one who took them dies: another gets them when their lease is over, not before.
    for one in due[:2]:
        await end(processes[0], one, ending(why="time"))
    await end(processes[0], later, ending(why="time"))
    assert await sweep(processes[1], NOW_MS + 14_999) == []
    found = await at_once(sweep(processes[at % 4], NOW_MS + 15_000) for at in range(20))
    names = [name for some in found for name in some]
    assert sorted(names) == sorted(("milk", one.id) for one in due[2:])


async def test_a_round_whose_last_seat_is_taken_is_soon_due_in_case_its_taker_dies(live: Live) -> None:
    one = a_round(seats=(1, 2))
    await begin(live, one)
    await take(live, one, event("bob"))
    assert await store(live).due(NOW_MS + 10_000, NOW_MS + 20_000) == []
    await take(live, one, event("cy"))
    assert await store(live).due(NOW_MS + 2_999, NOW_MS + 20_000) == []
    assert await store(live).due(NOW_MS + 3_000, NOW_MS + 20_000) == [("milk", one.id)]
    await end(live, one, ending(why="over"))
    assert await store(live).due(NOW_MS + DAY_MS, NOW_MS + 2 * DAY_MS) == []


async def test_a_sweeper_takes_no_more_than_it_wants(live: Live) -> None:
    due = [a_round(pot=1, ends_at_ms=NOW_MS) for _ in range(5)]
    for one in due:
        await begin(live, one)
    first = await store(live).due(NOW_MS, NOW_MS + 15_000, most=3)
    second = await store(live).due(NOW_MS, NOW_MS + 15_000, most=3)
    assert (len(first), len(second)) == (3, 2)
    assert len({*first, *second}) == 5


async def test_when_its_time_is_up_nothing_is_received_though_nobody_has_ended_it(live: Live) -> None:
    packet, dice = a_round(seats=(1, 2)), a_round(game="dice_point", pot=50)
    for one in (packet, dice):
        await begin(live, one)
    last_ms = packet.ends_at_ms - 1
    assert (await take(live, packet, event("bob"), now_ms=last_ms)).word is MoveWord.DONE
    assert (await move(live, dice, event("bob"), now_ms=last_ms)).word is MoveWord.DONE
    assert (await take(live, packet, event("cy"), now_ms=last_ms + 1)).word is MoveWord.OVER
    assert (await move(live, dice, event("cy"), now_ms=last_ms + 1)).word is MoveWord.OVER
    assert len(await store(live).moves("milk", packet.id)) == 1
    unknown = a_round(seats=(1,))
    assert (await take(live, unknown, event("cy"))).word is MoveWord.OVER
    assert (await move(live, unknown, event("cy"))).word is MoveWord.OVER


async def test_who_moved_in_time_is_told_the_same_after_it_and_after_the_end(live: Live) -> None:
    packet, dice = a_round(seats=(3, 4)), a_round(game="dice_point", pot=50)
    late_ms = packet.ends_at_ms + 1
    happened = event("bob")
    for one in (packet, dice):
        await begin(live, one)
    taken, moved = await take(live, packet, happened), await move(live, dice, happened)
    for _ in range(2):
        again = await take(live, packet, happened, now_ms=late_ms)
        assert again == replace(taken, word=MoveWord.AGAIN)
        assert await move(live, dice, happened, now_ms=late_ms) == replace(moved, word=MoveWord.AGAIN)
        assert await store(live).mark("milk", packet.id, live.ticket(happened))
        for one in (packet, dice):
            await end(live, one, ending())


# ---------------------------------------------------------------- refusals of seats and moves


async def test_who_has_played_enough_today_enters_no_other_round(live: Live) -> None:
    caps = FREE._replace(plays=2)
    for word in (MoveWord.DONE, MoveWord.DONE, MoveWord.CAPPED):
        packet = a_round(seats=(1, 2))
        await begin(live, packet)
        found = await take(live, packet, event("bob"), caps)
        assert (found.word, found.why) == (word, "plays" if word is MoveWord.CAPPED else "")
    # Another game has a count of its own; in a round that was entered one may go on.
    dice = a_round(game="dice_point", pot=1, once=False)
    await begin(live, dice)
    for _ in range(3):
        assert (await move(live, dice, event("bob"), FREE._replace(plays=1))).word is MoveWord.DONE
    second = a_round(game="dice_point", pot=1, once=False)
    await begin(live, second)
    refused = await move(live, second, event("bob"), FREE._replace(plays=1))
    assert (refused.word, refused.why) == (MoveWord.CAPPED, "plays")
    assert await store(live).moves("milk", second.id) == ()


async def test_who_has_won_enough_today_enters_no_other_round(live: Live) -> None:
    caps = FREE._replace(won=9)
    for points, word in ((5, MoveWord.DONE), (4, MoveWord.DONE), (1, MoveWord.CAPPED)):
        packet = a_round(seats=(points,))
        await begin(live, packet)
        found = await take(live, packet, event("bob"), caps)
        assert (found.word, found.why) == (word, "won" if word is MoveWord.CAPPED else "")
    # What an end pays counts as well, except stakes that go back.
    for why, word in (("stake_back", MoveWord.DONE), ("prize", MoveWord.DONE), ("prize", MoveWord.CAPPED)):
        dice = a_round(game="dice_sum", pot=9)
        await begin(live, dice)
        moved = await move(live, dice, event("bob"), caps)
        assert (moved.word, moved.why) == (word, "won" if word is MoveWord.CAPPED else "")
        await end(live, dice, ending(Paid("app:bob", 9, why, won=9 if why == "prize" else 0)))


async def test_who_has_staked_enough_today_stakes_no_more_in_any_game(live: Live) -> None:
    await live.grant("app:bob", 100)
    caps = FREE._replace(staked=10)
    size, total = a_round(game="dice_size", pot=1), a_round(game="dice_sum", pot=1)
    for one in (size, total):
        await begin(live, one)
    assert (await move(live, size, event("bob"), caps, stake=6, house=6)).word is MoveWord.DONE
    refused = await move(live, total, event("bob"), caps, stake=5, house=5)
    assert (refused.word, refused.why) == (MoveWord.CAPPED, "staked")
    assert await live.balance("bob") == 94
    assert (await move(live, total, event("bob"), caps, stake=4, house=4)).word is MoveWord.DONE
    assert await spent(live) == 2 + 10


async def test_who_has_too_few_points_stakes_nothing_and_is_told_what_they_have(live: Live) -> None:
    await live.grant("app:bob", 4)
    dice = a_round(game="dice_size", pot=1)
    await begin(live, dice)
    refused = await move(live, dice, event("bob"), stake=5, house=5)
    assert (refused.word, refused.balance) == (MoveWord.POOR, 4)
    assert await store(live).moves("milk", dice.id) == ()
    assert await spent(live) == 1
    made = await move(live, dice, event("bob"), stake=4, house=4)
    assert (made.word, made.balance) == (MoveWord.DONE, 0)


async def test_a_stake_whose_win_the_budget_cannot_pay_is_not_taken(live: Live) -> None:
    await live.grant("app:bob", 100)
    dice = a_round(game="dice_size", pot=10)
    await begin(live, dice, budget=14)
    caps = FREE._replace(budget=14)
    assert (await move(live, dice, event("bob"), caps, stake=5, house=5)).word is MoveWord.BUDGET
    assert (await live.balance("bob"), await spent(live)) == (100, 10)
    assert (await move(live, dice, event("bob"), caps, stake=4, house=4)).word is MoveWord.DONE
    assert (await live.balance("bob"), await spent(live)) == (96, 14)


async def test_only_who_has_checked_in_today_takes_a_seat_where_that_is_asked(live: Live) -> None:
    packet = a_round(seats=(1, 2))
    await begin(live, packet, checked_in=True)
    happened = event("bob")
    refused = await take(live, packet, happened)
    assert (refused.word, refused.why) == (MoveWord.REFUSED, "check_in")
    await live.check_in(event("bob"))
    assert (await take(live, packet, happened)).word is MoveWord.DONE
    assert (await take(live, packet, event("cy"))).word is MoveWord.REFUSED


async def test_who_joined_too_late_takes_no_seat_where_that_is_asked(live: Live) -> None:
    packet = a_round(seats=(1, 2))
    await begin(live, packet, joined_before_ms=NOW_MS - 1_000)
    for who, joined_at_ms, word in (
        ("new", NOW_MS - 1_000, MoveWord.REFUSED),
        ("old", NOW_MS - 1_001, MoveWord.DONE),
        ("unseen", None, MoveWord.DONE),
    ):
        if joined_at_ms is not None:
            key = live.keys.key("member", "milk", f"app:{who}")
            await live.redis.call("HSET", key, "joined_at", joined_at_ms)
        found = await take(live, packet, event(who))
        assert (found.word, found.why) == (word, "joined" if word is MoveWord.REFUSED else "")


async def test_a_round_takes_only_so_many_moves(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds_module, "MOST_MOVES", 2)
    dice = a_round(game="dice_point", pot=1, once=False)
    await begin(live, dice)
    sent = [event("bob") for _ in range(3)]
    words = [(await move(live, dice, happened)).word for happened in sent]
    assert words == [MoveWord.DONE, MoveWord.DONE, MoveWord.FULL]
    assert (await move(live, dice, sent[1])).word is MoveWord.AGAIN
