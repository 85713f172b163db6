"""Talking through the long connection when nothing goes wrong."""

from __future__ import annotations

import pytest

from bot.model import File, Image, Text
from bot.storage.redis.deliveries import Delivery, encode_parts
from bot.storage.redis.leases import ConnectionState
from bot.storage.sql.blobs import BlobStore
from tests.connection.conftest import CHANNEL, Process, Start, until
from tests.connection.platform import SECRET, AibotPlatform


def delivery(id_: str, *parts: Text | Image | File, user_id: str = "ana", group_id: str = "") -> Delivery:
    """Return something the bot says unprompted."""
    return Delivery(
        id=id_,
        community=CHANNEL,
        channel=CHANNEL,
        user_id=user_id,
        group_id=group_id,
        member=f"{CHANNEL}:{user_id}",
        cause=f"cause of {id_}",
        route="connection",
        created_at_ms=1,
        parts=encode_parts(parts),
    )


async def test_a_message_is_answered_by_one_finished_stream_under_its_req_id(
    start: Start, platform: AibotPlatform
) -> None:
    await start()
    await platform.connected()
    await platform.say("ana", "说 你好", req_id="r-1")
    assert await platform.shown("ana") == ["好的 你好"]
    [frame] = platform.sent("aibot_respond_msg")
    assert frame["headers"] == {"req_id": "r-1"}
    assert frame["body"]["msgtype"] == "stream"
    assert frame["body"]["stream"]["finish"] is True


async def test_in_a_group_the_mention_is_stripped_and_the_answer_goes_to_the_group(
    start: Start, platform: AibotPlatform
) -> None:
    await start()
    await platform.connected()
    await platform.say("ana", "说 大家好", group="wrGROUP")
    assert await platform.shown("wrGROUP") == ["好的 大家好"]
    assert platform.chats["ana"] == []


async def test_messages_of_one_chat_are_handled_in_the_order_they_came(
    start: Start, platform: AibotPlatform
) -> None:
    process = await start()
    await platform.connected()
    words = [f"第{number}句" for number in range(25)]
    for word in words:
        await platform.say("ana", f"说 {word}")
    assert await platform.shown("ana", 25) == [f"好的 {word}" for word in words]
    assert process.gates.begun == words


async def test_what_follows_the_first_part_goes_as_a_message_of_its_own(
    start: Start, platform: AibotPlatform
) -> None:
    await start()
    await platform.connected()
    await platform.say("ana", "两张", group="wrGROUP")
    assert await platform.shown("wrGROUP", 2) == ["第一条", "第二条"]
    assert [shown.kind for shown in platform.chats["wrGROUP"]] == ["stream", "template_card"]
    [sent] = platform.sent("aibot_send_msg")
    assert (sent["body"]["chatid"], sent["body"]["chat_type"]) == ("wrGROUP", 2)


async def test_a_slow_handler_shows_that_it_works_and_its_answer_takes_that_place(
    start: Start, platform: AibotPlatform
) -> None:
    process = await start()
    await platform.connected()
    await platform.say("ana", "等 我")
    await platform.until(lambda: len(platform.chats["ana"]) == 1, "a sign of life")
    assert [(one.text, one.finished) for one in platform.chats["ana"]] == [("正在处理，请稍候…", False)]
    await platform.say("ana", "说 别的")
    await platform.until(lambda: len(platform.chats["ana"]) == 2, "an answer to what came after it")
    process.gates.open.set()
    assert await platform.shown("ana", 2) == ["等到了 我", "好的 别的"]
    ids = {frame["body"]["stream"]["id"] for frame in platform.sent("aibot_respond_msg")}
    assert len(ids) == 2


async def test_what_the_bot_asks_is_answered_by_the_next_message(
    start: Start, platform: AibotPlatform
) -> None:
    await start()
    await platform.connected()
    for text in ("牛奶", "买", "牛奶", "说 完"):
        await platform.say("ana", text)
    assert await platform.shown("ana", 3) == ["买什么？", "牛奶，记下了", "好的 完"]


async def test_opening_the_chat_is_answered_by_a_welcome(start: Start, platform: AibotPlatform) -> None:
    await start()
    await platform.connected()
    await platform.tell("ana", {"eventtype": "enter_chat"})
    await platform.until(lambda: bool(platform.sent("aibot_respond_welcome_msg")), "a welcome")
    [frame] = platform.sent("aibot_respond_welcome_msg")
    assert frame["body"] == {"msgtype": "text", "text": {"content": "欢迎 ana"}}


async def test_a_click_turns_the_card_into_another(start: Start, platform: AibotPlatform) -> None:
    await start()
    await platform.connected()
    click = {"card_type": "button_interaction", "event_key": "红", "task_id": "t1"}
    await platform.tell("ana", {"eventtype": "template_card_event", "template_card_event": click})
    assert await platform.shown("ana") == ["选了 红"]
    [frame] = platform.sent("aibot_respond_update_msg")
    assert frame["body"]["userids"] == ["ana"]


async def test_what_nobody_asked_for_goes_to_the_chat_as_markdown(
    start: Start, platform: AibotPlatform
) -> None:
    process = await start()
    await platform.connected()
    now_ms = process.service.parts.clock.now_ms()
    await process.service.deliveries.create(delivery("d1", Text("早上好")), now_ms)
    await process.service.deliveries.create(delivery("d2", Text("大家早"), group_id="wrGROUP"), now_ms)
    assert await platform.shown("ana") == ["早上好"]
    assert await platform.shown("wrGROUP") == ["大家早"]
    sent = {frame["body"]["chatid"]: frame["body"] for frame in platform.sent("aibot_send_msg")}
    assert (sent["ana"]["chat_type"], sent["ana"]["msgtype"]) == (1, "markdown")


async def test_a_chat_gets_at_most_thirty_messages_a_minute(start: Start, platform: AibotPlatform) -> None:
    process = await start()
    await platform.connected()
    now_ms = process.service.parts.clock.now_ms()
    for number in range(33):
        await process.service.deliveries.create(delivery(f"d{number:02}", Text(f"{number}")), now_ms)
    await process.service.deliveries.create(delivery("other", Text("给别人"), user_id="bo"), now_ms)
    assert len(await platform.shown("ana", 30, limit_s=20)) == 30
    await platform.shown("bo")
    await platform.say("cyd", "说 完")  # a round trip later still
    await platform.shown("cyd")
    assert len(platform.chats["ana"]) == 30


async def test_an_event_without_a_handler_and_junk_are_counted_and_nothing_more(
    start: Start, platform: AibotPlatform
) -> None:
    process = await start()
    wire = await platform.connected()
    await platform.tell("ana", {"eventtype": "something_new"})
    for junk in (
        "",
        "{",
        "[]",
        "null",
        '{"cmd": 7}',
        '{"headers": {"req_id": 5}}',
        "[" * 5000,
        '{"cmd": "x"}',
    ):
        await wire.socket.send_str(junk)
    await wire.socket.send_bytes(b"\xff\xfe")
    await platform.say("ana", "说 还在")
    assert await platform.shown("ana") == ["好的 还在"]
    assert len(platform.subscribed_at_s) == 1
    assert 'huoqun_unknown_types_total{channel="bot"} 1.0' in process.figures
    assert 'huoqun_connection_junk_total{channel="bot"} 9.0' in process.figures


async def test_status_says_who_holds_the_connection(start: Start, platform: AibotPlatform) -> None:
    process = await start()
    await platform.connected()
    known = await process.until_state(ConnectionState.CONNECTED)
    assert known.holder.partition(":")[2].isdecimal()
    assert (known.error, known.kicks) == ("", 0)
    assert known.since_ms > 0
    assert 'huoqun_connection_up{channel="bot"} 1.0' in process.figures
    await process.stop()
    other = await start(ws_base="ws://127.0.0.1:1")
    assert SECRET not in repr(await other.status())


# ---------------------------------------------------------------- media


async def kept(process: Process, content: bytes, file_name: str) -> str:
    """Keep bytes in the store of a process; return their digest."""
    blobs = BlobStore(process.service.database, process.service.parts.clock)
    return await blobs.put(content, "application/octet-stream", file_name)


@pytest.mark.parametrize("size", [1, 512 * 1024, 512 * 1024 + 1, 3 * 512 * 1024 + 7])
async def test_bytes_are_uploaded_in_chunks_once_and_sent_by_their_name(
    start: Start, platform: AibotPlatform, size: int
) -> None:
    content = bytes(number * 7 % 251 for number in range(size))
    process = await start()
    digest = await kept(process, content, "表.xlsx")
    await platform.connected()
    now_ms = process.service.parts.clock.now_ms()
    await process.service.deliveries.create(delivery("d1", File(blob=digest)), now_ms)
    await process.service.deliveries.create(delivery("d2", File(blob=digest), user_id="bo"), now_ms)
    [name] = await platform.shown("ana")
    assert await platform.shown("bo") == [name]
    assert platform.uploads == {name: content}
    [begun] = platform.sent("aibot_upload_media_init")
    assert (begun["body"]["filename"], begun["body"]["type"]) == ("表.xlsx", "file")
    assert len(platform.sent("aibot_upload_media_chunk")) == -(-size // (512 * 1024))


async def test_bytes_that_are_not_there_make_a_dead_delivery(start: Start, platform: AibotPlatform) -> None:
    process = await start()
    await platform.connected()
    now_ms = process.service.parts.clock.now_ms()
    await process.service.deliveries.create(delivery("d1", Image(blob="gone")), now_ms)
    await until_counted(process, "dead", 1)
    assert platform.sent("aibot_upload_media_init") == []


async def until_counted(process: Process, outcome: str, count: int) -> None:
    """Wait until so many deliveries came to an outcome."""

    async def there() -> bool:
        return f'huoqun_deliveries_total{{channel="bot",outcome="{outcome}"}} {count}.0' in process.figures

    await until(there, f"{count} times {outcome}")
