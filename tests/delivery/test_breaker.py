"""A channel that failed as a whole: when its block is over, one part goes first and finds out."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from bot.clock import FixedClock
from bot.storage.redis.pacing import PROBE_MS, Word
from tests.delivery.conftest import Start, until
from tests.delivery.vendor import FakeVendor, Fault

MINUTE = timedelta(seconds=61)


async def test_one_probe_of_four_processes_goes_first_and_its_success_lets_the_others_go(
    start: Start, vendor: FakeVendor, clock: FixedClock
) -> None:
    processes = [await start() for _ in range(4)]
    vendor.faults.append(Fault(errcode=45009))
    await processes[0].ask_for("d0", "x", user_id="u0")
    await processes[0].sender.run_once()
    for number in range(1, 40):
        await processes[number % 4].ask_for(f"d{number}", "x", user_id=f"u{number}")
    clock.move(MINUTE)
    vendor.hold = asyncio.Event()
    working = asyncio.gather(*(process.sender.run_once() for process in processes))
    await until(lambda: sum(outcome == "waited" for p in processes for _, outcome in p.outcomes) >= 39)
    await vendor.held.wait()
    assert vendor.calls["send"] == 2  # the first failure, and the one probe

    vendor.hold.set()
    await working
    assert len(vendor.received) == 1
    for _ in range(4):  # a process makes sixteen calls at a time
        clock.move(timedelta(seconds=2))
        await asyncio.gather(*(process.sender.run_once() for process in processes))

    assert len(vendor.received) == 40
    assert await processes[0].pace.blocks(["app"]) == {}


async def test_a_probe_that_fails_doubles_the_block_for_all(
    start: Start, vendor: FakeVendor, clock: FixedClock
) -> None:
    processes = [await start() for _ in range(4)]
    vendor.faults.extend([Fault(errcode=45009)] * 3)
    await processes[0].ask_for("d0", "x", user_id="u0")
    await processes[0].sender.run_once()
    for number in range(1, 40):
        await processes[number % 4].ask_for(f"d{number}", "x", user_id=f"u{number}")
    for length_s in (60, 120):
        until_ms = (await processes[0].pace.blocks(["app"]))["app"].until_ms
        assert until_ms - clock.now_ms() == length_s * 1000
        sent = vendor.calls["send"]
        clock.move(timedelta(seconds=length_s + 1))
        await asyncio.gather(*(process.sender.run_once() for process in processes))
        assert vendor.calls["send"] == sent + 1


async def test_a_refusal_that_is_about_the_receiver_alone_ends_the_block(
    start: Start, vendor: FakeVendor, clock: FixedClock
) -> None:
    process = await start()
    vendor.faults.extend([Fault(errcode=45009), Fault(errcode=81013)])
    await process.ask_for("d0", "x")
    await process.sender.run_once()
    clock.move(MINUTE)
    await process.sender.run_once()
    assert await process.states() == {"d0": ("dead", "errcode_81013")}
    assert await process.pace.blocks(["app"]) == {}


async def test_a_probe_that_dies_is_followed_by_another(start: Start, clock: FixedClock) -> None:
    pace = (await start()).pace
    now_ms = clock.now_ms()
    ends_ms = await pace.block("app", "errcode_45009", now_ms, 1000, 1000)
    assert (await pace.ask("app:a", now_ms, [])).word is Word.BLOCKED
    words = [(await pace.ask(f"app:{who}", ends_ms, [])).word for who in "abc"]
    assert words == [Word.PROBE, Word.PROBED, Word.PROBED]
    assert (await pace.ask("app:b", ends_ms + PROBE_MS, [])).word is Word.PROBE
