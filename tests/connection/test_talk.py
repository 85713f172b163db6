"""Talking through the long connection when nothing goes wrong."""

from __future__ import annotations

import asyncio

from tests.connection.conftest import CHANNEL, Start
from tests.connection.platform import AibotPlatform


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


async def test_in_a_group_the_answer_goes_to_the_group(start: Start, platform: AibotPlatform) -> None:
    await start()
    await platform.connected()
    await platform.say("ana", "说 大家好", group="wrGROUP")
    assert await platform.shown("wrGROUP") == ["好的 大家好"]
    assert platform.chats["ana"] == []
