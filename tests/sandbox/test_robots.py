"""The group robot: what its address takes, what it refuses, and that only its group reads it."""

from __future__ import annotations

import base64
import hashlib
import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bot.errors import RefusedError
from bot.sandbox.channel import SandboxChannel
from bot.sandbox.server import SandboxServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.sandbox.vendor import Sandbox

ROBOT = SandboxChannel("robot", "wecom_robot", "", "", "", "", "robot-key")
GROUP = "wrDEMO01"
PNG = b"\x89PNG\r\n\x1a\n picture"


class RobotCaller:
    """Posts to the robot's address."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, kind: str, key: str = ROBOT.secret, **body: Any) -> int:
        message = BytesIO(json.dumps({"msgtype": kind, kind: body}).encode())
        async with self._session.post("/cgi-bin/webhook/send", params={"key": key}, data=message) as response:
            return int((await response.json())["errcode"])

    async def upload(self, kind: str, blob: bytes, name: str = "media") -> dict[str, Any]:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field(name, BytesIO(blob), filename="价目表.xlsx", content_type="application/octet-stream")
        query = {"key": ROBOT.secret, "type": kind}
        async with self._session.post("/cgi-bin/webhook/upload_media", params=query, data=form) as response:
            return dict(await response.json())


@pytest.fixture
async def server() -> AsyncIterator[SandboxServer]:
    async with SandboxServer([ROBOT]) as server:
        yield server


@pytest.fixture
def robot(http: aiohttp.ClientSession) -> RobotCaller:
    return RobotCaller(http)


def _image(raw: bytes = PNG, md5: str = "") -> dict[str, str]:
    md5 = md5 or hashlib.md5(raw, usedforsecurity=False).hexdigest()
    return {"base64": base64.b64encode(raw).decode(), "md5": md5}


async def test_every_type_reaches_the_group(robot: RobotCaller, sandbox: Sandbox) -> None:
    media_id = (await robot.upload("file", b"0123456789"))["media_id"]

    codes = [
        await robot.send("text", content="磁盘 91%", mentioned_list=["ana", "@all"]),
        await robot.send("markdown", content='<@ana> <font color="info">好</font>'),
        await robot.send("markdown_v2", content="| a |"),
        await robot.send("image", **_image()),
        await robot.send("news", articles=[{"title": "一", "url": "https://example.com"}]),
        await robot.send("file", media_id=media_id),
        await robot.send("template_card", card_type="text_notice", main_title={"title": "通知"}),
    ]

    assert codes == [0] * 7
    lines = sandbox.inbox("robot", group=GROUP)
    assert [line.kind for line in lines] == [
        "text", "markdown", "markdown_v2", "image", "news", "file", "template_card",
    ]  # fmt: skip
    assert lines[0].fields["mentioned_list"] == ["ana", "@all"]
    assert lines[1].fields["mentioned_list"] == ["ana"]
    assert sandbox.media.find("robot", lines[3].fields["media_id"], 0) is not None
    assert sandbox.room("robot").violations == {}


@pytest.mark.parametrize(
    ("kind", "body", "errcode", "limit"),
    [
        ("text", {"content": "好" * 683}, 40058, "text_bytes"),  # 2049 bytes
        ("markdown", {"content": "x" * 4097}, 40058, "markdown_bytes"),
        ("markdown_v2", {"content": "x" * 4097}, 40058, "markdown_v2_bytes"),
        ("text", {"content": ""}, 44004, ""),
        ("text", {"content": "x", "mentioned_list": "ana"}, 40058, ""),
        ("news", {"articles": []}, 45008, "articles"),
        ("news", {"articles": [{"title": "x"}] * 9}, 45008, "articles"),
        ("image", _image(md5="0" * 32), 40058, ""),
        ("image", _image(b"GIF8 picture"), 40058, ""),
        ("image", _image(PNG + b"x" * 2_097_152), 40058, "image_bytes"),
        ("file", {"media_id": "unknown"}, 40007, ""),
        ("template_card", {"card_type": "button_interaction"}, 40058, ""),
        ("video", {"media_id": "x"}, 40008, ""),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_what_a_robot_cannot_send_reaches_nobody(
    kind: str, body: dict[str, Any], errcode: int, limit: str, robot: RobotCaller, sandbox: Sandbox
) -> None:
    assert await robot.send(kind, **body) == errcode

    assert sandbox.inbox("robot", group=GROUP) == ()
    assert sandbox.room("robot").violations == ({f"webhook/send:{limit}": 1} if limit else {})


async def test_the_twenty_first_message_of_a_minute_is_refused_and_counted(
    robot: RobotCaller, sandbox: Sandbox
) -> None:
    codes = [await robot.send("text", content="x") for _ in range(21)]
    sandbox.move_clock(60_000)
    codes.append(await robot.send("text", content="x"))

    assert codes == [0] * 20 + [45009, 0]
    assert sandbox.room("robot").violations == {"webhook/send:per_minute": 1}
    assert sandbox.room("robot").errcodes == {("webhook/send", 0): 21, ("webhook/send", 45009): 1}


async def test_a_wrong_key_opens_nothing(robot: RobotCaller, sandbox: Sandbox) -> None:
    assert await robot.send("text", key="other", content="x") == 93000
    assert sandbox.inbox("robot", group=GROUP) == ()


async def test_uploads_keep_their_name_and_are_good_for_three_days(
    robot: RobotCaller, sandbox: Sandbox
) -> None:
    answer = await robot.upload("file", b"0123456789")
    medium = sandbox.media.find("robot", answer["media_id"], 0)
    assert medium is not None
    assert (medium.filename, medium.blob) == ("价目表.xlsx", b"0123456789")

    sandbox.move_clock(3 * 86_400_000)
    assert await robot.send("file", media_id=answer["media_id"]) == 40007

    codes = [
        (await robot.upload(kind, blob, name))["errcode"]
        for kind, blob, name in (
            ("image", PNG, "media"),
            ("file", b"1234", "media"),
            ("voice", b"x" * 2_097_153, "media"),
            ("file", b"0123456789", "attachment"),
            ("file", b"x" * (20 * 1024 * 1024 + 1), "media"),
        )
    ]
    assert codes == [40004, 40006, 40006, 41005, 40006]
    assert sandbox.room("robot").violations == {"webhook/upload_media:media_bytes": 3}


async def test_people_of_its_group_are_not_heard_by_a_robot(sandbox: Sandbox) -> None:
    assert (await sandbox.say("robot", "ana", "谢谢", group=GROUP)).status == "unseen"
    with pytest.raises(RefusedError, match="nobody can write to a robot"):
        await sandbox.say("robot", "ana", "谢谢")
