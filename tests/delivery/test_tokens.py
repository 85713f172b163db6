"""The access token, shared by all processes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bot.clock import FixedClock
from bot.delivery.client import ActiveClient, Receiver
from bot.delivery.tokens import LOCK_MS
from bot.errors import PlatformApiError, PlatformUnreachableError
from bot.model import Text
from bot.storage.redis.tokens import TokenStore, Turn
from tests.delivery.conftest import Process, Start, until
from tests.delivery.vendor import SECRET, FakeVendor, Fault

HELLO = Text("hello")


async def send(process: Process, channel: str, text: str = "hello") -> None:
    client: ActiveClient = process.app if channel == "app" else process.account
    await client.send(Receiver("ana"), Text(text))


@pytest.mark.parametrize(("channel", "call"), [("app", "gettoken"), ("oa", "stable_token")])
async def test_forty_users_in_four_processes_fetch_one_token(
    start: Start, vendor: FakeVendor, channel: str, call: str
) -> None:
    vendor.token_delay_s = 0.05
    processes = [await start() for _ in range(4)]

    await asyncio.gather(*(send(process, channel) for process in processes for _ in range(10)))

    assert vendor.calls[call] == 1
    assert vendor.calls["send"] == 40


async def test_a_token_that_ends_soon_is_refreshed_once_beside_its_use(
    start: Start, vendor: FakeVendor, clock: FixedClock
) -> None:
    processes = [await start() for _ in range(4)]
    await send(processes[0], "app")
    first = vendor.token
    vendor.token = ""  # the next call gives another one, while the first is still good
    clock.move(timedelta(seconds=7200 - 301))
    await asyncio.gather(*(send(process, "app") for process in processes))
    assert vendor.calls["gettoken"] == 1

    clock.move(timedelta(seconds=2))
    vendor.token_delay_s = 0.05
    await asyncio.gather(*(send(process, "app") for process in processes for _ in range(5)))
    assert vendor.calls["gettoken"] == 2
    assert vendor.calls["send"] == 25

    await until(lambda: vendor.token not in {"", first})
    vendor.valid.discard(first)
    await until_used(processes[0], vendor)
    assert vendor.calls["gettoken"] == 2


async def until_used(process: Process, vendor: FakeVendor) -> None:
    """The new token is stored a moment after the vendor gave it."""
    await until(lambda: not process.app._api._tokens._fetching)
    before = len(vendor.received)
    await send(process, "app")
    assert len(vendor.received) == before + 1


async def test_a_failed_refresh_leaves_the_good_token_in_use(
    process: Process, vendor: FakeVendor, clock: FixedClock
) -> None:
    await send(process, "app")
    clock.move(timedelta(seconds=7000))
    vendor.token_answer = Fault(status=500)

    with capture_logs() as logs:
        await send(process, "app")
        await until(lambda: not process.app._api._tokens._fetching)
        await send(process, "app")

    assert len(vendor.received) == 3
    assert vendor.calls["gettoken"] == 2
    assert [entry["event"] for entry in logs] == ["token_refresh_failed"]


@pytest.mark.parametrize("channel", ["app", "oa"])
async def test_a_withdrawn_token_is_replaced_once_for_all(
    start: Start, vendor: FakeVendor, channel: str
) -> None:
    processes = [await start() for _ in range(4)]
    await send(processes[0], channel)
    fetches = vendor.calls.total() - vendor.calls["send"]
    vendor.withdraw()

    await asyncio.gather(*(send(process, channel) for process in processes for _ in range(5)))

    assert len(vendor.received) == 21
    assert vendor.calls.total() - vendor.calls["send"] == fetches + 1


@pytest.mark.parametrize(
    ("channel", "errcode", "replaced"),
    [
        ("app", 40014, True),
        ("app", 42001, True),
        ("oa", 40001, True),
        ("oa", 42001, True),
        ("app", 40001, False),
        ("app", 60020, False),
        ("oa", 45015, False),
    ],
)
async def test_which_codes_ask_for_another_token(
    process: Process, vendor: FakeVendor, channel: str, errcode: int, *, replaced: bool
) -> None:
    await send(process, channel)
    vendor.faults.append(Fault(errcode=errcode))
    vendor.token = ""

    if replaced:
        await send(process, channel)
        assert len(vendor.received) == 2
    else:
        with pytest.raises(PlatformApiError) as caught:
            await send(process, channel)
        assert caught.value.errcode == errcode
    assert vendor.calls["gettoken"] + vendor.calls["stable_token"] == 1 + replaced


async def test_stable_token_is_forced_only_when_it_repeats_the_refused_one(
    process: Process, vendor: FakeVendor
) -> None:
    await send(process, "oa")
    refused = vendor.token
    vendor.valid.clear()  # the vendor still gives the same token

    await send(process, "oa")

    assert vendor.forced == 1
    assert vendor.token != refused


async def test_a_token_refused_again_and_again_is_replaced_once_per_thirty_seconds(
    start: Start, vendor: FakeVendor, clock: FixedClock
) -> None:
    processes = [await start() for _ in range(3)]
    await send(processes[0], "app")

    for second in range(60):
        vendor.faults.extend([Fault(errcode=42001)] * 6)
        results = await asyncio.gather(
            *(send(process, "app") for process in processes), return_exceptions=True
        )
        assert all(isinstance(result, PlatformApiError) and result.errcode == 42001 for result in results)
        vendor.faults.clear()
        assert vendor.calls["gettoken"] == (2 if second < 30 else 3)
        clock.move(timedelta(seconds=1))


@pytest.mark.parametrize("channel", ["app", "oa"])
async def test_a_wrong_secret_names_its_cure_and_does_not_burn_the_quota(
    start: Start, vendor: FakeVendor, clock: FixedClock, channel: str
) -> None:
    processes = [await start(secret="quite-wrong") for _ in range(3)]

    with capture_logs() as logs:
        for _ in range(600):
            results = await asyncio.gather(
                *(send(process, channel) for process in processes), return_exceptions=True
            )
            for result in results:
                assert isinstance(result, PlatformApiError)
                assert result.errcode == 40001
                assert "channel's secret" in str(result)
                assert "quite-wrong" not in str(result)
            clock.move(timedelta(seconds=1))

    assert vendor.calls.total() == 4  # after 1, 2 and 4 minutes
    assert "quite-wrong" not in str(logs)
    assert {entry["log_level"] for entry in logs} == {"error"}

    corrected = await start(secret=SECRET)
    await send(corrected, channel)


@pytest.mark.parametrize("errcode", [40013, 40125, 40164, 45009])
async def test_a_refused_fetch_waits_before_the_next(
    process: Process, vendor: FakeVendor, clock: FixedClock, errcode: int
) -> None:
    vendor.token_answer = Fault(errcode=errcode)
    for _ in range(3):
        with pytest.raises(PlatformApiError) as caught:
            await send(process, "oa")
        assert caught.value.errcode == errcode
    assert vendor.calls["stable_token"] == 1

    vendor.token_answer = None
    clock.move(timedelta(seconds=61))
    await send(process, "oa")


@pytest.mark.parametrize(
    "fault",
    [Fault(status=502), Fault(raw=b"{"), Fault(raw=b"[]"), Fault(raw=b"{}"), Fault(raw=b'{"errcode":"x"}')],
)
async def test_a_fetch_without_a_usable_answer_is_tried_again_soon(
    process: Process, vendor: FakeVendor, clock: FixedClock, fault: Fault
) -> None:
    vendor.token_answer = fault
    for _ in range(3):
        with pytest.raises(PlatformUnreachableError):
            await send(process, "app")
    assert vendor.calls["gettoken"] == 1

    vendor.token_answer = None
    clock.move(timedelta(seconds=1))
    await send(process, "app")


@pytest.mark.parametrize(
    "answer",
    [{"status": 404, "text": "no such page"}, {"text": '{"errcode":48001,"errmsg":"api unauthorized"}'}],
)
async def test_where_stable_token_is_not_served_the_older_call_is_used_and_remembered(
    start: Start, vendor: FakeVendor, clock: FixedClock, answer: dict[str, Any]
) -> None:
    vendor.no_stable_token = web.Response(**answer)
    one, other = await start(), await start()
    await send(one, "oa")
    assert (vendor.calls["stable_token"], vendor.calls["token"]) == (1, 1)

    clock.move(timedelta(seconds=7201))
    vendor.withdraw()
    await send(other, "oa")
    assert (vendor.calls["stable_token"], vendor.calls["token"]) == (1, 2)


async def test_a_fetcher_that_dies_is_followed_when_its_lock_ends(
    process: Process, clock: FixedClock, vendor: FakeVendor
) -> None:
    name = process.app._api._tokens._name
    dead = await TokenStore(process.redis, process.keys).take(
        name, "dead", clock.now_ms(), lock_ms=LOCK_MS, forced_apart_ms=30_000
    )
    assert dead.turn is Turn.FETCH

    waiting = asyncio.create_task(send(process, "app"))
    await asyncio.sleep(0.15)
    assert not waiting.done()
    assert vendor.calls.total() == 0

    clock.move(timedelta(milliseconds=LOCK_MS))
    await waiting
    late = await TokenStore(process.redis, process.keys).put(
        name, "dead", "late", expires_at_ms=clock.now_ms() + 1000, refresh_at_ms=clock.now_ms(), legacy=False
    )
    assert not late
    await send(process, "app")
    assert vendor.calls["gettoken"] == 1


async def test_a_caller_that_gives_up_does_not_take_the_fetch_with_it(
    process: Process, vendor: FakeVendor
) -> None:
    vendor.token_delay_s = 0.1
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await send(process, "app")

    await send(process, "app")

    assert vendor.calls["gettoken"] == 1


async def test_nothing_secret_stands_in_what_is_printed(process: Process, vendor: FakeVendor) -> None:
    await send(process, "app")
    token = vendor.token
    vendor.faults.append(Fault(errcode=45002))
    with pytest.raises(PlatformApiError) as refused:
        await send(process, "app")
    vendor.withdraw()
    vendor.token_answer = Fault(errcode=40013)
    with pytest.raises(PlatformApiError) as fetch:
        await send(process, "app")
    vendor.token_answer = None

    answer = await process.app._api._tokens._store.take(
        process.app._api._tokens._name, "x", 0, lock_ms=1, forced_apart_ms=1
    )
    printed = f"{refused.value!r} {fetch.value!r} {answer!r} {process.app!r}"
    assert token not in printed
    assert SECRET not in printed
