"""The AI bot's long connection: every command, every refusal, and everything that can go wrong with it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bot.sandbox.courier import Settings
from bot.sandbox.faults import Fault
from bot.sandbox.server import SandboxServer
from tests.sandbox.long_connection import BOT, GROUP, WireBot, markdown, stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.sandbox.vendor import Sandbox

CARD: dict[str, Any] = {
    "card_type": "button_interaction", "task_id": "t-1", "main_title": {"title": "抢"},
    "button_list": [{"text": "抢", "key": "grab"}],
}  # fmt: skip
QUICK = Settings(answer_patience_s=0.3, ack_delay_s=0.001)


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer([BOT], settings=QUICK) as server:
        yield server


@pytest.fixture
async def bot(server: SandboxServer) -> AsyncIterator[WireBot]:
    async with WireBot(server.api_base) as bot:
        assert (await bot.subscribe())["errcode"] == 0
        yield bot


async def _hear(sandbox: Sandbox, bot: WireBot, text: str = "hi", group: str = "") -> str:
    """Let ana say something and return the req_id under which the bot heard it."""
    sandbox.start_message("bot", "ana", "text", {"Content": text}, group=group)
    return str((await bot.next_callback())["headers"]["req_id"])


async def test_a_message_comes_as_documented_and_is_answered_under_its_req_id() -> None:
    async with SandboxServer([BOT]) as server, WireBot(server.api_base) as bot:
        sandbox = server.sandbox
        await bot.subscribe()
        saying = asyncio.create_task(sandbox.say("bot", "ana", "签到", group=GROUP))
        frame = await bot.next_callback()
        req_id = frame["headers"]["req_id"]
        acks = [
            await bot.ask("aibot_respond_msg", stream(text, finish=text == "好"), req_id) for text in "算好"
        ]
        outcome = await saying

    assert frame["cmd"] == "aibot_msg_callback"
    body = frame["body"]
    assert (body["aibotid"], body["chatid"], body["chattype"]) == ("aib-bot", GROUP, "group")
    assert (body["from"], body["text"]) == ({"userid": "ana"}, {"content": "@活群 签到"})
    assert "response_url" not in body
    assert acks == [{"headers": {"req_id": req_id}, "errcode": 0, "errmsg": "ok"}] * 2
    assert outcome.text == "好"
    assert sandbox.violations() == {}


async def test_ping_is_acknowledged(bot: WireBot) -> None:
    assert (await bot.ask("ping", req_id="ping-1"))["errcode"] == 0


async def test_nothing_can_be_said_before_subscribing(server: SandboxServer) -> None:
    async with WireBot(server.api_base) as bot:
        assert (await bot.ask("aibot_send_msg", markdown("hi", chatid="ana")))["errcode"] == 40001
        assert (await bot.subscribe(bot_id="other"))["errcode"] == 40058
        assert (await bot.subscribe(secret="wrong"))["errcode"] == 40001


async def test_subscribing_too_often_is_refused_and_counted() -> None:
    settings = Settings(subscribes_per_minute=2)
    async with SandboxServer([BOT], settings=settings) as server, WireBot(server.api_base) as bot:
        codes = [(await bot.subscribe())["errcode"] for _ in range(3)]
        violations = dict(server.sandbox.room("bot").violations)

    assert codes == [0, 0, 45009]
    assert violations == {"aibot_subscribe:per_minute": 1}


async def test_a_req_id_answers_only_what_it_came_with(sandbox: Sandbox, bot: WireBot) -> None:
    message = await _hear(sandbox, bot)
    sandbox.start_event("bot", "ana", "enter_chat", {})
    entered = str((await bot.next_callback())["headers"]["req_id"])
    welcome = {"msgtype": "text", "text": {"content": "欢迎"}}

    codes = [
        (await bot.ask(cmd, body, req_id))["errcode"]
        for cmd, body, req_id in (
            ("aibot_respond_msg", stream("hi"), "unknown"),
            ("aibot_respond_msg", stream("hi"), entered),
            ("aibot_respond_welcome_msg", welcome, message),
            ("aibot_respond_update_msg", welcome, message),
            ("aibot_respond_welcome_msg", welcome, entered),
            ("aibot_respond_welcome_msg", welcome, entered),
        )
    ]

    assert codes == [846605, 846605, 846605, 846605, 0, 846605]


async def test_answers_come_too_late(sandbox: Sandbox, bot: WireBot) -> None:
    first, second = await _hear(sandbox, bot), await _hear(sandbox, bot)
    sandbox.start_event("bot", "ana", "enter_chat", {})
    entered = str((await bot.next_callback())["headers"]["req_id"])
    await bot.ask("aibot_respond_msg", stream("…", finish=False), first)

    sandbox.move_clock(5_001)
    late = {"msgtype": "text", "text": {"content": "欢迎"}}
    codes = [(await bot.ask("aibot_respond_welcome_msg", late, entered))["errcode"]]
    sandbox.move_clock(6 * 60_000)
    codes.append((await bot.ask("aibot_respond_msg", stream("done"), first))["errcode"])
    sandbox.move_clock(24 * 3_600_000)
    codes.append((await bot.ask("aibot_respond_msg", stream("done", stream_id="s-2"), second))["errcode"])

    assert codes == [846605, 846608, 846605]
    assert sandbox.room("bot").violations == {
        "aibot_respond_welcome_msg:5_seconds": 1,
        "aibot_respond_msg:six_minutes": 1,
        "aibot_respond_msg:24_hours": 1,
    }


async def test_a_stream_left_unfinished_for_six_minutes_is_counted(sandbox: Sandbox, bot: WireBot) -> None:
    req_id = await _hear(sandbox, bot)
    await bot.ask("aibot_respond_msg", stream("…", finish=False), req_id)
    assert sandbox.violations() == {}

    sandbox.move_clock(6 * 60_000)

    assert sandbox.violations() == {"stream:six_minutes": 1}
    assert sandbox.transcript("bot", "ana")[-1].status == "unfinished"


async def test_a_frame_sent_before_the_one_before_is_acknowledged_is_counted() -> None:
    settings = Settings(ack_delay_s=0.3, answer_patience_s=0.1)
    async with SandboxServer([BOT], settings=settings) as server, WireBot(server.api_base) as bot:
        await bot.subscribe()
        req_id = await _hear(server.sandbox, bot)
        both = [bot.send("aibot_respond_msg", stream(text, finish=text == "b"), req_id) for text in "ab"]
        await asyncio.gather(*both)
        violations = server.sandbox.violations()

    assert violations == {"aibot_respond_msg:overlap": 1}


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (stream("好" * 6827), "content_bytes"),
        ({"msgtype": "stream", "stream": {"id": "s", "finish": True, "msg_item": []}}, ""),
        ({"msgtype": "text", "text": {"content": "hi"}}, ""),
        ({"msgtype": "template_card", "template_card": {**CARD, "task_id": "no spaces"}}, "card_task_id"),
        (
            {"msgtype": "template_card", "template_card": {**CARD, "button_list": CARD["button_list"] * 7}},
            "card_button_list",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_wrong_answer_is_refused_and_shown_to_nobody(
    body: dict[str, Any], limit: str, sandbox: Sandbox, bot: WireBot
) -> None:
    req_id = await _hear(sandbox, bot)

    assert (await bot.ask("aibot_respond_msg", body, req_id))["errcode"] == 40058

    assert sandbox.heard("bot", "ana") == ()
    assert sandbox.room("bot").violations == ({f"aibot_respond_msg:{limit}": 1} if limit else {})


async def test_answers_and_unprompted_messages_share_thirty_a_minute_and_a_thousand_an_hour(
    sandbox: Sandbox, bot: WireBot
) -> None:
    req_id = await _hear(sandbox, bot)
    first = (await bot.ask("aibot_respond_msg", stream("1"), req_id))["errcode"]
    codes = [(await bot.ask("aibot_send_msg", markdown("hi", chatid="ana")))["errcode"] for _ in range(30)]
    for _ in range(33):
        sandbox.move_clock(60_000)
        for _ in range(30):
            await bot.ask("aibot_send_msg", markdown("hi", chatid="ana", chat_type=1))

    assert first == 0
    assert codes == [0] * 29 + [45009]
    assert sandbox.room("bot").errcodes["aibot_send_msg", 45011] == 20
    assert sandbox.room("bot").violations == {
        "aibot_send_msg:per_minute": 1, "aibot_send_msg:per_hour": 20,
    }  # fmt: skip


async def test_unprompted_messages_reach_only_chats_the_bot_knows(sandbox: Sandbox, bot: WireBot) -> None:
    await _hear(sandbox, bot, group=GROUP)

    codes = [
        (await bot.ask("aibot_send_msg", body))["errcode"]
        for body in (
            markdown("to the group", chatid=GROUP, chat_type=2),
            markdown("to the group, guessed", chatid=GROUP),
            markdown("ana wrote in the group only", chatid="ana", chat_type=1),
            markdown("no such group", chatid="elsewhere", chat_type=2),
            markdown("no such type", chatid="ana", chat_type=3),
            {"msgtype": "text", "text": {"content": "hi"}, "chatid": GROUP},
            {"msgtype": "image", "image": {"media_id": "unknown"}, "chatid": GROUP},
        )
    ]

    assert codes == [0, 0, 60011, 60011, 40058, 40058, 40007]
    assert [line.text for line in sandbox.inbox("bot", group=GROUP)] == [
        "to the group",
        "to the group, guessed",
    ]


async def test_a_file_is_uploaded_in_chunks_and_sent(sandbox: Sandbox, bot: WireBot) -> None:
    await _hear(sandbox, bot)
    blob = bytes(range(256)) * 2500  # 640 000 bytes: two chunks
    chunks = [blob[:524_288], blob[524_288:]]
    init = await bot.ask("aibot_upload_media_init", _upload(blob, total_chunks=2))
    upload_id = init["body"]["upload_id"]

    unfinished = await bot.ask("aibot_upload_media_finish", {"upload_id": upload_id})
    for index in (1, 0):
        await bot.ask("aibot_upload_media_chunk", _chunk(upload_id, index, chunks[index]))
    finish = await bot.ask("aibot_upload_media_finish", {"upload_id": upload_id})
    media_id = finish["body"]["media_id"]
    sent = await bot.ask(
        "aibot_send_msg", {"msgtype": "file", "file": {"media_id": media_id}, "chatid": "ana"}
    )
    sandbox.move_clock(3 * 86_400_000)
    over = await bot.ask(
        "aibot_send_msg", {"msgtype": "file", "file": {"media_id": media_id}, "chatid": "ana"}
    )

    assert unfinished["errcode"] == 40058
    assert (finish["body"]["type"], sent["errcode"], over["errcode"]) == ("file", 0, 40007)
    medium = sandbox.media.find("bot", media_id, 0)
    assert medium is not None
    assert (medium.blob, medium.filename) == (blob, "list.xlsx")


async def test_uploads_over_a_limit_are_refused_and_counted(sandbox: Sandbox, bot: WireBot) -> None:
    blob = b"sandbox"
    codes = [
        (await bot.ask("aibot_upload_media_init", body))["errcode"]
        for body in (
            _upload(blob, total_chunks=101),
            _upload(blob, total_size=20 * 1024 * 1024 + 1),
            _upload(blob, type="image", total_size=4),
            _upload(blob, type="music"),
            _upload(blob, total_size="7"),
        )
    ]
    upload_id = (await bot.ask("aibot_upload_media_init", _upload(blob)))["body"]["upload_id"]
    codes += [
        (await bot.ask("aibot_upload_media_chunk", body))["errcode"]
        for body in (
            _chunk(upload_id, 0, b"x" * 524_289),
            _chunk(upload_id, 1, blob),
            {"upload_id": upload_id, "chunk_index": 0, "base64_data": "?"},
            _chunk("other", 0, blob),
        )
    ]
    sandbox.move_clock(30 * 60_000)
    codes.append((await bot.ask("aibot_upload_media_chunk", _chunk(upload_id, 0, blob)))["errcode"])

    assert codes == [40058, 40006, 40006, 40058, 40058, 40058, 40058, 40058, 40058, 40058]
    assert sandbox.room("bot").violations == {
        "aibot_upload_media_init:chunks": 1,
        "aibot_upload_media_init:media_bytes": 2,
        "aibot_upload_media_chunk:chunk_bytes": 1,
        "aibot_upload_media_chunk:30_minutes": 1,
    }


async def test_thirty_uploads_a_minute_may_begin(sandbox: Sandbox, bot: WireBot) -> None:
    codes = [(await bot.ask("aibot_upload_media_init", _upload(b"sandbox")))["errcode"] for _ in range(31)]

    assert codes == [0] * 30 + [45009]
    assert sandbox.room("bot").violations == {"aibot_upload_media_init:per_minute": 1}


async def test_a_picture_carries_its_own_key(sandbox: Sandbox, bot: WireBot) -> None:
    sandbox.start_message("bot", "ana", "image", {}, media=b"\x89PNG")

    image = (await bot.next_callback())["body"]["image"]

    assert len(image["aeskey"]) == 43
    assert image["url"].startswith("http://127.0.0.1:")


async def test_a_new_subscription_takes_the_place_of_the_old(
    server: SandboxServer, sandbox: Sandbox, bot: WireBot
) -> None:
    async with WireBot(server.api_base) as second:
        await second.subscribe()
        told = await bot.next_callback()
        await asyncio.wait_for(bot.closed.wait(), 5)
        await _hear(sandbox, second)

    assert told["cmd"] == "aibot_event_callback"
    assert told["body"]["event"] == {"eventtype": "disconnected_event"}


async def test_a_bot_without_a_connection_hears_nothing(sandbox: Sandbox) -> None:
    outcome = await sandbox.say("bot", "ana", "hi")

    assert (outcome.status, outcome.attempts) == ("unavailable", 0)
    assert sandbox.transcript("bot", "ana")[-1].note == "the bot has no connection"


async def test_messages_can_wait_for_a_connection_in_their_order() -> None:
    settings = Settings(away_s=5.0, answer_patience_s=0.1)
    async with SandboxServer([BOT], settings=settings) as server, WireBot(server.api_base) as bot:
        for text in ("1", "2"):
            server.sandbox.start_message("bot", "ana", "text", {"Content": text})
        await asyncio.sleep(0)
        await bot.subscribe()
        said = [(await bot.next_callback())["body"]["text"]["content"] for _ in range(2)]

    assert said == ["1", "2"]


@pytest.mark.parametrize("act", ["kick", "close"])
async def test_the_connection_ends_on_demand(act: str, sandbox: Sandbox, bot: WireBot) -> None:
    assert await getattr(sandbox.connections, act)("bot")

    await asyncio.wait_for(bot.closed.wait(), 5)
    assert bot.callbacks.qsize() == (1 if act == "kick" else 0)
    assert not sandbox.connections.is_connected("bot")


async def test_a_silent_server_answers_neither_frames_nor_pings(sandbox: Sandbox, bot: WireBot) -> None:
    assert sandbox.connections.silence("bot")

    ack = bot.send("ping")
    await bot.socket.ping()
    outcome = await sandbox.say("bot", "ana", "hi")

    assert not ack.done()
    assert outcome.status == "acknowledged"
    assert bot.callbacks.empty()


async def test_faults_spoil_acknowledgements(sandbox: Sandbox, bot: WireBot) -> None:
    req_id = await _hear(sandbox, bot)
    sandbox.faults.add(Fault("bot", "aibot_respond_msg", errcode=-1))
    sandbox.faults.add(Fault("bot", "aibot_respond_msg", errcode=-1, acted=True))

    codes = [
        (await bot.ask("aibot_respond_msg", stream("x", stream_id=f"s{n}"), req_id))["errcode"] for n in "12"
    ]

    assert codes == [-1, -1]
    assert len(sandbox.heard("bot", "ana")) == 1
    sandbox.faults.add(Fault("bot", "aibot_respond_msg", hang=True))
    hanging = bot.send("aibot_respond_msg", stream("x", stream_id="s3"), req_id)
    await bot.ask("ping")
    assert not hanging.done()
    sandbox.faults.add(Fault("bot", "ping", drop=True))
    bot.send("ping")
    await asyncio.wait_for(bot.closed.wait(), 5)


async def test_callbacks_are_lost_doubled_and_reordered_on_demand(sandbox: Sandbox, bot: WireBot) -> None:
    sandbox.faults.add(Fault("bot", "callback", lost=True))
    assert (await sandbox.say("bot", "ana", "lost")).status == "unavailable"
    sandbox.faults.add(Fault("bot", "callback", doubled=True))
    await sandbox.say("bot", "ana", "doubled")
    sandbox.faults.add(Fault("bot", "callback", reordered=True))
    await asyncio.gather(sandbox.say("bot", "ana", "after"), sandbox.say("bot", "ana", "before"))

    frames = [await bot.next_callback() for _ in range(4)]

    said = [frame["body"]["text"]["content"] for frame in frames]
    assert said == ["doubled", "doubled", "before", "after"]
    assert frames[0]["body"]["msgid"] == frames[1]["body"]["msgid"]


async def test_what_is_no_frame_is_refused(sandbox: Sandbox, bot: WireBot) -> None:
    await bot.socket.send_str("not json")
    await bot.socket.send_str('{"cmd": 1}')

    assert (await bot.ask("aibot_dance"))["errcode"] == 40058
    assert sandbox.connections.is_connected("bot")


async def test_the_address_without_a_path_leads_people_to_the_chat_page(server: SandboxServer) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(base_url=server.api_base))
        response = await stack.enter_async_context(http.get("/", allow_redirects=False))

        assert (response.status, response.headers["Location"]) == (302, "/sandbox/")


def _upload(blob: bytes, **changes: Any) -> dict[str, Any]:
    md5 = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    body = {"type": "file", "filename": "list.xlsx", "total_size": len(blob), "total_chunks": 1, "md5": md5}
    return {**body, **changes}


def _chunk(upload_id: str, index: int, blob: bytes) -> dict[str, Any]:
    return {"upload_id": upload_id, "chunk_index": index, "base64_data": base64.b64encode(blob).decode()}
