"""The sender at work, with a vendor that can fail in every way."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from redis import Redis
from structlog.testing import capture_logs

from bot.clock import FixedClock
from bot.delivery.client import Receiver
from bot.delivery.courier import Patience
from bot.delivery.routes import WECOM_APP, channel_abilities
from bot.model import Image, Text
from tests.delivery.conftest import Process, Start, delivery, from_row, until, waiting
from tests.delivery.vendor import ABILITIES, FakeVendor, Fault


async def test_a_delivery_of_several_parts_arrives_in_order(process: Process, vendor: FakeVendor) -> None:
    await process.ask_for("d1", "one", "two", Image("m"), "three")

    await process.sender.run_once()

    assert [message.kind for message in vendor.received] == ["text", "text", "image", "text"]
    assert vendor.texts("ana") == ["one", "two", "", "three"]
    assert await process.states() == {"d1": ("delivered", "")}
    assert process.outcomes == [("app", "delivered")]
    assert await waiting(process.redis, process.keys) == 0


async def test_deliveries_to_one_person_keep_their_order_over_all_processes(
    start: Start, vendor: FakeVendor, clock: FixedClock
) -> None:
    """Also when an earlier one fails and is tried again."""
    processes = [await start() for _ in range(4)]
    for number in range(24):
        await processes[0].ask_for(f"d{number}", f"{number}a", f"{number}b")
    vendor.faults.extend([Fault(errcode=-1), Fault(status=500), Fault(acted=True), Fault(errcode=45011)])

    for _ in range(40):
        await asyncio.gather(*(process.sender.run_once() for process in processes))
        clock.move(timedelta(seconds=20))

    assert vendor.texts("ana") == [f"{number}{half}" for number in range(24) for half in "ab"]


async def test_other_people_do_not_wait_for_one_that_fails(process: Process, vendor: FakeVendor) -> None:
    vendor.faults.append(Fault(errcode=-1))
    await process.ask_for("d1", "x")
    await process.sender.run_once()
    await process.ask_for("d2", "y", user_id="liwei")

    await process.sender.run_once()

    assert vendor.texts("liwei") == ["y"]
    assert vendor.texts("ana") == []


async def test_nobody_gets_more_than_the_platform_lets_through(
    start: Start, vendor: FakeVendor, clock: FixedClock
) -> None:
    """WeCom drops what is above 30 a minute without a word, so two processes wait together."""
    processes = [await start() for _ in range(2)]
    for number in range(100):
        await processes[number % 2].ask_for(f"d{number}", f"text {number}")

    for _ in range(60):
        await asyncio.gather(*(process.sender.run_once() for process in processes))
        clock.move(timedelta(seconds=5))

    assert vendor.over_rate == []
    assert vendor.texts("ana") == [f"text {number}" for number in range(100)]
    lengths = Counter((message.at_ms - vendor.received[0].at_ms) // 65_000 for message in vendor.received)
    assert lengths == {0: 30, 1: 30, 2: 30, 3: 10}


async def test_the_hourly_rate_holds_too(process: Process, clock: FixedClock) -> None:
    member, rates = "app:ana", [(30, 65_000), (1000, 3_605_000)]
    start_ms = clock.now_ms()
    sent = 0
    while True:
        leave = await process.pace.ask(member, clock.now_ms(), rates)
        if not leave.wait_until_ms:
            sent += 1
            continue
        if leave.wait_until_ms - clock.now_ms() > 65_000:
            break
        clock.move(timedelta(milliseconds=leave.wait_until_ms - clock.now_ms()))

    assert sent == 1000
    assert leave.wait_until_ms == start_ms + 3_605_000
    assert not (await process.pace.ask("app:liwei", clock.now_ms(), rates)).wait_until_ms


async def test_a_channel_makes_few_calls_at_a_time(process: Process, vendor: FakeVendor) -> None:
    for number in range(60):
        await process.ask_for(f"d{number}", "x", user_id=f"u{number}")
    vendor.hold = asyncio.Event()
    working = asyncio.create_task(process.sender.run_once())
    await until(lambda: vendor.at_once >= 16)
    vendor.hold.set()
    await working

    await process.carry_on(for_s=10, step_s=1)

    assert vendor.most_at_once == 16
    assert len(vendor.received) == 60


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(errcode=81013), "errcode_81013"),
        (Fault(errcode=40058), "errcode_40058"),
        (Fault(extra={"invaliduser": "ana"}), "invalid_user"),
    ],
)
async def test_what_can_never_arrive_is_dead_at_once_with_its_reason(
    process: Process, vendor: FakeVendor, fault: Fault, reason: str
) -> None:
    vendor.faults.append(fault)
    await process.ask_for("d1", "x")
    await process.ask_for("d2", "y")

    await process.sender.run_once()

    assert await process.states() == {"d1": ("dead", reason), "d2": ("delivered", "")}
    assert vendor.calls["send"] == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(errcode=-1), "errcode_-1"),
        (Fault(status=503), "unreachable"),
        (Fault(errcode=42001), "errcode_42001"),
    ],
)
async def test_what_fails_for_ten_minutes_is_dead_after_six_attempts(
    process: Process, vendor: FakeVendor, fault: Fault, reason: str
) -> None:
    vendor.faults.extend([fault] * 100)
    await process.ask_for("d1", "x")
    started_ms = process.clock.now_ms()

    await process.carry_on(for_s=900)

    history = await process.rows()
    assert [row["attempts"] for row in history] == ["0", "1", "2", "3", "4", "5", "5"]
    assert history[-1]["state"] == "dead"
    assert {row["reason"] for row in history[1:]} == {reason}
    assert 300_000 < int(history[-1]["updated_at_ms"]) - started_ms < 720_000
    assert process.outcomes == [("app", "retried")] * 5 + [("app", "dead")]


async def test_a_channel_without_a_way_to_send_is_listed_at_once(process: Process) -> None:
    await process.ask_for("d1", "x", channel="plain")

    await process.sender.run_once()

    assert await process.states() == {"d1": ("dead", "no_route")}
    assert process.outcomes == [("plain", "dead")]


async def test_a_part_that_the_channel_cannot_send_is_listed(
    process: Process, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts_only = replace(WECOM_APP, active_parts=frozenset({"text"}))
    monkeypatch.setitem(ABILITIES, "app", replace(channel_abilities("wecom_app"), direct=texts_only))
    await process.ask_for("d1", "one", Image("m"))

    await process.sender.run_once()

    assert await process.states() == {"d1": ("dead", "unsendable:image")}
    assert vendor.texts("ana") == ["one"]


async def test_a_delivery_that_cannot_be_read_is_listed(process: Process) -> None:
    await process.ask_for("d1", "x")
    await process.redis.call("HSET", f"{process.keys.prefix('milk')}delivery:d1", "parts", "no json")

    await process.sender.run_once()

    assert await process.states() == {"d1": ("dead", "unreadable")}


async def test_a_mistake_of_ours_stops_neither_the_others_nor_goes_on_for_ever(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = process.app.send

    async def broken(receiver: Receiver, part: Text, *, guard: bool = False) -> object:
        if receiver.user_id == "ana":
            raise KeyError("x")
        return await send(receiver, part, guard=guard)

    monkeypatch.setattr(process.app, "send", broken)
    await process.ask_for("d1", "x")
    await process.ask_for("d2", "y", user_id="liwei")

    with capture_logs() as logs:
        await process.carry_on(for_s=900)

    assert await process.states() == {"d1": ("dead", "error"), "d2": ("delivered", "")}
    assert Counter(entry["event"] for entry in logs) == {"delivery_error": 6, "delivery_dead": 1}


async def test_a_used_up_quota_makes_the_channel_wait_and_its_deliveries_live(
    start: Start, vendor: FakeVendor, clock: FixedClock
) -> None:
    process, other = await start(), await start()
    vendor.faults.extend([Fault(errcode=45009)] * 10)
    for number in range(10):
        await process.ask_for(f"d{number}", "x", user_id=f"u{number}")
    await process.sender.run_once()
    assert vendor.calls["send"] == 10

    await process.ask_for("d10", "x")
    await process.ask_for("oa", "y", channel="oa", user_id="liwei")
    for _ in range(11):
        await asyncio.gather(process.sender.run_once(), other.sender.run_once())
        clock.move(timedelta(seconds=5))
    assert vendor.calls["send"] == 11
    assert vendor.texts("liwei") == ["y"]

    for _ in range(20):
        await asyncio.gather(process.sender.run_once(), other.sender.run_once())
        clock.move(timedelta(seconds=5))
    assert set((await process.states()).values()) == {("delivered", "")}
    assert await process.pace.blocks(["app"]) == {}


async def test_an_answer_from_before_a_block_does_not_end_it(process: Process, vendor: FakeVendor) -> None:
    vendor.hold, vendor.hold_text = asyncio.Event(), "slow"
    await process.ask_for("d1", "slow")
    working = asyncio.create_task(process.sender.run_once())
    await vendor.held.wait()
    vendor.faults.append(Fault(errcode=45009))
    await process.ask_for("d2", "quick", user_id="liwei")
    await process.sender._claim_due()
    await until(lambda: ("app", "waited") in process.outcomes)

    vendor.hold.set()
    await working

    assert ("app", "delivered") in process.outcomes
    assert (await process.pace.blocks(["app"]))["app"].until_ms == process.clock.now_ms() + 60_000


async def test_a_missing_right_shows_while_it_waits_and_is_made_good_by_itself(
    process: Process, vendor: FakeVendor
) -> None:
    vendor.faults.extend([Fault(errcode=60020)] * 3)
    await process.ask_for("d1", "x")

    await process.sender.run_once()
    assert await process.states() == {"d1": ("queued", "errcode_60020")}

    await process.carry_on(for_s=600)
    assert await process.states() == {"d1": ("delivered", "")}
    assert (await process.rows())[-1]["attempts"] == "0"


async def test_who_waits_for_a_blocked_channel_for_hours_is_listed(
    process: Process, vendor: FakeVendor
) -> None:
    vendor.faults.extend([Fault(errcode=60020)] * 1000)
    for number in range(3):
        await process.ask_for(f"d{number}", "x", user_id=f"u{number}")

    await process.carry_on(for_s=3 * 3600, step_s=60)

    assert set((await process.states()).values()) == {("dead", "errcode_60020")}
    assert vendor.calls["send"] < 60


async def test_a_resent_delivery_continues_where_it_died(process: Process, vendor: FakeVendor) -> None:
    await process.ask_for("d1", "one", "two", "three")
    vendor.faults.extend([Fault(acted=True), Fault(errcode=301002)])
    await process.sender.run_once()
    row = (await process.rows())[-1]
    assert (row["state"], row["next_part"]) == ("dead", "1")

    process.clock.move(timedelta(days=2))
    assert await process.deliveries.resend(from_row(row), process.clock.now_ms())
    await process.sender.run_once()

    assert vendor.texts("ana") == ["one", "two", "three"]
    assert await process.states() == {"d1": ("delivered", "")}


async def test_the_same_words_twice_are_two_messages_but_a_lost_answer_is_not(
    process: Process, vendor: FakeVendor
) -> None:
    """The platform compares contents: asked always, it would drop a second equal answer without a word."""
    vendor.faults.append(Fault(drop=True, acted=True))  # delivered, but we never hear of it
    for number in range(3):
        await process.ask_for(f"d{number}", "签到成功！")

    await process.carry_on(for_s=60)

    assert vendor.texts("ana") == ["签到成功！"] * 3
    assert len(vendor.duplicates) == 1


async def test_stopping_finishes_the_part_under_way_and_gives_the_rest_back(
    start: Start, vendor: FakeVendor
) -> None:
    one, other = await start(), await start()
    await one.ask_for("d1", "one", "two")
    vendor.hold = asyncio.Event()
    stop = asyncio.Event()
    running = asyncio.create_task(one.sender.run(stop))
    await vendor.held.wait()

    stop.set()
    vendor.hold.set()
    await running
    assert vendor.texts("ana") == ["one"]

    await other.sender.run_once()  # without waiting for a lease to end
    assert vendor.texts("ana") == ["one", "two"]


async def test_new_work_is_found_soon(process: Process, vendor: FakeVendor) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(process.sender.run(stop))
    await asyncio.sleep(0)
    await process.ask_for("d1", "one")

    await until(lambda: vendor.texts("ana") == ["one"])

    stop.set()
    await running


async def test_the_sender_outlives_an_absent_store(
    process: Process, vendor: FakeVendor, redis_url: str
) -> None:
    if redis_url.startswith("redis+cluster"):
        pytest.skip("cuts every connection of one server; a cluster has several")
    await process.deliveries.create(delivery("d1", "one"), process.clock.now_ms() + 1000)
    stop = asyncio.Event()
    running = asyncio.create_task(process.sender.run(stop))
    with capture_logs() as logs, Redis.from_url(redis_url) as server:
        while not logs:  # a connection that breaks between two questions is only opened anew
            server.execute_command("CLIENT", "KILL", "TYPE", "normal")
            await asyncio.sleep(0)
        process.clock.move(timedelta(seconds=1))
        await until(lambda: vendor.texts("ana") == ["one"])

    stop.set()
    await running
    assert {entry["event"] for entry in logs} == {"deliveries_wait"}


async def test_a_dead_sender_s_delivery_goes_on_when_its_lease_ends(
    start: Start, vendor: FakeVendor, clock: FixedClock
) -> None:
    """It died after the platform took part two and before we recorded it: on WeCom no part comes twice."""
    dies, lives = await start(), await start()
    await dies.ask_for("d1", "one", "two", "three")
    await dies.ask_for("d2", "four")
    vendor.hold, vendor.hold_text = asyncio.Event(), "two"
    working = asyncio.create_task(dies.sender.run_once())
    await vendor.held.wait()
    working.cancel()  # and with it what it waits for; nothing is written on the way out
    await asyncio.gather(working, return_exceptions=True)
    vendor.hold.set()

    await lives.sender.run_once()
    assert vendor.texts("ana") == ["one", "two"]
    clock.move(timedelta(milliseconds=Patience().lease_ms))
    await lives.sender.run_once()

    assert vendor.texts("ana") == ["one", "two", "three", "four"]
    assert len(vendor.duplicates) == 1
