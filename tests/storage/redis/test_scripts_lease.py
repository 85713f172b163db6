from __future__ import annotations

from bot.storage.redis.keys import Keys
from tests.storage.live import Live, at_once
from tests.storage.scene import equals, until

LEASE = Keys.shared("lease", "test")


async def _ask(live: Live, owner: str, length_ms: int = 5000) -> int:
    held: int = await live.redis.script("lease", [LEASE], [owner, length_ms])
    return held


async def test_of_fifty_who_ask_at_once_one_holds_the_lease(processes: list[Live]) -> None:
    held = await at_once(_ask(processes[number % 4], f"p{number}") for number in range(50))
    assert held.count(1) == 1


async def test_the_holder_renews_and_others_wait_until_it_ends(live: Live) -> None:
    assert [await _ask(live, "a"), await _ask(live, "b"), await _ask(live, "a")] == [1, 0, 1]
    assert await _ask(live, "a", 1) == 1
    await until(lambda: equals(_ask(live, "b"), 1))
    assert await _ask(live, "a") == 0
