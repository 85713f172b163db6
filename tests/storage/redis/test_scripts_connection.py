from __future__ import annotations

from bot.storage.redis.leases import ConnectionLeases, ConnectionState, ConnectionStatus
from tests.storage.live import NOW_MS, Live, at_once
from tests.storage.scene import equals, until

LONG_MS = 60_000


def _of(live: Live, owner: str) -> ConnectionLeases:
    return ConnectionLeases(live.redis, live.keys, owner=owner, holder=f"host:{owner}")


async def test_of_fifty_who_ask_at_once_one_has_the_right(processes: list[Live]) -> None:
    asked = [_of(processes[number % 4], str(number)).take("bot", LONG_MS) for number in range(50)]
    held = [tenure for tenure in await at_once(asked) if tenure is not None]
    assert [tenure.fence for tenure in held] == [1]


async def test_channels_have_rights_of_their_own(live: Live) -> None:
    assert await _of(live, "a").take("bot", LONG_MS)
    assert await _of(live, "b").take("other", LONG_MS)


async def test_the_right_is_renewed_by_its_holder_alone_and_never_taken_by_renewing(live: Live) -> None:
    first, second = _of(live, "a"), _of(live, "b")
    tenure = await first.take("bot", LONG_MS)
    assert tenure is not None
    assert await first.renew("bot", tenure.fence, LONG_MS)
    assert not await second.renew("bot", tenure.fence, LONG_MS)
    assert await first.give_back("bot", tenure.fence, NOW_MS)
    assert not await first.renew("bot", tenure.fence, LONG_MS)


async def test_who_slept_through_the_end_can_neither_renew_nor_write_nor_give_back(live: Live) -> None:
    first, second = _of(live, "a"), _of(live, "b")
    old = await first.take("bot", 1)
    assert old is not None
    await until(lambda: equals(_taken(second), 1))
    assert not await first.renew("bot", old.fence, LONG_MS)
    assert not await first.note("bot", old.fence, ConnectionState.KICKED, NOW_MS, kicks=9)
    assert not await first.give_back("bot", old.fence, NOW_MS)
    known = await ConnectionStatus(live.redis, live.keys).read("bot")
    assert (known.holder, known.kicks) == ("host:b", 0)


async def _taken(leases: ConnectionLeases) -> int:
    tenure = await leases.take("bot", LONG_MS)
    if tenure is None:
        return 0
    await leases.note("bot", tenure.fence, ConnectionState.CONNECTING, NOW_MS)
    return 1


async def test_an_earlier_tenure_of_the_same_process_is_over_too(live: Live) -> None:
    leases = _of(live, "a")
    first = await leases.take("bot", LONG_MS)
    assert first is not None
    await leases.give_back("bot", first.fence, NOW_MS)
    second = await leases.take("bot", LONG_MS)
    assert second is not None
    assert second.fence == first.fence + 1
    assert not await leases.renew("bot", first.fence, LONG_MS)


async def test_what_a_kick_taught_one_holder_binds_the_next_and_a_failure_does_not(live: Live) -> None:
    first, second = _of(live, "a"), _of(live, "b")
    tenure = await first.take("bot", LONG_MS)
    assert tenure is not None
    await first.note(
        "bot",
        tenure.fence,
        ConnectionState.KICKED,
        NOW_MS,
        error="kicked",
        kicks=2,
        not_before_ms=NOW_MS + 10,
    )
    await first.note("bot", tenure.fence, ConnectionState.WAITING, NOW_MS, not_before_ms=NOW_MS + 99)
    known = await ConnectionStatus(live.redis, live.keys).read("bot")
    assert (known.state, known.error, known.kicks, known.not_before_ms) == (
        ConnectionState.WAITING, "kicked", 2, NOW_MS + 99,
    )  # fmt: skip
    await first.give_back("bot", tenure.fence, NOW_MS)
    after = await second.take("bot", LONG_MS)
    assert after is not None
    assert (after.kicks, after.kicked_until_ms) == (2, NOW_MS + 10)


async def test_a_connection_that_was_never_held_or_whose_holder_died_is_not_held(live: Live) -> None:
    status = ConnectionStatus(live.redis, live.keys)
    assert (await status.read("bot")).state is ConnectionState.NONE
    tenure = await _of(live, "a").take("bot", 50)
    assert tenure is not None
    await _of(live, "a").note("bot", tenure.fence, ConnectionState.CONNECTED, NOW_MS)

    async def held() -> bool:
        return (await status.read("bot")).state is ConnectionState.NONE

    await until(held)
    known = await status.read("bot")
    assert (known.holder, known.since_ms) == ("", NOW_MS)
