"""What nobody asked for: useful until, quiet hours, caps, opt-outs; and answers, which none of it binds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.clock import FixedClock, from_ms, to_ms
from bot.communities import Communities
from bot.delivery.decency import DecencyGate, quiet_until
from bot.delivery.routes import channel_abilities
from bot.delivery.sender import Sender
from bot.model import Community, DecencyRules
from bot.storage.redis.decency import EVERYBODY, DecencyStore, group_receiver
from bot.storage.redis.deliveries import Delivery
from tests.delivery.conftest import COMMUNITY, Process, delivery, from_row, until, waiting
from tests.delivery.vendor import ABILITIES, FakeVendor, Fault

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR_MS = 3_600_000


@pytest.fixture
def rules() -> DecencyRules:
    return DecencyRules(quiet_hours=("22:00-08:00",), member_per_day=2, group_per_day=1)


@pytest.fixture
def process(process: Process, rules: DecencyRules) -> Process:
    """A process whose community has rules; at noon UTC, which is 20:00 there."""
    community = Community(id=COMMUNITY, name="鲜奶", channels=("app",), zone=SHANGHAI, decency=rules)
    store = DecencyStore(process.redis, process.keys, event_memory_ms=HOUR_MS)
    process.sender = Sender(
        process.deliveries,
        process.pace,
        {"app": process.app, "oa": process.account},
        ABILITIES,
        process.clock,
        decency=DecencyGate(store, Communities([community])),
        on_outcome=lambda channel, outcome: process.outcomes.append((channel, outcome)),
    )
    return process


@pytest.fixture
def store(process: Process) -> DecencyStore:
    return DecencyStore(process.redis, process.keys, event_memory_ms=HOUR_MS)


def unasked(id_: str, *parts: str, user_id: str = "ana", group_id: str = "", useful_ms: int = 0) -> Delivery:
    new = delivery(id_, *(parts or (id_,)), user_id="" if group_id else user_id)
    return replace(
        new,
        feature="raffle",
        group_id=group_id,
        member="" if group_id else new.member,
        useful_until_ms=useful_ms,
    )


async def ask_for(process: Process, *new: Delivery) -> None:
    for one in new:
        assert await process.deliveries.create(one, process.clock.now_ms())


def at(clock: str, day: int = 2) -> int:
    """Return an instant of March by the community's clock."""
    hour, minute = map(int, clock.split(":"))
    return to_ms(datetime(2026, 3, day, hour, minute, tzinfo=SHANGHAI))


# ---------------------------------------------------------------- useful until


async def test_what_is_no_longer_useful_is_not_sent_but_listed(process: Process, vendor: FakeVendor) -> None:
    new = replace(delivery("d1", "x"), useful_until_ms=process.clock.now_ms() + 1000)
    await ask_for(process, new)
    process.clock.move(timedelta(seconds=1))
    await process.sender.run_once()
    assert await process.states() == {"d1": ("dead", "too_late")}
    assert vendor.received == []


async def test_a_wait_that_would_end_too_late_ends_it_at_once(process: Process, vendor: FakeVendor) -> None:
    """By a retry, a blocked channel, a used-up rate; the parts sent are kept."""
    soon_ms = process.clock.now_ms() + 3000
    vendor.faults.extend([Fault(acted=True), Fault(errcode=-1)])
    await ask_for(process, replace(delivery("retry", "1", "2"), useful_until_ms=soon_ms))
    await process.sender.run_once()
    assert (await process.states())["retry"] == ("dead", "too_late")
    assert (await process.rows())[-1]["next_part"] == "1"

    await process.pace.block("app", "errcode_45009", process.clock.now_ms(), 60_000, 60_000)
    await ask_for(process, replace(delivery("blocked", "x"), useful_until_ms=soon_ms))
    await process.sender.run_once()
    assert (await process.states())["blocked"] == ("dead", "too_late")
    await process.pace.unblock("app")

    for number in range(31):
        useful_ms = soon_ms if number == 30 else 0
        await ask_for(
            process, replace(delivery(f"d{number}", "x", user_id="liwei"), useful_until_ms=useful_ms)
        )
    await process.sender.run_once()
    assert (await process.states())["d30"] == ("dead", "too_late")
    assert len(vendor.texts("liwei")) == 30


async def test_what_waits_behind_another_is_listed_when_it_is_too_late(
    process: Process, vendor: FakeVendor
) -> None:
    vendor.faults.extend([Fault(errcode=-1)] * 4)
    await ask_for(process, delivery("first", "1"))
    await ask_for(process, replace(delivery("second", "2"), useful_until_ms=process.clock.now_ms() + 60_000))
    await ask_for(process, delivery("third", "3"))
    await process.carry_on(for_s=65)
    assert (await process.states())["first"][0] == "queued"
    assert (await process.states())["second"] == ("dead", "too_late")
    await process.carry_on(for_s=300)
    assert vendor.texts("ana") == ["1", "3"]
    assert await waiting(process.redis, process.keys) == 0


async def test_what_waits_for_a_connection_that_nobody_holds_is_listed_when_it_is_too_late(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ABILITIES, "bot", channel_abilities("wecom_aibot", long_connection=True))
    for number in range(2):
        new = replace(
            delivery(f"d{number}", "x", channel="bot"),
            route="connection",
            useful_until_ms=process.clock.now_ms() + 10_000,
        )
        await ask_for(process, new)
    await process.carry_on(for_s=9, step_s=3)
    assert set((await process.states()).values()) == {("queued", "")}
    process.clock.move(timedelta(seconds=1))
    await process.sender.run_once()
    assert set((await process.states()).values()) == {("dead", "too_late")}


async def test_what_is_due_later_waits_and_holds_nothing_back(process: Process, vendor: FakeVendor) -> None:
    later_ms = process.clock.now_ms() + HOUR_MS
    planned = replace(unasked("planned"), not_before_ms=later_ms, created_at_ms=process.clock.now_ms())
    assert await process.deliveries.create(planned, later_ms)
    await ask_for(process, unasked("now"))
    await process.sender.run_once()
    assert vendor.texts("ana") == ["now"]
    process.clock.move(timedelta(hours=1))
    await process.sender.run_once()
    assert vendor.texts("ana") == ["now", "planned"]


# ---------------------------------------------------------------- quiet hours


async def test_what_nobody_asked_for_waits_for_the_morning_and_answers_do_not(
    process: Process, vendor: FakeVendor
) -> None:
    process.clock.set(from_ms(at("22:00")))
    await ask_for(process, unasked("notice"), delivery("answer", "answer"))
    await process.sender.run_once()
    assert vendor.texts("ana") == ["answer"]

    process.clock.set(from_ms(at("07:59", day=3)))
    await process.sender.run_once()
    assert vendor.texts("ana") == ["answer"]
    process.clock.set(from_ms(at("08:00", day=3)))
    await process.sender.run_once()
    assert vendor.texts("ana") == ["answer", "notice"]


async def test_what_is_useless_in_the_morning_is_listed_at_night(process: Process) -> None:
    process.clock.set(from_ms(at("23:30")))
    await ask_for(
        process,
        unasked("early", useful_ms=at("07:59", day=3)),
        unasked("late", user_id="liwei", useful_ms=at("08:01", day=3)),
    )
    await process.sender.run_once()
    assert await process.states() == {"early": ("dead", "quiet_hours"), "late": ("queued", "")}


@pytest.mark.parametrize(
    ("spans", "zone", "moment", "ends"),
    [
        (("22:00-08:00",), "Asia/Shanghai", "2026-03-02T21:59:59+08:00", ""),
        (("22:00-08:00",), "Asia/Shanghai", "2026-03-02T22:00:00+08:00", "2026-03-03T08:00:00+08:00"),
        (("22:00-08:00",), "Asia/Shanghai", "2026-03-03T07:59:59+08:00", "2026-03-03T08:00:00+08:00"),
        (("12:00-14:00",), "Asia/Shanghai", "2026-03-02T13:00:00+08:00", "2026-03-02T14:00:00+08:00"),
        (("12:00-14:00", "14:00-15:30"), "UTC", "2026-03-02T12:30:00+00:00", "2026-03-02T15:30:00+00:00"),
        (("22:00-00:00",), "UTC", "2026-03-02T23:00:00+00:00", "2026-03-03T00:00:00+00:00"),
        ((), "UTC", "2026-03-02T23:00:00+00:00", ""),
        # The clock jumps from 2 to 3, and back from 3 to 2.
        (("22:00-02:30",), "Europe/Berlin", "2026-03-29T00:30:00+01:00", "2026-03-29T01:30:00+00:00"),
        (("22:00-08:00",), "Europe/Berlin", "2026-10-25T02:30:00+01:00", "2026-10-25T08:00:00+01:00"),
        (("01:00-02:15",), "Europe/Berlin", "2026-10-25T02:10:00+01:00", "2026-10-25T02:15:00+01:00"),
    ],
)
def test_quiet_hours_end_by_the_wall_clock(spans: tuple[str, ...], zone: str, moment: str, ends: str) -> None:
    until_ms = quiet_until(spans, ZoneInfo(zone), to_ms(datetime.fromisoformat(moment)))
    assert until_ms == (to_ms(datetime.fromisoformat(ends)) if ends else 0)


def test_hours_that_are_always_quiet_never_end() -> None:
    spans = ("00:00-12:00", "12:00-00:00")
    assert quiet_until(spans, ZoneInfo("UTC"), to_ms(datetime(2026, 3, 2, tzinfo=UTC))) == -1


# ---------------------------------------------------------------- caps


async def test_a_member_gets_so_many_a_day_and_a_group_too_over_all_features(
    process: Process, vendor: FakeVendor
) -> None:
    vendor.chats["g"] = {"chatid": "g", "userlist": ["ana"]}
    await ask_for(process, *(replace(unasked(f"m{n}"), feature=f"f{n}") for n in range(3)))
    await ask_for(process, *(unasked(f"g{n}", group_id="g") for n in range(2)))
    await ask_for(process, unasked("other", user_id="liwei"), delivery("answer", "answer"))
    await process.sender.run_once()
    states = await process.states()
    assert [states[name] for name in ("m0", "m1", "m2")] == [("delivered", "")] * 2 + [("dead", "capped")]
    assert [states[name] for name in ("g0", "g1")] == [("delivered", ""), ("dead", "capped")]
    assert sorted(vendor.texts("ana")) == ["answer", "m0", "m1"]
    assert vendor.texts("liwei") == ["other"]

    process.clock.set(from_ms(at("08:00", day=3)))
    await ask_for(process, unasked("tomorrow"))
    await process.sender.run_once()
    assert (await process.states())["tomorrow"] == ("delivered", "")


async def test_a_delivery_counts_once_however_often_it_is_tried(process: Process, vendor: FakeVendor) -> None:
    vendor.faults.extend([Fault(errcode=-1)] * 4)
    await ask_for(process, unasked("d1", "1", "2"), unasked("d2"))
    await process.carry_on(for_s=400)
    assert set((await process.states()).values()) == {("delivered", "")}


async def test_processes_that_ask_at_once_count_together(process: Process, store: DecencyStore) -> None:
    day = Communities([Community(id=COMMUNITY, name="", channels=(), zone=SHANGHAI)])
    community = next(iter(day))
    today = day.calendar(community).day_of(process.clock.now_ms())
    new = [unasked(f"d{number}") for number in range(20)]
    await asyncio.gather(*(process.deliveries.create(one, 1) for one in new))
    words = await asyncio.gather(*(store.admit(one, today, 5) for one in new for _ in range(2)))
    assert [str(word) for word in words].count("go") == 10  # five deliveries, each asked about twice


# ---------------------------------------------------------------- opt-outs


async def test_who_opted_out_gets_answers_only_until_they_opt_in(
    process: Process, vendor: FakeVendor, store: DecencyStore
) -> None:
    async def wish(receiver: str, cause: str, *, opted_out: bool) -> None:
        await store.put_wish(
            COMMUNITY, receiver, opted_out=opted_out, cause=cause, at_ms=1, operator="app:ana"
        )

    await wish("app:ana", "e1", opted_out=True)
    await wish(group_receiver("app", "g"), "e2", opted_out=True)
    await ask_for(process, unasked("m"), unasked("g", group_id="g"), delivery("answer", "answer"))
    await process.sender.run_once()
    states = await process.states()
    assert states["m"] == states["g"] == ("dead", "opted_out")
    assert vendor.texts("ana") == ["answer"]

    await wish("app:ana", "e3", opted_out=False)
    await wish("app:ana", "e1", opted_out=True)  # the first event comes again
    await ask_for(process, unasked("again"))
    await process.sender.run_once()
    assert vendor.texts("ana") == ["answer", "again"]

    await wish(EVERYBODY, "e4", opted_out=True)
    await ask_for(process, unasked("all"))
    await process.sender.run_once()
    assert (await process.states())["all"] == ("dead", "opted_out")


async def test_a_resend_still_honours_who_opted_out(process: Process, store: DecencyStore) -> None:
    for number in range(3):
        await ask_for(process, unasked(f"m{number}"))
    await process.sender.run_once()
    (capped,) = [row for row in await process.rows() if row["reason"] == "capped"]
    process.clock.set(from_ms(at("09:00", day=3)))
    await store.put_wish(COMMUNITY, "app:ana", opted_out=True, cause="e", at_ms=1, operator="app:ana")
    assert await process.deliveries.resend(from_row(capped), process.clock.now_ms())
    await process.sender.run_once()
    assert (await process.states())["m2"] == ("dead", "opted_out")

    await store.put_wish(COMMUNITY, "app:ana", opted_out=False, cause="f", at_ms=1, operator="app:ana")
    dead = (await process.rows())[-1]
    assert await process.deliveries.resend(from_row(dead), process.clock.now_ms())
    await process.sender.run_once()
    assert (await process.states())["m2"] == ("delivered", "")


# ---------------------------------------------------------------- at once


async def test_a_process_that_created_a_delivery_sends_it_at_once(
    process: Process, vendor: FakeVendor, clock: FixedClock
) -> None:
    slow = Sender(process.deliveries, process.pace, {"app": process.app}, ABILITIES, clock, poll_s=60)
    stop = asyncio.Event()
    running = asyncio.create_task(slow.run(stop))
    await asyncio.sleep(0)
    await ask_for(process, delivery("d1", "1"), delivery("d2", "2"), delivery("d3", "3"))
    slow.wake(COMMUNITY)
    await until(lambda: vendor.texts("ana") == ["1", "2", "3"])
    stop.set()
    await running
