from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import RefusedError
from bot.storage.sql.database import Database
from bot.storage.sql.deliveries import DeliveryHistory
from bot.storage.sql.drained import write_drained
from bot.storage.sql.pages import encode_cursor
from tests.storage.sql.entry_makers import delivery_entry
from tests.storage.sql.rows import clear


async def _pages(
    history: DeliveryHistory, limit: int, state: str | None = None, community: str | None = None
) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await history.page(state=state, community=community, limit=limit, cursor=cursor)
        found += [delivery.id for delivery in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_a_delivery_comes_back_as_it_was_drained_and_hides_what_it_says(database: Database) -> None:
    await write_drained(database, [delivery_entry(1, attempts="2", reason="45015", state="dead")], [])
    found = await DeliveryHistory(database).get("d1")
    assert found is not None
    assert (found.community, found.channel, found.user_id, found.member) == ("milk", "app", "ana", "app:ana")
    assert (found.state, found.route, found.reason, found.attempts) == ("dead", "message/send", "45015", 2)
    assert (found.created_at_ms, found.updated_at_ms) == (1_777_852_800_000, 1_777_852_800_001)
    assert (found.cause, found.next_part) == ("app:ana:1", 0)
    assert found.parts == '[{"kind":"text","text":"您好"}]'
    assert "您好" not in repr(found)
    assert await DeliveryHistory(database).get("d2") is None


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    made=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["queued", "delivered", "dead"]),
            st.sampled_from(["milk", "tea"]),
        ),
        max_size=15,
    ),
    limit=st.integers(1, 6),
)
async def test_the_pages_of_every_filter_are_the_whole_list_newest_first(
    database: Database, made: list[tuple[int, str, str]], limit: int
) -> None:
    await clear(database)
    entries = [
        delivery_entry(n, id=f"d{n:02d}", created_at_ms=str(at), state=state, community=community)
        for n, (at, state, community) in enumerate(made)
    ]
    await write_drained(database, entries, [])
    whole = sorted(
        ((at, f"d{n:02d}", state, community) for n, (at, state, community) in enumerate(made)), reverse=True
    )
    history = DeliveryHistory(database)
    assert await _pages(history, limit) == [key for _, key, _, _ in whole]
    assert await _pages(history, limit, state="dead") == [
        key for _, key, state, _ in whole if state == "dead"
    ]
    assert await _pages(history, limit, community="tea") == [key for _, key, _, c in whole if c == "tea"]
    assert await _pages(history, limit, state="queued", community="milk") == [
        key for _, key, state, community in whole if (state, community) == ("queued", "milk")
    ]


async def test_a_delivery_that_moves_on_between_two_pages_keeps_its_place(database: Database) -> None:
    entries = [delivery_entry(n, id=f"d{n}", created_at_ms=str(n)) for n in range(4)]
    await write_drained(database, entries, [])
    history = DeliveryHistory(database)
    first = await history.page(limit=2)
    await write_drained(database, [delivery_entry(9, id="d0", created_at_ms="0", state="delivered")], [])
    rest = await history.page(limit=2, cursor=first.next_cursor)
    assert [delivery.id for delivery in first.items + rest.items] == ["d3", "d2", "d1", "d0"]


async def test_a_cursor_of_another_list_is_refused(database: Database) -> None:
    with pytest.raises(RefusedError):
        await DeliveryHistory(database).page(cursor=encode_cursor(1, 2, "3"))
