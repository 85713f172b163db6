from __future__ import annotations

import pytest

from bot.storage.redis.key_scan import scan_board, scan_store
from bot.storage.redis.keys import Keys
from tests.storage.live import Live, at_once


async def test_a_scan_finds_every_key_and_no_other(live: Live) -> None:
    wanted = {live.keys.key("member", f"c{number % 40}", f"app:用户:{number}") for number in range(2500)}
    others = [live.keys.key("check_in", f"c{number}", "app:x") for number in range(100)]
    await at_once(live.redis.call("HSET", name, "points", 1) for name in (*wanted, *others))
    found = [name async for names in live.redis.scan(live.keys.pattern("member:")) for name in names]
    assert set(found) == wanted


async def test_a_store_is_gone_through_by_community(live: Live) -> None:
    members = {f"app:u{number}" for number in range(1200)}
    for community in ("milk", "tea", "gone"):
        await at_once(
            live.redis.call("HSET", live.keys.key("member", community, member), "points", 1)
            for member in members
        )
    found: dict[str, set[str]] = {}
    async for community, chunk in scan_store(live.redis, live.keys, "member", {"milk", "tea"}):
        assert len(chunk) <= 500
        found.setdefault(community, set()).update(chunk)
    assert found == {"milk": members, "tea": members}


async def test_a_ranking_is_gone_through_to_its_end(live: Live) -> None:
    board = live.keys.key("board", "milk", "all")
    members = {f"app:u{number}" for number in range(1500)}
    await at_once(live.redis.call("ZADD", board, 1, member) for member in members)
    found = {member async for chunk in scan_board(live.redis, board) for member in chunk}
    assert found == members
    assert [chunk async for chunk in scan_board(live.redis, f"{board}:none")] == []


@pytest.mark.parametrize(
    "key", ["hq:{g}:lease:drain", "other", "hq:{s00}:outbox", "hq:{s99}:member:milk:app:x"]
)
def test_a_key_of_no_community_is_told_apart(key: str) -> None:
    assert Keys(8).find(key) == ("", "")


def test_a_key_is_found_back_from_its_name() -> None:
    keys = Keys(8)
    assert keys.find(keys.key("day", "milk", "-", "app:a:b", "2026-05-20")) == (
        "milk",
        "-:app:a:b:2026-05-20",
    )
    assert keys.find(Keys(7).key("member", "milk", "app:x")) == ("", "")
