from __future__ import annotations

from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import RefusedError
from bot.storage.redis.rounds import PlayedMove, RoundState
from bot.storage.sql.database import Database
from bot.storage.sql.drained import DrainedEntry, write_drained
from bot.storage.sql.pages import encode_cursor
from bot.storage.sql.rounds import Balance, RoundHistory, RoundSum
from tests.storage.sql.entry_makers import ledger_entry, move_entry, round_entry
from tests.storage.sql.rows import clear


async def test_a_round_comes_back_as_it_was_drained_and_hides_its_secrets(database: Database) -> None:
    await write_drained(database, [round_entry(1, host="app:ana", payer="app:ana", word="牛奶")], [])
    known = await RoundHistory(database).get("milk", "r1")
    assert known is not None
    one = known.round
    assert (one.community, one.id, one.game, one.place, one.state) == (
        "milk", "r1", "red_packet", "app:g1", RoundState.OPEN,
    )  # fmt: skip
    assert (one.channel, one.user_id, one.group_id, one.host, one.payer) == (
        "app", "ana", "g1", "app:ana", "app:ana",
    )  # fmt: skip
    assert (one.settings, one.word, one.once, one.seats, one.pot) == (
        '{"total":30}', "牛奶", True, (10, 20), 30,
    )  # fmt: skip
    assert (one.at_ms, one.ends_at_ms, one.ended_at_ms) == (1_777_852_800_000, 1_777_852_860_000, 0)
    assert (one.day, one.facts, known.moves) == ("2026-05-04", "", 0)
    assert one.seed not in repr(known)
    assert await RoundHistory(database).get("tea", "r1") is None
    assert await RoundHistory(database).find("r1") == known
    assert await RoundHistory(database).find("r2") is None


async def test_an_open_round_holds_what_its_moves_sum_up_to_and_an_ended_one_what_was_written(
    database: Database,
) -> None:
    moves = [
        move_entry(2, number="0", stake="5", house="7", points="0"),
        move_entry(3, number="1", stake="2", house="0", points="9", member="app:bo"),
        move_entry(4, round="r2", stake="99"),
        move_entry(5, community="tea", stake="99"),
    ]
    await write_drained(database, [round_entry(1), round_entry(1, community="tea"), *moves], [])
    history = RoundHistory(database)
    known = await history.get("milk", "r1")
    assert known is not None
    one = known.round
    assert (known.moves, one.staked, one.house, one.paid) == (2, 7, 7, 9)
    assert await history.moves("milk", "r1") == (
        PlayedMove(0, "app:ana", 1_777_852_800_002, "grab", 5, "app:ana:2"),
        PlayedMove(1, "app:bo", 1_777_852_800_003, "grab", 2, "app:ana:3"),
    )
    assert (await history.among("milk", ["r1", "r9"])).keys() == {"r1"}
    assert [ids async for ids in history.open_rounds("milk")] == [("r1",)]

    await write_drained(database, [round_entry(9, state="closed", moves="2", staked="7", paid="3")], [])
    await write_drained(database, [round_entry(1)], [])  # overtaken
    known = await history.get("milk", "r1")
    assert known is not None
    assert (known.round.state, known.moves, known.round.staked, known.round.paid) == (
        RoundState.CLOSED, 2, 7, 3,
    )  # fmt: skip
    assert [ids async for ids in history.open_rounds("milk")] == []


async def test_the_ledger_of_a_round_is_summed_by_member_reason_and_rule(database: Database) -> None:
    def entry(number: int, member: str, delta: str, reason: str, rule: str = "") -> DrainedEntry:
        return ledger_entry(
            number, member=member, delta=delta, reason=reason, rule=rule, round="r1", balance=str(number)
        )

    entries = [
        entry(1, "app:ana", "-5", "round_stake"),
        entry(2, "app:ana", "-6", "round_stake"),
        entry(3, "app:ana", "22", "round_prize", "winnings"),
        entry(4, "app:bo", "4", "round_share"),
        ledger_entry(5, round="r2"),
        ledger_entry(6),
        ledger_entry(7, community="tea", round="r1"),
    ]
    await write_drained(database, entries, [])
    history = RoundHistory(database)
    assert await history.sums("milk", "r1") == (
        RoundSum("app:ana", "round_prize", "winnings", 22),
        RoundSum("app:ana", "round_stake", "", -11),
        RoundSum("app:bo", "round_share", "", 4),
    )
    assert sorted(await history.balances("milk", "r1")) == [
        Balance("app:ana", "app:ana:1", 1),
        Balance("app:ana", "app:ana:2", 2),
        Balance("app:bo", "app:ana:4", 4),
    ]


async def test_what_rounds_took_from_a_days_budget(database: Database) -> None:
    rounds = [
        round_entry(1, id="a", pot="30", day="2026-05-04"),
        round_entry(2, id="b", pot="10", state="closed", house="5", refund="7", day="2026-05-04"),
        round_entry(3, id="c", pot="50", payer="app:ana", day="2026-05-04"),
        round_entry(4, id="d", pot="1", state="closed", house="4", refund="9", day="2026-05-05"),
        round_entry(5, id="e", pot="8", day="2026-05-03"),
        round_entry(6, id="f", pot="8", community="tea"),
    ]
    moves = [
        move_entry(7, round="a", house="3"),
        move_entry(8, round="a", house="4", number="1"),
        move_entry(9, round="b", house="5"),
        move_entry(10, round="a", house="9", community="tea"),
    ]
    await write_drained(database, [*rounds, *moves], [])
    assert await RoundHistory(database).spent("milk", date(2026, 5, 4)) == {
        date(2026, 5, 4): 30 + 7 + 10 + 5 - 7,
        date(2026, 5, 5): -4,
    }


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    begun=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["open", "closed", "expired"]),
            st.sampled_from(["dice", "red_packet"]),
            st.sampled_from(["app:g1", "*"]),
        ),
        max_size=12,
    ),
    limit=st.integers(1, 5),
)
async def test_the_pages_of_every_filter_are_the_whole_list_newest_first(
    database: Database, begun: list[tuple[int, str, str, str]], limit: int
) -> None:
    await clear(database)
    entries = [
        round_entry(n, id=f"r{n:02d}", at_ms=str(at), state=state, game=game, place=place)
        for n, (at, state, game, place) in enumerate(begun)
    ]
    await write_drained(database, [*entries, round_entry(99, id="other", community="tea")], [])
    whole = sorted(((at, f"r{n:02d}", *rest) for n, (at, *rest) in enumerate(begun)), reverse=True)
    history = RoundHistory(database)

    async def pages(game: str | None = None, state: str | None = None, place: str | None = None) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            page = await history.page("milk", game=game, state=state, place=place, limit=limit, cursor=cursor)
            found += [known.round.id for known in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    assert await pages() == [row[1] for row in whole]
    assert await pages(state="open") == [row[1] for row in whole if row[2] == "open"]
    assert await pages(game="dice", place="*") == [row[1] for row in whole if row[3:] == ("dice", "*")]


async def test_a_cursor_of_another_list_is_refused(database: Database) -> None:
    with pytest.raises(RefusedError):
        await RoundHistory(database).page("milk", cursor=encode_cursor(1, 2, "3"))
