from __future__ import annotations

import pytest

from bot.errors import RefusedError
from bot.storage.sql.database import Database
from bot.storage.sql.drained import write_drained
from bot.storage.sql.members import MemberHistory
from bot.storage.sql.pages import encode_cursor
from tests.storage.sql.entry_makers import member_entry

PEOPLE = {
    "app:ana": "安娜",
    "app:bo": "安娜",
    "app:a%": "100%",
    "oa:ana": "Bo",
    "oa:zed": "ana",
}


@pytest.fixture
async def history(database: Database) -> MemberHistory:
    entries = [
        member_entry(n, member=member, channel=member.split(":")[0], user_id=member.split(":")[1], name=name)
        for n, (member, name) in enumerate(PEOPLE.items())
    ]
    await write_drained(database, [*entries, member_entry(99, community="tea")], [])
    return MemberHistory(database)


async def _found(history: MemberHistory, prefix: str, limit: int = 50) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await history.page("milk", prefix=prefix, limit=limit, cursor=cursor)
        found += [member.member for member in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_members_come_by_id_page_after_page(history: MemberHistory) -> None:
    assert await _found(history, "") == sorted(PEOPLE)
    assert await _found(history, "", limit=2) == sorted(PEOPLE)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("安", ["app:ana", "app:bo"]),
        ("app:", ["app:a%", "app:ana", "app:bo"]),
        ("ana", ["app:ana", "oa:ana", "oa:zed"]),
        ("a%", ["app:a%"]),
        ("100%", ["app:a%"]),
        ("%", []),
        ("_", []),
        ("b", ["app:bo"]),
        ("B", ["oa:ana"]),
        ("\x00", []),
    ],
)
async def test_a_prefix_finds_names_member_ids_and_user_ids_and_knows_no_wildcards(
    history: MemberHistory, prefix: str, expected: list[str]
) -> None:
    assert await _found(history, prefix) == expected
    assert await _found(history, prefix, limit=1) == expected


async def test_leavers_stay_in_the_list_with_the_instant_they_left(
    history: MemberHistory, database: Database
) -> None:
    await write_drained(database, [member_entry(100, left_at_ms="1777852900000")], [])
    page = await history.page("milk")
    assert {member.member: member.left_at_ms for member in page.items}["app:ana"] == 1_777_852_900_000
    assert len(page.items) == len(PEOPLE)


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("安娜", ["app:ana", "app:bo"]),
        ("ana", ["app:ana", "oa:ana", "oa:zed"]),
        ("oa:ana", ["oa:ana"]),
        ("安", []),
        ("", []),
    ],
)
async def test_a_person_is_found_by_the_whole_name_member_id_or_user_id(
    history: MemberHistory, who: str, expected: list[str]
) -> None:
    assert [member.member for member in await history.find("milk", who)] == expected


async def test_somebody_never_seen_is_not_found(history: MemberHistory) -> None:
    assert await history.get("milk", "app:nobody") is None
    assert await history.get("tea", "oa:zed") is None


async def test_a_stream_holds_every_member_of_the_community(history: MemberHistory) -> None:
    chunks = [chunk async for chunk in history.stream("milk")]
    assert [member.member for chunk in chunks for member in chunk] == sorted(PEOPLE)


async def test_a_cursor_of_another_list_is_refused(history: MemberHistory) -> None:
    with pytest.raises(RefusedError):
        await history.page("milk", cursor=encode_cursor(7))
