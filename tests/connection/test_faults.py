"""The platform closes, is silent, kicks, refuses, repeats itself, sends what nobody understands."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import pytest

from bot.connection.answer_to import AnswerTo, Kind
from bot.errors import StoreUnavailableError
from bot.model import CardUpdate, File, TemplateCard, Text
from bot.storage.redis.deliveries import encode_parts
from bot.storage.redis.inbox import Inbox, Taken
from bot.storage.redis.leases import ConnectionState
from tests.connection.conftest import CHANNEL, QUICK, Start
from tests.connection.platform import SECRET, AibotPlatform
from tests.connection.test_talk import delivery, kept, until_counted

KICK_S = QUICK.patience.kick_s[0]


async def test_a_connection_that_the_platform_closes_is_opened_again(
    start: Start, platform: AibotPlatform
) -> None:
    process = await start()
    for number in range(1, 4):
        wire = await platform.connected(number)
        await platform.say("ana", f"说 {number}")
        await platform.shown("ana", number)
        await wire.socket.close()
    await platform.connected(4)
    assert await platform.shown("ana", 3) == ["好的 1", "好的 2", "好的 3"]
    assert 'huoqun_connection_ends_total{cause="broken",channel="bot"} 3.0' in process.figures
    assert "closed by the platform" in (await process.until_state(ConnectionState.CONNECTED)).error


async def test_a_message_that_comes_again_over_the_next_connection_is_not_answered_twice(
    start: Start, platform: AibotPlatform
) -> None:
    process = await start()
    wire = await platform.connected()
    msgid = await platform.say("ana", "说 一次", req_id="r-1")
    await platform.shown("ana")
    await platform.say("ana", "说 一次", msgid=msgid, req_id="r-2")
    await wire.socket.close()
    await platform.connected(2)
    await platform.say("ana", "说 一次", msgid=msgid, req_id="r-3")
    await platform.say("ana", "说 完")
    assert await platform.shown("ana", 2) == ["好的 一次", "好的 完"]
    assert process.gates.begun == ["一次", "完"]
    assert 'outcome="repeated"} 2.0' in process.figures


async def test_a_silent_platform_is_noticed_by_its_pings_and_left(
    start: Start, platform: AibotPlatform
) -> None:
    process = await start()
    await platform.connected()
    platform.faults.mute.add("ping")
    await platform.until(lambda: len(platform.wires) == 2, "another connection")
    assert len([frame for frame in platform.wires[0].frames if frame["cmd"] == "ping"]) == 2
    platform.faults.mute.clear()
    await platform.connected(2)
    assert (await process.until_state(ConnectionState.CONNECTED)).error == "two pings without answer"


async def test_an_answer_whose_acknowledgement_is_lost_is_sent_again_and_stands_once(
    start: Start, platform: AibotPlatform
) -> None:
    await start()
    await platform.connected()
    platform.faults.mute.add("aibot_respond_msg")
    await platform.say("ana", "说 你好")
    await platform.connected(2)
    platform.faults.mute.clear()
    await platform.until(lambda: len(platform.wires[-1].frames) > 1, "the answer again")
    await platform.say("bo", "说 完")
    await platform.shown("bo")
    assert [(one.text, one.finished) for one in platform.chats["ana"]] == [("好的 你好", True)]
    assert len(platform.sent("aibot_respond_msg")) >= 3


async def test_an_answer_that_got_lost_on_its_way_is_sent_again(
    start: Start, platform: AibotPlatform
) -> None:
    await start()
    await platform.connected()
    platform.faults.deaf.add("aibot_respond_msg")
    await platform.say("ana", "说 你好")
    await platform.connected(2)
    platform.faults.deaf.clear()
    assert await platform.shown("ana") == ["好的 你好"]


async def test_after_a_kick_the_holder_waits_and_doubles_and_no_other_process_comes_in_its_place(
    start: Start, platform: AibotPlatform
) -> None:
    process, _ = await start(), await start()
    waits_s = []
    for number in range(1, 4):
        await platform.connected(number)
        kicked_s = time.monotonic()
        await platform.kick()
        if number < 3:
            await platform.connected(number + 1)
            waits_s.append(platform.subscribed_at_s[-1] - kicked_s)
    known = await process.until_state(ConnectionState.KICKED)
    assert known.kicks == 3
    assert known.error == "another client subscribed with this bot id"
    assert waits_s[0] >= KICK_S
    assert waits_s[1] >= 2 * KICK_S
    assert 4 * KICK_S <= (known.not_before_ms - known.since_ms) / 1000 <= 4.5 * KICK_S


async def test_who_takes_over_from_a_kicked_holder_waits_as_long(
    start: Start, platform: AibotPlatform
) -> None:
    first = await start()
    await platform.connected()
    await start()
    await platform.kick()
    kicked_s = time.monotonic()
    await first.until_state(ConnectionState.KICKED)
    await first.stop()
    await platform.connected(2)
    assert platform.subscribed_at_s[1] - kicked_s >= KICK_S
    assert platform.kicks == 1


async def test_a_wrong_secret_is_shown_and_tried_again_slowly(
    start: Start, platform: AibotPlatform, capfd: pytest.CaptureFixture[str]
) -> None:
    process = await start(secret="not-the-secret")
    known = await process.until_state(ConnectionState.REFUSED)
    assert "errcode 853000" in known.error
    await platform.until(lambda: len(platform.asked_at_s) == 3, "three attempts")
    for before, after in pairwise(platform.asked_at_s):
        assert after - before >= QUICK.patience.refused_s[0] / 2
    assert "not-the-secret" not in "".join(capfd.readouterr()) + repr(known)


async def test_a_new_start_with_the_right_secret_does_not_wait_for_the_old_one(
    start: Start, platform: AibotPlatform
) -> None:
    slow = replace(QUICK, patience=replace(QUICK.patience, refused_s=(60.0, 600.0)))
    process = await start(secret="not-the-secret", rhythm=slow)
    await process.until_state(ConnectionState.REFUSED)
    await process.stop()
    await start(secret=SECRET)
    await platform.connected()


async def test_a_busy_platform_is_asked_again_with_growing_pauses(
    start: Start, platform: AibotPlatform
) -> None:
    platform.faults.errcodes["aibot_subscribe"] = [-1, 45009, -1, -1]
    process = await start()
    await platform.connected()
    assert len(platform.sent("aibot_subscribe")) == 5
    assert 'cause="broken",channel="bot"} 4.0' in process.figures


async def test_a_holder_that_cannot_reach_the_platform_lets_another_try(
    start: Start, platform: AibotPlatform
) -> None:
    lost = await start(ws_base="ws://127.0.0.1:9")
    await lost.until_state(ConnectionState.WAITING)
    await start()
    await platform.connected()
    await platform.say("ana", "说 你好")
    assert await platform.shown("ana") == ["好的 你好"]


async def test_a_platform_that_is_away_is_waited_for(start: Start) -> None:
    process = await start(ws_base="ws://127.0.0.1:9")
    known = await process.until_state(ConnectionState.WAITING)
    assert known.error.startswith("no connection")


async def test_an_answer_that_the_platform_takes_no_more_goes_as_a_message_of_its_own(
    start: Start, platform: AibotPlatform
) -> None:
    platform.faults.errcodes["aibot_respond_msg"] = [846605]
    await start()
    await platform.connected()
    await platform.say("ana", "说 你好", group="wrGROUP")
    assert await platform.shown("wrGROUP") == ["好的 你好"]
    assert [one.kind for one in platform.chats["wrGROUP"]] == ["markdown"]


async def test_a_stream_that_is_over_when_its_answer_is_sent_again_has_the_answer(
    start: Start, platform: AibotPlatform
) -> None:
    """Some say so to the second last frame of a stream instead of replacing what is there."""
    process = await start()
    await platform.connected()
    platform.faults.mute.add("aibot_respond_msg")
    await platform.say("ana", "说 你好")
    await platform.connected(2)
    platform.faults.errcodes["aibot_respond_msg"] = [846608] * 20
    platform.faults.mute.clear()
    await until_counted(process, "delivered", 1)
    assert await platform.shown("ana") == ["好的 你好"]
    assert platform.sent("aibot_send_msg") == []


async def test_a_file_that_the_platform_has_lost_is_uploaded_again(
    start: Start, platform: AibotPlatform
) -> None:
    process = await start()
    digest = await kept(process, b"bytes", "a.txt")
    await platform.connected()
    now_ms = process.service.parts.clock.now_ms()
    await process.service.deliveries.create(delivery("d1", File(blob=digest)), now_ms)
    await platform.shown("ana")
    platform.faults.errcodes["aibot_send_msg"] = [40007]
    await process.service.deliveries.create(delivery("d2", File(blob=digest)), now_ms)
    assert await platform.shown("ana", 2) == list(platform.uploads)
    assert len(platform.uploads) == 2


async def test_a_chat_that_does_not_know_the_bot_is_listed_at_once(
    start: Start, platform: AibotPlatform
) -> None:
    platform.faults.errcodes["aibot_send_msg"] = [60011]
    process = await start()
    await platform.connected()
    now_ms = process.service.parts.clock.now_ms()
    await process.service.deliveries.create(delivery("d1", Text("你好")), now_ms)
    await until_counted(process, "dead", 1)
    assert len(platform.sent("aibot_send_msg")) == 1


async def test_a_refused_frame_is_tried_again_where_that_may_help(
    start: Start, platform: AibotPlatform
) -> None:
    platform.faults.errcodes["aibot_respond_msg"] = [-1, -1]
    await start()
    await platform.connected()
    await platform.say("ana", "说 你好")
    assert await platform.shown("ana") == ["好的 你好"]
    assert len(platform.subscribed_at_s) == 1


async def test_a_frame_that_is_too_large_costs_the_connection_and_nothing_else(
    start: Start, platform: AibotPlatform
) -> None:
    await start()
    wire = await platform.connected()
    await wire.socket.send_str("x" * ((1 << 20) + 1))
    await platform.connected(2)
    await platform.say("ana", "说 还在")
    assert await platform.shown("ana") == ["好的 还在"]


async def test_what_was_on_its_way_when_we_say_goodbye_is_still_taken_in(
    start: Start, platform: AibotPlatform
) -> None:
    first = await start()
    await platform.connected()
    body = {
        "msgid": "last", "aibotid": "a", "chattype": "single", "from": {"userid": "ana"},
        "msgtype": "text", "text": {"content": "说 再见"},
    }  # fmt: skip
    platform._requests["r-last"] = "ana"
    platform.last_words = [{"cmd": "aibot_msg_callback", "headers": {"req_id": "r-last"}, "body": body}]
    await first.stop()
    await start()
    await platform.connected(2)
    assert await platform.shown("ana", limit_s=25) == ["好的 再见"]


async def test_an_event_that_cannot_be_stored_waits_for_its_store(
    start: Start, platform: AibotPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [True, True]
    take_queued = Inbox.take_queued

    async def sometimes(self: Inbox, *args: object) -> Taken:
        if away:
            away.pop()
            raise StoreUnavailableError("Redis is away")
        return await take_queued(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Inbox, "take_queued", sometimes)
    await start()
    await platform.connected()
    await platform.say("ana", "说 你好")
    assert await platform.shown("ana") == ["好的 你好"]
    assert not away


# ---------------------------------------------------------------- deadlines that have passed


async def test_a_welcome_that_is_late_goes_as_a_message(start: Start, platform: AibotPlatform) -> None:
    process = await start()
    await platform.connected()
    now_ms = process.service.parts.clock.now_ms()
    late = str(AnswerTo(Kind.ENTER, now_ms - 5_000, "r-1"))
    await process.service.deliveries.create(replace(delivery("d1", Text("欢迎")), answer_to=late), now_ms)
    assert await platform.shown("ana") == ["欢迎"]
    assert platform.sent("aibot_respond_welcome_msg") == []


async def test_a_card_that_was_clicked_too_long_ago_is_listed_as_not_changed(
    start: Start, platform: AibotPlatform
) -> None:
    process = await start()
    await platform.connected()
    now_ms = process.service.parts.clock.now_ms()
    late = str(AnswerTo(Kind.CARD, now_ms - 5_000, "r-1"))
    card = TemplateCard("text_notice", "新的", url="https://example.com/")
    new = replace(delivery("d1"), answer_to=late, parts=encode_parts([CardUpdate(card)]))
    await process.service.deliveries.create(new, now_ms)
    await until_counted(process, "dead", 1)
    assert platform.sent("aibot_respond_update_msg") == []


async def test_a_stream_that_ran_for_six_minutes_is_followed_by_a_message(
    start: Start, platform: AibotPlatform
) -> None:
    """One that nobody has begun may begin as long as the message can be answered."""
    process = await start()
    await platform.connected()
    service, now_ms = process.service, process.service.parts.clock.now_ms()
    seven_minutes_ago = now_ms - 7 * 60_000
    old = str(AnswerTo(Kind.MESSAGE, seven_minutes_ago, "r-1"))
    platform._requests["r-1"] = "ana"
    await service.redis.call("SET", service.keys.shared("stream", CHANNEL, "d1-0"), seven_minutes_ago)
    await service.deliveries.create(replace(delivery("d1", Text("迟了")), answer_to=old), now_ms)
    await service.deliveries.create(replace(delivery("d2", Text("不迟")), answer_to=old), now_ms)
    assert await platform.shown("ana", 2) == ["迟了", "不迟"]
    assert [one.kind for one in platform.chats["ana"]] == ["markdown", "stream"]


# ---------------------------------------------------------------- several processes


async def test_of_four_processes_that_start_together_one_connects(
    start: Start, platform: AibotPlatform
) -> None:
    processes = [await start() for _ in range(4)]
    await platform.connected()
    for number in range(20):
        await platform.say(f"m{number % 5}", f"说 {number}")
    for number in range(5):
        await platform.shown(f"m{number}", 4)
    assert (platform.kicks, len(platform.wires)) == (0, 1)
    assert sum(process.has_connection for process in processes) == 1


async def test_an_orderly_stop_hands_the_connection_over_at_once_and_kicks_nobody(
    start: Start, platform: AibotPlatform
) -> None:
    processes = [await start() for _ in range(3)]
    for number in range(1, 3):
        await platform.connected(number)
        await platform.say("ana", f"说 {number}")
        await processes[0].until_state(ConnectionState.CONNECTED)
        [holder] = [one for one in processes if one.has_connection]
        processes.remove(holder)
        begun_s = time.monotonic()
        await holder.stop()
        stopped_s = time.monotonic()
        await platform.connected(number + 1)
        assert platform.subscribed_at_s[-1] - stopped_s < 1.0, platform.subscribed_at_s[-1] - begun_s
    assert await platform.shown("ana", 2) == ["好的 1", "好的 2"]
    assert platform.kicks == 0


async def test_a_holder_whose_lease_was_taken_away_closes_its_connection_and_does_not_fight(
    start: Start, platform: AibotPlatform
) -> None:
    process = await start()
    await platform.connected()
    await process.service.redis.call("SET", "hq:{g}:lease:connection:bot", "99 somebody", "PX", 1500)
    await platform.until(lambda: platform.wires[0].socket.closed, "the end of the connection")
    await platform.connected(2)  # the right was free again
    assert platform.kicks == 0
    assert platform.subscribed_at_s[1] - platform.subscribed_at_s[0] >= 1.0
    assert 'cause="lease_lost",channel="bot"} 1.0' in process.figures


async def test_what_a_stopping_holder_was_at_is_answered_once_by_the_next(
    start: Start, platform: AibotPlatform
) -> None:
    first = await start()
    await platform.connected()
    await platform.say("ana", "等 我")
    await platform.until(lambda: len(platform.chats["ana"]) == 1, "the handler is late")
    second = await start()
    second.gates.open.set()
    await first.service.close(0.3)
    first.end()
    await platform.connected(2)
    assert await platform.shown("ana", limit_s=25) == ["等到了 我"]
    assert first.gates.begun == second.gates.begun == ["我"]
